//! Pages that lose and repeat nothing, filters that mean the same in every mode, and what an
//! answer costs.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::collections::BTreeSet;

use ledger_core::event::Id;
use ledger_core::ledger::{Cursor, Filter, Ledger, Legacy, SampleRequest};
use proptest::prelude::*;

use support::*;

fn any_spec() -> impl Strategy<Value = Spec> {
    (1..12_i64, 0..8_u8, 0..4_u64, 0..4_u64, 0..50_u32).prop_map(|(ts, kind, a, b, number)| {
        let (a, b) = (name(a), name(b));
        match kind {
            0 => ping(ts, &a, &b),
            1 => status(ts, &a, &b),
            2 => restart(ts, &a, &b, number),
            3 => hey_there(ts, &a),
            4 => chau(ts, &a),
            5 => checkpoint(ts, &b),
            6 => seen(ts, &a, &b),
            _ => tease(ts, &a, &b).by("n3"),
        }
    })
}

fn any_filter() -> impl Strategy<Value = (Vec<String>, Vec<String>)> {
    let service = prop::sample::select(vec![
        "social",
        "ping",
        "observation",
        "hey-there",
        "chau",
        "seen",
        "checkpoint",
        "barrio",
        "hey_there",
    ]);
    let subject = prop::sample::select(vec!["n0", "n1", "n2", "n3", "stranger", ""]);
    (
        prop::collection::vec(service.prop_map(str::to_owned), 0..4),
        prop::collection::vec(subject.prop_map(str::to_owned), 0..4),
    )
}

/// Follow `next_cursor` as text, as a client does that knows nothing of its inside.
fn walk(ledger: &Ledger, size: i64, filter: &Filter) -> Vec<Id> {
    let mut all = Vec::new();
    let mut cursor: Option<String> = None;
    loop {
        let parsed = cursor
            .as_deref()
            .map(|text| text.parse::<Cursor>().unwrap());
        let page = ledger.page(parsed, Some(size), filter);
        assert!(
            !page.events.is_empty() || cursor.is_none(),
            "an empty page was announced"
        );
        all.extend(ids(&page));
        match page.next_cursor {
            Some(next) => cursor = Some(next.to_string()),
            None => return all,
        }
    }
}

/// Everything the ledger holds that a filter lets through, oldest first: by looking at all.
fn naive(log: &Log, specs: &[Spec], services: &[String], subjects: &[String]) -> Vec<(i64, Id)> {
    let passes = |spec: &&Spec| {
        let service = spec.service().name().to_owned();
        let names = [spec.actor().to_owned(), spec.target().to_owned()];
        (services.is_empty() || services.contains(&service))
            && (subjects.is_empty()
                || names
                    .iter()
                    .any(|name| !name.is_empty() && subjects.contains(name)))
    };
    let held = specs.iter().filter(|spec| log.holds(spec)).filter(passes);
    let keys: BTreeSet<(i64, Id)> = held.map(|spec| (spec.ts, spec.id())).collect();
    keys.into_iter().collect()
}

