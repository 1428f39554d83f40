//! Answers in order of time: page, recent, and nara's older request.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::ops::Bound;
use std::sync::Arc;

use super::cursor::Cursor;
use super::index::{Filter, Key};
use super::names::NameId;
use super::{Entry, Ledger, Slot};
use crate::event::{Id, Service};
use crate::verify::Standing;

/// Events in one answer at most; nara's own bound.
pub const MAX_ANSWER: usize = 5_000;
/// Bytes of events in one answer at most. 5,000 ordinary ones have 2 MB; 5,000 of the largest would
/// have 320, which no client should have to take, nor this node to hold for one.
pub const MAX_ANSWER_BYTES: usize = 16 * 1024 * 1024;
/// What `recent` gives when it is not told how many.
const DEFAULT_RECENT: usize = 100;

/// An event in an answer.
#[derive(Clone)]
pub struct Picked {
    /// Its id.
    pub id: Id,
    /// Its bytes.
    pub raw: Arc<[u8]>,
    /// How far it is proved.
    pub standing: Standing,
    /// Of an attested checkpoint: how many different known voters prove it.
    pub votes: usize,
}

/// What a query found, in the order to be served.
#[derive(Clone, Default)]
pub struct Selection {
    /// The events.
    pub events: Vec<Picked>,
    /// Where a page goes on; none when nothing remains.
    pub next_cursor: Option<Cursor>,
    /// Index entries looked at: what the answer cost.
    pub examined: usize,
}

/// nara's request before there were modes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Legacy {
    /// Only later ones, in Unix nanoseconds; 0 or less: all.
    pub since_ns: i64,
    /// Which of the interleaved slices; out of range: the first.
    pub slice_index: i64,
    /// How many slices; less than one: one.
    pub slice_total: i64,
    /// The newest so many; beyond 1..=5,000: 5,000.
    pub max_events: i64,
}

/// Who has to do with an event in which way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Said by the name: it acts, observes or presents itself.
    By,
    /// Said about the name, by another.
    About,
}

/// What is asked for one name's standing among its peers; no request of the wire.
#[derive(Clone, Copy, Debug)]
pub struct Words<'a> {
    /// Whose.
    pub name: &'a str,
    /// None: either.
    pub role: Option<Role>,
    /// Of these services.
    pub services: &'a [Service],
    /// So well proved at least.
    pub least: Standing,
    /// No later ones, in Unix nanoseconds.
    pub upto_ns: i64,
    /// So many at most.
    pub most: usize,
}

impl Words<'_> {
    fn fit(&self, entry: &Entry, is_by: bool) -> bool {
        let has_role = match self.role {
            None => true,
            Some(Role::By) => is_by,
            Some(Role::About) => !is_by,
        };
        has_role && entry.ts <= self.upto_ns && entry.standing >= self.least
    }
}

/// A size as requests give it: absent, non-positive or too large means the most.
pub(crate) fn clamp_size(size: Option<i64>) -> usize {
    size.and_then(|n| usize::try_from(n).ok())
        .filter(|n| (1..=MAX_ANSWER).contains(n))
        .unwrap_or(MAX_ANSWER)
}

fn clamp_recent(limit: Option<i64>) -> usize {
    match limit {
        None | Some(..=0) => DEFAULT_RECENT,
        limit => clamp_size(limit),
    }
}

impl Ledger {
    /// Oldest first, after the cursor. The next cursor is the last timestamp, as the specification
    /// has it; only where events of that very time remain does it name the event too.
    pub fn page(&self, cursor: Option<Cursor>, size: Option<i64>, filter: &Filter) -> Selection {
        let examined = Cell::new(0);
        let start = cursor.map_or(Bound::Unbounded, start_after);
        let walk = self.index.ascending(filter, &self.names, start, &examined);
        let (page, next) = self.fill(clamp_size(size), walk);
        let next_cursor = page.last().zip(next).map(|(last, next)| Cursor {
            ts: last.ts,
            id: (last.ts == next.ts).then_some(last.id),
        });
        Selection {
            next_cursor,
            ..self.select(page, &examined)
        }
    }

    /// Newest first.
    pub fn recent(&self, limit: Option<i64>, filter: &Filter) -> Selection {
        let examined = Cell::new(0);
        let walk = self.index.descending(filter, &self.names, &examined);
        let (newest, _) = self.fill(clamp_recent(limit), walk);
        self.select(newest, &examined)
    }

