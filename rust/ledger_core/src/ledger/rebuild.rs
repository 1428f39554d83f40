//! Building the ledger from a long log. What only queries and removals look into is put in order at
//! the end, all at once: to sort a million keys takes a tenth of finding each one's place in trees.
//! What comes out is the ledger that would have taken the entries one by one.

use std::panic::resume_unwind;
use std::thread;

use super::index::Key;
use super::{Added, Entry, Ledger, Slot};
use crate::event::Event;

/// Events that are worth a thread of their own: some milliseconds.
const SHARE: usize = 1_000;
/// What is late goes into its place one by one while it is less than this part of the whole: only
/// then does that cost less than a walk through all there is.
const FEW: usize = 16;

/// A ledger in the making. It answers nothing until it is finished.
pub struct Rebuild {
    ledger: Ledger,
    /// Not in any order yet.
    late: Vec<Slot>,
    threads: usize,
}

impl Rebuild {
    /// From this ledger on, with so many threads.
    pub fn new(ledger: Ledger, threads: usize) -> Rebuild {
        Rebuild {
            ledger,
            late: Vec::new(),
            threads: threads.max(1),
        }
    }

    /// The next entries of the log. One that is no event is left out. Returns the positions of what
    /// had to be forgotten for them.
    pub fn add(&mut self, added: &[Added<'_>]) -> Vec<u64> {
        let events = decode(added, self.threads);
        let mut evicted = Vec::new();
        for (one, event) in added.iter().zip(events.iter().flatten()) {
            if let Some(event) = event
                && !self.ledger.contains(&event.id)
            {
                let slot = self.ledger.place(one.pos, event, one.standing);
                self.late.push(slot);
                if self.ledger.has_excess(slot) {
                    self.settle();
                    self.ledger.enforce(slot, &mut evicted);
                }
            }
        }
        evicted
    }

    /// The ledger, with everything in order.
    pub fn finish(mut self) -> Ledger {
        self.settle();
        self.ledger
    }

    fn settle(&mut self) {
        let late = std::mem::take(&mut self.late);
        if late.len() < self.ledger.len() / FEW {
            for slot in late {
                self.ledger.order(slot);
            }
        } else {
            order_all(&mut self.ledger, &late);
        }
    }
}

/// None for what is no event.
fn decode(added: &[Added<'_>], threads: usize) -> Vec<Vec<Option<Event>>> {
    let decode = |part: &[Added<'_>]| part.iter().map(|one| one.decode().ok()).collect();
    let share = added.len().div_ceil(threads).max(SHARE);
    let (own, others) = added.split_at(share.min(added.len()));
    thread::scope(|scope| {
        let others: Vec<_> = others
            .chunks(share)
            .map(|part| scope.spawn(move || decode(part)))
            .collect();
        let mut parts = vec![decode(own)];
        for other in others {
            parts.push(other.join().unwrap_or_else(|panic| resume_unwind(panic)));
        }
        parts
    })
}

fn order_all(ledger: &mut Ledger, late: &[Slot]) {
    let Ledger {
        entries,
        by_pos,
        index,
        retention,
        ..
    } = ledger;
    let live = |slot: &Slot| Some((*slot, entries[*slot as usize].as_ref()?));
    let placed = || late.iter().filter_map(live);
    let mut sorted: Vec<(Key, &Entry)> = placed()
        .map(|(slot, entry)| (entry.key(slot), entry))
        .collect();
    sorted.sort_unstable_by_key(|(key, _)| *key);
    thread::scope(|scope| {
        scope.spawn(|| index.extend(&sorted));
        retention.order_all(&sorted);
        by_pos.extend(placed().map(|(slot, entry)| (entry.pos, slot)));
    });
}
