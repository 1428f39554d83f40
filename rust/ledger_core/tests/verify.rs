//! What an event is proved to be, by whose keys.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use curve25519_dalek::constants::EIGHT_TORSION;
use ledger_core::batch::Batch;
use ledger_core::event::Event;
use ledger_core::ledger::{Added, Ledger};
use ledger_core::verdict::Verdict;
use ledger_core::verify::{Keys, Standing, introductions, is_weak_key, judge};
use sha2::{Digest as _, Sha256};

use support::*;

fn knowing(signers: &[&Signer]) -> Keys {
    let mut keys = Keys::default();
    for signer in signers {
        keys.put(&signer.name, vec![signer.public()], Some(&id_text(signer)));
    }
    keys
}

fn id_text(signer: &Signer) -> String {
    format!("id-of-{}", signer.name)
}

fn judged(raw: &[u8], keys: &Keys) -> Result<Standing, Verdict> {
    judge(&[&decoded(raw)], keys)[0]
}

const VOTED_NS: i64 = 1_768_775_000_000_000_000;

/// A checkpoint about "bob" with these (id, signature over the right words) votes.
fn ballot(version: i64, votes: &[(String, [u8; 64])]) -> Vec<u8> {
    let previous = if version >= 2 { ":before" } else { "" };
    let head = if version >= 2 {
        "checkpoint:v2"
    } else {
        "checkpoint"
    };
    let content = format!("{head}:bobid:1768775000:1700000000:7:86400{previous}");
    let id = hex(&id_of(VOTED_NS, "checkpoint", &content));
    let quoted = |texts: Vec<String>| {
        let texts: Vec<String> = texts.iter().map(|text| format!("\"{text}\"")).collect();
        texts.join(",")
    };
    let voters = quoted(votes.iter().map(|(voter, _)| voter.clone()).collect());
    let signatures = quoted(
        votes
            .iter()
            .map(|(_, signature)| base64(signature))
            .collect(),
    );
    format!(
        r#"{{"id":"{id}","ts":{VOTED_NS},"svc":"checkpoint","checkpoint":{{"version":{version},"subject":"bob","subject_id":"bobid","previous_checkpoint_id":"before","observation":{{"restarts":7,"total_uptime":86400,"start_time":1700000000}},"as_of_time":1768775000,"round":1,"voter_ids":[{voters}],"signatures":[{signatures}]}}}}"#
    )
    .into_bytes()
}

fn vote_as(version: i64, signer: &Signer, id: &str) -> (String, [u8; 64]) {
    let shown = version.max(1);
    let mut words = format!("attestation:v{shown}:{id}:bobid:1768775000:7:86400:1700000000");
    if version >= 2 {
        words.push_str(":before");
    }
    (id.to_owned(), signer.sign(words.as_bytes()))
}

fn vote(version: i64, signer: &Signer) -> (String, [u8; 64]) {
    vote_as(version, signer, &id_text(signer))
}

#[test]
fn a_signed_event_is_attested_by_its_emitters_key_unproven_without_and_refused_by_another() {
    let (ann, eve) = (Signer::new("ann"), Signer::new("eve"));
    let raw = ann.seen(5, "bob");
    assert_eq!(judged(&raw, &knowing(&[&ann])), Ok(Standing::Attested));
    assert_eq!(judged(&raw, &knowing(&[&eve])), Ok(Standing::Unproven));
    let mut keys = Keys::default();
    keys.put("ann", vec![eve.public()], None);
    assert_eq!(judged(&raw, &keys), Err(Verdict::BadSignature));
}

/// "ann acts on bob", once a service, signed by somebody.
fn words_of_ann(signer: &Signer) -> Vec<Vec<u8>> {
    let words = [
        (
            "social",
            "tease:ann:bob:random:",
            r#""social":{"type":"tease","actor":"ann","target":"bob","reason":"random"}"#,
        ),
        (
            "ping",
            "ann:bob:1.5",
            r#""ping":{"observer":"ann","target":"bob","rtt":1.5}"#,
        ),
        (
            "observation",
            "ann:bob:status-change:ONLINE:0:0",
            r#""observation":{"observer":"ann","subject":"bob","type":"status-change","importance":2,"online_state":"ONLINE"}"#,
        ),
        (
            "seen",
            "seen:ann:bob:sync",
            r#""seen":{"observer":"ann","subject":"bob","via":"sync"}"#,
        ),
    ];
    words
        .iter()
        .map(|(svc, content, payload)| signer.event(5, svc, content, payload))
        .collect()
}

