//! Who said it: Ed25519 under ZIP-215, so that a batch and a single check, and any two nodes, always
//! agree (<https://zips.z.cash/zip-0215>). Keys of small order are refused where keys come in.

use std::collections::{BTreeMap, BTreeSet};

use curve25519_dalek::edwards::CompressedEdwardsY;
use ed25519_zebra::batch::{Item, Verifier};
use ed25519_zebra::{Signature, VerificationKeyBytes};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng as _;
use sha2::{Digest as _, Sha256};

use crate::event::Event;
use crate::verdict::Verdict;

/// An Ed25519 public key.
pub type Key = [u8; 32];

/// Signatures checked by one equation. Pippenger's gain is nearly all there at this size, and a bad
/// one costs its bisection no more than twice this.
const BATCH: usize = 1024;

/// Our note on an event: how far it is proved. No part of its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Standing {
    /// Unsigned.
    Hearsay = 0,
    /// Signed, but the key is not known here, or it is another's than who acts or observes; a
    /// checkpoint with fewer than two known voters.
    Unproven = 1,
    /// Signed by who acts, observes or presents itself, and the signature verifies with the key
    /// known for that name.
    Attested = 2,
}

impl Standing {
    /// The standing of that code.
    pub fn from_code(code: u8) -> Option<Standing> {
        [Standing::Hearsay, Standing::Unproven, Standing::Attested]
            .into_iter()
            .find(|s| *s as u8 == code)
    }
}

/// What an event brings to prove itself.
#[derive(Clone, Debug)]
pub enum Proof {
    /// No signature of an emitter. A hey-there or chau still claims a key.
    Unsigned {
        /// The key that a hey-there or chau claims.
        inner_key: Option<Key>,
    },
    /// A signature of the emitter over a digest.
    Signed {
        /// As it came.
        signature: [u8; 64],
        /// What it is over.
        digest: [u8; 32],
        /// The key that a hey-there or chau claims.
        inner_key: Option<Key>,
    },
    /// The votes of a checkpoint.
    Votes(Vec<Vote>),
}

/// One voter's signature under a checkpoint.
#[derive(Clone, Debug)]
pub struct Vote {
    /// The voter's id (voters are known by id, not by name).
    pub voter: Box<str>,
    /// As it came.
    pub signature: [u8; 64],
    /// What it is over.
    pub message: Box<str>,
}

/// Is this key one that must never be registered: of small order, or no point at all?
pub fn is_weak_key(key: &Key) -> bool {
    CompressedEdwardsY(*key)
        .decompress()
        .is_none_or(|point| point.is_small_order())
}

/// Whose signature is checked with what.
#[derive(Clone, Default, Debug)]
pub struct Keys {
    by_name: BTreeMap<Box<str>, Known>,
    names_by_id: BTreeMap<Box<str>, Box<str>>,
}

#[derive(Clone, Debug)]
struct Known {
    keys: Vec<Key>,
    id: Option<Box<str>>,
}

/// Somebody who votes, and is voted on.
#[derive(Clone, Copy, Debug)]
pub struct Voter<'k> {
    /// That stands for it in votes.
    pub id: &'k str,
    /// Its name.
    pub name: &'k str,
    /// That its votes are checked with first.
    pub key: Key,
}

impl Keys {
    /// Set what `name` signs with: its current key first, then its old ones.
    pub fn put(&mut self, name: &str, keys: Vec<Key>, id: Option<&str>) {
        let known = Known {
            keys,
            id: id.map(Into::into),
        };
        let before = self.by_name.insert(name.into(), known);
        // The old id may have gone to another name since.
        if let Some(old) = before.and_then(|known| known.id)
            && self.name_of(&old) == Some(name)
        {
            self.names_by_id.remove(&old);
        }
        if let Some(id) = id {
            self.names_by_id.insert(id.into(), name.into());
        }
    }

    /// The keys of `name`, the current one first; empty if it is not known.
    pub fn keys_of(&self, name: &str) -> &[Key] {
        self.by_name.get(name).map_or(&[], |known| &known.keys)
    }

    /// The name behind a voter's id.
    pub fn name_of(&self, id: &str) -> Option<&str> {
        self.names_by_id.get(id).map(|name| &**name)
    }

