//! nara's own tests, as far as they fit a ledger that repairs nara's defects. Each names the test
//! that it follows.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use ledger_core::Cutoff;
use ledger_core::event::{self, Id, Service};
use ledger_core::ledger::{Cursor, Filter, Legacy, SampleRequest, Selection};
use ledger_core::verdict::Verdict;
use ledger_core::verify::Standing;

use support::*;

fn only(services: &[&str]) -> Filter {
    let services: Vec<String> = services.iter().map(|s| (*s).to_owned()).collect();
    Filter::new(&services, &[])
}

fn ids_of(specs: &[Spec]) -> Vec<Id> {
    specs.iter().map(Spec::id).collect()
}

fn sample(log: &Log, size: i64, responder: &str, filter: &Filter, seed: u8) -> Selection {
    let request = SampleRequest {
        size: Some(size),
        seed: [seed; 16],
        now_ns: NOW,
        responder,
        requester: "nobody",
    };
    log.ledger.sample(&request, filter)
}

/// `TestSyncLedger_AddAndDedup`, `TestSyncLedger_MergeEvents`
#[test]
fn an_event_is_taken_once_and_a_second_merge_takes_none() {
    let specs: Vec<Spec> = (1..=3).map(|ts| tease(ts, "ann", "bob")).collect();
    let mut log = Log::new(100).with(&specs);
    assert_eq!(log.ledger.len(), 3);
    assert!(specs.iter().all(|spec| log.holds(spec)));
    log.commit(&specs);
    assert_eq!(log.ledger.len(), 3);
}

/// `TestSyncLedger_InterleavedSlicing`
#[test]
fn three_slices_of_nine_events_are_disjoint_and_complete() {
    let specs: Vec<Spec> = (1..=9).map(|ts| tease(ts, "ann", "bob")).collect();
    let log = Log::new(100).with(&specs);
    for slice in 0..3 {
        let request = Legacy {
            slice_index: slice,
            slice_total: 3,
            ..Legacy::default()
        };
        let expected: Vec<Id> = ids_of(&specs)
            .into_iter()
            .skip(slice as usize)
            .step_by(3)
            .collect();
        assert_eq!(
            ids(&log.ledger.legacy(request, &Filter::default())),
            expected
        );
    }
}

/// Legacy requests out of range, as nara reads them (`facts`, 3.6)
#[test]
fn a_slice_out_of_range_is_the_first_and_sizes_out_of_range_are_the_most() {
    let specs: Vec<Spec> = (1..=9).map(|ts| tease(ts, "ann", "bob")).collect();
    let log = Log::new(100).with(&specs);
    let ask = |slice_index, slice_total, max_events| {
        let request = Legacy {
            since_ns: 0,
            slice_index,
            slice_total,
            max_events,
        };
        ids(&log.ledger.legacy(request, &Filter::default()))
    };
    let all = ids_of(&specs);
    let first: Vec<Id> = all.iter().copied().step_by(3).collect();
    for index in [-1, 0, 3, i64::MAX, i64::MIN] {
        assert_eq!(ask(index, 3, 0), first);
    }
    for total in [-1, 0, 1, i64::MIN] {
        assert_eq!(ask(5, total, 6000), all);
    }
    assert_eq!(ask(0, i64::MAX, -1), all[..1]);
    assert_eq!(ask(0, 1, 4), all[5..]);
}

/// `TestSyncLedger_SinceTimeFilter`
#[test]
fn since_is_strictly_later() {
    let specs: Vec<Spec> = (1..=9).map(|ts| tease(ts * 100, "ann", "bob")).collect();
    let log = Log::new(100).with(&specs);
    let since = |since_ns| {
        let request = Legacy {
            since_ns,
            ..Legacy::default()
        };
        ids(&log.ledger.legacy(request, &Filter::default()))
    };
    assert_eq!(since(500), ids_of(&specs[5..]));
    assert_eq!(since(499), ids_of(&specs[4..]));
    assert_eq!(since(0), ids_of(&specs));
    assert_eq!(since(-7), ids_of(&specs));
    assert!(since(i64::MAX).is_empty());
}

