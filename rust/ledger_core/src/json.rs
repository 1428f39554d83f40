//! Strict, bounded reading of JSON: depth, duplicate keys, exact integers. Bytes in, a tree that
//! borrows from them out; what the tree means is the business of `schema` and `event`.

use std::borrow::Cow;
use std::cell::Cell;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{
    Deserialize, DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor,
};

use crate::verdict::Verdict;

/// Deepest nesting taken. nara's own events need three levels.
pub const MAX_DEPTH: u8 = 16;

/// A JSON value. Integers stay integers: a ledger that hashes `%d` must not go through floats.
#[derive(Debug, Clone, PartialEq)]
pub enum Node<'a> {
    /// `null`
    Null,
    /// `true`, `false`
    Bool(bool),
    /// A whole number that fits 64 signed bits.
    Int(i64),
    /// A whole number above that, below 2^64.
    UInt(u64),
    /// Anything with a fraction or an exponent, or beyond 2^64.
    Float(f64),
    /// A string, unescaped.
    Str(Cow<'a, str>),
    /// An array.
    Array(Vec<Node<'a>>),
    /// An object, in the order written.
    Object(Vec<(Cow<'a, str>, Node<'a>)>),
}

impl<'a> Node<'a> {
    /// The value of `key`, if this is an object that has it and it is not null.
    pub fn get(&self, key: &str) -> Option<&Node<'a>> {
        let Node::Object(pairs) = self else {
            return None;
        };
        let (_, value) = pairs.iter().find(|(k, _)| k == key)?;
        (*value != Node::Null).then_some(value)
    }
}

/// Read one JSON value and nothing after it.
pub fn read(raw: &[u8]) -> Result<Node<'_>, Verdict> {
    let fault = Cell::new(Verdict::NotJson);
    let mut input = serde_json::Deserializer::from_slice(raw);
    let seed = Reader {
        depth: MAX_DEPTH,
        fault: &fault,
    };
    let node = seed.deserialize(&mut input).map_err(|_| fault.get())?;
    input.end().map_err(|_| Verdict::NotJson)?;
    Ok(node)
}

/// The id that an object claims, however bad the rest of it is: an answer is signed over what its
/// events claim, and one that we refuse must not spoil the others. As Go reads it, the last of
/// several counts, and none is empty.
pub fn claimed_id(raw: &[u8]) -> Option<String> {
    claimed(raw, "id")
}

/// The time that an object claims; 0 for none.
pub fn claimed_ts(raw: &[u8]) -> Option<i64> {
    claimed(raw, "ts")
}

fn claimed<'de, T: Deserialize<'de> + Default>(raw: &'de [u8], key: &'static str) -> Option<T> {
    serde_json::Deserializer::from_slice(raw)
        .deserialize_map(Claim(key, PhantomData))
        .ok()
}

struct Claim<T>(&'static str, PhantomData<T>);

impl<'de, T: Deserialize<'de> + Default> Visitor<'de> for Claim<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<T, A::Error> {
        let mut claim = T::default();
        while let Some(key) = entries.next_key_seed(Key)? {
            if *key == *self.0 {
                claim = entries.next_value::<Option<T>>()?.unwrap_or_default();
            } else {
                entries.next_value::<IgnoredAny>()?;
            }
        }
        Ok(claim)
    }
}

/// Do two keys name the same field to a reader that, like Go's, ignores case?
pub fn same_key(a: &str, b: &str) -> bool {
    if a.is_ascii() && b.is_ascii() {
        return a.eq_ignore_ascii_case(b);
    }
    a.chars().map(fold).eq(b.chars().map(fold))
}

/// Go folds by Unicode's simple rules, under which two letters beyond ASCII equal one of ASCII.
fn fold(c: char) -> char {
    match c {
        '\u{017f}' => 's',
        '\u{212a}' => 'k',
        _ => c.to_lowercase().next().unwrap_or(c),
    }
}

fn has_duplicate(pairs: &[(Cow<'_, str>, Node<'_>)]) -> bool {
    // Pairwise is quickest for the dozen keys of a real event; sorting keeps a hostile object of
    // ten thousand keys from costing their square.
    if pairs.len() <= 16 {
        if pairs.iter().all(|(key, _)| key.is_ascii()) {
            let same = |i: usize| {
                pairs[..i]
                    .iter()
                    .any(|(k, _)| k.eq_ignore_ascii_case(&pairs[i].0))
            };
            return (1..pairs.len()).any(same);
        }
        return (1..pairs.len()).any(|i| pairs[..i].iter().any(|(k, _)| same_key(k, &pairs[i].0)));
    }
    let mut keys: Vec<String> = pairs
        .iter()
        .map(|(k, _)| k.chars().map(fold).collect())
        .collect();
    keys.sort_unstable();
    keys.windows(2).any(|two| two[0] == two[1])
}

#[derive(Clone, Copy)]
struct Reader<'c> {
    depth: u8,
    fault: &'c Cell<Verdict>,
}

impl<'c> Reader<'c> {
    fn fail<E: Error>(&self, verdict: Verdict) -> E {
        self.fault.set(verdict);
        E::custom(verdict.name())
    }

    fn deeper<E: Error>(&self) -> Result<Reader<'c>, E> {
        match self.depth.checked_sub(1) {
            Some(depth) => Ok(Reader { depth, ..*self }),
            None => Err(self.fail(Verdict::TooDeep)),
        }
    }
}

