//! Events in order of time: all of them, by service, by name. A query walks only the lists it
//! needs, so a filtered answer costs what it returns.

use std::cell::Cell;
use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap, HashMap};
use std::ops::Bound;

use super::names::{NameId, Names};
use super::{Entry, Hasher, Slot};
use crate::event::{Id, Service};

/// Place in the total order `(ts, id)`; ids are unique, so the slot never decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    pub ts: i64,
    pub id: Id,
    pub slot: Slot,
}

/// What a request asks for.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// None: all services.
    pub services: Option<Vec<Service>>,
    /// Actor or target; none: everybody.
    pub subjects: Option<Vec<String>>,
}

impl Filter {
    /// As a request gives it: an empty list filters nothing, an unknown service matches nothing.
    pub fn new(services: &[String], subjects: &[String]) -> Filter {
        let named = services
            .iter()
            .filter_map(|name| Service::named(name))
            .collect();
        Filter {
            services: (!services.is_empty()).then_some(named),
            subjects: (!subjects.is_empty()).then(|| subjects.to_vec()),
        }
    }

    /// Does it let everything through?
    pub fn is_open(&self) -> bool {
        self.services.is_none() && self.subjects.is_none()
    }
}

pub(crate) struct Index {
    all: BTreeSet<Key>,
    by_service: [BTreeSet<Key>; 7],
    by_name: HashMap<(NameId, Service), BTreeSet<Key>, Hasher>,
}

impl Index {
    pub fn new(hasher: Hasher) -> Index {
        Index {
            all: BTreeSet::new(),
            by_service: Default::default(),
            by_name: HashMap::with_hasher(hasher),
        }
    }

    pub fn insert(&mut self, key: Key, entry: &Entry) {
        self.all.insert(key);
        self.by_service[entry.service as usize].insert(key);
        for name in entry.subjects() {
            self.by_name
                .entry((name, entry.service))
                .or_default()
                .insert(key);
        }
    }

    /// `insert` for many at once, which come in the order of their keys.
    pub fn extend(&mut self, sorted: &[(Key, &Entry)]) {
        let mut by_service: [Vec<Key>; 7] = Default::default();
        let mut by_name: HashMap<_, Vec<Key>, _> =
            HashMap::with_hasher(self.by_name.hasher().clone());
        for (key, entry) in sorted {
            by_service[entry.service as usize].push(*key);
            for name in entry.subjects() {
                by_name.entry((name, entry.service)).or_default().push(*key);
            }
        }
        self.all
            .append(&mut sorted.iter().map(|(key, _)| *key).collect());
        for (list, keys) in self.by_service.iter_mut().zip(by_service) {
            list.append(&mut keys.into_iter().collect());
        }
        for (place, keys) in by_name {
            let list = self.by_name.entry(place).or_default();
            list.append(&mut keys.into_iter().collect());
        }
    }

    pub fn remove(&mut self, key: Key, entry: &Entry) {
        self.all.remove(&key);
        self.by_service[entry.service as usize].remove(&key);
        for name in entry.subjects() {
            let place = (name, entry.service);
            if let Some(list) = self.by_name.get_mut(&place) {
                list.remove(&key);
                if list.is_empty() {
                    self.by_name.remove(&place);
                }
            }
        }
    }

    pub fn slots_of(&self, service: Service) -> impl Iterator<Item = Slot> {
        self.by_service[service as usize].iter().map(|key| key.slot)
    }

    /// All events whose actor or target is this name.
    pub fn slots_about(&self, name: NameId) -> impl Iterator<Item = Slot> {
        Service::ALL
            .into_iter()
            .filter_map(move |service| self.by_name.get(&(name, service)))
            .flatten()
            .map(|key| key.slot)
    }

    pub fn count_of(&self, service: Service) -> usize {
        self.by_service[service as usize].len()
    }

    #[cfg(test)]
    pub fn is_empty(&self) -> bool {
        self.all.is_empty() && self.by_service.iter().all(BTreeSet::is_empty)
    }

    #[cfg(test)]
    pub fn name_lists(&self) -> usize {
        self.by_name.len()
    }

    /// What the filter lets through, oldest first, from `start` on.
    pub fn ascending<'s>(
        &'s self,
        filter: &Filter,
        names: &Names,
        start: Bound<Key>,
        examined: &'s Cell<usize>,
    ) -> impl Iterator<Item = Key> + 's {
        let walks = self.lists(filter, names).into_iter();
        let walks = walks.map(|list| list.range((start, Bound::Unbounded)).copied());
        merge(walks.collect(), examined)
    }

    /// What the filter lets through, newest first.
    pub fn descending<'s>(
        &'s self,
        filter: &Filter,
        names: &Names,
        examined: &'s Cell<usize>,
    ) -> impl Iterator<Item = Key> + 's {
        let walks = self.lists(filter, names).into_iter();
        let walks = walks.map(|list| list.iter().rev().copied().map(Reverse));
        merge(walks.collect(), examined).map(|Reverse(key)| key)
    }

    /// What has to do with the name in this service, newest first, no later than `upto_ns`.
    pub fn before(
        &self,
        name: NameId,
        service: Service,
        upto_ns: i64,
    ) -> impl Iterator<Item = &Key> {
        let last = Key {
            ts: upto_ns,
            id: [0xff; 16],
            slot: Slot::MAX,
        };
        let list = self.by_name.get(&(name, service)).into_iter();
        list.flat_map(move |list| list.range(..=last).rev())
    }

    /// The lists that together hold exactly what the filter lets through.
    fn lists(&self, filter: &Filter, names: &Names) -> Vec<&BTreeSet<Key>> {
        let services = filter.services.as_deref().unwrap_or(&Service::ALL);
        let distinct: BTreeSet<Service> = services.iter().copied().collect();
        let Some(subjects) = &filter.subjects else {
            return match filter.services {
                None => vec![&self.all],
                Some(_) => distinct
                    .into_iter()
                    .map(|s| &self.by_service[s as usize])
                    .collect(),
            };
        };
        let subjects: BTreeSet<NameId> = subjects.iter().filter_map(|s| names.find(s)).collect();
        let places = subjects
            .into_iter()
            .flat_map(|name| distinct.iter().map(move |service| (name, *service)));
        places
            .filter_map(|place| self.by_name.get(&place))
            .collect()
    }
}

/// Sorted walks as one, each item once (an event of two subjects stands in two lists). `examined`
/// counts the steps: what a query costs.
fn merge<'s, K: Ord + Copy + 's>(
    mut walks: Vec<impl Iterator<Item = K> + 's>,
    examined: &'s Cell<usize>,
) -> impl Iterator<Item = K> + 's {
    let count = walks.len();
    let mut step = move |walk: usize| {
        let item = walks[walk].next();
        examined.set(examined.get() + usize::from(item.is_some()));
        item.map(|key| Reverse((key, walk)))
    };
    let mut heads: BinaryHeap<_> = (0..count).filter_map(&mut step).collect();
    let mut last = None;
    std::iter::from_fn(move || {
        loop {
            let Reverse((key, walk)) = heads.pop()?;
            heads.extend(step(walk));
            if last != Some(key) {
                last = Some(key);
                return Some(key);
            }
        }
    })
}
