//! Of checkpoints that one set of votes proves the ledger keeps one, and every ledger the same.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::collections::BTreeMap;

use ledger_core::event::Service;
use ledger_core::ledger::{Added, Ledger, Rebuild};
use ledger_core::verdict::Verdict;
use ledger_core::verify::{Keys, Standing};
use proptest::prelude::*;

use support::*;

const SECOND: i64 = 1_000_000_000;
const AS_OF: i64 = 1_790_000_000;
const VOTERS: [&str; 8] = ["v0", "v1", "v2", "v3", "v4", "v5", "v6", "v7"];

/// About "bob", made so many nanoseconds after the second it speaks of.
fn made(after_ns: i64, restarts: i64, voters: &[&str]) -> Spec {
    let mut spec = voted(AS_OF * SECOND, "bob", restarts, voters).attested();
    spec.ts += after_ns;
    spec
}

fn knowing(ids: &[&str]) -> Keys {
    let mut keys = Keys::default();
    for id in ids {
        keys.put(id, vec![Signer::new(id).public()], Some(id));
    }
    keys
}

fn ledger(ids: &[&str]) -> Ledger {
    let mut ledger = Ledger::new(100_000, [7; 16]);
    ledger.count_votes_of(knowing(ids).voters());
    ledger
}

/// As the node takes events in: what the ledger has no use for is not committed, and what is a
/// better copy comes in place of the one it is better than.
fn take(ledger: &mut Ledger, pos: u64, spec: &Spec) -> Verdict {
    let (raw, event) = (spec.raw(), spec.event());
    let verdict = ledger.meet(&event, spec.standing);
    if verdict == Verdict::Ok {
        let removed: Vec<u64> = ledger.position_of(&event.id).into_iter().collect();
        let added = Added {
            pos,
            body: &raw,
            standing: spec.standing,
        };
        let evicted = ledger.apply(&removed, &[added]).unwrap();
        assert!(!evicted.contains(&pos), "it was said to be kept");
    }
    verdict
}

fn known_votes(spec: &Spec, known: &[&str]) -> usize {
    match &spec.what {
        What::Checkpoint { voters, .. } => {
            let ids = known.iter().filter(|id| voters.iter().any(|v| v == *id));
            ids.count()
        }
        _ => 0,
    }
}

/// The greatest of each claim: from the definition, all at once.
fn kept<'s>(specs: &'s [Spec], known: &[&str]) -> Vec<&'s Spec> {
    let mut best: BTreeMap<String, &Spec> = BTreeMap::new();
    let order = |spec: &Spec| {
        let votes = std::cmp::Reverse(known_votes(spec, known));
        (votes, spec.ts, spec.id(), spec.raw().len(), spec.raw())
    };
    for spec in specs {
        let What::Checkpoint { restarts, .. } = &spec.what else {
            continue;
        };
        let held = best.entry(restarts.to_string()).or_insert(spec);
        if order(spec) < order(held) {
            *held = spec;
        }
    }
    best.into_values().collect()
}

fn any_copy() -> impl Strategy<Value = Spec> {
    (
        0..6_i64,
        0..3_i64,
        prop::sample::subsequence(&VOTERS[..], 0..8),
    )
        .prop_map(|(after, restarts, voters)| made(after, restarts, &voters))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn one_of_a_claim_is_kept_the_same_in_whatever_order_they_come(
        specs in prop::collection::vec(any_copy(), 1..40),
        known in 0..8_usize,
        seed in any::<u64>(),
    ) {
        let known = &VOTERS[..known];
        let expected = digest_of(kept(&specs, known));
        let mut draws = Draws(seed);
        for _ in 0..3 {
            let mut shuffled = specs.clone();
            draws.shuffle(&mut shuffled);
            let mut ledger = ledger(known);
            for (pos, spec) in (1..).zip(&shuffled) {
                take(&mut ledger, pos, spec);
            }
            prop_assert_eq!(ledger.digest(), expected);
            for spec in &shuffled {
                prop_assert_ne!(take(&mut ledger, 1_000, spec), Verdict::Ok);
            }
            prop_assert_eq!(ledger.digest(), expected);
        }
    }

    #[test]
    fn a_rebuilt_ledger_has_the_same_one(specs in prop::collection::vec(any_copy(), 1..40)) {
        let specs = distinct(specs);
        let known = &VOTERS[..3];
        let raws: Vec<Vec<u8>> = specs.iter().map(Spec::raw).collect();
        let added: Vec<Added<'_>> = (1..)
            .zip(&raws)
            .map(|(pos, body)| Added { pos, body, standing: Standing::Attested })
            .collect();
        let mut rebuild = Rebuild::new(ledger(known), 1);
        let evicted = rebuild.add(&added);
        let rebuilt = rebuild.finish();
        prop_assert_eq!(rebuilt.digest(), digest_of(kept(&specs, known)));
        prop_assert_eq!(evicted.len() + rebuilt.len(), specs.len());
    }
}