impl<'de> DeserializeSeed<'de> for Reader<'_> {
    type Value = Node<'de>;

    fn deserialize<D: Deserializer<'de>>(self, input: D) -> Result<Node<'de>, D::Error> {
        input.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Reader<'_> {
    type Value = Node<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E: Error>(self) -> Result<Node<'de>, E> {
        Ok(Node::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Node<'de>, E> {
        Ok(Node::Bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Node<'de>, E> {
        Ok(Node::Int(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Node<'de>, E> {
        Ok(i64::try_from(value).map_or(Node::UInt(value), Node::Int))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Node<'de>, E> {
        Ok(Node::Float(value))
    }

    fn visit_borrowed_str<E: Error>(self, value: &'de str) -> Result<Node<'de>, E> {
        Ok(Node::Str(Cow::Borrowed(value)))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Node<'de>, E> {
        Ok(Node::Str(Cow::Owned(value.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Node<'de>, A::Error> {
        let inner = self.deeper()?;
        let mut out = Vec::new();
        while let Some(item) = items.next_element_seed(inner)? {
            out.push(item);
        }
        Ok(Node::Array(out))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Node<'de>, A::Error> {
        let inner = self.deeper()?;
        let mut out = Vec::with_capacity(8);
        while let Some(key) = entries.next_key_seed(Key)? {
            let value = entries.next_value_seed(inner)?;
            out.push((key, value));
        }
        if has_duplicate(&out) {
            return Err(self.fail(Verdict::DuplicateKey));
        }
        Ok(Node::Object(out))
    }
}

struct Key;

impl<'de> DeserializeSeed<'de> for Key {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, input: D) -> Result<Cow<'de, str>, D::Error> {
        input.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Key {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_borrowed_str<E: Error>(self, value: &'de str) -> Result<Cow<'de, str>, E> {
        Ok(Cow::Borrowed(value))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Cow<'de, str>, E> {
        Ok(Cow::Owned(value.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nesting_is_taken_to_sixteen_and_no_deeper() {
        let nested = |n: usize| format!("{}{}", "[".repeat(n), "]".repeat(n));
        assert!(read(nested(16).as_bytes()).is_ok());
        assert_eq!(read(nested(17).as_bytes()), Err(Verdict::TooDeep));
        assert_eq!(read(nested(30_000).as_bytes()), Err(Verdict::TooDeep));
    }

    #[test]
    fn keys_that_differ_only_by_case_are_duplicates() {
        for text in [
            r#"{"a":1,"a":2}"#,
            r#"{"id":1,"ID":2}"#,
            "{\"ts\":1,\"t\u{17f}\":2}",
            r#"{"x":{"k":1,"\u212a":2}}"#,
        ] {
            assert_eq!(read(text.as_bytes()), Err(Verdict::DuplicateKey), "{text}");
        }
        let many: Vec<String> = (0..40).map(|i| format!("\"k{i}\":{i}")).collect();
        assert!(read(format!("{{{}}}", many.join(",")).as_bytes()).is_ok());
        let twice = format!("{{{},\"K7\":0}}", many.join(","));
        assert_eq!(read(twice.as_bytes()), Err(Verdict::DuplicateKey));
    }

    #[test]
    fn the_id_that_a_bad_event_claims_is_still_read() {
        let deep = format!(
            r#"{{"x":{},"id":"deep"}}"#,
            "[".repeat(50_000) + &"]".repeat(50_000)
        );
        for (text, id) in [
            (r#"{"id":"a","ts":1,"ts":2}"#, Some("a")),
            (r#"{"id":"a","id":"b"}"#, Some("b")),
            (r#"{"ts":1}"#, Some("")),
            (r#"{"id":null}"#, Some("")),
            (&deep, Some("deep")),
            (r#"{"id":5}"#, None),
            ("[]", None),
            ("5", None),
        ] {
            let claimed = claimed_id(text.as_bytes());
            assert_eq!(claimed.as_deref(), id, "{:.40}", text);
        }
    }

    #[test]
    fn a_claimed_time_is_read_whatever_else_is_wrong_and_is_a_whole_number() {
        for (text, ts) in [
            (r#"{"ts":5}"#, Some(5)),
            (
                r#"{"ts":5,"id":7,"x":[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]}"#,
                Some(5),
            ),
            (r#"{"ts":5,"ts":6}"#, Some(6)),
            (r#"{"TS":5}"#, Some(0)),
            (r#"{"ts":null}"#, Some(0)),
            (r#"{"ts":9223372036854775807}"#, Some(i64::MAX)),
            (r#"{"ts":9223372036854775808}"#, None),
            (r#"{"ts":5.0}"#, None),
            (r#"{"ts":"5"}"#, None),
            (r#"{"ts":5"#, None),
            ("[5]", None),
        ] {
            assert_eq!(claimed_ts(text.as_bytes()), ts, "{text}");
        }
    }

    #[test]
    fn integers_stay_exact() {
        assert_eq!(read(b"9223372036854775807"), Ok(Node::Int(i64::MAX)));
        assert_eq!(read(b"9223372036854775808"), Ok(Node::UInt(1 << 63)));
        assert_eq!(read(b"1.0"), Ok(Node::Float(1.0)));
        assert!(matches!(read(b"18446744073709551616"), Ok(Node::Float(_))));
    }

    #[test]
    fn what_is_no_json_is_refused() {
        for text in [
            &b""[..],
            b"{",
            b"{} {}",
            b"NaN",
            b"[1,]",
            b"\"\xff\"",
            br#""\ud800""#,
            b"1e999",
            b"{\"a\":tru}",
        ] {
            assert_eq!(read(text), Err(Verdict::NotJson), "{text:?}");
        }
    }
}
