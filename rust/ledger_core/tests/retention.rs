//! What the ledger keeps: caps as functions of the admitted set, one order of forgetting for the
//! whole, and an answer given beforehand that is the answer given after.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::collections::{BTreeMap, BTreeSet};

use ledger_core::event::Service;
use ledger_core::ledger::{Added, Filter, Ledger, Rebuild};
use ledger_core::verdict::Verdict;
use ledger_core::verify::Standing;
use proptest::prelude::*;

use support::*;

const NAMES: u64 = 4;

/// Events of few names and times, so that ties, duplicates and full caps are common.
fn any_spec(times: i64) -> impl Strategy<Value = Spec> {
    let who = 0..NAMES;
    let parts = (
        1..=times,
        0..12_u8,
        who.clone(),
        who.clone(),
        who,
        0..3_u8,
        any::<bool>(),
    );
    parts.prop_map(|(ts, kind, a, b, c, standing, is_signed)| {
        let (actor, target) = (name(a), name(b));
        let what = match kind {
            0 => What::Social {
                actor,
                target,
                witness: name(c),
            },
            1 | 2 => What::Ping {
                observer: actor,
                target,
            },
            3..=5 => What::Status {
                observer: actor,
                subject: target,
                importance: 2,
            },
            6 | 7 => What::Restart {
                observer: actor,
                subject: target,
                number: c as u32,
            },
            8 => What::FirstSeen {
                observer: actor,
                subject: target,
            },
            9 => What::HeyThere { from: actor },
            10 => What::Seen {
                observer: actor,
                subject: target,
            },
            _ => voted(ts, &target, c as i64, &[]).what,
        };
        let takes_emitter = !matches!(what, What::HeyThere { .. } | What::Checkpoint { .. });
        let emitter = (is_signed && takes_emitter).then(|| name(c));
        let standing = Standing::from_code(standing).unwrap();
        Spec {
            ts,
            what,
            emitter,
            standing,
        }
    })
}

/// Few pairs and targets, so that their caps fill.
fn crowded_spec() -> impl Strategy<Value = Spec> {
    let parts = (1..4000_i64, 0..40_u8, 0..2_u64, 0..2_u64, any::<bool>());
    parts.prop_map(|(ts, kind, a, b, is_attested)| {
        let spec = match kind {
            0..8 => ping(ts, &name(a), &name(b)),
            8..23 => status(ts, &name(0), &name(b)),
            23..38 => restart(ts, &name(0), &name(b), ts as u32),
            38 => first_seen(ts, &name(a), &name(b)),
            _ => voted(ts, &name(b), ts % 3, &[]),
        };
        if is_attested { spec.attested() } else { spec }
    })
}

/// What its votes are about.
fn claim(spec: &Spec) -> String {
    match &spec.what {
        What::Checkpoint {
            as_of, restarts, ..
        } => format!("{as_of} {restarts}"),
        _ => String::new(),
    }
}

/// Unattested ones go first, then older ones.
fn by_hold(a: &&Spec, b: &&Spec) -> std::cmp::Ordering {
    let hold = |spec: &Spec| (spec.standing == Standing::Attested, spec.ts, spec.id());
    hold(a).cmp(&hold(b))
}