/// `TestSyncLedger_MaxEventsLimit`, `TestSyncLedger_LegacyMode`
#[test]
fn legacy_keeps_the_newest_and_serves_them_oldest_first() {
    let specs: Vec<Spec> = (1..=20).map(|ts| tease(ts, "ann", "bob")).collect();
    let log = Log::new(100).with(&specs);
    let request = Legacy {
        max_events: 5,
        ..Legacy::default()
    };
    let found = log.ledger.legacy(request, &Filter::default());
    assert_eq!(ids(&found), ids_of(&specs[15..]));
    assert_eq!(found.next_cursor, None);
}

/// `TestSyncLedger_PageMode`: nara sets a cursor on the third page and answers a fourth, empty one;
/// here the third says that it is the last.
#[test]
fn fifteen_events_are_three_pages_of_five() {
    let specs: Vec<Spec> = (1..=15).map(|ts| tease(ts, "ann", "bob")).collect();
    let log = Log::new(100).with(&specs);
    let mut cursor = None;
    for (i, expected) in specs.chunks(5).enumerate() {
        let page = log.ledger.page(cursor, Some(5), &Filter::default());
        assert_eq!(ids(&page), ids_of(expected));
        cursor = page.next_cursor;
        let last = expected[4].ts;
        assert_eq!(cursor, (i < 2).then_some(Cursor { ts: last, id: None }));
    }
    let beyond = Cursor { ts: 15, id: None };
    let fourth = log.ledger.page(Some(beyond), Some(5), &Filter::default());
    assert!(fourth.events.is_empty() && fourth.next_cursor.is_none());
}

/// `TestSyncLedger_PageMode_WithFilters`, `TestSyncLedger_PageMode_EmptyLedger`
#[test]
fn a_page_filters_by_service_and_an_empty_ledger_answers_an_empty_one() {
    let empty = Log::new(10).ledger.page(None, Some(5), &Filter::default());
    assert!(empty.events.is_empty() && empty.next_cursor.is_none());
    let mut specs: Vec<Spec> = (1..=5).map(|ts| ping(ts, "ann", "bob")).collect();
    specs.extend((1..=5).map(|ts| tease(ts, "ann", "bob")));
    let log = Log::new(100).with(&specs);
    let page = log.ledger.page(None, Some(10), &only(&["ping"]));
    assert_eq!(ids(&page), ids_of(&specs[..5]));
}

/// `TestSyncLedger_RecentMode`, `_WithFilters`, `_EmptyLedger`
#[test]
fn recent_is_newest_first_and_gives_what_there_is() {
    let mut specs: Vec<Spec> = (1..=150).map(|ts| tease(ts, "ann", "bob")).collect();
    specs.push(seen(7, "ann", "bob"));
    let log = Log::new(1000).with(&specs);
    let mut newest = ids_of(&specs[..150]);
    newest.reverse();
    let recent = |limit| log.ledger.recent(limit, &only(&["social"]));
    assert_eq!(ids(&recent(Some(10))), newest[..10]);
    for limit in [None, Some(0), Some(-1), Some(100)] {
        assert_eq!(ids(&recent(limit)), newest[..100], "{limit:?}");
    }
    for limit in [150, 151, 5_000, 6_000, i64::MAX] {
        assert_eq!(ids(&recent(Some(limit))), newest, "{limit}");
    }
    assert_eq!(recent(Some(10)).next_cursor, None);
    assert_eq!(
        ids(&log.ledger.recent(Some(9), &only(&["seen"]))),
        [specs[150].id()]
    );
    assert!(
        Log::new(9)
            .ledger
            .recent(None, &Filter::default())
            .events
            .is_empty()
    );
}

/// `TestSyncLedger_AddSignedPingObservationWithReplace`, `_MergeEvents_PingRetention`
#[test]
fn the_newest_five_pings_of_a_target_are_kept_across_observers() {
    let specs: Vec<Spec> = (1..=12)
        .map(|ts| ping(ts, &name(ts as u64 % 3), "bob"))
        .collect();
    let log = Log::new(100).with(&specs).with(&[ping(1, "ann", "cyd")]);
    assert_eq!(log.ledger.count_of(Service::Ping), 6);
    assert!(specs[7..].iter().all(|spec| log.holds(spec)));
    let old = ping(2, "other", "bob");
    assert_eq!(
        log.ledger.meet(&old.event(), Standing::Hearsay),
        Verdict::BelowRetention
    );
}

