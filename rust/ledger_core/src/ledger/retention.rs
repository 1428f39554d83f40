//! What the ledger forgets, and in which order.
//!
//! Two caps follow nara: 5 pings a target, 20 observations a pair. They keep what a function of the
//! admitted set would keep, whatever the order of arrival. The cap of the whole evicts in one total
//! order. What nara never forgets goes last, and is bounded an author where it is attested.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::Hash;

use super::claims::{Claimed, Rival};
use super::index::Key;
use super::names::NameId;
use super::{Entry, Hasher, Ledger, Slot};
use crate::event::{Event, Service, Worth};
use crate::verify::Standing;

/// nara's MaxPingsPerTarget.
const PINGS_PER_TARGET: usize = 5;
/// nara's MaxObservationsPerPair.
const OBSERVATIONS_PER_PAIR: usize = 20;
/// One author's attested events that are never pruned fill at most this part of the ledger: no
/// author whose key is known crowds out the others by itself. (Unsigned ones have no such bound,
/// since anybody can write in anybody's name; attested ones of their kind outlast them all.)
const AUTHORS_SHARE: usize = 16;

/// Bytes of events that a ledger holds at most, for each event that it may hold. nara's own have
/// under 2 KiB; without a bound 80,000 of the largest would be 5 GB.
const BYTES_EACH: usize = 2 * 1024;
/// But at least so many, so that a small ledger holds a thousand of the largest.
const LEAST_BYTES: usize = 64 * 1024 * 1024;

/// Tiers below this are pruned before any restart, first sighting or checkpoint.
const LASTING_TIERS: u8 = 16;

/// As many known voters make a checkpoint as firm as what one author attests: so many must agree
/// on one (nara's).
const FIRM_VOTES: usize = 5;

/// How sure an attested event that lasts is of its place.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Firmness {
    /// A checkpoint whose votes are on an id that is not known as its subject's. Whoever has the
    /// votes can put any names to them: this is no better proved than what nobody signed.
    Quoted,
    /// Of few voters. Two attest one, of whomever they like, and must not crowd out what others did.
    Weak,
    /// All else.
    Firm,
}

/// Where an event stands in the two orders that depend on who is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Rank {
    /// Lower ones are forgotten first; within a tier the older.
    pub tier: u8,
    /// Lower ones get the critical places of a sample first; within a class the newer.
    pub class: u8,
}

/// The order in which critical events get their places: attested ones, then those whose author is
/// known, then strangers'; newest first.
pub(crate) type CriticalKey = (u8, Reverse<Key>);

/// An event under a cap: unattested ones go first, then older ones.
type Held = (bool, Key);

/// The observations of one observer about one subject.
#[derive(Default)]
struct Pair {
    restarts: BTreeSet<Held>,
    others: BTreeSet<Held>,
}

impl Pair {
    fn of(&mut self, is_restart: bool) -> &mut BTreeSet<Held> {
        if is_restart {
            &mut self.restarts
        } else {
            &mut self.others
        }
    }

    fn len(&self) -> usize {
        self.restarts.len() + self.others.len()
    }

    fn excess(&self, has_checkpoint: bool) -> Option<Slot> {
        if self.len() <= OBSERVATIONS_PER_PAIR {
            return None;
        }
        let restart = || self.restarts.first().filter(|_| has_checkpoint);
        self.others
            .first()
            .or_else(restart)
            .map(|(_, key)| key.slot)
    }

    /// What a checkpoint about the subject costs a pair that had outgrown its cap for want of one.
    fn surplus(&self) -> impl Iterator<Item = Slot> {
        let surplus = self.len().saturating_sub(OBSERVATIONS_PER_PAIR);
        let all = self.others.iter().chain(&self.restarts);
        all.take(surplus).map(|(_, key)| key.slot)
    }

    fn meet(&self, is_restart: bool, held: Held, has_checkpoint: bool) -> Cap {
        if self.len() < OBSERVATIONS_PER_PAIR {
            return Cap::HasRoom;
        }
        // The event itself is one of those that `excess` would choose from.
        let least = match self.others.first() {
            Some(other) if !is_restart => other.min(&held),
            Some(other) => other,
            None if !is_restart => &held,
            None if has_checkpoint => self
                .restarts
                .first()
                .map_or(&held, |first| first.min(&held)),
            None => return Cap::HasRoom,
        };
        if *least == held {
            Cap::Refuses
        } else {
            Cap::Evicts(least.1.slot)
        }
    }
}