/// What a ledger that never gets full keeps of these: from the definition, all at once.
fn kept_by_caps(specs: &[Spec]) -> Vec<&Spec> {
    let checkpointed: BTreeSet<&str> = specs
        .iter()
        .filter(|s| s.kind() == "checkpoint" && s.standing == Standing::Attested)
        .map(Spec::target)
        .collect();
    let mut groups: BTreeMap<(Service, &str, String), Vec<&Spec>> = BTreeMap::new();
    for spec in specs {
        let place = match spec.service() {
            Service::Ping => (Service::Ping, spec.target(), String::new()),
            Service::Observation => (Service::Observation, spec.target(), spec.actor().to_owned()),
            Service::Checkpoint if bounded(spec) => {
                (Service::Checkpoint, spec.target(), claim(spec))
            }
            other => (other, "", String::new()),
        };
        groups.entry(place).or_default().push(spec);
    }
    let mut kept = Vec::new();
    for ((service, subject, _), mut group) in groups {
        group.sort_by(by_hold);
        match service {
            Service::Ping => kept.extend(group.into_iter().rev().take(5)),
            Service::Checkpoint if bounded(group[0]) => kept.extend(group.first()),
            Service::Observation => {
                let (restarts, others): (Vec<&Spec>, Vec<&Spec>) =
                    group.into_iter().partition(|s| s.kind() == "restart");
                let room = 20_usize.saturating_sub(restarts.len());
                let held = if checkpointed.contains(subject) {
                    20
                } else {
                    usize::MAX
                };
                kept.extend(others.into_iter().rev().take(room));
                kept.extend(restarts.into_iter().rev().take(held));
            }
            _ => kept.extend(group),
        }
    }
    kept
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn caps_are_functions_of_the_admitted_set_whatever_its_order_batches_and_when_names_are_learned(
        specs in prop::collection::vec(prop_oneof![4 => crowded_spec(), 1 => any_spec(4000)], 0..260),
        seed in any::<u64>(),
    ) {
        let specs = distinct(specs);
        let expected = digest_of(kept_by_caps(&specs));
        let mut draws = Draws(seed);
        for _ in 0..3 {
            let mut shuffled = specs.clone();
            draws.shuffle(&mut shuffled);
            let mut log = Log::new(100_000);
            let mut rest = &shuffled[..];
            let mut unknown: Vec<String> = (0..NAMES).map(name).collect();
            while !rest.is_empty() {
                let (batch, after) = rest.split_at(1 + draws.below(rest.len() as u64) as usize);
                log.commit(batch);
                if draws.below(2) == 0 {
                    log.ledger.learn(unknown.pop().as_deref());
                }
                rest = after;
            }
            prop_assert_eq!(log.ledger.digest(), expected);
            // Merging all of it again changes nothing: no event comes in, none goes.
            for spec in &specs {
                let held = log.holds(spec);
                let verdict = log.ledger.meet(&spec.event(), spec.standing);
                prop_assert_eq!(verdict == Verdict::Known, held);
                prop_assert!(held || verdict == Verdict::BelowRetention);
            }
            log.commit(&shuffled);
            prop_assert_eq!(log.ledger.digest(), expected);
        }
    }

    #[test]
    fn a_full_ledger_forgets_in_one_order_and_says_beforehand_what_it_will_refuse(
        specs in prop::collection::vec(any_spec(60), 0..220),
        learned in prop::collection::vec((0..220_usize, 0..NAMES), 0..4),
        capacity in 1..60_usize,
    ) {
        let mut log = Log::new(capacity);
        let mut model = Model { capacity, known: BTreeSet::new(), held: Vec::new() };
        for (step, spec) in specs.iter().enumerate() {
            for (_, who) in learned.iter().filter(|(at, _)| *at == step) {
                log.ledger.learn([&*name(*who)]);
                model.known.insert(name(*who));
            }
            let verdict = log.ledger.meet(&spec.event(), spec.standing);
            let before = model.held.iter().find(|(_, held)| held.id() == spec.id()).cloned();
            let (pos, evicted) = match &before {
                Some((old, _)) if verdict == Verdict::Ok => {
                    model.held.retain(|(pos, _)| pos != old);
                    let raw = spec.raw();
                    let pos = log.next;
                    log.next += 1;
                    let added = ledger_core::ledger::Added { pos, body: &raw, standing: spec.standing };
                    (pos, log.ledger.apply(&[*old], &[added]).unwrap())
                }
                _ => log.add(spec),
            };
            match (&before, verdict) {
                (Some((_, weaker)), Verdict::Ok) => {
                    prop_assert!(weaker.standing < spec.standing);
                    prop_assert_eq!(spec.standing, Standing::Attested);
                    // It comes in place of the weaker one: nothing is lost by it but what its caps cost.
                    prop_assert_eq!(sorted(model.add(pos, spec)), sorted(evicted.clone()));
                    prop_assert!(!evicted.contains(&pos));
                }
                (Some((_, stored)), Verdict::Known) => {
                    prop_assert_eq!(&evicted, &Vec::<u64>::new());
                    let improves = stored.standing < Standing::Attested
                        && spec.standing == Standing::Attested;
                    prop_assert!(!improves || model.would_lose(stored, spec));
                }
                (None, verdict) => {
                    prop_assert_eq!(sorted(model.add(pos, spec)), sorted(evicted.clone()));
                    prop_assert_eq!(verdict == Verdict::BelowRetention, evicted.contains(&pos));
                    prop_assert!(verdict != Verdict::BelowRetention || evicted == [pos]);
                    prop_assert!(matches!(verdict, Verdict::Ok | Verdict::BelowRetention));
                }
                (before, verdict) => prop_assert!(false, "{verdict:?} for {before:?}"),
            }
            prop_assert!(log.ledger.len() <= capacity);
            let quota = (capacity / 16).max(1);
            for author in (0..NAMES).map(name) {
                let own = model.held.iter().filter(|(_, s)| bounded(s) && s.author() == author);
                prop_assert!(own.count() <= quota);
            }
        }
        prop_assert_eq!(log.ledger.digest(), digest_of(model.held.iter().map(|(_, spec)| spec)));
    }
}