fn standings(raws: &[Vec<u8>], keys: &Keys) -> Vec<Result<Standing, Verdict>> {
    raws.iter().map(|raw| judged(raw, keys)).collect()
}

#[test]
fn who_signs_anothers_words_proves_nothing_but_may_be_refuted() {
    let [ann, eve, bob] = ["ann", "eve", "bob"].map(Signer::new);
    let keys = knowing(&[&ann, &eve, &bob]);
    assert_eq!(
        standings(&words_of_ann(&ann), &keys),
        [Ok(Standing::Attested); 4]
    );
    for other in [&eve, &bob] {
        let raws = words_of_ann(other);
        assert_eq!(standings(&raws, &keys), [Ok(Standing::Unproven); 4]);
        let strangers = knowing(&[&ann]);
        assert_eq!(standings(&raws, &strangers), [Ok(Standing::Unproven); 4]);
    }
    let mut forger = Signer::new("somebody");
    forger.name = "eve".to_owned();
    let raws = words_of_ann(&forger);
    assert_eq!(standings(&raws, &keys), [Err(Verdict::BadSignature); 4]);
}

#[test]
fn what_waits_for_a_key_names_its_signer_and_what_no_key_can_change_does_not() {
    let [ann, eve] = ["ann", "eve"].map(Signer::new);
    let signers = |signer: &Signer, keys: &Keys| {
        let raws = words_of_ann(signer);
        let mut batch = Batch::decode(raws.iter().map(Vec::as_slice), NOW, &[]);
        batch.verify(keys);
        let signers: Vec<String> = batch.accepted().map(|one| one.signer.to_owned()).collect();
        assert_eq!(signers.len(), 4);
        assert!(signers.iter().all(|signer| *signer == signers[0]));
        signers[0].clone()
    };
    assert_eq!(signers(&eve, &knowing(&[&ann])), "eve");
    assert_eq!(signers(&eve, &knowing(&[&ann, &eve])), "");
    assert_eq!(signers(&ann, &knowing(&[&eve])), "ann");
    assert_eq!(signers(&ann, &knowing(&[&eve, &ann])), "ann");
}

#[test]
fn the_true_copy_takes_the_place_of_one_that_another_signed_first() {
    let [ann, eve, bob] = ["ann", "eve", "bob"].map(Signer::new);
    let keys = knowing(&[&ann, &eve, &bob]);
    let [own, eves, bobs] = [&ann, &eve, &bob].map(words_of_ann);
    for (first, second, verdict) in [
        (&eves, &own, Verdict::Ok),
        (&own, &eves, Verdict::Known),
        (&eves, &bobs, Verdict::Known),
    ] {
        let mut ledger = Ledger::new(100, [7; 16]);
        let added = (1..).zip(first).map(|(pos, body)| Added {
            pos,
            body,
            standing: judged(body, &keys).unwrap(),
        });
        ledger.apply(&[], &added.collect::<Vec<_>>()).unwrap();
        let mut batch = Batch::decode(second.iter().map(Vec::as_slice), NOW, &[]);
        // Before signatures are checked, since a copy that cannot be more costs no check.
        batch.sift(&ledger);
        assert!(batch.verdicts().all(|found| found == verdict));
        batch.verify(&keys);
        batch.sift(&ledger);
        assert!(batch.verdicts().all(|found| found == verdict));
    }
}