    /// Everybody whose id is known.
    pub fn voters(&self) -> impl Iterator<Item = Voter<'_>> {
        self.names_by_id.iter().filter_map(|(id, name)| {
            let key = *self.keys_of(name).first()?;
            Some(Voter { id, name, key })
        })
    }

    /// How many names are known.
    pub fn len(&self) -> usize {
        self.by_name.len()
    }

    /// Is none known?
    pub fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }
}

/// Judge events, all signatures in as few equations as can be. Each answer stands for the event at
/// its place: its standing, or why it is refused.
pub fn judge(events: &[&Event], keys: &Keys) -> Vec<Result<Standing, Verdict>> {
    let mut checks = Vec::with_capacity(events.len());
    let plans: Vec<Plan> = events
        .iter()
        .map(|event| plan(event, keys, &mut checks))
        .collect();
    let holds = run(&checks);
    plans.iter().map(|plan| conclude(plan, &holds)).collect()
}

/// The self-signed hey-theres among these whose own key verifies them: (name, key).
pub fn introductions<'e>(events: &[&'e Event]) -> Vec<(&'e str, Key)> {
    let mut checks = Vec::new();
    let mut claims = Vec::new();
    for event in events {
        let Proof::Signed {
            signature,
            digest,
            inner_key: Some(key),
        } = &event.proof
        else {
            continue;
        };
        if event.service == crate::event::Service::HeyThere {
            claims.push((&*event.actor, *key));
            checks.push(Check::new(key, signature, digest));
        }
    }
    let holds = run(&checks);
    let mut seen = BTreeSet::new();
    claims
        .into_iter()
        .zip(holds)
        .filter(|((name, _), holds)| *holds && seen.insert(*name))
        .map(|(claim, _)| claim)
        .collect()
}

/// One signature to check.
struct Check {
    item: Item,
    transcript: [u8; 32],
}

impl Check {
    fn new(key: &Key, signature: &[u8; 64], message: &[u8]) -> Check {
        let transcript = Sha256::new()
            .chain_update(key)
            .chain_update(signature)
            .chain_update(message)
            .finalize()
            .into();
        let item = Item::from((
            VerificationKeyBytes::from(*key),
            Signature::from(*signature),
            message,
        ));
        Check { item, transcript }
    }
}

/// How an event's fate follows from its checks.
enum Plan {
    Settled(Result<Standing, Verdict>),
    /// The claim holds: that standing.
    One(Claim, Standing),
    /// Every known voter's claim must hold; how many there are decides.
    Voters(Vec<Claim>),
}

/// A signature by a name: checked with its current key in the batch (the place in the list of
/// checks), and only where that fails, one by one with its old keys.
struct Claim {
    current: usize,
    old: Vec<Check>,
}

impl Claim {
    fn new(keys: &[Key], signature: &[u8; 64], message: &[u8], checks: &mut Vec<Check>) -> Claim {
        let mut tries = keys.iter().map(|key| Check::new(key, signature, message));
        let current = checks.len();
        checks.extend(tries.next());
        Claim {
            current,
            old: tries.collect(),
        }
    }

    fn holds(&self, holds: &[bool]) -> bool {
        let by_old = |check: &Check| check.item.clone().verify_single().is_ok();
        holds[self.current] || self.old.iter().any(by_old)
    }
}

fn plan(event: &Event, keys: &Keys, checks: &mut Vec<Check>) -> Plan {
    let (signed, inner_key) = match &event.proof {
        Proof::Votes(_) if is_about_another(event, keys) => {
            return Plan::Settled(Err(Verdict::BadSignature));
        }
        Proof::Votes(votes) => return plan_votes(votes, keys, checks),
        Proof::Unsigned { inner_key } => (None, inner_key),
        Proof::Signed {
            signature,
            digest,
            inner_key,
        } => (Some((signature, digest)), inner_key),
    };
    let signer = if inner_key.is_some() {
        &event.actor
    } else {
        &event.emitter
    };
    let known = keys.keys_of(signer);
    if let Some(inner) = inner_key
        && !known.is_empty()
        && !known.contains(inner)
    {
        return Plan::Settled(Err(Verdict::KeyDiffers));
    }
    let Some((signature, digest)) = signed else {
        return Plan::Settled(Ok(Standing::Hearsay));
    };
    let standing = if known.is_empty() || !event.is_own_word() {
        Standing::Unproven
    } else {
        Standing::Attested
    };
    let candidates = inner_key.as_ref().map_or(known, std::slice::from_ref);
    if candidates.is_empty() {
        return Plan::Settled(Ok(Standing::Unproven));
    }
    Plan::One(Claim::new(candidates, signature, digest, checks), standing)
}