/// In which order one arrival's victims leave says nothing.
fn sorted(mut positions: Vec<u64>) -> Vec<u64> {
    positions.sort_unstable();
    positions
}

fn bounded(spec: &Spec) -> bool {
    spec.is_lasting() && spec.standing == Standing::Attested
}

/// A ledger as a list, searched from end to end.
#[derive(Clone)]
struct Model {
    capacity: usize,
    known: BTreeSet<String>,
    held: Vec<(u64, Spec)>,
}

impl Model {
    fn add(&mut self, pos: u64, spec: &Spec) -> Vec<u64> {
        self.held.push((pos, spec.clone()));
        let mut evicted = Vec::new();
        while self.held.iter().any(|(held, _)| *held == pos) {
            let Some(victim) = self.victim(spec) else {
                break;
            };
            self.held.retain(|(pos, _)| *pos != victim);
            evicted.push(victim);
        }
        evicted
    }

    /// Would the attested copy be forgotten at once where the weaker one is not?
    fn would_lose(&self, weaker: &Spec, better: &Spec) -> bool {
        let mut without = self.clone();
        without.held.retain(|(_, held)| held.id() != weaker.id());
        without.add(u64::MAX, better).contains(&u64::MAX)
    }

    fn least(&self, most: usize, of: impl Fn(&Spec) -> bool) -> Option<u64> {
        let mut group: Vec<_> = self.held.iter().filter(|(_, spec)| of(spec)).collect();
        group.sort_by(|a, b| by_hold(&&a.1, &&b.1));
        (group.len() > most).then(|| group[0].0)
    }

    fn of_pair(&self, observer: &str, subject: &str) -> Option<u64> {
        let is_pair = |s: &Spec| {
            s.service() == Service::Observation && s.actor() == observer && s.target() == subject
        };
        self.least(20, is_pair)?;
        let is_about = |s: &Spec| s.kind() == "checkpoint" && s.target() == subject && bounded(s);
        let has_checkpoint = self.held.iter().any(|(_, spec)| is_about(spec));
        let other = self.least(0, |s| is_pair(s) && s.kind() != "restart");
        other.or_else(|| self.least(0, is_pair).filter(|_| has_checkpoint))
    }

    fn lesser_rival(&self, new: &Spec) -> Option<u64> {
        let is_rival = |spec: &Spec| {
            spec.kind() == "checkpoint"
                && bounded(spec)
                && (spec.target(), claim(spec)) == (new.target(), claim(new))
        };
        let rivals = self.held.iter().filter(|(_, spec)| is_rival(spec));
        let mut rivals: Vec<_> = rivals
            .map(|(pos, spec)| (spec.ts, spec.id(), *pos))
            .collect();
        rivals.sort();
        rivals.get(1).map(|(.., pos)| *pos)
    }

