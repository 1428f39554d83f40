//! A ledger rebuilt from its log at once is the one that took the log's entries one by one.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use ledger_core::event::{Id, Service};
use ledger_core::ledger::{Added, Filter, Ledger, Rebuild, SampleRequest};
use ledger_core::verify::Standing;

use support::*;

const HASH_KEY: [u8; 16] = [7; 16];

type Row = (u64, Vec<u8>, Standing);

/// Every kind, by known names and strangers, with ties of time; events that come twice, and damaged
/// ones. `names`: the fewer, the fuller the caps.
fn history(draws: &mut Draws, count: usize, names: u64) -> Vec<Row> {
    let row = |pos: usize| {
        let ts = NOW - draws.below(count as u64 / 2) as i64;
        let (a, b) = (name(draws.below(names)), name(draws.below(names)));
        let spec = match draws.below(12) {
            0 => ping(ts, &a, &b),
            1 | 2 => status(ts, &a, &b),
            3 | 4 => restart(ts, &a, &b, pos as u32),
            5 => first_seen(ts, &a, &b),
            6 => hey_there(ts, &a),
            7 => chau(ts, &a),
            8 => voted(ts, &b, draws.below(9) as i64, &[]),
            9 => seen(ts, &a, &b),
            _ => tease(ts, &a, &b).by(&a),
        };
        let mut body = spec.raw();
        if draws.below(20) == 0 {
            body.truncate(body.len() / 2);
        }
        let standing = Standing::from_code(draws.below(3) as u8).unwrap();
        (pos as u64 + 1, body, standing)
    };
    (0..count).map(row).collect()
}

fn added(rows: &[Row]) -> Vec<Added<'_>> {
    rows.iter()
        .map(|(pos, body, standing)| Added {
            pos: *pos,
            body,
            standing: *standing,
        })
        .collect()
}

fn empty(capacity: usize) -> Ledger {
    let mut ledger = Ledger::new(capacity, HASH_KEY);
    ledger.learn(
        (0..20)
            .step_by(2)
            .map(name)
            .collect::<Vec<_>>()
            .iter()
            .map(String::as_str),
    );
    ledger
}

/// One commit an entry; what is no event is left out.
fn one_by_one(ledger: &mut Ledger, rows: &[Row]) -> Vec<u64> {
    let take = |one: Added<'_>| ledger.apply(&[], &[one]).unwrap_or_default();
    added(rows).into_iter().flat_map(take).collect()
}

/// All that can be asked of a ledger.
#[derive(Debug, PartialEq)]
struct Answers {
    digest: [u8; 32],
    pages: Vec<Vec<Id>>,
    examined: Vec<usize>,
    counts: Vec<usize>,
    authors: Vec<(String, u32)>,
    unproven: Vec<Vec<u64>>,
}

fn answers(ledger: &Ledger) -> Answers {
    let request = SampleRequest {
        size: Some(50),
        seed: [5; 16],
        now_ns: NOW,
        responder: "n1",
        requester: "n2",
    };
    let mut found = vec![];
    let services = Service::ALL.map(|service| Filter::new(&[service.name().to_owned()], &[]));
    let subjects = (0..6).map(|i| Filter::new(&[], &[name(i)]));
    for filter in services
        .into_iter()
        .chain(subjects)
        .chain([Filter::default()])
    {
        found.push(ledger.page(None, None, &filter));
        found.push(ledger.recent(Some(5_000), &filter));
        found.push(ledger.sample(&request, &filter));
    }
    let positions = |bodies: Vec<(u64, _)>| bodies.into_iter().map(|(pos, _)| pos).collect();
    let standings = [Standing::Hearsay, Standing::Unproven, Standing::Attested];
    Answers {
        digest: ledger.digest(),
        pages: found.iter().map(ids).collect(),
        examined: found.iter().map(|selection| selection.examined).collect(),
        counts: Service::ALL
            .map(|service| ledger.count_of(service))
            .into_iter()
            .chain(standings.map(|standing| ledger.count_standing(standing)))
            .collect(),
        authors: ledger
            .authors()
            .into_iter()
            .map(|(author, count)| (author.to_owned(), count))
            .collect(),
        unproven: vec![
            positions(ledger.all_unproven()),
            positions(ledger.unproven(["n1", "n2", "n3"], [])),
        ],
    }
}

/// What both give back, also of what comes after.
fn compare(draws: &mut Draws, capacity: usize, names: u64) -> usize {
    let count = 3_000;
    let rows = history(draws, count, names);
    let mut expected = empty(capacity);
    let evicted = one_by_one(&mut expected, &rows);
    let mut rebuild = Rebuild::new(empty(capacity), 3);
    let page = 1 + draws.below(2 * count as u64) as usize;
    let found: Vec<u64> = rows
        .chunks(page)
        .flat_map(|rows| rebuild.add(&added(rows)))
        .collect();
    assert_eq!(found, evicted, "in this order");
    let mut rebuilt = rebuild.finish();
    assert_eq!(answers(&rebuilt), answers(&expected));
    let more: Vec<Row> = history(draws, 300, names)
        .into_iter()
        .map(|(pos, body, standing)| (pos + count as u64, body, standing))
        .collect();
    for ledger in [&mut rebuilt, &mut expected] {
        let gone: Vec<u64> = (1..=count as u64).step_by(7).collect();
        ledger.apply(&gone, &[]).unwrap();
        ledger.learn([&*name(1), "n3"]);
    }
    assert_eq!(
        one_by_one(&mut rebuilt, &more),
        one_by_one(&mut expected, &more)
    );
    assert_eq!(answers(&rebuilt), answers(&expected));
    evicted.len()
}

#[test]
fn a_ledger_rebuilt_at_once_is_the_one_that_took_its_log_entry_by_entry() {
    let mut draws = Draws(11);
    let mut evictions = vec![];
    for _ in 0..4 {
        for (capacity, names) in [(10_000, 200), (10_000, 4), (2_700, 60), (500, 60), (1, 5)] {
            evictions.push(compare(&mut draws, capacity, names));
        }
    }
    // Some had room for all, some forgot a few on the way, some forgot nearly all.
    assert!(evictions.iter().any(|count| *count < 10));
    assert!(evictions.iter().any(|count| (10..500).contains(count)));
    assert!(evictions.iter().any(|count| *count > 2_000));
}

#[test]
fn a_ledger_that_is_taken_leaves_an_empty_one_of_its_size() {
    let mut draws = Draws(3);
    let rows = history(&mut draws, 200, 9);
    let mut ledger = empty(150);
    one_by_one(&mut ledger, &rows);
    let before = answers(&ledger);
    let taken = ledger.take();
    assert_eq!(answers(&taken), before);
    assert!(ledger.is_empty() && ledger.capacity() == 150);
}

#[test]
fn a_ledger_goes_on_from_what_it_held_before_it_was_rebuilt() {
    let mut draws = Draws(4);
    let rows = history(&mut draws, 2_000, 30);
    let mut expected = empty(1_500);
    let evicted = one_by_one(&mut expected, &rows);
    let mut before = empty(1_500);
    let mut found = one_by_one(&mut before, &rows[..900]);
    let mut rebuild = Rebuild::new(before, 2);
    found.extend(rebuild.add(&added(&rows[900..])));
    assert_eq!(found, evicted);
    assert_eq!(answers(&rebuild.finish()), answers(&expected));
}