/// Votes say an id, and a checkpoint puts a name to it: they must not be quoted about another.
fn is_about_another(event: &Event, keys: &Keys) -> bool {
    let claim = event.claim.as_deref();
    claim
        .and_then(|claim| keys.name_of(&claim.subject_id))
        .is_some_and(|name| *name != *event.target)
}

fn plan_votes(votes: &[Vote], keys: &Keys, checks: &mut Vec<Check>) -> Plan {
    if votes.is_empty() {
        return Plan::Settled(Ok(Standing::Hearsay));
    }
    let mut counted = BTreeSet::new();
    let mut voters = Vec::new();
    for vote in votes {
        let known = keys
            .name_of(&vote.voter)
            .map_or(&[][..], |name| keys.keys_of(name));
        // One key under two ids, or one id listed twice, is one voter.
        if let Some(key) = known.first()
            && counted.insert(*key)
        {
            voters.push(Claim::new(
                known,
                &vote.signature,
                vote.message.as_bytes(),
                checks,
            ));
        }
    }
    Plan::Voters(voters)
}

fn conclude(plan: &Plan, holds: &[bool]) -> Result<Standing, Verdict> {
    match plan {
        Plan::Settled(answer) => *answer,
        Plan::One(claim, standing) if claim.holds(holds) => Ok(*standing),
        Plan::One(..) => Err(Verdict::BadSignature),
        Plan::Voters(voters) if !voters.iter().all(|claim| claim.holds(holds)) => {
            Err(Verdict::BadSignature)
        }
        Plan::Voters(voters) if voters.len() >= 2 => Ok(Standing::Attested),
        Plan::Voters(_) => Ok(Standing::Unproven),
    }
}

fn run(checks: &[Check]) -> Vec<bool> {
    let mut holds = vec![true; checks.len()];
    for (chunk, answers) in checks.chunks(BATCH).zip(holds.chunks_mut(BATCH)) {
        bisect(chunk, answers);
    }
    holds
}

/// All of these at once; where that fails, each half, down to the culprits.
fn bisect(checks: &[Check], holds: &mut [bool]) {
    match checks {
        [] => {}
        [one] => holds[0] = one.item.clone().verify_single().is_ok(),
        _ if all_hold(checks) => {}
        _ => {
            let middle = checks.len() / 2;
            let (left, right) = holds.split_at_mut(middle);
            bisect(&checks[..middle], left);
            bisect(&checks[middle..], right);
        }
    }
}

fn all_hold(checks: &[Check]) -> bool {
    // The random multipliers come from a hash of everything checked: nobody can choose signatures
    // that cancel out without choosing the hash, and the same input gives the same run.
    let mut transcript = Sha256::new_with_prefix(b"postbox batch verification");
    let mut verifier = Verifier::new();
    for check in checks {
        transcript.update(check.transcript);
        verifier.queue(check.item.clone());
    }
    verifier
        .verify(ChaCha20Rng::from_seed(transcript.finalize().into()))
        .is_ok()
}

#[cfg(test)]
mod tests {
    use curve25519_dalek::constants::{ED25519_BASEPOINT_POINT, EIGHT_TORSION};
    use curve25519_dalek::edwards::EdwardsPoint;
    use curve25519_dalek::scalar::Scalar;
    use proptest::prelude::*;
    use sha2::Sha512;

    use super::*;

    fn unhex<const N: usize>(text: &str) -> [u8; N] {
        let byte = |i| u8::from_str_radix(&text[2 * i..2 * i + 2], 16).unwrap();
        std::array::from_fn(byte)
    }

    fn wide(parts: &[&[u8]]) -> Scalar {
        let mut hash = Sha512::new();
        for part in parts {
            hash.update(part);
        }
        Scalar::from_bytes_mod_order_wide(&hash.finalize().into())
    }