#[test]
fn an_event_without_signature_or_without_emitter_is_hearsay() {
    let ann = Signer::new("ann");
    let keys = knowing(&[&ann]);
    let unsigned = seen(5, "ann", "bob").by("ann").raw();
    assert_eq!(judged(&unsigned, &keys), Ok(Standing::Hearsay));
    let text = String::from_utf8(ann.seen(5, "bob")).unwrap();
    let nobody = text.replace(r#""emitter":"ann","#, "");
    assert_eq!(judged(nobody.as_bytes(), &keys), Ok(Standing::Hearsay));
}

#[test]
fn what_an_old_key_has_signed_still_verifies() {
    let (old, new) = (Signer::new("ann"), Signer::new("ann, later"));
    let raw = old.seen(5, "bob");
    let mut keys = Keys::default();
    keys.put("ann", vec![new.public(), old.public()], None);
    assert_eq!(judged(&raw, &keys), Ok(Standing::Attested));
    assert_eq!(judged(&old.hey_there(5), &keys), Ok(Standing::Attested));
    keys.put("ann", vec![new.public()], None);
    assert_eq!(judged(&raw, &keys), Err(Verdict::BadSignature));
    assert_eq!(judged(&old.hey_there(5), &keys), Err(Verdict::KeyDiffers));
}

#[test]
fn old_keys_in_a_batch_with_bad_ones_leave_each_event_its_own_verdict() {
    let (old, new, eve) = (Signer::new("ann"), Signer::new("new"), Signer::new("eve"));
    let mut keys = knowing(&[&eve]);
    keys.put("ann", vec![new.public(), old.public()], None);
    let mut raws: Vec<Vec<u8>> = (1..40).map(|ts| old.seen(ts, "bob")).collect();
    raws.extend((1..40).map(|ts| eve.seen(ts, "bob")));
    let forged = String::from_utf8(eve.seen(77, "bob")).unwrap();
    let other = String::from_utf8(eve.seen(78, "bob")).unwrap();
    let sig = |text: &str| text.split(r#""sig":""#).nth(1).unwrap()[..88].to_owned();
    raws.insert(50, forged.replace(&sig(&forged), &sig(&other)).into_bytes());
    let events: Vec<Event> = raws.iter().map(|raw| decoded(raw)).collect();
    let answers = judge(&events.iter().collect::<Vec<_>>(), &keys);
    for (i, answer) in answers.into_iter().enumerate() {
        let expected = if i == 50 {
            Err(Verdict::BadSignature)
        } else {
            Ok(Standing::Attested)
        };
        assert_eq!(answer, expected, "event {i}");
    }
}

#[test]
fn a_self_signed_hey_there_of_an_unknown_name_is_unproven_and_introduces_it() {
    let ann = Signer::new("ann");
    let raw = ann.hey_there(5);
    assert_eq!(judged(&raw, &Keys::default()), Ok(Standing::Unproven));
    assert_eq!(judged(&raw, &knowing(&[&ann])), Ok(Standing::Attested));
    let event = decoded(&raw);
    assert_eq!(introductions(&[&event]), [("ann", ann.public())]);
}

#[test]
fn a_hey_there_with_another_key_than_the_known_one_differs_and_introduces_nobody_by_force() {
    let (ann, mut thief) = (Signer::new("ann"), Signer::new("thief"));
    thief.name = "ann".to_owned();
    let raw = thief.hey_there(5);
    assert_eq!(judged(&raw, &knowing(&[&ann])), Err(Verdict::KeyDiffers));
    // Unsigned ones claim a key too.
    let text = String::from_utf8(raw).unwrap();
    let at = text.find(r#","sig":""#).unwrap();
    let unsigned = format!("{}{}", &text[..at], &text[at + 9 + 88..]);
    assert_eq!(
        judged(unsigned.as_bytes(), &knowing(&[&ann])),
        Err(Verdict::KeyDiffers)
    );
    assert_eq!(
        judged(unsigned.as_bytes(), &Keys::default()),
        Ok(Standing::Hearsay)
    );
    assert!(introductions(&[&decoded(unsigned.as_bytes())]).is_empty());
    // A signature that the inner key does not verify introduces nobody either.
    let broken = text.replace(&base64(&thief.public()), &base64(&ann.public()));
    assert_eq!(verdict_of(broken.as_bytes()), Verdict::IdMismatch);
    let (first, second) = (ann.hey_there(5), ann.hey_there(6));
    let sig = |raw: &[u8]| {
        let text = String::from_utf8(raw.to_vec()).unwrap();
        text.split(r#""sig":""#).nth(1).unwrap()[..88].to_owned()
    };
    let swapped = String::from_utf8(first.clone())
        .unwrap()
        .replace(&sig(&first), &sig(&second));
    assert!(introductions(&[&decoded(swapped.as_bytes())]).is_empty());
    assert_eq!(
        judged(swapped.as_bytes(), &Keys::default()),
        Err(Verdict::BadSignature)
    );
}

#[test]
fn the_first_introduction_of_a_name_counts() {
    let (ann, mut second) = (Signer::new("ann"), Signer::new("second"));
    second.name = "ann".to_owned();
    let events = [
        ann.hey_there(5),
        second.hey_there(4),
        Signer::new("bob").hey_there(1),
    ];
    let events: Vec<Event> = events.iter().map(|raw| decoded(raw)).collect();
    let found = introductions(&events.iter().collect::<Vec<_>>());
    assert_eq!(
        found,
        [("ann", ann.public()), ("bob", Signer::new("bob").public())]
    );
}

#[test]
fn two_known_voters_attest_a_checkpoint_and_one_leaves_it_unproven() {
    let [ann, cyd, dan] = ["ann", "cyd", "dan"].map(Signer::new);
    for version in [0, 1, 2, 3] {
        let raw = ballot(
            version,
            &[
                vote(version, &ann),
                vote(version, &cyd),
                vote(version, &dan),
            ],
        );
        assert_eq!(
            judged(&raw, &knowing(&[&ann, &cyd, &dan])),
            Ok(Standing::Attested)
        );
        assert_eq!(
            judged(&raw, &knowing(&[&ann, &dan])),
            Ok(Standing::Attested)
        );
        assert_eq!(judged(&raw, &knowing(&[&ann])), Ok(Standing::Unproven));
        assert_eq!(judged(&raw, &Keys::default()), Ok(Standing::Unproven));
    }
    assert_eq!(
        judged(&ballot(1, &[]), &knowing(&[&ann])),
        Ok(Standing::Hearsay)
    );
}

#[test]
fn voters_are_known_by_id_and_not_by_name() {
    let [ann, cyd] = ["ann", "cyd"].map(Signer::new);
    let raw = ballot(1, &[vote_as(1, &ann, "ann"), vote_as(1, &cyd, "cyd")]);
    assert_eq!(
        judged(&raw, &knowing(&[&ann, &cyd])),
        Ok(Standing::Unproven)
    );
}

#[test]
fn a_voter_listed_twice_or_under_two_ids_counts_once() {
    let [ann, cyd] = ["ann", "cyd"].map(Signer::new);
    let twice = ballot(1, &[vote(1, &ann), vote(1, &ann)]);
    assert_eq!(
        judged(&twice, &knowing(&[&ann, &cyd])),
        Ok(Standing::Unproven)
    );
    let mut keys = knowing(&[&ann]);
    keys.put("ann again", vec![ann.public()], Some("second-id"));
    let under_two = ballot(1, &[vote(1, &ann), vote_as(1, &ann, "second-id")]);
    assert_eq!(judged(&under_two, &keys), Ok(Standing::Unproven));
    let with_another = ballot(1, &[vote(1, &ann), vote(1, &ann), vote(1, &cyd)]);
    assert_eq!(
        judged(&with_another, &knowing(&[&ann, &cyd])),
        Ok(Standing::Attested)
    );
}

#[test]
fn one_known_voters_bad_signature_refuses_a_checkpoint_and_an_unknown_ones_does_not() {
    let [ann, cyd, dan] = ["ann", "cyd", "dan"].map(Signer::new);
    let forged = (id_text(&dan), cyd.sign(b"something else"));
    let raw = ballot(1, &[vote(1, &ann), vote(1, &cyd), forged]);
    assert_eq!(
        judged(&raw, &knowing(&[&ann, &cyd, &dan])),
        Err(Verdict::BadSignature)
    );
    assert_eq!(
        judged(&raw, &knowing(&[&ann, &cyd])),
        Ok(Standing::Attested)
    );
    // A vote is over its version: one for version 1 is none for version 2.
    let other = ballot(2, &[vote(1, &ann), vote(1, &cyd)]);
    assert_eq!(
        judged(&other, &knowing(&[&ann, &cyd])),
        Err(Verdict::BadSignature)
    );
}

#[test]
fn votes_about_an_id_are_not_to_be_quoted_about_another_name() {
    let [ann, cyd] = ["ann", "cyd"].map(Signer::new);
    let (bob, eve) = (Signer::new("bob"), Signer::new("eve"));
    let raw = ballot(2, &[vote(2, &ann), vote(2, &cyd)]);
    let mut keys = knowing(&[&ann, &cyd]);
    assert_eq!(judged(&raw, &keys), Ok(Standing::Attested));
    keys.put("bob", vec![bob.public()], Some("bobid"));
    assert_eq!(judged(&raw, &keys), Ok(Standing::Attested));
    keys.put("eve", vec![eve.public()], Some("bobid"));
    assert_eq!(judged(&raw, &keys), Err(Verdict::BadSignature));
    // Whose id it is may be learned later: then what was held by mistake is looked at again.
    let added = Added {
        pos: 1,
        body: &raw,
        standing: Standing::Attested,
    };
    let mut ledger = Ledger::new(10, [0; 16]);
    ledger.apply(&[], &[added]).unwrap();
    assert_eq!(ledger.unproven([], ["bobid"]).len(), 1);
    assert!(ledger.unproven(["bobid"], []).is_empty(), "a name is no id");
}

#[test]
fn a_voters_old_key_still_counts() {
    let [ann, cyd, new] = ["ann", "cyd", "new"].map(Signer::new);
    let mut keys = knowing(&[&cyd]);
    keys.put(
        "ann",
        vec![new.public(), ann.public()],
        Some(&id_text(&ann)),
    );
    let raw = ballot(2, &[vote(2, &ann), vote(2, &cyd)]);
    assert_eq!(judged(&raw, &keys), Ok(Standing::Attested));
}

#[test]
fn keys_of_small_order_are_weak_and_refused_inside_events() {
    // The eight points, and all their spellings: y beyond the field's order, the sign of a zero.
    let mut encodings: Vec<[u8; 32]> = EIGHT_TORSION
        .iter()
        .map(|point| point.compress().to_bytes())
        .collect();
    let mut p = [0xff; 32];
    (p[0], p[31]) = (0xed, 0x7f);
    let (mut p_plus_one, mut one, mut minus_one) = (p, [0; 32], p);
    p_plus_one[0] = 0xee;
    one[0] = 1;
    minus_one[0] = 0xec;
    for mut odd in [p, p_plus_one, one, minus_one] {
        encodings.push(odd);
        odd[31] |= 0x80;
        encodings.push(odd);
    }
    for key in encodings {
        assert!(is_weak_key(&key), "{}", hex(&key));
        let text = base64(&key);
        for (svc, payload, content) in [
            ("hey-there", "hey_there", format!("hey_there:ann:{text}:")),
            ("chau", "chau", format!("chau:ann:{text}")),
        ] {
            let id = hex(&id_of(5, svc, &content));
            let raw = format!(
                r#"{{"id":"{id}","ts":5,"svc":"{svc}","{payload}":{{"From":"ann","PublicKey":"{text}"}}}}"#
            );
            assert_eq!(verdict_of(raw.as_bytes()), Verdict::WeakKey);
        }
    }
    let mut no_point = [0; 32];
    no_point[0] = 2;
    assert!(is_weak_key(&no_point));
    assert!(!is_weak_key(&Signer::new("ann").public()));
}

#[test]
fn an_id_that_moved_to_another_name_stays_with_it() {
    let key = |name: &str| vec![Signer::new(name).public()];
    let mut keys = Keys::default();
    keys.put("ann", key("ann"), Some("X"));
    keys.put("bob", key("bob"), Some("X"));
    assert_eq!(keys.name_of("X"), Some("bob"));
    keys.put("ann", key("ann"), Some("Y"));
    assert_eq!(
        (keys.name_of("X"), keys.name_of("Y")),
        (Some("bob"), Some("ann"))
    );
    keys.put("bob", key("bob"), None);
    assert_eq!((keys.name_of("X"), keys.len()), (None, 2));
}

#[test]
fn a_batch_keeps_good_events_whatever_stands_beside_them() {
    let ann = Signer::new("ann");
    let (good, unsigned) = (ann.seen(5, "bob"), seen(6, "ann", "bob").raw());
    let forged = String::from_utf8(ann.seen(7, "bob"))
        .unwrap()
        .replace(r#""ts":7"#, r#""ts":8"#);
    let raws: [&[u8]; 5] = [&good, b"{", forged.as_bytes(), b"", &unsigned];
    let mut batch = Batch::decode(raws, NOW, &[]);
    batch.verify(&knowing(&[&ann]));
    let verdicts: Vec<Verdict> = batch.verdicts().collect();
    use Verdict::{IdMismatch, NotJson, Ok};
    assert_eq!(verdicts, [Ok, NotJson, IdMismatch, NotJson, Ok]);
    let accepted: Vec<_> = batch
        .accepted()
        .map(|one| (one.index, one.standing))
        .collect();
    assert_eq!(accepted, [(0, Standing::Attested), (4, Standing::Hearsay)]);
}

#[test]
fn a_claimed_digest_is_over_the_ids_as_they_came_also_of_events_that_are_refused() {
    let good = seen(6, "ann", "bob");
    let wrong = br#"{"id":"made up","ts":1}"#;
    let raw = good.raw();
    let batch = Batch::decode([&raw[..], wrong], NOW, &[]);
    let expected = Sha256::digest(format!("ann:77:{}made up", hex(&good.id())));
    assert_eq!(batch.claimed_digest("ann", 77), Some(expected.into()));
    let twice = br#"{"id":"twice","ts":1,"ts":2}"#;
    let batch = Batch::decode([&raw[..], twice, b"{}"], NOW, &[]);
    let expected = Sha256::digest(format!("ann:77:{}twice", hex(&good.id())));
    assert_eq!(batch.claimed_digest("ann", 77), Some(expected.into()));
    let batch = Batch::decode([&raw[..], b"5"], NOW, &[]);
    assert_eq!(batch.claimed_digest("ann", 77), None);
    let empty = Batch::decode([], NOW, &[]).claimed_digest("ann", 77);
    assert_eq!(empty, Some(Sha256::digest("ann:77:").into()));
}