/// What a cap says of one event more.
enum Cap {
    HasRoom,
    Evicts(Slot),
    /// The first attested checkpoint about this subject: its overfull pairs lose their surplus.
    Releases(NameId),
    Refuses,
}

pub(crate) struct Retention {
    capacity: usize,
    /// Of the events that are held.
    pub bytes: usize,
    eviction: BTreeSet<(u8, Key)>,
    critical: BTreeSet<CriticalKey>,
    pings: HashMap<NameId, BTreeSet<Held>, Hasher>,
    /// By subject first: a checkpoint about it releases nara's hold on all its restarts.
    pairs: BTreeMap<(NameId, NameId), Pair>,
    /// Those of them that hold more than their cap.
    overfull: BTreeSet<(NameId, NameId)>,
    /// Attested checkpoints about a subject.
    checkpoints: HashMap<NameId, usize, Hasher>,
    /// The same, by what their votes are about: one of each is kept.
    claims: HashMap<[u8; 16], BTreeSet<Rival>, Hasher>,
    /// What is less firm goes first, then the older.
    lasting: HashMap<NameId, BTreeSet<(Firmness, Key)>, Hasher>,
}

impl Retention {
    pub fn new(capacity: usize, hasher: Hasher) -> Retention {
        Retention {
            capacity,
            bytes: 0,
            eviction: BTreeSet::new(),
            critical: BTreeSet::new(),
            pings: HashMap::with_hasher(hasher.clone()),
            pairs: BTreeMap::new(),
            overfull: BTreeSet::new(),
            checkpoints: HashMap::with_hasher(hasher.clone()),
            claims: HashMap::with_hasher(hasher.clone()),
            lasting: HashMap::with_hasher(hasher),
        }
    }

    pub fn capacity(&self) -> usize {
        self.capacity
    }

    fn max_bytes(&self) -> usize {
        LEAST_BYTES.max(self.capacity.saturating_mul(BYTES_EACH))
    }

    pub fn has_too_many_bytes(&self) -> bool {
        self.bytes > self.max_bytes()
    }

    pub fn critical(&self) -> &BTreeSet<CriticalKey> {
        &self.critical
    }

    #[cfg(test)]
    pub fn is_empty(&self) -> bool {
        self.eviction.is_empty() && self.critical.is_empty()
    }

    /// How many targets, pairs, subjects, claims and authors it keeps book on.
    #[cfg(test)]
    pub fn groups(&self) -> usize {
        self.pings.len()
            + self.pairs.len()
            + self.checkpoints.len()
            + self.claims.len()
            + self.lasting.len()
    }

    fn author_quota(&self) -> usize {
        (self.capacity / AUTHORS_SHARE).max(1)
    }

    fn has_checkpoint(&self, subject: NameId) -> bool {
        self.checkpoints.contains_key(&subject)
    }

    /// The pairs about a subject that hold more than their cap: restarts only, until somebody
    /// attests a checkpoint about it.
    fn overfull_about(&self, subject: NameId) -> impl Iterator<Item = &Pair> {
        self.overfull
            .range((subject, NameId::NONE)..)
            .take_while(move |(about, _)| *about == subject)
            .filter_map(|place| self.pairs.get(place))
    }

    pub fn order(&mut self, entry: &Entry, slot: Slot) {
        let key = entry.key(slot);
        self.eviction.insert((entry.rank.tier, key));
        if entry.is_critical() {
            self.critical.insert((entry.rank.class, Reverse(key)));
        }
    }

    /// `order` for many at once, which come in the order of their keys.
    pub fn order_all(&mut self, sorted: &[(Key, &Entry)]) {
        let mut tiers: BTreeMap<u8, Vec<Key>> = BTreeMap::new();
        let mut classes: BTreeMap<u8, Vec<Key>> = BTreeMap::new();
        for (key, entry) in sorted {
            tiers.entry(entry.rank.tier).or_default().push(*key);
            if entry.is_critical() {
                classes.entry(entry.rank.class).or_default().push(*key);
            }
        }
        let oldest_first = tiers
            .into_iter()
            .flat_map(|(tier, keys)| keys.into_iter().map(move |key| (tier, key)));
        self.eviction.append(&mut oldest_first.collect());
        let newest_first = classes.into_iter().flat_map(|(class, keys)| {
            let keys = keys.into_iter().rev();
            keys.map(move |key| (class, Reverse(key)))
        });
        self.critical.append(&mut newest_first.collect());
    }

