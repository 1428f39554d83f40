//! The bounded index of mesh events. It follows the log: what was committed is applied here, and
//! what must be forgotten is answered as positions to be removed from the log too.

mod claims;
mod cursor;
mod index;
mod lately;
mod names;
mod presence;
mod query;
mod rebuild;
mod retention;
mod sample;
mod waiting;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use sha2::{Digest as _, Sha256};
use siphasher::sip::SipHasher13;

pub use cursor::{Cursor, NotACursor};
pub use index::Filter;
pub use lately::Lately;
pub use presence::Presence;
pub use query::{Legacy, MAX_ANSWER, Picked, Role, Selection, Words};
pub use rebuild::Rebuild;
pub use sample::Request as SampleRequest;

use crate::event::{self, Event, Id, Service, Sign, Worth};
use crate::verdict::Verdict;
use crate::verify::Standing;
use claims::{Claimed, Voters};
use index::{Index, Key};
use names::{NameId, Names};
use retention::{Rank, Retention};
use sample::Weights;
use waiting::Waiting;

/// Place in the table of entries.
type Slot = u32;

/// Hash tables are keyed by a secret: names and ids are chosen by strangers, and with a hash they
/// know they could make every look-up a walk.
#[derive(Clone)]
pub(crate) struct Hasher {
    key: [u64; 2],
}

impl std::hash::BuildHasher for Hasher {
    type Hasher = SipHasher13;

    fn build_hasher(&self) -> SipHasher13 {
        SipHasher13::new_with_keys(self.key[0], self.key[1])
    }
}

/// A stored event, as far as the indexes need it.
pub(crate) struct Entry {
    pos: u64,
    ts: i64,
    id: Id,
    raw: Arc<[u8]>,
    service: Service,
    worth: Worth,
    standing: Standing,
    is_notable: bool,
    is_restart: bool,
    says: Sign,
    emitter: NameId,
    actor: NameId,
    target: NameId,
    witness: NameId,
    author: NameId,
    /// Of a checkpoint alone.
    claim: Option<Box<Claimed>>,
    /// Where it stands among what is forgotten first, and among critical events; kept because both
    /// change when a name becomes known.
    rank: Rank,
}

impl Entry {
    fn key(&self, slot: Slot) -> Key {
        Key {
            ts: self.ts,
            id: self.id,
            slot,
        }
    }

    fn is_critical(&self) -> bool {
        self.worth == Worth::Lasting || matches!(self.service, Service::HeyThere | Service::Chau)
    }

    /// The names that a filter by subject looks at.
    fn subjects(&self) -> impl Iterator<Item = NameId> {
        let target = if self.target == self.actor {
            NameId::NONE
        } else {
            self.target
        };
        [self.actor, target]
            .into_iter()
            .filter(|name| name.is_some())
    }

    /// The names whose being unknown makes an event forgotten first. nara never asks this of
    /// checkpoints.
    fn checked_names(&self) -> [NameId; 3] {
        match self.service {
            Service::Checkpoint => [NameId::NONE; 3],
            _ => [self.actor, self.target, self.witness],
        }
    }

    fn all_names(&self) -> [NameId; 5] {
        [
            self.emitter,
            self.actor,
            self.target,
            self.witness,
            self.author,
        ]
    }
}

/// A committed entry of the log, as the ledger takes it.
pub struct Added<'a> {
    /// Its place in the log.
    pub pos: u64,
    /// The event's bytes.
    pub body: &'a [u8],
    /// Our note on it.
    pub standing: Standing,
}

impl Added<'_> {
    fn decode(&self) -> Result<Event, NotAnEvent> {
        let pos = self.pos;
        event::decode_stored(self.body, self.standing)
            .map_err(|verdict| NotAnEvent { pos, verdict })
    }
}

/// The ledger.
pub struct Ledger {
    entries: Vec<Option<Entry>>,
    free: Vec<Slot>,
    by_id: HashMap<Id, Slot, Hasher>,
    by_pos: HashMap<u64, Slot, Hasher>,
    names: Names,
    index: Index,
    retention: Retention,
    weights: Weights,
    waiting: Waiting,
    voters: Voters,
    standings: [usize; 3],
}

impl Ledger {
    /// An empty ledger that keeps at most `capacity` events.
    pub fn new(capacity: usize, hash_key: [u8; 16]) -> Ledger {
        let hash_key = u128::from_le_bytes(hash_key);
        let key = [hash_key as u64, (hash_key >> 64) as u64];
        Ledger::with_hasher(capacity, Hasher { key })
    }