/// `TestSyncLedger_Prune`, `_PrunePriority`: five critical ones survive of 25 at most 10.
#[test]
fn what_lasts_survives_pruning() {
    let mut specs: Vec<Spec> = (1..=5)
        .map(|n| restart(n, "ann", "bob", n as u32))
        .collect();
    specs.extend((100..120).map(|ts| tease(ts, "ann", "bob")));
    let log = Log::new(10).with(&specs);
    assert_eq!(log.ledger.len(), 10);
    assert!(specs[..5].iter().all(|spec| log.holds(spec)));
    assert!(
        specs[20..].iter().all(|spec| log.holds(spec)),
        "the newest of the rest"
    );
}

/// `TestSyncLedger_PrunePriority_UnknownNarasFirst`
#[test]
fn events_that_name_strangers_are_pruned_first() {
    let mut log = Log::new(5);
    log.ledger.learn(["ann", "bob", "cyd", "dan"]);
    let known = [
        ping(1, "ann", "bob"),
        ping(2, "ann", "cyd"),
        ping(3, "ann", "dan"),
    ];
    let unknown = [
        ping(10, "x1", "y1"),
        ping(11, "x2", "y2"),
        ping(12, "x3", "y3"),
    ];
    log.commit(&known);
    log.commit(&unknown);
    assert!(known.iter().all(|spec| log.holds(spec)));
    let held: Vec<bool> = unknown.iter().map(|spec| log.holds(spec)).collect();
    assert_eq!(held, [false, true, true]);
}

/// observation_compaction_test.go: 20 a pair, the oldest goes, pairs are independent.
#[test]
fn a_pair_keeps_its_newest_twenty_status_changes_and_leaves_other_pairs_alone() {
    let specs: Vec<Spec> = (1..=30).map(|ts| status(ts, "ann", "bob")).collect();
    let others: Vec<Spec> = (1..=20).map(|ts| status(ts, "bob", "ann")).collect();
    let log = Log::new(1000).with(&others).with(&specs);
    assert_eq!(log.ledger.len(), 40);
    assert!(
        specs[10..]
            .iter()
            .chain(&others)
            .all(|spec| log.holds(spec))
    );
}

/// checkpoint_test.go: `_RestartEventsPreservedWithoutCheckpoint`, `_RestartEventsPrunedAfterCheckpoint`
#[test]
fn restarts_are_held_without_a_checkpoint_and_cut_to_twenty_with_one() {
    let restarts: Vec<Spec> = (1..=25)
        .map(|n| restart(n, "ann", "bob", n as u32))
        .collect();
    let mut log = Log::new(1000).with(&restarts);
    assert_eq!(log.ledger.len(), 25);
    log.add(&checkpoint(50, "bob").attested());
    assert_eq!(log.ledger.count_of(Service::Observation), 20);
    assert!(restarts[5..].iter().all(|spec| log.holds(spec)));
    log.add(&restart(60, "ann", "bob", 60));
    assert_eq!(log.ledger.count_of(Service::Observation), 20);
    assert!(!log.holds(&restarts[5]));
}

/// checkpoint_test.go: `_StatusChangeEventsPrunedFirst`
#[test]
fn of_a_pair_status_changes_go_before_restarts() {
    let mut specs: Vec<Spec> = (1..=15)
        .map(|n| restart(n, "ann", "bob", n as u32))
        .collect();
    specs.extend((100..115).map(|ts| status(ts, "ann", "bob")));
    let log = Log::new(1000).with(&specs);
    assert!(
        specs[..15]
            .iter()
            .chain(&specs[25..])
            .all(|spec| log.holds(spec))
    );
    assert_eq!(log.ledger.len(), 20);
}

/// checkpoint_test.go: `_NeverPruned`, `_OnlyOnePerSubject` (both stay stored)
#[test]
fn checkpoints_outlive_a_hundred_pings() {
    let mut log = Log::new(50).with(&[checkpoint(1, "bob"), checkpoint(2, "bob").attested()]);
    log.commit(
        &(0..100)
            .map(|i| ping(100 + i, "ann", &name(i as u64)))
            .collect::<Vec<_>>(),
    );
    assert_eq!(log.ledger.len(), 50);
    assert_eq!(log.ledger.count_of(Service::Checkpoint), 2);
}