    fn disorder(&mut self, entry: &Entry, slot: Slot) {
        let key = entry.key(slot);
        self.eviction.remove(&(entry.rank.tier, key));
        self.critical.remove(&(entry.rank.class, Reverse(key)));
    }

    fn hold(&mut self, entry: &Entry, slot: Slot) {
        let held = (entry.standing == Standing::Attested, entry.key(slot));
        match entry.service {
            Service::Ping => {
                self.pings.entry(entry.target).or_default().insert(held);
            }
            Service::Observation => {
                let place = (entry.target, entry.actor);
                let pair = self.pairs.entry(place).or_default();
                pair.of(entry.is_restart).insert(held);
                if pair.len() > OBSERVATIONS_PER_PAIR {
                    self.overfull.insert(place);
                }
            }
            Service::Checkpoint if held.0 => {
                *self.checkpoints.entry(entry.target).or_default() += 1;
                if let Some((digest, rival)) = entry.rival(slot) {
                    self.claims.entry(digest).or_default().insert(rival);
                }
            }
            _ => {}
        }
        if is_bounded(entry.worth, entry.standing) {
            let place = (entry.firmness(), held.1);
            self.lasting.entry(entry.author).or_default().insert(place);
        }
    }

    fn let_go(&mut self, entry: &Entry, slot: Slot) {
        let held = (entry.standing == Standing::Attested, entry.key(slot));
        match entry.service {
            Service::Ping => take(&mut self.pings, entry.target, &held),
            Service::Observation => {
                self.unpair((entry.target, entry.actor), entry.is_restart, &held)
            }
            Service::Checkpoint if held.0 => {
                self.uncount_checkpoint(entry.target);
                if let Some((digest, rival)) = entry.rival(slot) {
                    take(&mut self.claims, digest, &rival);
                }
            }
            _ => {}
        }
        if is_bounded(entry.worth, entry.standing) {
            let place = (entry.firmness(), held.1);
            take(&mut self.lasting, entry.author, &place);
        }
    }

    fn unpair(&mut self, place: (NameId, NameId), is_restart: bool, held: &Held) {
        if let Some(pair) = self.pairs.get_mut(&place) {
            pair.of(is_restart).remove(held);
            if pair.len() <= OBSERVATIONS_PER_PAIR {
                self.overfull.remove(&place);
            }
            if pair.len() == 0 {
                self.pairs.remove(&place);
            }
        }
    }

    fn uncount_checkpoint(&mut self, subject: NameId) {
        if let Some(count) = self.checkpoints.get_mut(&subject) {
            *count -= 1;
            if *count == 0 {
                self.checkpoints.remove(&subject);
            }
        }
    }

    /// Of two checkpoints that one set of votes proves.
    fn lesser_rival(&self, entry: &Entry) -> Option<Slot> {
        let rivals = self.claims.get(&entry.claim.as_deref()?.digest);
        first_beyond(rivals, 1).map(|(_, Reverse(key))| key.slot)
    }

    /// Only the first checkpoint about its subject changes anything for the pairs.
    fn surplus_of_first(&self, subject: NameId) -> Option<Slot> {
        let is_first = self.checkpoints.get(&subject) == Some(&1);
        let mut overfull = self.overfull_about(subject).filter(|_| is_first);
        overfull.find_map(|pair| pair.excess(true))
    }

    /// What is held of those that these votes prove.
    pub fn rival(&self, claim: &[u8; 16]) -> Option<&Rival> {
        self.claims.get(claim)?.last()
    }

    /// What the caps no longer leave room for now that `entry` is in; one at a time.
    fn excess(&self, entry: &Entry) -> Option<Slot> {
        let by_kind = match entry.service {
            Service::Ping => first_beyond(self.pings.get(&entry.target), PINGS_PER_TARGET)
                .map(|(_, key)| key.slot),
            Service::Observation => self
                .pairs
                .get(&(entry.target, entry.actor))
                .and_then(|pair| pair.excess(self.has_checkpoint(entry.target))),
            Service::Checkpoint => self
                .lesser_rival(entry)
                .or_else(|| self.surplus_of_first(entry.target)),
            _ => None,
        };
        by_kind
            .or_else(|| {
                let own = self.lasting.get(&entry.author);
                first_beyond(own, self.author_quota()).map(|(_, key)| key.slot)
            })
            .or_else(|| {
                let most = match self.has_too_many_bytes() {
                    true => 0,
                    false => self.capacity,
                };
                first_beyond(Some(&self.eviction), most).map(|(_, key)| key.slot)
            })
    }
}