    fn with_hasher(capacity: usize, hasher: Hasher) -> Ledger {
        Ledger {
            entries: Vec::new(),
            free: Vec::new(),
            by_id: HashMap::with_hasher(hasher.clone()),
            by_pos: HashMap::with_hasher(hasher.clone()),
            names: Names::new(hasher.clone()),
            index: Index::new(hasher.clone()),
            retention: Retention::new(capacity, hasher.clone()),
            weights: Weights::default(),
            waiting: Waiting::new(hasher),
            voters: Voters::default(),
            standings: [0; 3],
        }
    }

    /// What it holds, as a ledger of its own; this one is empty then.
    pub fn take(&mut self) -> Ledger {
        let empty = Ledger::with_hasher(self.capacity(), self.by_id.hasher().clone());
        std::mem::replace(self, empty)
    }

    /// How many events it holds.
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Does it hold none?
    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    /// How many events it keeps at most.
    pub fn capacity(&self) -> usize {
        self.retention.capacity()
    }

    /// Does it hold this event?
    pub fn contains(&self, id: &Id) -> bool {
        self.by_id.contains_key(id)
    }

    /// Where the log has this event.
    pub fn position_of(&self, id: &Id) -> Option<u64> {
        self.by_id.get(id).map(|&slot| self.entry(slot).pos)
    }

    /// Is there anything to do about this event: new, or a better proof of a stored one?
    ///
    /// `standing`: what it is, or the best it could be before its signature is checked.
    pub fn meet(&self, event: &Event, standing: Standing) -> Verdict {
        if let Some(stored) = self.by_id.get(&event.id).map(|&slot| self.entry(slot)) {
            let improves = standing == Standing::Attested
                && (stored.standing < standing || self.is_better_copy(event, stored));
            let replaces = improves
                && *stored.raw != *event.raw
                && self.would_keep(event, standing, Some(stored));
            return match replaces {
                true => Verdict::Ok,
                false => Verdict::Known,
            };
        }
        match self.would_keep(event, standing, None) {
            true => Verdict::Ok,
            false => Verdict::BelowRetention,
        }
    }

    /// Apply one commit: positions that are gone, then entries that were added, in order. Returns
    /// the positions of what had to be forgotten for it.
    ///
    /// # Errors
    /// A body that is no event: it is damaged, or did not come from a log that admission wrote.
    /// Then nothing is applied.
    pub fn apply(&mut self, removed: &[u64], added: &[Added<'_>]) -> Result<Vec<u64>, NotAnEvent> {
        let events = added
            .iter()
            .map(Added::decode)
            .collect::<Result<Vec<_>, _>>()?;
        for pos in removed {
            if let Some(&slot) = self.by_pos.get(pos) {
                self.remove(slot);
            }
        }
        let mut evicted = Vec::new();
        for (Added { pos, standing, .. }, event) in added.iter().zip(&events) {
            if !self.contains(&event.id) {
                let slot = self.insert(*pos, event, *standing);
                self.enforce(slot, &mut evicted);
            }
        }
        Ok(evicted)
    }

    /// These names have a key now.
    pub fn learn<'n>(&mut self, names: impl IntoIterator<Item = &'n str>) {
        for name in names {
            for slot in self.names.learn(name) {
                self.rerank(slot);
            }
        }
    }