    fn victim(&self, new: &Spec) -> Option<u64> {
        let by_kind = match new.service() {
            Service::Ping => self.least(5, |s| {
                s.service() == Service::Ping && s.target() == new.target()
            }),
            Service::Observation => self.of_pair(new.actor(), new.target()),
            Service::Checkpoint => self.lesser_rival(new).or_else(|| {
                (0..NAMES).find_map(|observer| self.of_pair(&name(observer), new.target()))
            }),
            _ => None,
        };
        let quota = (self.capacity / 16).max(1);
        by_kind
            .or_else(|| self.of_author(quota, new.author()))
            .or_else(|| self.of_all())
    }

    /// Nobody's id is known here, so that no checkpoint is better than one that nobody proved.
    fn of_author(&self, quota: usize, author: &str) -> Option<u64> {
        let own = |s: &Spec| bounded(s) && s.author() == author;
        let all = self.held.iter().filter(|(_, s)| own(s)).count();
        let weak = |s: &Spec| own(s) && s.service() == Service::Checkpoint;
        let weakest = self.least(0, weak).filter(|_| all > quota);
        weakest.or_else(|| self.least(quota, own))
    }

    fn of_all(&self) -> Option<u64> {
        let names_stranger = |spec: &Spec| {
            let witness = match &spec.what {
                What::Social { witness, .. } => witness,
                _ => "",
            };
            let checked = [spec.actor(), spec.target(), witness];
            spec.kind() != "checkpoint"
                && checked
                    .iter()
                    .any(|n| !n.is_empty() && !self.known.contains(*n))
        };
        let worth = |spec: &Spec| match spec.kind() {
            "ping" => 0,
            "seen" => 1,
            "social" => 2,
            _ => 3,
        };
        let place = |spec: &Spec| {
            let is_attested = spec.standing == Standing::Attested;
            let order = match spec.is_lasting() {
                true if is_attested && spec.kind() != "checkpoint" => (2, true, 0, true),
                true => (1, !names_stranger(spec), 0, false),
                false => (0, !names_stranger(spec), worth(spec), is_attested),
            };
            (order, spec.ts, spec.id())
        };
        let least = self.held.iter().min_by_key(|(_, spec)| place(spec));
        least
            .filter(|_| self.held.len() > self.capacity)
            .map(|(pos, _)| *pos)
    }
}

#[test]
fn a_duplicate_into_a_full_pair_evicts_nothing() {
    let mut log = Log::new(1000);
    let specs: Vec<Spec> = (1..=20).map(|ts| status(ts, "ann", "bob")).collect();
    log.commit(&specs);
    for spec in &specs {
        let before = log.ledger.digest();
        assert_eq!(
            log.ledger.meet(&spec.event(), spec.standing),
            Verdict::Known
        );
        assert_eq!(log.add(spec).1, Vec::<u64>::new());
        assert_eq!((log.ledger.len(), log.ledger.digest()), (20, before));
    }
}

#[test]
fn a_duplicate_ping_into_a_full_target_and_one_into_a_full_ledger_evict_nothing() {
    let pings: Vec<Spec> = (1..=5).map(|ts| ping(ts, "ann", "bob")).collect();
    let mut log = Log::new(5).with(&pings);
    for spec in &pings {
        assert_eq!(
            log.ledger.meet(&spec.event(), spec.standing),
            Verdict::Known
        );
        assert_eq!(log.add(spec).1, Vec::<u64>::new());
    }
    assert_eq!(log.ledger.digest(), digest_of(&pings));
}

