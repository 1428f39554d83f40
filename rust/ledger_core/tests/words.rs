//! What is said by a name and about it, newest first, as looking at every event finds it; and the
//! names in some events.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::collections::{BTreeMap, BTreeSet};

use ledger_core::event::{Id, Service};
use ledger_core::ledger::{Lately, Role, Words};
use ledger_core::verify::Standing;
use proptest::prelude::*;

use support::*;

fn any_spec() -> impl Strategy<Value = Spec> {
    (1..12_i64, 0..8_u8, 0..3_u64, 0..3_u64, any::<bool>()).prop_map(|(ts, kind, a, b, proved)| {
        let (a, b) = (name(a), name(b));
        let spec = match kind {
            0 => ping(ts, &a, &b),
            1 => status(ts, &a, &b),
            2 => restart(ts, &a, &b, 1),
            3 => hey_there(ts, &a),
            4 => chau(ts, &a),
            5 => checkpoint(ts, &b),
            6 => seen(ts, &a, &b),
            _ => tease(ts, &a, &b),
        };
        match proved {
            true => spec.attested(),
            false => spec,
        }
    })
}

fn has_role(spec: &Spec, name: &str, role: Option<Role>) -> bool {
    let (is_by, is_about) = (spec.actor() == name, spec.target() == name);
    match role {
        None => is_by || is_about,
        Some(Role::By) => is_by,
        Some(Role::About) => is_about && !is_by,
    }
}

