//! An answer in MessagePack: the bytes of it, and that it says what the JSON answer says.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use ledger_core::ledger::{Cursor, Filter, Picked, Selection};
use ledger_core::verify::Standing;

use support::*;

fn selection(sizes: &[usize]) -> Selection {
    let picked = |size: &usize| Picked {
        id: [0; 16],
        raw: vec![b'x'; *size].into(),
        standing: Standing::Hearsay,
        votes: 0,
    };
    Selection {
        events: sizes.iter().map(picked).collect(),
        ..Selection::default()
    }
}

/// What stands between the head up to `events` and the rest, of an answer by "a" at 7.
fn events_part(answer: &Selection) -> Vec<u8> {
    let bytes = answer.encode_msgpack("a", 7, "");
    assert_eq!(
        bytes.capacity(),
        bytes.len(),
        "measured before it is written"
    );
    let head = b"\x83\xa4from\xa1a\xa6events";
    let tail = b"\xa2ts\x07";
    assert!(bytes.starts_with(head) && bytes.ends_with(tail));
    bytes[head.len()..bytes.len() - tail.len()].to_vec()
}

#[test]
fn an_answer_without_events_has_nil_for_them() {
    assert_eq!(
        Selection::default().encode_msgpack("ann", 1_790_000_100, "c2ln"),
        b"\x84\xa4from\xa3ann\xa6events\xc0\xa2ts\xce\x6a\xb1\x3b\xe4\xa3sig\xa4c2ln"
    );
    assert_eq!(events_part(&Selection::default()), b"\xc0");
}

#[test]
fn an_answer_has_the_keys_of_the_json_answer_in_its_order() {
    let answer = Selection {
        next_cursor: Some(Cursor {
            ts: 5,
            id: Some([0xab; 16]),
        }),
        ..selection(&[3, 0])
    };
    let cursor = format!("5.{}", "ab".repeat(16));
    let expected = [
        b"\x85\xa4from\xa3ann\xa6events\x92\xc4\x03xxx\xc4\x00\xabnext_cursor\xd9\x22",
        cursor.as_bytes(),
        b"\xa2ts\x07\xa3sig\xa4c2ln",
    ]
    .concat();
    assert_eq!(answer.encode_msgpack("ann", 7, "c2ln"), expected);
}

#[test]
fn events_are_as_long_as_their_heads_say_on_both_sides_of_every_border() {
    for (size, head) in [
        (255, &b"\xc4\xff"[..]),
        (256, b"\xc5\x01\x00"),
        (65_535, b"\xc5\xff\xff"),
        (65_536, b"\xc6\x00\x01\x00\x00"),
    ] {
        let expected = [b"\x91", head, &vec![b'x'; size]].concat();
        assert_eq!(events_part(&selection(&[size])), expected, "{size}");
    }
    for (count, head) in [
        (15, &b"\x9f"[..]),
        (16, b"\xdc\x00\x10"),
        (65_535, b"\xdc\xff\xff"),
        (65_536, b"\xdd\x00\x01\x00\x00"),
    ] {
        let expected = [head, &b"\xc4\x01x".repeat(count)].concat();
        assert!(
            events_part(&selection(&vec![1; count])) == expected,
            "{count}"
        );
    }
}

#[test]
fn a_long_name_and_a_signature_keep_their_length() {
    let (name, signature) = ("é".repeat(32), "s".repeat(88));
    let expected = [
        b"\x84\xa4from\xd9\x40",
        name.as_bytes(),
        b"\xa6events\xc0\xa2ts\x00\xa3sig\xd9\x58",
        signature.as_bytes(),
    ]
    .concat();
    assert_eq!(
        Selection::default().encode_msgpack(&name, 0, &signature),
        expected
    );
}

#[test]
fn events_are_the_kept_bytes() {
    let specs = [
        tease(5, "ann", "bob"),
        hey_there(6, "ann"),
        seen(7, "bob", "ann"),
    ];
    let page = Log::new(10)
        .with(&specs)
        .ledger
        .page(None, None, &Filter::default());
    let mut expected = vec![0x93];
    for spec in &specs {
        let raw = spec.raw();
        match raw.len() {
            ..256 => expected.extend_from_slice(&[0xc4, raw.len() as u8]),
            size => expected.extend_from_slice(&[0xc5, (size >> 8) as u8, size as u8]),
        }
        expected.extend_from_slice(&raw);
    }
    assert_eq!(events_part(&page), expected);
}
