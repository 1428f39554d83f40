//! Whatever bytes come: a verdict, never a panic; and what is taken can be served.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use ledger_core::event::{self, MAX_AHEAD_NS, MAX_BYTES};
use ledger_core::ledger::{Picked, Selection};
use ledger_core::verdict::Verdict;
use ledger_core::verify::{Keys, Standing, judge};
use proptest::prelude::*;

use support::*;

/// One event of each service and kind, as nara's own code wrote them.
const REAL: &str = include_str!("support/real.jsonl");

#[derive(Clone, Debug)]
enum Mutation {
    Flip(usize, u8),
    Cut(usize),
    Insert(usize, Vec<u8>),
    Repeat(usize, usize),
    Remove(usize, usize),
}

fn any_mutation() -> impl Strategy<Value = Mutation> {
    let token = prop::sample::select(vec![
        "{",
        "}",
        "[",
        "]",
        "\"",
        ":",
        ",",
        "null",
        "0",
        "-1",
        "1e999",
        "1.5",
        "\\ud800",
        "\\u0000",
        "\n",
        " ",
        "\u{feff}",
        "\"id\":1,",
        "\"ID\":\"x\",",
        "\"x\":{},",
        "9223372036854775808",
    ]);
    let token = token.prop_map(|token| token.as_bytes().to_vec());
    let bytes = prop_oneof![3 => token, 1 => prop::collection::vec(any::<u8>(), 1..6)];
    let at = 0..900_usize;
    prop_oneof![
        (at.clone(), any::<u8>()).prop_map(|(at, bits)| Mutation::Flip(at, bits)),
        at.clone().prop_map(Mutation::Cut),
        (at.clone(), bytes).prop_map(|(at, bytes)| Mutation::Insert(at, bytes)),
        (at.clone(), 1..200_usize).prop_map(|(at, n)| Mutation::Repeat(at, n)),
        (at, 1..60_usize).prop_map(|(at, n)| Mutation::Remove(at, n)),
    ]
}

fn mutate(raw: &mut Vec<u8>, mutation: &Mutation) {
    let len = raw.len();
    let part = |at: usize, n: usize| at.min(len)..(at + n).min(len);
    match mutation {
        Mutation::Flip(at, bits) => {
            if let Some(byte) = raw.get_mut(*at) {
                *byte ^= bits;
            }
        }
        Mutation::Cut(at) => raw.truncate(*at),
        Mutation::Insert(at, bytes) => {
            raw.splice(part(*at, 0), bytes.iter().copied());
        }
        Mutation::Repeat(at, n) => {
            let copy = raw[part(*at, *n)].to_vec();
            raw.splice(part(*at, 0), copy);
        }
        Mutation::Remove(at, n) => {
            raw.drain(part(*at, *n));
        }
    }
}

/// Decode; if it is taken it must survive being kept, judged and served.
fn try_out(raw: &[u8]) -> Verdict {
    let taken = match event::decode(raw, NOW, &[]) {
        Ok(event) => event,
        Err(verdict) => return verdict,
    };
    let again = decoded(&taken.raw);
    assert_eq!(again.raw, taken.raw);
    assert_eq!(
        (again.id, again.ts, again.service),
        (taken.id, taken.ts, taken.service)
    );
    assert_eq!((&again.actor, &again.target), (&taken.actor, &taken.target));
    assert!(!taken.raw.contains(&b'\n') && !taken.raw.contains(&b'\r'));
    for standing in [Standing::Hearsay, Standing::Unproven, Standing::Attested] {
        let stored = event::decode_stored(&taken.raw, standing).unwrap();
        assert_eq!((stored.id, &stored.raw), (taken.id, &taken.raw));
        assert_eq!(stored.author(), taken.author());
    }
    let _ = judge(&[&taken], &Keys::default());
    let picked = Picked {
        id: taken.id,
        raw: taken.raw.to_vec().into(),
        standing: Standing::Hearsay,
        votes: 0,
    };
    let answer = Selection {
        events: vec![picked.clone(), picked],
        ..Selection::default()
    };
    let body: serde_json::Value = serde_json::from_slice(&answer.encode("a\"b", 5, "s\\")).unwrap();
    let alone: serde_json::Value = serde_json::from_slice(&taken.raw).unwrap();
    assert_eq!(body["events"], serde_json::json!([alone, alone]));
    assert_eq!(
        (&body["from"], &body["sig"]),
        (&"a\"b".into(), &"s\\".into())
    );
    Verdict::Ok
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 30_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_bytes_never_panic(raw in prop::collection::vec(any::<u8>(), 0..300)) {
        try_out(&raw);
    }

    #[test]
    fn real_events_never_panic_however_they_are_damaged(
        line in 0..9_usize,
        mutations in prop::collection::vec(any_mutation(), 1..4),
    ) {
        let mut raw = REAL.lines().nth(line).unwrap().as_bytes().to_vec();
        for mutation in &mutations {
            mutate(&mut raw, mutation);
        }
        try_out(&raw);
    }
}

#[test]
fn real_events_of_every_kind_are_taken() {
    assert_eq!(REAL.lines().count(), 9);
    for line in REAL.lines() {
        assert_eq!(try_out(line.as_bytes()), Verdict::Ok, "{line}");
    }
}

#[test]
fn every_cut_of_a_real_event_is_refused() {
    for line in REAL.lines() {
        for end in 0..line.len() {
            assert_ne!(try_out(&line.as_bytes()[..end]), Verdict::Ok);
        }
    }
}

