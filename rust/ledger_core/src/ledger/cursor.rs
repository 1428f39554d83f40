//! Where a page walk stands. `ts` in decimal, as nara has it: after everything of that time. Inside
//! a tie, `ts.id`: after that very event. A client that only echoes the string walks on either way.

use std::fmt;

use crate::event::{Id, hex};

/// After what to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// Unix nanoseconds.
    pub ts: i64,
    /// Some: the last event served, among others of the same time.
    pub id: Option<Id>,
}

/// A string that is no cursor.
#[derive(Debug, PartialEq, Eq)]
pub struct NotACursor;

impl std::str::FromStr for Cursor {
    type Err = NotACursor;

    fn from_str(text: &str) -> Result<Cursor, NotACursor> {
        let (ts, id) = match text.split_once('.') {
            None => (text, None),
            Some((ts, id)) => (ts, Some(parse_id(id)?)),
        };
        if ts.is_empty() || !ts.bytes().all(|c| c.is_ascii_digit()) {
            return Err(NotACursor);
        }
        let ts = ts.parse().map_err(|_| NotACursor)?;
        Ok(Cursor { ts, id })
    }
}

fn parse_id(text: &str) -> Result<Id, NotACursor> {
    let number = u128::from_str_radix(text, 16).map_err(|_| NotACursor)?;
    let id = number.to_be_bytes();
    // One spelling only: no sign, no upper case, no missing zeros.
    if hex(&id) == text {
        Ok(id)
    } else {
        Err(NotACursor)
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.id {
            None => write!(f, "{}", self.ts),
            Some(id) => write!(f, "{}.{}", self.ts, hex(id)),
        }
    }
}

impl fmt::Display for NotACursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no cursor: send next_cursor back as it came, or nanoseconds in decimal")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_are_read_back_as_written_and_nothing_else_is_one() {
        for text in [
            "0",
            "1700000000000000000",
            "5.000102030405060708090a0b0c0d0e0f",
        ] {
            assert_eq!(
                text.parse::<Cursor>().map(|c| c.to_string()),
                Ok(text.to_owned())
            );
        }
        for text in [
            "",
            "-1",
            "+1",
            " 1",
            "1 ",
            "x",
            "1.",
            ".1",
            "1.2",
            "9223372036854775808",
            "1e3",
            "5.000102030405060708090A0b0c0d0e0f",
            "5.+00102030405060708090a0b0c0d0e0f",
        ] {
            assert_eq!(text.parse::<Cursor>(), Err(NotACursor), "{text}");
        }
    }
}