fn ids_of(keys: &[(i64, Id)]) -> Vec<Id> {
    keys.iter().map(|(_, id)| *id).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_walk_returns_each_event_once_and_in_order_whatever_the_page_size_ties_and_filter(
        specs in prop::collection::vec(any_spec(), 0..200),
        (services, subjects) in any_filter(),
        size in 1..40_i64,
    ) {
        let specs = distinct(specs);
        let log = Log::new(10_000).with(&specs);
        let filter = Filter::new(&services, &subjects);
        let expected = ids_of(&naive(&log, &specs, &services, &subjects));
        for size in [1, size, 5_000] {
            prop_assert_eq!(&walk(&log.ledger, size, &filter), &expected);
        }
        let open = naive(&log, &specs, &[], &[]);
        prop_assert_eq!(walk(&log.ledger, size, &Filter::default()), ids_of(&open));
    }

    #[test]
    fn filters_mean_the_same_in_every_mode(
        specs in prop::collection::vec(any_spec(), 0..150),
        (services, subjects) in any_filter(),
        since in 0..12_i64,
        (index, total) in (-1..6_i64, -1..5_i64),
        most in 1..60_i64,
    ) {
        let specs = distinct(specs);
        let log = Log::new(10_000).with(&specs);
        let filter = Filter::new(&services, &subjects);
        let expected = naive(&log, &specs, &services, &subjects);

        let after = Cursor { ts: since, id: None };
        let later: Vec<(i64, Id)> = expected.iter().copied().filter(|(ts, _)| *ts > since).collect();
        let page = log.ledger.page(Some(after), Some(most), &filter);
        let cut = later.len().min(most as usize);
        prop_assert_eq!(ids(&page), ids_of(&later[..cut]));

        let mut newest = ids_of(&expected);
        newest.reverse();
        newest.truncate(most as usize);
        prop_assert_eq!(ids(&log.ledger.recent(Some(most), &filter)), newest);

        let request = SampleRequest {
            size: None, seed: [9; 16], now_ns: NOW, responder: "n0", requester: "n1",
        };
        prop_assert_eq!(ids(&log.ledger.sample(&request, &filter)), ids_of(&expected));
        let few = SampleRequest { size: Some(most), ..request };
        let few = ids(&log.ledger.sample(&few, &filter));
        prop_assert_eq!(few.len(), expected.len().min(most as usize));
        let places: Vec<_> = few.iter().map(|id| expected.iter().position(|(_, e)| e == id)).collect();
        prop_assert!(places.iter().all(Option::is_some) && places.is_sorted());
        prop_assert!(places.windows(2).all(|two| two[0] != two[1]));

        let from = if since > 0 { later } else { expected };
        let total = total.max(1) as usize;
        let index = usize::try_from(index).ok().filter(|i| *i < total).unwrap_or(0);
        let mut slice: Vec<Id> = ids_of(&from).into_iter().skip(index).step_by(total).collect();
        slice.drain(..slice.len().saturating_sub(most as usize));
        let request = Legacy {
            since_ns: since, slice_index: index as i64, slice_total: total as i64, max_events: most,
        };
        prop_assert_eq!(ids(&log.ledger.legacy(request, &filter)), slice);
    }

    #[test]
    fn the_cursor_is_decimal_unless_events_of_that_time_remain(
        specs in prop::collection::vec(any_spec(), 1..150),
        size in 1..30_i64,
    ) {
        let specs = distinct(specs);
        let log = Log::new(10_000).with(&specs);
        let all = naive(&log, &specs, &[], &[]);
        let mut served = 0;
        let mut cursor = None;
        while served < all.len() {
            let page = log.ledger.page(cursor, Some(size), &Filter::default());
            served += page.events.len();
            cursor = page.next_cursor;
            let (ts, id) = all[served - 1];
            let expected = all.get(served).map(|(next, _)| match *next == ts {
                true => format!("{ts}.{}", hex(&id)),
                false => ts.to_string(),
            });
            prop_assert_eq!(cursor.map(|cursor| cursor.to_string()), expected);
        }
        prop_assert_eq!(cursor, None);
    }
}

#[test]
fn ten_thousand_events_of_one_time_are_walked_by_pages_that_end_among_them() {
    let mut specs: Vec<Spec> = (0..10_000).map(|i| tease(500, &name(i), "bob")).collect();
    specs.extend((0..20).map(|i| tease(490 + i, "ann", "cyd")));
    let log = Log::new(20_000).with(&specs);
    let expected = ids_of(&naive(&log, &specs, &[], &[]));
    assert_eq!(expected.len(), 10_020);
    for size in [1, 7, 4_999, 5_000] {
        assert_eq!(
            walk(&log.ledger, size, &Filter::default()),
            expected,
            "pages of {size}"
        );
    }
    // Inside the tie the cursor carries the id, and the next page starts at the very next event.
    let page = log.ledger.page(None, None, &Filter::default());
    let cursor = page.next_cursor.unwrap();
    assert_eq!((page.events.len(), cursor.ts), (5_000, 500));
    assert_eq!(cursor.id, Some(expected[4_999]));
    // A plain cursor keeps its meaning: after all of that time.
    let plain = Cursor { ts: 500, id: None };
    let after = log.ledger.page(Some(plain), None, &Filter::default());
    assert_eq!(ids(&after), expected[10_011..]);
}