/// Every number, name and text that the id covers, changed alone.
#[test]
fn an_id_is_recomputed_from_the_content() {
    let cases = [
        (
            0,
            "\"MeshIP\":\"100.64.3.214\"",
            "\"MeshIP\":\"100.64.3.215\"",
        ),
        (0, "1784764107306701735", "1784764107306701736"),
        (1, "\"start_time\":1784351211", "\"start_time\":1784351212"),
        (1, "first-seen", "status-change\",\"online_state\":\"ONLINE"),
        (2, "\"via\":\"mesh\"", "\"via\":\"sync\""),
        (3, "\"restarts\":73", "\"restarts\":74"),
        (3, "\"as_of_time\":1794483584", "\"as_of_time\":1794483585"),
        (4, "high-restarts", "low-restarts"),
        (5, "ONLINE", "OFFLINE"),
        (6, "\"restart_num\":199", "\"restart_num\":200"),
        (7, "\"From\":\"early-otter\"", "\"From\":\"early-ottes\""),
        (8, "12.72857142857143", "12.82857142857143"),
    ];
    let lines: Vec<&str> = REAL.lines().collect();
    for (line, from, to) in cases {
        assert!(lines[line].contains(from), "{from}");
        let changed = lines[line].replacen(from, to, 1);
        assert_eq!(verdict_of(changed.as_bytes()), Verdict::IdMismatch, "{to}");
    }
}

#[test]
fn whitespace_around_and_between_tokens_is_taken_and_kept_on_one_line() {
    let line = REAL.lines().next().unwrap();
    let loose = format!("\r\n {}\n\n", line.replace(',', ",\r\n"));
    let event = decoded(loose.as_bytes());
    assert!(event.raw.starts_with(b"{") && event.raw.ends_with(b"}"));
    assert_eq!(try_out(loose.as_bytes()), Verdict::Ok);
    assert_eq!(event.id, decoded(line.as_bytes()).id);
}

#[test]
fn time_is_taken_from_one_nanosecond_to_a_quarter_of_an_hour_ahead() {
    let at = |ts| verdict_of(&tease(ts, "ann", "bob").raw());
    assert_eq!(at(i64::MIN), Verdict::BadTime);
    assert_eq!(at(-1), Verdict::BadTime);
    assert_eq!(at(0), Verdict::BadTime);
    assert_eq!(at(1), Verdict::Ok);
    assert_eq!(at(NOW + MAX_AHEAD_NS), Verdict::Ok);
    assert_eq!(at(NOW + MAX_AHEAD_NS + 1), Verdict::Future);
    assert_eq!(at(i64::MAX), Verdict::Future);
    let end_of_time = event::decode(&tease(i64::MAX, "ann", "bob").raw(), i64::MAX, &[]);
    assert!(end_of_time.is_ok());
}

#[test]
fn sixty_four_kibibytes_are_taken_and_one_byte_more_is_not() {
    let line = REAL.lines().next().unwrap();
    let padded = |size: usize| format!("{line}{}", " ".repeat(size - line.len()));
    assert_eq!(verdict_of(padded(MAX_BYTES).as_bytes()), Verdict::Ok);
    assert_eq!(
        verdict_of(padded(MAX_BYTES + 1).as_bytes()),
        Verdict::TooLarge
    );
}

#[test]
fn a_round_trip_time_is_written_as_go_writes_it() {
    for (rtt, written) in [
        ("0.25", "0.2"),
        ("0.35", "0.3"),
        ("0.05", "0.1"),
        ("2.5e-1", "0.2"),
        ("1e21", "1000000000000000000000.0"),
        ("9007199254740993", "9007199254740992.0"),
        ("18446744073709551615", "18446744073709551616.0"),
        ("5e-324", "0.0"),
        ("42", "42.0"),
        ("1.0E+2", "100.0"),
        ("0.15", "0.1"),
        ("0.45", "0.5"),
    ] {
        let id = hex(&id_of(5, "ping", &format!("ann:bob:{written}")));
        let raw = format!(
            r#"{{"id":"{id}","ts":5,"svc":"ping","ping":{{"observer":"ann","target":"bob","rtt":{rtt}}}}}"#
        );
        assert_eq!(verdict_of(raw.as_bytes()), Verdict::Ok, "{rtt}");
    }
}

#[test]
fn an_answer_has_nara_s_keys_in_nara_s_order() {
    let answer = Selection::default();
    assert_eq!(
        answer.encode("ann", 7, "c2ln"),
        b"{\"from\":\"ann\",\"events\":null,\"ts\":7,\"sig\":\"c2ln\"}\n"
    );
    assert_eq!(
        answer.encode("ann", 7, ""),
        b"{\"from\":\"ann\",\"events\":null,\"ts\":7}\n"
    );
    let log = Log::new(10).with(&[tease(5, "ann", "bob"), tease(6, "ann", "bob")]);
    let page = log
        .ledger
        .page(None, Some(1), &ledger_core::ledger::Filter::default());
    let one = String::from_utf8(tease(5, "ann", "bob").raw()).unwrap();
    let expected =
        format!("{{\"from\":\"ann\",\"events\":[{one}],\"next_cursor\":\"5\",\"ts\":7}}\n");
    assert_eq!(
        String::from_utf8(page.encode("ann", 7, "")).unwrap(),
        expected
    );
}