    /// Position and bytes of the events on which a key of these names or voter ids has a say:
    /// unproven ones, unattested hey-theres and chaus, and checkpoints that count other votes already.
    pub fn unproven<'n>(
        &self,
        names: impl IntoIterator<Item = &'n str>,
        ids: impl IntoIterator<Item = &'n str>,
    ) -> Vec<(u64, Arc<[u8]>)> {
        let ids: BTreeSet<&str> = ids.into_iter().collect();
        let mut slots = self
            .waiting
            .of(names.into_iter().chain(ids.iter().copied()));
        // Ids come from the operator, and rarely: reading all checkpoints is cheaper than a list of
        // every vote. Names come from strangers.
        if !ids.is_empty() {
            let checkpoints = self.index.slots_of(Service::Checkpoint);
            slots.extend(checkpoints.filter(|slot| self.is_decided_by(*slot, &ids)));
        }
        self.bodies(slots)
    }

    /// Position and bytes of the attested events that these names signed: keys of theirs may count
    /// no more.
    pub fn attested_by<'n>(
        &self,
        signers: impl IntoIterator<Item = &'n str>,
    ) -> Vec<(u64, Arc<[u8]>)> {
        // Only who acts, observes or presents itself attests; checkpoints have no actor.
        let signed = signers
            .into_iter()
            .filter_map(|signer| self.names.find(signer))
            .flat_map(|name| self.index.slots_about(name).map(move |slot| (name, slot)))
            .filter(|(name, slot)| {
                let entry = self.entry(*slot);
                entry.standing == Standing::Attested && entry.actor == *name
            });
        self.bodies(signed.map(|(_, slot)| slot))
    }

    /// Position and bytes of every unproven event.
    pub fn all_unproven(&self) -> Vec<(u64, Arc<[u8]>)> {
        self.bodies(self.waiting.all())
    }

    /// SHA-256 over id, SHA-256 of the bytes and standing of every event, by id. Equal for two
    /// ledgers exactly when they hold the same events, bytes and standings.
    pub fn digest(&self) -> [u8; 32] {
        let mut entries: Vec<&Entry> = self.entries.iter().flatten().collect();
        entries.sort_unstable_by_key(|entry| entry.id);
        let mut all = Sha256::new();
        for entry in entries {
            all.update(entry.id);
            all.update(Sha256::digest(&entry.raw));
            all.update([entry.standing as u8]);
        }
        all.finalize().into()
    }

    /// How many events of this service it holds.
    pub fn count_of(&self, service: Service) -> usize {
        self.index.count_of(service)
    }

    /// How many events of this standing it holds.
    pub fn count_standing(&self, standing: Standing) -> usize {
        self.standings[standing as usize]
    }

    /// Who answers for events, and for how many; most first, then by name.
    pub fn authors(&self) -> Vec<(&str, u32)> {
        self.names.authors()
    }

    fn bodies(&self, slots: impl IntoIterator<Item = Slot>) -> Vec<(u64, Arc<[u8]>)> {
        let body = |slot| {
            let entry = self.entry(slot);
            (entry.pos, entry.raw.clone())
        };
        slots.into_iter().map(body).collect()
    }

    #[allow(clippy::expect_used)] // Slots come from the indexes, which hold live entries only.
    fn entry(&self, slot: Slot) -> &Entry {
        self.entries[slot as usize].as_ref().expect("a live slot")
    }

    fn insert(&mut self, pos: u64, event: &Event, standing: Standing) -> Slot {
        let slot = self.place(pos, event, standing);
        self.order(slot);
        slot
    }

    /// All of `insert` but what only queries and removals need: `order` must follow before any.
    fn place(&mut self, pos: u64, event: &Event, standing: Standing) -> Slot {
        let entry = self.enter(pos, event, standing);
        let slot = self.free.pop().unwrap_or_else(|| {
            self.entries.push(None);
            self.entries.len() as Slot - 1
        });
        self.weights.set(slot, &entry);
        self.waiting.insert(slot, event, standing);
        self.by_id.insert(entry.id, slot);
        self.retention.bytes += entry.raw.len();
        self.standings[standing as usize] += 1;
        self.names.author(entry.author);
        for name in entry.checked_names().into_iter().chain([entry.author]) {
            self.names.mention(name, slot);
        }
        self.entries[slot as usize] = Some(entry);
        self.hold(slot);
        slot
    }

    fn order(&mut self, slot: Slot) {
        if let Some(entry) = &self.entries[slot as usize] {
            self.by_pos.insert(entry.pos, slot);
            self.index.insert(entry.key(slot), entry);
            self.retention.order(entry, slot);
        }
    }

    fn enter(&mut self, pos: u64, event: &Event, standing: Standing) -> Entry {
        Entry {
            pos,
            ts: event.ts,
            id: event.id,
            raw: event.raw.clone(),
            service: event.service,
            worth: event.worth,
            standing,
            is_notable: event.is_notable,
            is_restart: event.is_restart,
            claim: self.claimed(event).map(Box::new),
            says: event.says,
            emitter: self.names.take(&event.emitter),
            actor: self.names.take(&event.actor),
            target: self.names.take(&event.target),
            witness: self.names.take(&event.witness),
            author: self.names.take(event.author()),
            rank: Rank::default(),
        }
    }

    fn remove(&mut self, slot: Slot) -> u64 {
        self.unrank(slot);
        for name in self
            .entry(slot)
            .checked_names()
            .into_iter()
            .chain([self.entry(slot).author])
        {
            self.names.unmention(name, slot);
        }
        let entry = self.take_out(slot);
        self.retention.bytes -= entry.raw.len();
        self.names.unauthor(entry.author);
        self.index.remove(entry.key(slot), &entry);
        self.weights.clear(slot);
        self.waiting.remove(slot);
        self.by_id.remove(&entry.id);
        self.by_pos.remove(&entry.pos);
        self.standings[entry.standing as usize] -= 1;
        for name in entry.all_names() {
            self.names.release(name);
        }
        entry.pos
    }

    #[allow(clippy::expect_used)] // As in `entry`.
    fn take_out(&mut self, slot: Slot) -> Entry {
        self.free.push(slot);
        self.entries[slot as usize].take().expect("a live slot")
    }
}