#[test]
fn events_that_come_in_during_a_walk_neither_repeat_nor_hide_others() {
    let old: Vec<Spec> = (0..40)
        .map(|i| tease(i / 10 + 1, &name(i as u64), "bob"))
        .collect();
    let mut log = Log::new(1_000).with(&old);
    let first = log.ledger.page(None, Some(15), &Filter::default());
    log.commit(
        &(0..40)
            .map(|i| tease(i / 10 + 1, &name(i as u64), "cyd"))
            .collect::<Vec<_>>(),
    );
    let mut all = ids(&first);
    let mut cursor = first.next_cursor;
    while let Some(at) = cursor {
        let page = log.ledger.page(Some(at), Some(15), &Filter::default());
        all.extend(ids(&page));
        cursor = page.next_cursor;
    }
    let distinct: BTreeSet<Id> = all.iter().copied().collect();
    assert_eq!(distinct.len(), all.len());
    assert!(old.iter().all(|spec| distinct.contains(&spec.id())));
}

#[test]
fn a_cursor_goes_on_although_the_event_it_names_is_gone() {
    let specs: Vec<Spec> = (0..30).map(|i| tease(5, &name(i), "bob")).collect();
    let mut log = Log::new(100).with(&specs);
    let all = ids_of(&naive(&log, &specs, &[], &[]));
    let page = log.ledger.page(None, Some(10), &Filter::default());
    let gone = specs.iter().position(|spec| spec.id() == all[9]).unwrap() as u64 + 1;
    log.ledger.apply(&[gone], &[]).unwrap();
    let rest = log.ledger.page(page.next_cursor, None, &Filter::default());
    assert_eq!(ids(&rest), all[10..]);
}

#[test]
fn a_page_size_that_is_none_means_five_thousand() {
    let log = Log::new(10_000).with(
        &(0..5_500)
            .map(|i| tease(i + 1, "ann", "bob"))
            .collect::<Vec<_>>(),
    );
    for size in [None, Some(0), Some(-3), Some(5_001), Some(i64::MAX)] {
        assert_eq!(
            log.ledger.page(None, size, &Filter::default()).events.len(),
            5_000
        );
    }
}

#[test]
fn a_filtered_answer_examines_what_it_returns_and_a_constant_more() {
    let mut specs = Vec::new();
    for i in 0..20_000_i64 {
        specs.push(tease(10 + i, &name(i as u64 % 50), &name(i as u64 % 49)));
    }
    for i in 0..30 {
        specs.push(seen(10 + i * 600, "rare", "other"));
        specs.push(seen(11 + i * 600, "other", "rare"));
    }
    let log = Log::new(50_000).with(&specs);
    let text = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>();
    let filters = [
        (Filter::new(&text(&["seen"]), &[]), 1),
        (Filter::new(&[], &text(&["rare"])), 7),
        (Filter::new(&text(&["seen", "ping"]), &text(&["rare"])), 2),
        (
            Filter::new(&text(&["seen"]), &text(&["rare", "stranger"])),
            2,
        ),
        (Filter::new(&text(&["checkpoint"]), &[]), 1),
        (Filter::new(&text(&["no such service"]), &[]), 0),
        (Filter::new(&[], &text(&["stranger"])), 0),
    ];
    for (filter, lists) in &filters {
        for size in [1, 10, 60, 5_000] {
            let page = log.ledger.page(None, Some(size), filter);
            let recent = log.ledger.recent(Some(size), filter);
            for found in [page, recent] {
                let bound = found.events.len() + lists + 1;
                assert!(
                    found.examined <= bound,
                    "{} for {filter:?} of {size}",
                    found.examined
                );
            }
        }
        let request = SampleRequest {
            size: None,
            seed: [1; 16],
            now_ns: NOW,
            responder: "",
            requester: "",
        };
        assert!(log.ledger.sample(&request, filter).examined <= 60);
    }
    // An event of two subjects stands in two lists: it may be looked at twice, no oftener.
    let both = Filter::new(&[], &text(&["rare", "other"]));
    let page = log.ledger.page(None, Some(10), &both);
    assert_eq!(page.events.len(), 10);
    assert!(page.examined <= 2 * 10 + 4, "{}", page.examined);
}
