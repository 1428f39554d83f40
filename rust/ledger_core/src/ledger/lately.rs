//! What happened lately, as a zine tells it: nobody's flood, and no date ahead of time, crowds out
//! what others say.

use std::cell::Cell;
use std::collections::{BTreeSet, HashMap};

use super::index::{Filter, Key};
use super::names::NameId;
use super::{Entry, Ledger, Selection};
use crate::event::Service;
use crate::verify::Standing;

/// What is asked for; no request of the wire.
#[derive(Clone, Copy, Debug)]
pub struct Lately {
    /// Only later ones, in Unix nanoseconds.
    pub since_ns: i64,
    /// No later ones.
    pub upto_ns: i64,
    /// So many events at most.
    pub most: usize,
    /// So many of one author.
    pub most_each: usize,
    /// So many bytes.
    pub most_bytes: usize,
}

/// Attested hellos and goodbyes of one author that go before everything else: the newest of either.
const GREETINGS: usize = 2;

impl Ledger {
    /// Oldest first. Hellos and goodbyes are chosen first, then the newest of all else.
    pub fn lately(&self, asked: &Lately) -> Selection {
        let examined = Cell::new(0);
        let mut chosen = Chosen::new(*asked);
        let greetings = Filter {
            services: Some(vec![Service::HeyThere, Service::Chau]),
            subjects: None,
        };
        for key in self.since(&greetings, asked, &examined) {
            let entry = self.entry(key.slot);
            if entry.standing == Standing::Attested {
                chosen.take(key, entry, GREETINGS);
            }
        }
        chosen.by_author.clear();
        for key in self.since(&Filter::default(), asked, &examined) {
            chosen.take(key, self.entry(key.slot), asked.most_each);
            if chosen.is_full {
                break;
            }
        }
        self.select(chosen.keys.into_iter().collect(), &examined)
    }

    /// Newest first.
    fn since<'s>(
        &'s self,
        filter: &Filter,
        asked: &'s Lately,
        examined: &'s Cell<usize>,
    ) -> impl Iterator<Item = Key> + 's {
        self.index
            .descending(filter, &self.names, examined)
            .skip_while(|key| key.ts > asked.upto_ns)
            .take_while(|key| key.ts > asked.since_ns)
    }
}

struct Chosen {
    asked: Lately,
    keys: BTreeSet<Key>,
    bytes: usize,
    by_author: HashMap<NameId, usize>,
    is_full: bool,
}

impl Chosen {
    fn new(asked: Lately) -> Chosen {
        Chosen {
            asked,
            keys: BTreeSet::new(),
            bytes: 0,
            by_author: HashMap::new(),
            is_full: false,
        }
    }

    fn take(&mut self, key: Key, entry: &Entry, most_each: usize) {
        if self.is_full || self.keys.contains(&key) {
            return;
        }
        let count = self.by_author.entry(entry.author).or_default();
        if *count >= most_each {
            return;
        }
        let bytes = self.bytes + entry.raw.len();
        if self.keys.len() == self.asked.most || bytes > self.asked.most_bytes {
            self.is_full = true;
            return;
        }
        *count += 1;
        self.bytes = bytes;
        self.keys.insert(key);
    }
}
