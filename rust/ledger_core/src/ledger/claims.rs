//! Checkpoints that one set of votes proves, of which the ledger keeps one. No vote says when its
//! checkpoint was made, so whoever has five signatures can make any number of events of them.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use super::index::Key;
use super::{Entry, Ledger, Slot};
use crate::event::{self, Event, Service};
use crate::verify::{self, Standing, Voter};

/// [`crate::checkpoint::Claim`], as the ledger has it.
pub(crate) struct Claimed {
    pub digest: [u8; 16],
    /// Different known voters; none where the subject is known by another id than they voted on.
    pub votes: usize,
    /// Is the id that they voted on known as the subject's? No vote says its name, so that anybody
    /// may put another one to votes about an id that nobody here knows.
    pub is_own: bool,
}

impl Claimed {
    /// Of copies under one id that name different subjects the greater is better.
    fn bond(&self) -> (bool, bool) {
        (self.is_own, self.votes > 0)
    }
}

/// Of those that one set of votes proves, the greatest is kept: by its known voters, then by being
/// the older, then by id.
pub(crate) type Rival = (usize, Reverse<Key>);

/// Whose votes count, by id, and which id is whose.
#[derive(Default, PartialEq)]
pub(crate) struct Voters {
    keys: BTreeMap<Box<str>, verify::Key>,
    ids: BTreeMap<Box<str>, Box<str>>,
}

impl Voters {
    fn new<'k>(voters: impl IntoIterator<Item = Voter<'k>>) -> Voters {
        let mut known = Voters::default();
        for Voter { id, name, key } in voters {
            known.keys.insert(id.into(), key);
            known.ids.insert(name.into(), id.into());
        }
        known
    }

    /// By key: of an attested checkpoint, each of them signed it.
    fn count(&self, ids: &[Box<str>]) -> usize {
        let keys: BTreeSet<_> = ids.iter().filter_map(|id| self.keys.get(id)).collect();
        keys.len()
    }
}

impl Entry {
    pub(super) fn rival(&self, slot: Slot) -> Option<([u8; 16], Rival)> {
        let claimed = self.claim.as_deref()?;
        Some((claimed.digest, (claimed.votes, Reverse(self.key(slot)))))
    }

    /// How many known voters prove it: of anything but an attested checkpoint none.
    pub(super) fn votes(&self) -> usize {
        let claimed = self.claim.as_deref();
        claimed
            .filter(|_| self.standing == Standing::Attested)
            .map_or(0, |claimed| claimed.votes)
    }
}

impl Ledger {
    /// Whose votes count from now on. What is held is counted anew where that changed.
    pub fn count_votes_of<'k>(&mut self, voters: impl IntoIterator<Item = Voter<'k>>) {
        let voters = Voters::new(voters);
        if voters == self.voters {
            return;
        }
        self.voters = voters;
        let checkpoints: Vec<Slot> = self.index.slots_of(Service::Checkpoint).collect();
        for slot in checkpoints {
            self.count_again(slot);
        }
    }

    fn count_again(&mut self, slot: Slot) {
        let event = self.read_again(slot);
        let claim = event.and_then(|event| self.claimed(&event)).map(Box::new);
        self.unrank(slot);
        if let Some(entry) = &mut self.entries[slot as usize] {
            entry.claim = claim;
        }
        self.hold(slot);
        if let Some(entry) = &self.entries[slot as usize] {
            self.retention.order(entry, slot);
        }
    }

    pub(super) fn claimed(&self, event: &Event) -> Option<Claimed> {
        let claim = event.claim.as_deref()?;
        let id = self.voters.ids.get(&event.target);
        let is_own = id == Some(&claim.subject_id);
        let counts = is_own || id.is_none();
        Some(Claimed {
            digest: claim.digest,
            votes: if counts {
                self.voters.count(&claim.voters)
            } else {
                0
            },
            is_own,
        })
    }

    /// Of two attested copies of one checkpoint, which differ in votes: the one that more known
    /// voters signed; then that which carries less beside, and at last some order that all share.
    /// An id does not cover the subject's name: of two subjects, that which the id is known to be.
    pub(super) fn is_better_copy(&self, event: &Event, stored: &Entry) -> bool {
        let (Some(claimed), Some(held)) = (self.claimed(event), &stored.claim) else {
            return false;
        };
        if claimed.digest != held.digest {
            return claimed.bond() > held.bond();
        }
        copy_order(claimed.votes, &event.raw) < copy_order(stored.votes(), &stored.raw)
    }

    /// What it would have to be instead of, and whether that is the greater.
    pub(super) fn rival_of(&self, event: &Event, key: Key) -> Option<(Slot, bool)> {
        let claimed = self.claimed(event)?;
        let rival = self.retention.rival(&claimed.digest)?;
        let (_, Reverse(held)) = rival;
        Some((held.slot, *rival > (claimed.votes, Reverse(key))))
    }

    /// Does it depend on who has one of these ids what this checkpoint is worth?
    pub(super) fn is_decided_by(&self, slot: Slot, known: &BTreeSet<&str>) -> bool {
        let claim = self.read_again(slot).and_then(|event| event.claim);
        claim.is_some_and(|claim| {
            let mut ids = claim.voters.iter().chain([&claim.subject_id]);
            ids.any(|id| known.contains(&**id))
        })
    }

    fn read_again(&self, slot: Slot) -> Option<Event> {
        let entry = self.entry(slot);
        event::decode_stored(&entry.raw, entry.standing).ok()
    }
}

fn copy_order(votes: usize, raw: &[u8]) -> (Reverse<usize>, usize, &[u8]) {
    (Reverse(votes), raw.len(), raw)
}
