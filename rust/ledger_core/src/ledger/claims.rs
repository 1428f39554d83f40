//! Checkpoints that one set of votes proves, of which the ledger keeps one. No vote says when its
//! checkpoint was made, so whoever has five signatures can make any number of events of them.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use super::index::Key;
use super::{Entry, Ledger, Slot};
use crate::event::{self, Event, Service};
use crate::verify::{self, Standing};

/// [`crate::checkpoint::Claim`], as the ledger has it.
pub(crate) struct Claimed {
    pub digest: [u8; 16],
    /// Different known voters.
    pub votes: usize,
}

/// Of those that one set of votes proves, the greatest is kept: by its known voters, then by being
/// the older, then by id.
pub(crate) type Rival = (usize, Reverse<Key>);

/// Ids of known voters, with their keys.
pub(crate) type Voters = BTreeMap<Box<str>, verify::Key>;

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
    pub fn count_votes_of<'k>(
        &mut self,
        voters: impl IntoIterator<Item = (&'k str, &'k verify::Key)>,
    ) {
        let voters: Voters = voters
            .into_iter()
            .map(|(id, key)| (id.into(), *key))
            .collect();
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
        let claim = self.read_again(slot).and_then(|event| self.claimed(&event));
        self.unrank(slot);
        if let Some(entry) = &mut self.entries[slot as usize] {
            entry.claim = claim;
        }
        self.hold(slot);
        if let Some(entry) = &self.entries[slot as usize] {
            self.retention.order(entry, slot);
        }
    }

    pub(super) fn claimed(&self, event: &Event) -> Option<Box<Claimed>> {
        let digest = event.claim.as_deref()?.digest;
        let votes = self.count_votes(event);
        Some(Box::new(Claimed { digest, votes }))
    }

    /// Different known voters of a checkpoint, by key: of an attested one, each of them signed it.
    pub(super) fn count_votes(&self, event: &Event) -> usize {
        let voters = event.claim.iter().flat_map(|claim| &claim.voters);
        let keys: BTreeSet<_> = voters.filter_map(|id| self.voters.get(id)).collect();
        keys.len()
    }

    /// Of two attested copies of one checkpoint, which differ in votes: the one that more known
    /// voters signed; then that which carries less beside, and at last some order that all share.
    /// An id does not cover the subject's name: what is about another is no copy.
    pub(super) fn is_better_copy(&self, event: &Event, stored: &Entry) -> bool {
        let (Some(claim), Some(held)) = (&event.claim, &stored.claim) else {
            return false;
        };
        let votes = self.count_votes(event);
        claim.digest == held.digest
            && copy_order(votes, &event.raw) < copy_order(stored.votes(), &stored.raw)
    }

    /// What it would have to be instead of, and whether that is the greater.
    pub(super) fn rival_of(&self, event: &Event, key: Key) -> Option<(Slot, bool)> {
        let rival = self.retention.rival(&event.claim.as_deref()?.digest)?;
        let (_, Reverse(held)) = rival;
        Some((held.slot, *rival > (self.count_votes(event), Reverse(key))))
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