#[test]
fn what_is_older_than_all_that_a_full_pair_holds_is_refused_and_costs_it_nothing() {
    let held: Vec<Spec> = (101..=120).map(|ts| status(ts, "ann", "bob")).collect();
    let mut log = Log::new(1000).with(&held);
    let old = status(1, "ann", "bob");
    assert_eq!(
        log.ledger.meet(&old.event(), Standing::Hearsay),
        Verdict::BelowRetention
    );
    let (pos, evicted) = log.add(&old);
    assert_eq!(evicted, [pos]);
    assert_eq!(log.ledger.digest(), digest_of(&held));
}

#[test]
fn an_attested_copy_takes_the_place_of_a_weaker_one_and_a_weaker_one_of_nothing() {
    let weaker = tease(5, "ann", "bob").by("ann");
    let better = weaker.clone().attested();
    let mut log = Log::new(10);
    let (old, _) = log.add(&weaker);
    assert_eq!(
        log.ledger.meet(&weaker.event(), Standing::Hearsay),
        Verdict::Known
    );
    let mut unproven = weaker.clone();
    unproven.standing = Standing::Unproven;
    assert_eq!(
        log.ledger.meet(&unproven.event(), Standing::Unproven),
        Verdict::Known
    );
    assert_eq!(
        log.ledger.meet(&better.event(), Standing::Attested),
        Verdict::Ok
    );
    let raw = better.raw();
    let added = ledger_core::ledger::Added {
        pos: 9,
        body: &raw,
        standing: Standing::Attested,
    };
    assert_eq!(
        log.ledger.apply(&[old], &[added]).unwrap(),
        Vec::<u64>::new()
    );
    assert_eq!(log.ledger.digest(), digest_of([&better]));
    assert_eq!(log.ledger.count_standing(Standing::Attested), 1);
    assert_eq!(log.ledger.count_standing(Standing::Hearsay), 0);
    for spec in [&weaker, &unproven, &better] {
        assert_eq!(
            log.ledger.meet(&spec.event(), spec.standing),
            Verdict::Known
        );
        log.add(spec);
        assert_eq!(log.ledger.digest(), digest_of([&better]));
    }
}

#[test]
fn an_attested_copy_that_its_authors_quota_would_drop_does_not_cost_the_weaker_one() {
    // Capacity 32: two attested lasting events an author.
    let newer = [
        first_seen(8, "ann", "bob").attested(),
        first_seen(9, "ann", "bob").attested(),
    ];
    let weaker = first_seen(1, "ann", "cyd");
    let log = Log::new(32)
        .with(&newer)
        .with(std::slice::from_ref(&weaker));
    assert!(log.holds(&weaker));
    let better = weaker.attested();
    assert_eq!(
        log.ledger.meet(&better.event(), Standing::Attested),
        Verdict::Known
    );
}

#[test]
fn hearsay_of_an_author_whose_attested_quota_is_full_is_not_sifted_out_before_it_is_judged() {
    let newer = [
        first_seen(8, "ann", "bob").attested(),
        first_seen(9, "ann", "bob").attested(),
    ];
    let log = Log::new(32).with(&newer);
    let hearsay = first_seen(1, "ann", "cyd").raw();
    let mut batch = ledger_core::batch::Batch::decode([&*hearsay], NOW, &[]);
    batch.sift(&log.ledger);
    assert_eq!(batch.verdicts().collect::<Vec<_>>(), [Verdict::Ok]);
    batch.verify(&ledger_core::verify::Keys::default());
    batch.sift(&log.ledger);
    assert_eq!(batch.verdicts().collect::<Vec<_>>(), [Verdict::Ok]);
    assert_eq!(batch.accepted().count(), 1);
}

#[test]
fn a_checkpoint_that_makes_its_own_room_is_not_refused_by_a_ledger_full_of_better_ones() {
    // Capacity 32, all attested and lasting and newer than the checkpoint to come; 21 of them are
    // restarts of one pair, which the checkpoint cuts to 20. Emitters differ for the quota.
    let mut specs: Vec<Spec> = (0..21)
        .map(|i| {
            restart(100 + i, "ann", "bob", i as u32)
                .by(&name(i as u64))
                .attested()
        })
        .collect();
    specs.extend((21..32).map(|i| first_seen(100 + i, &name(i as u64), "cyd").attested()));
    let mut log = Log::new(32).with(&specs);
    assert_eq!(log.ledger.len(), 32);
    let old = checkpoint(1, "bob").attested();
    assert_eq!(
        log.ledger.meet(&old.event(), Standing::Attested),
        Verdict::Ok
    );
    let (_, evicted) = log.add(&old);
    assert_eq!(evicted, [1]);
    assert!(log.holds(&old));
}