    /// A signature with torsion added to the key and to R: good under the cofactored equation of
    /// ZIP-215, bad under the one without cofactor unless both are the identity.
    fn crafted(seed: u8, in_key: EdwardsPoint, in_r: EdwardsPoint) -> (Key, [u8; 64], Vec<u8>) {
        let message = vec![seed; usize::from(seed)];
        let secret = wide(&[b"secret", &[seed]]);
        let nonce = wide(&[b"nonce", &[seed], &message]);
        let key = (ED25519_BASEPOINT_POINT * secret + in_key)
            .compress()
            .to_bytes();
        let r = (ED25519_BASEPOINT_POINT * nonce + in_r).compress();
        let s = nonce + wide(&[r.as_bytes(), &key, &message]) * secret;
        let mut signature = [0; 64];
        signature[..32].copy_from_slice(r.as_bytes());
        signature[32..].copy_from_slice(s.as_bytes());
        (key, signature, message)
    }

    fn good(seed: u8) -> Check {
        let (key, signature, message) = crafted(seed, EIGHT_TORSION[0], EIGHT_TORSION[0]);
        Check::new(&key, &signature, &message)
    }

    fn bad(seed: u8) -> Check {
        let (key, signature, _) = crafted(seed, EIGHT_TORSION[0], EIGHT_TORSION[0]);
        Check::new(&key, &signature, b"another message")
    }

    #[test]
    fn the_vectors_of_rfc_8032_verify_and_verify_no_other_message() {
        let vectors = [
            (
                "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
                &b""[..],
                "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
            ),
            (
                "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
                &[0x72],
                "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
            ),
            (
                "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
                &[0xaf, 0x82],
                "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
            ),
        ];
        let check = |(key, message, signature): &(&str, &[u8], &str)| {
            Check::new(&unhex(key), &unhex(signature), message)
        };
        let all: Vec<Check> = vectors.iter().map(check).collect();
        assert_eq!(run(&all), [true; 3]);
        assert_eq!(run(&all[..1]), [true]);
        for (key, message, signature) in vectors {
            let longer = [message, b"."].concat();
            let one = Check::new(&unhex(key), &unhex(signature), &longer);
            assert_eq!(run(&[one]), [false]);
        }
    }

    #[test]
    fn one_bad_signature_is_found_alone_wherever_it_stands() {
        for size in 1..=40 {
            for place in 0..size {
                let one = |i| if i == place { bad(i) } else { good(i) };
                let checks: Vec<Check> = (0..size).map(one).collect();
                let expected: Vec<bool> = (0..size).map(|i| i != place).collect();
                assert_eq!(run(&checks), expected);
            }
        }
    }

    #[test]
    fn bad_signatures_on_both_sides_of_a_batch_border_are_found() {
        let is_bad = |i: usize| [0, BATCH - 1, BATCH, 2 * BATCH].contains(&i);
        let one = |i| {
            if is_bad(i) {
                bad(i as u8)
            } else {
                good(i as u8)
            }
        };
        let checks: Vec<Check> = (0..2 * BATCH + 1).map(one).collect();
        let found = run(&checks);
        assert!(
            found
                .iter()
                .enumerate()
                .all(|(i, holds)| *holds != is_bad(i))
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn a_batch_agrees_with_single_checks_also_on_points_with_small_order_parts(
            mix in prop::collection::vec((any::<u8>(), 0..8_usize, 0..8_usize, 0..6_u8), 1..24),
        ) {
            let make = |(seed, in_key, in_r, fault): &(u8, usize, usize, u8)| {
                let (key, mut signature, mut message) =
                    crafted(*seed, EIGHT_TORSION[*in_key], EIGHT_TORSION[*in_r]);
                match fault {
                    0 => message.push(0),
                    1 => signature[40] ^= 1,
                    // An s beyond the group's order: the same signature in another spelling.
                    2 => signature[63] |= 0x20,
                    _ => {}
                }
                (Check::new(&key, &signature, &message), *fault > 2)
            };
            let (checks, expected): (Vec<Check>, Vec<bool>) = mix.iter().map(make).unzip();
            let single: Vec<bool> =
                checks.iter().map(|check| check.item.clone().verify_single().is_ok()).collect();
            prop_assert_eq!(&run(&checks), &single);
            prop_assert_eq!(single, expected);
        }
    }
}