/// The least of a set that holds more than it may.
fn first_beyond<T: Ord>(set: Option<&BTreeSet<T>>, most: usize) -> Option<&T> {
    set.filter(|set| set.len() > most).and_then(BTreeSet::first)
}

fn take<K: Eq + Hash, T: Ord>(sets: &mut HashMap<K, BTreeSet<T>, Hasher>, whose: K, item: &T) {
    if let Some(set) = sets.get_mut(&whose) {
        set.remove(item);
        if set.is_empty() {
            sets.remove(&whose);
        }
    }
}

fn is_bounded(worth: Worth, standing: Standing) -> bool {
    worth == Worth::Lasting && standing == Standing::Attested
}

/// The place in the order of forgetting: events that name a stranger first, then by worth, then
/// the unattested; what lasts comes after all else, attested ones last, and firm ones at the very
/// end. What was quoted counts as unattested.
fn tier(worth: Worth, standing: Standing, names_stranger: bool, firmness: Firmness) -> u8 {
    let is_attested = standing == Standing::Attested;
    match worth {
        Worth::Lasting if is_attested => LASTING_TIERS + 1 + firmness as u8,
        Worth::Lasting => LASTING_TIERS + u8::from(!names_stranger),
        _ => u8::from(!names_stranger) * 8 + worth as u8 * 2 + u8::from(is_attested),
    }
}

/// `claimed`: of a checkpoint.
fn firmness(claimed: Option<&Claimed>) -> Firmness {
    match claimed {
        Some(claimed) if !claimed.is_own => Firmness::Quoted,
        Some(claimed) if claimed.votes < FIRM_VOTES => Firmness::Weak,
        _ => Firmness::Firm,
    }
}

impl Entry {
    fn firmness(&self) -> Firmness {
        firmness(self.claim.as_deref())
    }
}

impl Ledger {
    /// Enter an event under the caps, and note its place in the orders.
    pub(super) fn hold(&mut self, slot: Slot) {
        self.set_rank(slot);
        if let Some(entry) = &self.entries[slot as usize] {
            self.retention.hold(entry, slot);
        }
    }

    pub(super) fn unrank(&mut self, slot: Slot) {
        if let Some(entry) = &self.entries[slot as usize] {
            self.retention.disorder(entry, slot);
            self.retention.let_go(entry, slot);
        }
    }

    /// Somebody it names became known.
    pub(super) fn rerank(&mut self, slot: Slot) {
        if let Some(entry) = &self.entries[slot as usize] {
            self.retention.disorder(entry, slot);
        }
        self.set_rank(slot);
        if let Some(entry) = &self.entries[slot as usize] {
            self.retention.order(entry, slot);
        }
    }

    fn set_rank(&mut self, slot: Slot) {
        let entry = self.entry(slot);
        let is_known = |name| self.names.is_known(name);
        let names_stranger = !entry.checked_names().into_iter().all(is_known);
        let class = match entry.standing {
            Standing::Attested if entry.firmness() != Firmness::Quoted => 0,
            _ if is_known(entry.author) => 1,
            _ => 2,
        };
        let rank = Rank {
            tier: tier(
                entry.worth,
                entry.standing,
                names_stranger,
                entry.firmness(),
            ),
            class,
        };
        if let Some(entry) = &mut self.entries[slot as usize] {
            entry.rank = rank;
        }
    }

    /// Will `enforce` forget anything? Needs no order.
    pub(super) fn has_excess(&self, slot: Slot) -> bool {
        let entry = self.entry(slot);
        self.len() > self.capacity()
            || self.retention.has_too_many_bytes()
            || self.retention.excess(entry).is_some()
    }

    /// Forget what must go now that the event in `slot` is in; that one too, if it is the least.
    pub(super) fn enforce(&mut self, slot: Slot, evicted: &mut Vec<u64>) {
        while let Some(entry) = &self.entries[slot as usize] {
            let Some(victim) = self.retention.excess(entry) else {
                return;
            };
            evicted.push(self.remove(victim));
        }
    }

