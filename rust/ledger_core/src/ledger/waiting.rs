//! Events that a key decides which is not known yet: unproven ones, which it proves or refutes, and
//! unattested hey-theres and chaus, which may claim another. By whose key that is.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::{Hasher, Slot};
use crate::event::{Event, Service};
use crate::verify::{Proof, Standing};

pub(crate) struct Waiting {
    /// A signer's name, or a voter's id.
    by_signer: HashMap<Box<str>, BTreeSet<Slot>, Hasher>,
    signers_of: BTreeMap<Slot, Vec<Box<str>>>,
}

impl Waiting {
    pub fn new(hasher: Hasher) -> Waiting {
        Waiting {
            by_signer: HashMap::with_hasher(hasher),
            signers_of: BTreeMap::new(),
        }
    }

    pub fn insert(&mut self, slot: Slot, event: &Event, standing: Standing) {
        let is_attested = standing == Standing::Attested;
        let signers: Vec<Box<str>> = match (&event.proof, event.service) {
            (Proof::Votes(votes), _) => votes.iter().map(|vote| vote.voter.clone()).collect(),
            (_, Service::HeyThere | Service::Chau) if !is_attested => vec![event.actor.clone()],
            _ if standing == Standing::Unproven => vec![event.emitter.clone()],
            _ => return,
        };
        for signer in &signers {
            self.by_signer
                .entry(signer.clone())
                .or_default()
                .insert(slot);
        }
        self.signers_of.insert(slot, signers);
    }

    pub fn remove(&mut self, slot: Slot) {
        for signer in self.signers_of.remove(&slot).unwrap_or_default() {
            if let Some(slots) = self.by_signer.get_mut(&signer) {
                slots.remove(&slot);
                if slots.is_empty() {
                    self.by_signer.remove(&signer);
                }
            }
        }
    }

    pub fn of<'n>(&self, signers: impl IntoIterator<Item = &'n str>) -> BTreeSet<Slot> {
        let slots = signers
            .into_iter()
            .filter_map(|signer| self.by_signer.get(signer));
        slots.flatten().copied().collect()
    }

    pub fn all(&self) -> Vec<Slot> {
        self.signers_of.keys().copied().collect()
    }
}