#[test]
fn one_set_of_votes_makes_one_checkpoint_and_pushes_nothing_out() {
    let mut ledger = Ledger::new(160, [7; 16]);
    ledger.count_votes_of(knowing(&VOTERS).voters());
    // The quota of "bob" is ten: nine of his own, and room for one more.
    for (pos, restarts) in (1..).zip(100..109) {
        assert_eq!(
            take(&mut ledger, pos, &made(0, restarts, &VOTERS)),
            Verdict::Ok
        );
    }
    let before = made(1_000, 5, &VOTERS);
    assert_eq!(take(&mut ledger, 10, &before), Verdict::Ok);
    for later in 0..1_000 {
        let copy = made(2_000 + later, 5, &VOTERS);
        assert_eq!(take(&mut ledger, 11, &copy), Verdict::BelowRetention);
    }
    for (pos, earlier) in (12..).zip(1..100) {
        let copy = made(1_000 - earlier, 5, &VOTERS);
        assert_eq!(take(&mut ledger, pos, &copy), Verdict::Ok);
        assert_eq!(ledger.count_of(Service::Checkpoint), 10);
    }
}

#[test]
fn an_unattested_copy_neither_goes_nor_drives_out() {
    let mut ledger = ledger(&VOTERS);
    let mut guess = made(5, 5, &["who"]);
    guess.standing = Standing::Unproven;
    let true_one = made(9, 5, &VOTERS);
    assert_eq!(take(&mut ledger, 1, &guess), Verdict::Ok);
    assert_eq!(take(&mut ledger, 2, &true_one), Verdict::Ok);
    guess.ts += 1;
    assert_eq!(take(&mut ledger, 3, &guess), Verdict::Ok);
    assert_eq!(ledger.len(), 3, "whoever is known later may prove them");
    guess.standing = Standing::Attested;
    assert_eq!(take(&mut ledger, 4, &guess), Verdict::Known);
}

#[test]
fn votes_are_counted_anew_when_another_voter_is_known() {
    let mut ledger = ledger(&["v0", "v1"]);
    let (early, late) = (made(1, 5, &["v0", "v1"]), made(2, 5, &["v0", "v1", "v2"]));
    assert_eq!(take(&mut ledger, 1, &early), Verdict::Ok);
    assert_eq!(take(&mut ledger, 2, &late), Verdict::BelowRetention);
    ledger.count_votes_of(knowing(&["v0", "v1", "v2"]).voters());
    assert_eq!(take(&mut ledger, 3, &late), Verdict::Ok);
    assert_eq!(ledger.position_of(&late.id()), Some(3));
    let about_bob = ledger.recent(None, &ledger_core::ledger::Filter::default());
    assert_eq!(about_bob.events[0].votes, 3);
    // One key under two ids is one voter.
    let mut keys = knowing(&["v0", "v1"]);
    keys.put("again", vec![Signer::new("v1").public()], Some("v2"));
    ledger.count_votes_of(keys.voters());
    let about_bob = ledger.recent(None, &ledger_core::ledger::Filter::default());
    assert_eq!(about_bob.events[0].votes, 2);
    assert_eq!(take(&mut ledger, 4, &early), Verdict::Ok);
}

#[test]
fn a_copy_about_another_subject_under_the_same_id_replaces_nothing() {
    // What an id covers is the subject's id, where there is one, and not the name.
    let named = |name: &str| {
        let content = "checkpoint:bobid:1790000000:1700000000:1:2";
        let ts = AS_OF * SECOND;
        let id = hex(&id_of(ts, "checkpoint", content));
        format!(
            r#"{{"id":"{id}","ts":{ts},"svc":"checkpoint","checkpoint":{{"version":1,"subject":"{name}","subject_id":"bobid","observation":{{"restarts":1,"total_uptime":2,"start_time":1700000000}},"as_of_time":{AS_OF}}}}}"#
        )
    };
    let (true_one, shorter) = (named("bobby"), named("b"));
    let mut ledger = ledger(&[]);
    let added = Added {
        pos: 1,
        body: true_one.as_bytes(),
        standing: Standing::Attested,
    };
    ledger.apply(&[], &[added]).unwrap();
    let copy = decoded(shorter.as_bytes());
    assert_eq!(ledger.meet(&copy, Standing::Attested), Verdict::Known);
}

