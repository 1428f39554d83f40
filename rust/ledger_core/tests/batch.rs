//! What a batch tells of the order its events came in.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use ledger_core::batch::Batch;

use support::*;

fn batch_of(specs: &[Spec]) -> Batch {
    let raws: Vec<Vec<u8>> = specs.iter().map(Spec::raw).collect();
    Batch::decode(raws.iter().map(Vec::as_slice), NOW, &[])
}

fn claims(pairs: &[(&str, &str)]) -> Batch {
    let raw = |(ts, id): &(&str, &str)| format!(r#"{{"ts":{ts},"id":{id}}}"#).into_bytes();
    let raws: Vec<Vec<u8>> = pairs.iter().map(raw).collect();
    Batch::decode(raws.iter().map(Vec::as_slice), NOW, &[])
}

#[test]
fn a_span_is_from_the_first_to_the_last_as_they_came_and_not_from_least_to_greatest() {
    let at = |ts| tease(ts, "ann", "bob");
    assert_eq!(batch_of(&[]).span(), None);
    assert_eq!(batch_of(&[at(7)]).span(), Some((7, 7)));
    assert_eq!(batch_of(&[at(5), at(9), at(6)]).span(), Some((5, 6)));
}

#[test]
fn refused_events_count_as_far_as_their_time_and_id_can_be_read() {
    let [a, b] = ["a", "b"].map(|digit| format!("\"{}\"", digit.repeat(32)));
    assert_eq!(claims(&[("5", &a), ("6", &a)]).span(), Some((5, 6)));
    let odd = ["0", "-1", "1.0", "\"9\"", "null", "9223372036854775808"];
    for ts in odd {
        let batch = claims(&[("5", &a), (ts, &b)]);
        assert_eq!(batch.span(), Some((5, 5)), "{ts}");
    }
    for id in ["7", "null", "\"AB\"", "\"x\""] {
        let batch = claims(&[("5", &a), ("9", id), ("8", &b)]);
        assert_eq!(batch.span(), Some((5, 8)), "{id}");
    }
    assert_eq!(Batch::decode([&b"5"[..], b"{"], NOW, &[]).span(), None);
}