#[test]
fn only_an_attested_checkpoint_lets_go_of_restarts() {
    let restarts: Vec<Spec> = (1..=25)
        .map(|n| restart(n, "ann", "bob", n as u32))
        .collect();
    let mut log = Log::new(1000).with(&restarts);
    let mut unproven = checkpoint(50, "bob");
    unproven.standing = Standing::Unproven;
    log.commit(&[
        unproven,
        checkpoint(51, "bob"),
        checkpoint(52, "cyd").attested(),
    ]);
    assert_eq!(log.ledger.count_of(Service::Observation), 25);
    let (_, evicted) = log.add(&checkpoint(53, "bob").attested());
    assert_eq!(evicted, [1, 2, 3, 4, 5]);
}

#[test]
fn old_restarts_of_strangers_do_not_stall_a_full_ledger() {
    let mut log = Log::new(50);
    log.ledger.learn(["ann", "bob"]);
    log.commit(
        &(1..=50)
            .map(|n| restart(n, "xan", "yve", n as u32))
            .collect::<Vec<_>>(),
    );
    for ts in 100..400 {
        let (_, evicted) = log.add(&restart(ts, "ann", "bob", ts as u32));
        assert_eq!(evicted.len(), 1);
        assert_eq!(log.ledger.len(), 50);
        let (pos, evicted) = log.add(&ping(ts, "ann", "bob"));
        assert_eq!(
            evicted,
            [pos],
            "a ping goes before any restart, be it a stranger's"
        );
    }
    assert_eq!(log.ledger.authors(), [("ann", 50)]);
}

#[test]
fn events_leave_in_nara_s_order_strangers_first_and_attested_lasting_ones_at_the_very_end() {
    let of = |a: &str, b: &str, ts: i64| {
        vec![
            ping(ts, a, b),
            ping(ts + 1, a, b).attested(),
            seen(ts, a, b),
            seen(ts, a, b).by("q").attested(),
            tease(ts, a, b),
            tease(ts + 1, a, b).attested(),
            status(ts, a, b),
            hey_there(ts + 1, a).attested(),
        ]
    };
    let mut order = of("xan", "yve", 500);
    order[3].ts += 1;
    let mut known = of("ann", "bob", 100);
    known[3].ts += 1;
    order.extend(known);
    order.extend([
        first_seen(900, "xan", "yve"),
        restart(300, "ann", "bob", 1),
        checkpoint(301, "stranger"),
        checkpoint(302, "dan").attested(), // whose id nobody knows
        first_seen(50, "ann", "bob").attested(),
    ]);
    let mut log = Log::new(order.len());
    log.ledger.learn(["ann", "bob"]);
    let mut shuffled = order.clone();
    Draws(3).shuffle(&mut shuffled);
    log.commit(&shuffled);
    assert_eq!(log.ledger.len(), order.len());
    // Newer attested sightings, each by somebody else, push out one after the other.
    for (i, gone) in order.iter().enumerate() {
        assert!(log.holds(gone), "{gone:?} left before its time");
        log.add(&first_seen(10_000 + i as i64, &format!("other{i}"), "zed").attested());
        assert!(!log.holds(gone), "{gone:?} should have left now");
    }
}

