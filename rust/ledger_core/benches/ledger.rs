//! What the ledger's operations cost at 80,000 and 800,000 events. The events are made here, in
//! the mix of a real history; the yardsticks of other machines are in `benches/run.py`.
#![allow(missing_docs)]

#[path = "../tests/support/mod.rs"]
mod support;

use std::hint::black_box;
use std::time::Duration;

use criterion::{BatchSize, BenchmarkId, Criterion, criterion_group, criterion_main};
use ledger_core::batch::Batch;
use ledger_core::ledger::{Added, Cursor, Filter, Ledger, SampleRequest};
use ledger_core::verify::{Keys, Standing};

use support::*;

const SIZES: [usize; 2] = [80_000, 800_000];
/// As in the real history: 50 emitters at 80,000 events, and more with the root of the length.
fn emitters(count: usize) -> u64 {
    (50.0 * (count as f64 / 80_000.0).sqrt()) as u64
}

/// Seen and social mostly, a tenth observations, a few of what lasts; more of it young than old.
fn history(count: usize) -> Vec<Spec> {
    let mut draws = Draws(count as u64);
    let who = emitters(count);
    let one = |i: usize| {
        let age = (draws.below(1 << 30) as f64 / (1_u64 << 30) as f64).powi(2) * 120.0;
        let ts = NOW - (age * DAY as f64) as i64 - (i % 1_000) as i64;
        let (a, b) = (name(draws.below(who)), name(draws.below(who)));
        match draws.below(200) {
            0..40 => seen(ts, &a, &b).by(&a).attested(),
            40..55 => status(ts, &a, &b),
            55..60 => restart(ts, &a, &b, i as u32),
            60..61 => first_seen(ts, &a, &b),
            61..63 => hey_there(ts, &a).attested(),
            63..64 => checkpoint(ts, &b).attested(),
            _ => tease(ts, &a, &b).by(&a).attested(),
        }
    };
    (0..count).map(one).collect()
}

/// A ledger of `count` events, full, and every name known.
fn full_ledger(count: usize) -> Log {
    let mut log = Log::new(count);
    let names: Vec<String> = (0..emitters(count)).map(name).collect();
    log.ledger.learn(names.iter().map(String::as_str));
    // A few more than fit, since pairs at their cap drop some.
    let mut more = count + count / 2;
    while log.ledger.len() < count {
        for specs in history(more).chunks(10_000) {
            log.commit(specs);
        }
        more += count;
    }
    log
}

fn request(draws: &mut Draws) -> SampleRequest<'static> {
    SampleRequest {
        size: Some(5_000),
        seed: draws.sixteen(),
        now_ns: NOW,
        responder: "n1",
        requester: "n2",
    }
}

fn queries(c: &mut Criterion, count: usize, ledger: &Ledger) {
    let mut group = c.benchmark_group("query");
    let text = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>();
    let filter = Filter::new(&text(&["observation"]), &text(&["n3"]));
    let open = Filter::default();
    let mut draws = Draws(1);
    group.bench_function(BenchmarkId::new("sample 5,000", count), |b| {
        b.iter(|| ledger.sample(&request(&mut draws), &open));
    });
    let middle = Cursor {
        ts: NOW - 10 * DAY,
        id: None,
    };
    group.bench_function(BenchmarkId::new("page 5,000", count), |b| {
        b.iter(|| ledger.page(Some(middle), Some(5_000), &open));
    });
    group.bench_function(BenchmarkId::new("recent 100", count), |b| {
        b.iter(|| ledger.recent(Some(100), &open));
    });
    group.bench_function(
        BenchmarkId::new("page 500 of one name's observations", count),
        |b| {
            b.iter(|| ledger.page(None, Some(500), &filter));
        },
    );
    let sample = ledger.sample(&request(&mut draws), &open);
    group.bench_function(BenchmarkId::new("digest of 5,000", count), |b| {
        b.iter(|| sample.digest("n1", 5));
    });
    group.bench_function(BenchmarkId::new("encode 5,000", count), |b| {
        b.iter(|| sample.encode("n1", 5, "c2ln"));
    });
    group.bench_function(BenchmarkId::new("encode 5,000 as msgpack", count), |b| {
        b.iter(|| sample.encode_msgpack("n1", 5, "c2ln"));
    });
    group
        .sample_size(10)
        .bench_function(BenchmarkId::new("digest of the ledger", count), |b| {
            b.iter(|| ledger.digest());
        });
    group.finish();
}