fn naive(log: &Log, specs: &[Spec], asked: &Words<'_>) -> Vec<Id> {
    let mut found: Vec<(i64, Id)> = specs
        .iter()
        .filter(|spec| log.holds(spec))
        .filter(|spec| has_role(spec, asked.name, asked.role))
        .filter(|spec| asked.services.contains(&spec.service()))
        .filter(|spec| spec.standing >= asked.least && spec.ts <= asked.upto_ns)
        .map(|spec| (spec.ts, spec.id()))
        .collect();
    found.sort_unstable_by(|a, b| b.cmp(a));
    found.truncate(asked.most);
    found.into_iter().map(|(_, id)| id).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn words_are_what_looking_at_every_event_finds(
        specs in prop::collection::vec(any_spec(), 0..80),
        role in prop::sample::select(vec![None, Some(Role::By), Some(Role::About)]),
        services in prop::sample::subsequence(Service::ALL.to_vec(), 1..7),
        is_proved in any::<bool>(),
        upto_ns in 0..13_i64,
        most in 1..20_usize,
    ) {
        let specs = distinct(specs);
        let log = Log::new(40).with(&specs);
        let least = if is_proved { Standing::Attested } else { Standing::Hearsay };
        for name in ["n0", "n1", "n2", "stranger", ""] {
            let asked = Words { name, role, services: &services, least, upto_ns, most };
            let found = log.ledger.words(&asked);
            if name.is_empty() {
                prop_assert!(found.events.is_empty(), "nobody says nothing");
                continue;
            }
            prop_assert_eq!(ids(&found), naive(&log, &specs, &asked));
            prop_assert!(found.events.iter().all(|picked| picked.standing >= least));
        }
    }

    #[test]
    fn the_names_in_some_events_are_those_of_the_held_ones(
        specs in prop::collection::vec(any_spec(), 0..40),
        upto in 0..50_u64,
    ) {
        let specs = distinct(specs);
        let log = Log::new(30).with(&specs);
        let expected: BTreeSet<String> = specs
            .iter()
            .zip(1..)
            .filter(|(spec, pos)| *pos <= upto && log.holds(spec))
            .flat_map(|(spec, _)| [spec.actor().to_owned(), spec.target().to_owned()])
            .filter(|name| !name.is_empty())
            .collect();
        let found = log.ledger.names_in(1..=upto);
        prop_assert_eq!(found.len(), expected.len(), "each once");
        let found: BTreeSet<String> = found.into_iter().map(str::to_owned).collect();
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn what_a_name_has_signed_and_attested_is_found(
        specs in prop::collection::vec(any_spec(), 0..60),
    ) {
        let specs = distinct(specs);
        let log = Log::new(30).with(&specs);
        let expected: BTreeSet<u64> = specs
            .iter()
            .zip(1..)
            .filter(|(spec, _)| log.holds(spec) && spec.standing == Standing::Attested)
            .filter(|(spec, _)| ["n0", "n2"].contains(&spec.actor()))
            .map(|(_, pos)| pos)
            .collect();
        let found = log.ledger.attested_by(["n0", "n2", "stranger"]);
        prop_assert_eq!(found.len(), expected.len(), "each once");
        prop_assert_eq!(found.into_iter().map(|(pos, _)| pos).collect::<BTreeSet<_>>(), expected);
    }

    #[test]
    fn greetings_are_the_newest_attested_hey_there_of_each_name(
        specs in prop::collection::vec(any_spec(), 0..60),
        most in 0..4_usize,
    ) {
        let specs = distinct(specs);
        let log = Log::new(30).with(&specs);
        let mut newest: BTreeMap<&str, (i64, Id)> = BTreeMap::new();
        let proved = |spec: &&Spec| log.holds(spec) && spec.standing == Standing::Attested;
        let hellos = specs.iter().filter(|spec| spec.service() == Service::HeyThere);
        for spec in hellos.filter(proved) {
            let place = newest.entry(spec.actor()).or_insert((0, [0; 16]));
            *place = (*place).max((spec.ts, spec.id()));
        }
        let mut expected: Vec<(i64, Id)> = newest.into_values().collect();
        expected.sort_unstable_by(|a, b| b.cmp(a));
        let expected: Vec<Id> = expected.into_iter().take(most).map(|(_, id)| id).collect();
        prop_assert_eq!(ids(&log.ledger.greetings(most)), expected);
    }
}

// -- lately ---------------------------------------------------------------------------------------

fn lately(log: &Log, most: usize, most_each: usize) -> Vec<Id> {
    let asked = Lately {
        since_ns: 100,
        upto_ns: 200,
        most,
        most_each,
        most_bytes: 1 << 20,
    };
    ids(&log.ledger.lately(&asked))
}

fn ids_of(specs: &[Spec]) -> Vec<Id> {
    specs.iter().map(Spec::id).collect()
}

#[test]
fn lately_is_what_is_not_older_and_not_ahead_oldest_first() {
    let specs: Vec<Spec> = (99..=202).map(|ts| tease(ts, "n0", "n1")).collect();
    let log = Log::new(200).with(&specs);
    assert_eq!(lately(&log, 1_000, 1_000), ids_of(&specs[2..=101]));
    assert_eq!(
        lately(&log, 3, 1_000),
        ids_of(&specs[99..=101]),
        "the newest"
    );
}

#[test]
fn one_author_fills_no_more_than_its_part() {
    let flood: Vec<Spec> = (101..=199).map(|ts| tease(ts, "n0", "n1")).collect();
    let quiet = [tease(102, "n2", "n1"), tease(103, "n3", "n1")];
    let log = Log::new(200).with(&flood).with(&quiet);
    let found = lately(&log, 1_000, 5);
    assert_eq!(found[..2], ids_of(&quiet));
    assert_eq!(found[2..], ids_of(&flood[94..]));
}

#[test]
fn greetings_that_are_proved_come_before_any_flood() {
    let flood: Vec<Spec> = (150..=199)
        .map(|ts| tease(ts, &format!("n{ts}"), "n1"))
        .collect();
    let proved = [hey_there(101, "n2").attested(), chau(102, "n3").attested()];
    let log = Log::new(200)
        .with(&flood)
        .with(&proved)
        .with(&[hey_there(103, "n4"), chau(104, "n4")]);
    let found = lately(&log, 10, 5);
    assert_eq!(found[..2], ids_of(&proved));
    assert_eq!(
        found[2..],
        ids_of(&flood[42..]),
        "the newest, and no hearsay before them"
    );
}

#[test]
fn bytes_are_bounded_too() {
    let specs: Vec<Spec> = (101..=110).map(|ts| tease(ts, "n0", "n1")).collect();
    let log = Log::new(200).with(&specs);
    let all = Lately {
        since_ns: 100,
        upto_ns: 200,
        most: 100,
        most_each: 100,
        most_bytes: 1 << 20,
    };
    let sizes: Vec<usize> = log
        .ledger
        .lately(&all)
        .events
        .iter()
        .map(|event| event.raw.len())
        .collect();
    let most_bytes = sizes[7] + sizes[8] + sizes[9];
    let found = log.ledger.lately(&Lately { most_bytes, ..all });
    assert_eq!(ids(&found), ids_of(&specs[7..]));
}