/// Names that are known by an id of their own.
fn with_subjects(ids: &[&str], subjects: &[&str]) -> Keys {
    let mut keys = knowing(ids);
    for name in subjects {
        keys.put(
            name,
            vec![Signer::new(name).public()],
            Some(&format!("id-of-{name}")),
        );
    }
    keys
}

/// Of five, on the id of `of`, under the name of `subject`.
fn quoted(subject: &str, of: &str, after_ns: i64, restarts: i64) -> Spec {
    let what = voted(AS_OF * SECOND, subject, restarts, &VOTERS[..5]);
    let mut spec = what.on(&format!("id-of-{of}")).attested();
    spec.ts += after_ns;
    spec
}

fn votes_of(ledger: &Ledger, id: &[u8; 16]) -> Option<usize> {
    let found = ledger.recent(None, &ledger_core::ledger::Filter::default());
    let picked = found.events.into_iter().find(|picked| picked.id == *id);
    picked.map(|picked| picked.votes)
}

#[test]
fn votes_on_an_id_count_for_no_name_that_has_another_one() {
    let (true_one, lie) = (quoted("bob", "bob", 0, 1), quoted("bob", "ann", 9, 2));
    let mut ledger = ledger(&VOTERS);
    for (pos, spec) in (1..).zip([&true_one, &lie]) {
        assert_eq!(take(&mut ledger, pos, spec), Verdict::Ok);
        assert_eq!(
            votes_of(&ledger, &spec.id()),
            Some(5),
            "nobody can tell whose id it is"
        );
    }
    ledger.count_votes_of(with_subjects(&VOTERS, &["bob"]).voters());
    assert_eq!(votes_of(&ledger, &true_one.id()), Some(5));
    assert_eq!(votes_of(&ledger, &lie.id()), Some(0));
}

#[test]
fn one_set_of_votes_under_a_thousand_names_pushes_out_nothing_that_is_proved() {
    let mut ledger = Ledger::new(160, [7; 16]);
    ledger.count_votes_of(with_subjects(&VOTERS, &["bob", "cyd"]).voters());
    let held = [
        quoted("bob", "bob", 0, 1),
        voted(AS_OF * SECOND, "cyd", 1, &VOTERS[..2])
            .on("id-of-cyd")
            .attested(),
        restart(1, "ann", "bob", 1).by("ann").attested(),
    ];
    for (pos, spec) in (1..).zip(&held) {
        assert_eq!(take(&mut ledger, pos, spec), Verdict::Ok);
    }
    for made_up in 0..1_000 {
        let copy = quoted(&name(made_up), "dan", 1 + made_up as i64, 1);
        take(&mut ledger, 10 + made_up, &copy);
    }
    assert_eq!(ledger.len(), 160);
    assert!(held.iter().all(|spec| ledger.contains(&spec.id())));
}

#[test]
fn whose_id_it_is_takes_the_place_of_a_copy_under_another_name() {
    let (true_one, lie) = (quoted("bob", "bob", 0, 1), quoted("ann", "bob", 0, 1));
    assert_eq!(
        true_one.id(),
        lie.id(),
        "an id covers the subject's id alone"
    );
    for (subjects, taken) in [
        (&[][..], Verdict::Known),
        (&["bob"], Verdict::Ok),
        (&["ann"], Verdict::Ok), // who has another id
        (&["ann", "bob"], Verdict::Ok),
    ] {
        let mut ledger = Ledger::new(1_000, [7; 16]);
        ledger.count_votes_of(with_subjects(&VOTERS, subjects).voters());
        assert_eq!(take(&mut ledger, 1, &lie), Verdict::Ok);
        assert_eq!(take(&mut ledger, 2, &true_one), taken, "{subjects:?}");
        assert_eq!(take(&mut ledger, 3, &lie), Verdict::Known, "{subjects:?}");
    }
}

#[test]
fn a_checkpoint_of_a_time_well_after_its_own_is_refused() {
    let ahead = |seconds: i64| {
        let what = What::Checkpoint {
            subject: "bob".to_owned(),
            subject_id: String::new(),
            as_of: AS_OF + seconds,
            restarts: 1,
            voters: Vec::new(),
        };
        verdict_of(&Spec::new(AS_OF * SECOND, what).raw())
    };
    assert_eq!(ahead(0), Verdict::Ok);
    assert_eq!(ahead(15 * 60), Verdict::Ok);
    assert_eq!(ahead(15 * 60 + 1), Verdict::BadPayload);
    assert_eq!(ahead(86_400 * 365), Verdict::BadPayload);
}