type Maker = fn(i64) -> Spec;

/// One event of each kind into the full ledger, which has to forget one for it.
fn adding(c: &mut Criterion, count: usize, log: &mut Log) {
    let mut group = c.benchmark_group("add one to a full ledger");
    let mut ts = NOW;
    let makers: [(&str, Maker); 9] = [
        ("social", |ts| tease(ts, "n1", "n2").by("n1").attested()),
        ("ping", |ts| ping(ts, "n1", "n2").by("n1").attested()),
        ("seen", |ts| seen(ts, "n1", "n2").by("n1").attested()),
        ("status-change", |ts| status(ts, "n1", "n2")),
        ("restart", |ts| restart(ts, "n1", "n2", ts as u32)),
        ("first-seen", |ts| first_seen(ts, "n1", "n2")),
        ("hey-there", |ts| hey_there(ts, "n1").attested()),
        ("chau", |ts| chau(ts, "n1").attested()),
        ("checkpoint", |ts| checkpoint(ts, "n2").attested()),
    ];
    for (kind, make) in makers {
        group.bench_function(BenchmarkId::new(kind, count), |b| {
            b.iter_batched(
                || {
                    ts += 1;
                    log.next += 1;
                    let spec = make(ts);
                    (log.next, spec.raw(), spec.standing)
                },
                |(pos, body, standing)| {
                    let added = Added {
                        pos,
                        body: &body,
                        standing,
                    };
                    black_box(log.ledger.apply(&[], &[added]))
                },
                BatchSize::SmallInput,
            );
        });
    }
    group.finish();
}

/// An answer of 5,000 signed events, as it comes from a peer; then into a full ledger.
fn incoming(c: &mut Criterion) {
    let signers: Vec<Signer> = (0..50).map(|i| Signer::new(&name(i))).collect();
    let mut keys = Keys::default();
    for signer in &signers {
        keys.put(&signer.name, vec![signer.public()], None);
    }
    let make = |i: i64| signers[i as usize % 50].seen(NOW + i, &name(i as u64 % 49));
    let raws: Vec<Vec<u8>> = (0..5_000).map(make).collect();
    let decode = || Batch::decode(raws.iter().map(Vec::as_slice), NOW, &[]);
    let mut group = c.benchmark_group("5,000 incoming");
    group.sample_size(20);
    group.bench_function("decode", |b| b.iter(decode));
    group.bench_function("verify", |b| {
        b.iter_batched(
            decode,
            |mut batch| batch.verify(&keys),
            BatchSize::LargeInput,
        );
    });
    let log = std::cell::RefCell::new(full_ledger(80_000));
    let mut next = 1 << 40;
    group.bench_function("decode, sift, verify, merge into 80,000", |b| {
        b.iter_batched(
            || {
                // What the last round put in goes out again: each round merges all 5,000.
                let gone: Vec<u64> = (next - 5_000..next).collect();
                next += 5_000;
                let _ = log.borrow_mut().ledger.apply(&gone, &[]);
                next - 5_000
            },
            |first| {
                let mut ledger = log.borrow_mut();
                let mut batch = decode();
                batch.sift(&ledger.ledger);
                batch.verify(&keys);
                let added: Vec<Added<'_>> = batch
                    .accepted()
                    .map(|one| Added {
                        pos: first + one.index as u64,
                        body: &one.event.raw,
                        standing: one.standing,
                    })
                    .collect();
                assert!(added.iter().all(|one| one.standing == Standing::Attested));
                black_box(ledger.ledger.apply(&[], &added))
            },
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

fn all(c: &mut Criterion) {
    incoming(c);
    for count in SIZES {
        let mut log = full_ledger(count);
        queries(c, count, &log.ledger);
        adding(c, count, &mut log);
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .without_plots();
    targets = all
}
criterion_main!(benches);