    /// Would this event outlast its own arrival, coming in place of `instead_of` if there is one?
    /// Says for one event what `insert` and `enforce` would do, without doing it.
    pub(super) fn would_keep(
        &self,
        event: &Event,
        standing: Standing,
        instead_of: Option<&Entry>,
    ) -> bool {
        let key = Key {
            ts: event.ts,
            id: event.id,
            slot: Slot::MAX,
        };
        let held = (standing == Standing::Attested, key);
        let firmness = firmness(self.claimed(event).as_ref());
        let cap = self.meet_caps(event, held, instead_of);
        if matches!(cap, Cap::Refuses) {
            return false;
        }
        if is_bounded(event.worth, standing) {
            let author = self.find(event.author());
            let frees_place = |slot: Slot| {
                let entry = self.entry(slot);
                entry.author == author && is_bounded(entry.worth, entry.standing)
            };
            let takes_its_own = instead_of.is_some_and(|old| is_bounded(old.worth, old.standing));
            let makes_place = || match cap {
                _ if takes_its_own => true,
                Cap::Evicts(victim) => frees_place(victim),
                Cap::Releases(subject) => self
                    .retention
                    .overfull_about(subject)
                    .flat_map(Pair::surplus)
                    .any(frees_place),
                Cap::HasRoom | Cap::Refuses => false,
            };
            let own = self.retention.lasting.get(&author);
            if let Some(least) = first_beyond(own, self.retention.author_quota() - 1)
                && !makes_place()
            {
                return *least < (firmness, key);
            }
        }
        let names_stranger = self.names_stranger(event);
        let place = (tier(event.worth, standing, names_stranger, firmness), key);
        let full = self.retention.capacity.saturating_sub(1);
        let has_place = instead_of.is_some()
            || matches!(cap, Cap::Evicts(_) | Cap::Releases(_))
            || first_beyond(Some(&self.retention.eviction), full)
                .is_none_or(|least| *least < place);
        has_place && self.would_have_bytes(event, place, instead_of)
    }

    /// Are there enough bytes in what is forgotten before an event in this place? What its caps cost
    /// besides is left out: it would make a little more room.
    fn would_have_bytes(
        &self,
        event: &Event,
        place: (u8, Key),
        instead_of: Option<&Entry>,
    ) -> bool {
        let retention = &self.retention;
        let freed = instead_of.map_or(0, |old| old.raw.len());
        let needed = retention.bytes + event.raw.len();
        let mut missing = needed.saturating_sub(retention.max_bytes() + freed);
        for (tier, key) in &retention.eviction {
            if missing == 0 || (*tier, *key) >= place {
                break;
            }
            missing = missing.saturating_sub(self.entry(key.slot).raw.len());
        }
        missing == 0
    }

    /// What the caps a target, a pair and a set of votes say of one event more.
    fn meet_caps(&self, event: &Event, held: Held, instead_of: Option<&Entry>) -> Cap {
        let (target, actor) = (self.find(&event.target), self.find(&event.actor));
        if held.0
            && let Some((slot, is_greater)) = self.rival_of(event, held.1)
            && instead_of.is_none_or(|old| old.id != self.entry(slot).id)
        {
            return if is_greater {
                Cap::Refuses
            } else {
                Cap::Evicts(slot)
            };
        }
        if instead_of.is_some_and(|old| old.target == target && old.actor == actor) {
            return Cap::HasRoom;
        }
        let retention = &self.retention;
        match event.service {
            Service::Ping => match first_beyond(retention.pings.get(&target), PINGS_PER_TARGET - 1)
            {
                None => Cap::HasRoom,
                Some(least) if *least > held => Cap::Refuses,
                Some((_, key)) => Cap::Evicts(key.slot),
            },
            Service::Observation => retention
                .pairs
                .get(&(target, actor))
                .map_or(Cap::HasRoom, |pair| {
                    pair.meet(event.is_restart, held, retention.has_checkpoint(target))
                }),
            Service::Checkpoint
                if held.0
                    && !retention.has_checkpoint(target)
                    && retention.overfull_about(target).next().is_some() =>
            {
                Cap::Releases(target)
            }
            _ => Cap::HasRoom,
        }
    }

    fn names_stranger(&self, event: &Event) -> bool {
        let is_stranger = |name: &&str| !name.is_empty() && !self.names.is_known(self.find(name));
        let checked: [&str; 3] = [&event.actor, &event.target, &event.witness];
        event.service != Service::Checkpoint && checked.iter().any(is_stranger)
    }

    /// The number of a name; one that nothing here bears is `NameId::UNHEARD`.
    fn find(&self, name: &str) -> NameId {
        self.names.find(name).unwrap_or(NameId::UNHEARD)
    }
}