/// Of 60,000 bytes and more.
fn large(spec: &Spec) -> Vec<u8> {
    let padding = format!(r#"{{"x":"{}","#, "x".repeat(60_000));
    String::from_utf8(spec.raw())
        .unwrap()
        .replacen('{', &padding, 1)
        .into_bytes()
}

#[test]
fn a_ledger_of_large_events_has_a_bound_in_bytes_and_forgets_in_the_same_order() {
    // Two KiB for each of 2,000 are less than what any ledger may hold.
    let (capacity, most) = (2_000, 64 << 20);
    let first = first_seen(1, "ann", "bob").attested();
    let specs: Vec<Spec> = (10..1_210).map(|ts| tease(ts, "ann", "bob")).collect();
    let bodies: Vec<Vec<u8>> = specs.iter().map(large).collect();
    let added: Vec<Added<'_>> = (2..)
        .zip(&bodies)
        .map(|(pos, body)| Added {
            pos,
            body,
            standing: Standing::Hearsay,
        })
        .collect();
    let mut log = Log::new(capacity).with(std::slice::from_ref(&first));
    log.ledger.learn(["ann", "bob"]);
    let evicted = log.ledger.apply(&[], &added).unwrap();
    let gone = evicted.len();
    assert_eq!(
        evicted,
        (2..2 + gone as u64).collect::<Vec<_>>(),
        "the oldest"
    );
    let bytes = |bodies: &[Vec<u8>]| bodies.iter().map(Vec::len).sum::<usize>();
    let held = bytes(&bodies[gone..]) + first.raw().len();
    assert!(held <= most && held + bodies[gone - 1].len() > most);
    assert!(log.holds(&first), "which outlasts them");
    let meet = |ts: i64| {
        let spec = tease(ts, "ann", "bob");
        log.ledger.meet(&decoded(&large(&spec)), spec.standing)
    };
    assert_eq!(meet(5), Verdict::BelowRetention);
    assert_eq!(meet(5_000), Verdict::Ok);
    let mut rebuild = Rebuild::new(Ledger::new(capacity, [7; 16]), 1);
    assert_eq!(rebuild.add(&added), evicted);
    assert_eq!(rebuild.finish().len(), added.len() - gone);
}

#[test]
fn removing_by_position_takes_out_that_event_and_frees_its_place() {
    let specs: Vec<Spec> = (1..=20).map(|ts| status(ts, "ann", "bob")).collect();
    let mut log = Log::new(1000).with(&specs);
    assert_eq!(
        log.ledger.apply(&[3, 4, 99], &[]).unwrap(),
        Vec::<u64>::new()
    );
    assert!(!log.holds(&specs[2]) && !log.holds(&specs[3]) && log.holds(&specs[4]));
    assert_eq!(log.ledger.len(), 18);
    let old = status(0x7f, "ann", "bob");
    assert_eq!(log.add(&old).1, Vec::<u64>::new());
    assert_eq!(
        log.ledger.recent(Some(1), &Filter::default()).events[0].id,
        old.id()
    );
}

#[test]
fn a_body_that_is_no_event_is_named_by_its_position() {
    let mut log = Log::new(10);
    let added = ledger_core::ledger::Added {
        pos: 77,
        body: b"{}",
        standing: Standing::Hearsay,
    };
    let error = log.ledger.apply(&[], &[added]).unwrap_err();
    assert_eq!(error.pos, 77);
    assert!(error.to_string().contains("position 77"), "{error}");
}

#[test]
fn unproven_events_are_found_by_whoever_would_prove_them() {
    let signer = Signer::new("ann");
    let raw = signer.seen(5, "bob");
    let mut log = Log::new(10);
    let added = ledger_core::ledger::Added {
        pos: 1,
        body: &raw,
        standing: Standing::Unproven,
    };
    log.ledger.apply(&[], &[added]).unwrap();
    let found = log.ledger.unproven(["ann", "bob"], []);
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].0, &*found[0].1), (1, &*raw));
    assert!(log.ledger.unproven(["bob"], []).is_empty());
    assert_eq!(log.ledger.all_unproven().len(), 1);
    log.ledger.apply(&[1], &[]).unwrap();
    assert!(log.ledger.unproven(["ann"], []).is_empty() && log.ledger.all_unproven().is_empty());
}