/// sync_checkpoint_filter_test.go
#[test]
fn checkpoints_about_r2d2_are_dropped_up_to_the_cutoff_and_nobody_elses_are() {
    let cutoffs = [Cutoff {
        subject: "r2d2".into(),
        until: 1_768_774_453,
    }];
    let of = |subject: &str, as_of: i64| {
        let raw = checkpoint(as_of * 1_000_000_000, subject).raw();
        let decoded = event::decode(&raw, NOW, &cutoffs);
        decoded.err().unwrap_or(Verdict::Ok)
    };
    assert_eq!(
        verdict_of(&checkpoint(1, "r2d2").raw()),
        Verdict::Ok,
        "without a rule"
    );
    assert_eq!(of("r2d2", 1_768_774_452), Verdict::Cutoff);
    assert_eq!(of("r2d2", 1_768_774_453), Verdict::Cutoff);
    assert_eq!(of("r2d2", 1_768_774_454), Verdict::Ok);
    assert_eq!(of("R2D2", 1_768_774_453), Verdict::Ok);
    assert_eq!(of("bob", 1), Verdict::Ok);
}

/// `TestSyncLedger_SampleMode`
#[test]
fn a_sample_of_twenty_prefers_recent_events() {
    let mut specs: Vec<Spec> = (0..50)
        .map(|i| tease(NOW - i * DAY / 24, "ann", "bob"))
        .collect();
    specs.extend((0..50).map(|i| tease(NOW - (120 + i) * DAY, "ann", "bob")));
    let log = Log::new(1000).with(&specs);
    for seed in 0..20 {
        let found = sample(&log, 20, "me", &Filter::default(), seed);
        assert_eq!(found.events.len(), 20);
        let is_recent = |id: &Id| specs[..50].iter().any(|spec| spec.id() == *id);
        assert!(ids(&found).iter().filter(|id| is_recent(id)).count() >= 10);
    }
}

/// `TestSyncLedger_SampleMode_CriticalEvents`: a checkpoint, a hey-there and a restart are always
/// among 5 of 100, however old.
#[test]
fn the_critical_ones_are_always_among_five_of_a_hundred() {
    let critical = [
        checkpoint(NOW - 900 * DAY, "bob"),
        hey_there(NOW - 800 * DAY, "ann"),
        restart(NOW - 700 * DAY, "ann", "bob", 1),
    ];
    let mut specs: Vec<Spec> = (0..97).map(|i| tease(NOW - i, "ann", "bob")).collect();
    specs.extend(critical.clone());
    let log = Log::new(1000).with(&specs);
    for seed in 0..50 {
        let found = ids(&sample(&log, 5, "me", &Filter::default(), seed));
        assert_eq!(found.len(), 5);
        assert!(critical.iter().all(|spec| found.contains(&spec.id())));
    }
}

/// `TestSyncLedger_SampleMode_SelfRelevance`, `_WithFilters`
#[test]
fn a_sample_favours_its_responder_and_keeps_to_its_filter() {
    let mut specs: Vec<Spec> = (0..500).map(|i| tease(NOW - i, "ann", "bob")).collect();
    specs.extend((0..500).map(|i| tease(NOW - i, "me", "bob")));
    specs.extend((0..500).map(|i| seen(NOW - i, "me", "bob")));
    let log = Log::new(2000).with(&specs);
    let mut own = 0;
    for seed in 0..20 {
        let found = sample(&log, 100, "me", &only(&["social"]), seed);
        assert_eq!(found.events.len(), 100);
        let about = |id: &Id| specs.iter().find(|spec| spec.id() == *id).unwrap();
        let found: Vec<&Spec> = ids(&found).iter().map(about).collect();
        assert!(found.iter().all(|spec| spec.service() == Service::Social));
        own += found.iter().filter(|spec| spec.actor() == "me").count();
    }
    // Twice the weight: about two thirds of 2,000, less the depletion of so deep a sample.
    assert!((1_180..=1_440).contains(&own), "{own}");
}