    /// What a name says or what is said about it, newest first.
    pub fn words(&self, asked: &Words<'_>) -> Selection {
        let examined = Cell::new(0);
        let Some(name) = self.names.find(asked.name) else {
            return Selection::default();
        };
        let filter = Filter {
            services: Some(asked.services.to_vec()),
            subjects: Some(vec![asked.name.to_owned()]),
        };
        let walk = self.index.descending(&filter, &self.names, &examined);
        let fitting = walk.filter(|key| {
            let entry = self.entry(key.slot);
            asked.fit(entry, entry.actor == name)
        });
        let (newest, _) = self.fill(asked.most, fitting);
        self.select(newest, &examined)
    }

    /// The newest attested hey-there of each name, newest first: of `most` names.
    pub fn greetings(&self, most: usize) -> Selection {
        let examined = Cell::new(0);
        let filter = Filter {
            services: Some(vec![Service::HeyThere]),
            subjects: None,
        };
        let mut met = BTreeSet::new();
        let walk = self.index.descending(&filter, &self.names, &examined);
        let newest = walk.filter(|key| {
            let entry = self.entry(key.slot);
            entry.standing == Standing::Attested && met.insert(entry.actor)
        });
        let keys = newest.take(most).collect();
        self.select(keys, &examined)
    }

    /// The names in these events that are still held: emitters, actors and targets, each once.
    pub fn names_in(&self, positions: impl IntoIterator<Item = u64>) -> Vec<&str> {
        let slots = positions
            .into_iter()
            .filter_map(|pos| self.by_pos.get(&pos));
        let names: BTreeSet<NameId> = slots
            .map(|slot| self.entry(*slot))
            .flat_map(|entry| [entry.emitter, entry.actor, entry.target])
            .filter(|name| name.is_some())
            .collect();
        names
            .into_iter()
            .map(|name| self.names.text(name))
            .collect()
    }

    /// As nara serves its older nodes: oldest first, every `slice_total`-th event, and of these the
    /// newest `max_events`.
    pub fn legacy(&self, request: Legacy, filter: &Filter) -> Selection {
        let examined = Cell::new(0);
        let start = match request.since_ns {
            ..=0 => Bound::Unbounded,
            ts => start_after(Cursor { ts, id: None }),
        };
        let total = usize::try_from(request.slice_total).unwrap_or(0).max(1);
        let index = usize::try_from(request.slice_index)
            .ok()
            .filter(|i| *i < total)
            .unwrap_or(0);
        let most = clamp_size(Some(request.max_events));
        let (mut newest, _) = if total == 1 {
            let walk = self.index.descending(filter, &self.names, &examined);
            self.fill(most, walk.take_while(|key| key.ts > request.since_ns))
        } else {
            // Where a slice begins is counted from the oldest event, so all have to be walked.
            let walk = self.index.ascending(filter, &self.names, start, &examined);
            let slice: Vec<Key> = walk.skip(index).step_by(total).collect();
            self.fill(most, slice.into_iter().rev())
        };
        newest.reverse();
        self.select(newest, &examined)
    }

    /// What fits into one answer, and the first that does not.
    pub(super) fn fill(
        &self,
        most: usize,
        walk: impl Iterator<Item = Key>,
    ) -> (Vec<Key>, Option<Key>) {
        let mut keys = Vec::with_capacity(most);
        let mut bytes = 0;
        for key in walk {
            bytes += self.entry(key.slot).raw.len();
            if keys.len() == most || (bytes > MAX_ANSWER_BYTES && !keys.is_empty()) {
                return (keys, Some(key));
            }
            keys.push(key);
        }
        (keys, None)
    }

    pub(super) fn select(&self, keys: Vec<Key>, examined: &Cell<usize>) -> Selection {
        Selection {
            events: keys.into_iter().map(|key| self.pick(key.slot)).collect(),
            next_cursor: None,
            examined: examined.get(),
        }
    }

    pub(super) fn pick(&self, slot: Slot) -> Picked {
        let entry = self.entry(slot);
        Picked {
            id: entry.id,
            raw: entry.raw.clone(),
            standing: entry.standing,
            votes: entry.votes(),
        }
    }
}

fn start_after(cursor: Cursor) -> Bound<Key> {
    // Without an id: after every event of that time, so as if the last of them had been served.
    let id = cursor.id.unwrap_or([0xff; 16]);
    Bound::Excluded(Key {
        ts: cursor.ts,
        id,
        slot: Slot::MAX,
    })
}