/// An entry of the log that is no mesh event.
#[derive(Debug)]
pub struct NotAnEvent {
    /// Where it lies.
    pub pos: u64,
    /// What is wrong with it.
    pub verdict: Verdict,
}

impl std::fmt::Display for NotAnEvent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let NotAnEvent { pos, verdict } = self;
        write!(
            f,
            "the log's entry at position {pos} is no mesh event ({})",
            verdict.name()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An event as the log holds it, where ids are taken as they are.
    fn stored(number: u32, svc: &str, payload: &str) -> Vec<u8> {
        format!(
            r#"{{"id":"{number:032x}","ts":{},"svc":"{svc}",{payload}}}"#,
            number + 1
        )
        .into_bytes()
    }

    #[test]
    fn strangers_who_come_and_go_leave_nothing_behind() {
        let mut ledger = Ledger::new(50, [3; 16]);
        ledger.learn(["ann"]);
        let mut added = 0;
        for i in 0..2_000 {
            let (a, b, c) = (format!("a{i}"), format!("b{i}"), format!("c{i}"));
            let observed = format!(r#""observer":"{a}","subject":"{b}""#);
            let bodies = [
                stored(
                    6 * i,
                    "social",
                    &format!(
                        r#""social":{{"type":"tease","actor":"{a}","target":"{b}","witness":"{c}"}}"#
                    ),
                ),
                stored(
                    6 * i + 1,
                    "ping",
                    &format!(r#""ping":{{"observer":"{a}","target":"{b}","rtt":1}}"#),
                ),
                stored(
                    6 * i + 2,
                    "observation",
                    &format!(
                        r#""observation":{{{observed},"type":"restart","importance":3,"start_time":1}}"#
                    ),
                ),
                stored(
                    6 * i + 3,
                    "hey-there",
                    &format!(r#""hey_there":{{"From":"{a}","PublicKey":"k"}}"#),
                ),
                stored(
                    6 * i + 4,
                    "checkpoint",
                    &format!(
                        r#""checkpoint":{{"subject":"{c}","observation":{{}},"as_of_time":1}}"#
                    ),
                ),
                stored(
                    6 * i + 5,
                    "seen",
                    &format!(r#""seen":{{"observer":"ann","subject":"{b}","via":"x"}}"#),
                ),
            ];
            for body in &bodies {
                added += 1;
                let standing = [Standing::Attested, Standing::Hearsay][added as usize % 2];
                let one = Added {
                    pos: added,
                    body,
                    standing,
                };
                assert!(ledger.apply(&[], &[one]).is_ok());
            }
        }
        assert_eq!(ledger.len(), 50);
        // Five names an event, "" and ann, and the event just on its way in.
        assert!(ledger.names.len() <= 5 * 51 + 2, "{}", ledger.names.len());
        assert!(ledger.entries.len() <= 51 && ledger.weights.len() <= 51);
        assert!(ledger.index.name_lists() <= 2 * 50);
        assert!(ledger.retention.groups() <= 3 * 50);
        let all: Vec<u64> = (1..=added).collect();
        assert!(ledger.apply(&all, &[]).is_ok());
        assert!(ledger.is_empty() && ledger.authors().is_empty());
        assert_eq!(
            (ledger.index.name_lists(), ledger.retention.groups()),
            (0, 0)
        );
        assert!(ledger.index.is_empty() && ledger.retention.is_empty());
        assert_eq!(ledger.names.in_use(), 1, "ann, who has a key");
    }
}
