//! The heads of MessagePack values, each in its shortest form
//! (<https://github.com/msgpack/msgpack/blob/master/spec.md>). Only what an answer needs.

/// The first bytes of a value: its type, and its length or number.
pub(crate) struct Head {
    bytes: [u8; 9],
    len: usize,
}

impl Head {
    fn new(first: u8, rest: &[u8]) -> Head {
        let mut bytes = [first; 9];
        bytes[1..=rest.len()].copy_from_slice(rest);
        let len = 1 + rest.len();
        Head { bytes, len }
    }

    /// As it travels.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

pub(crate) const NIL: u8 = 0xc0;

/// A map of so many pairs; 15 at most.
pub(crate) fn map(pairs: u8) -> Head {
    debug_assert!(pairs < 16);
    Head::new(0x80 | pairs, &[])
}

/// A text of so many bytes of UTF-8.
pub(crate) fn text(len: usize) -> Head {
    match len {
        ..32 => Head::new(0xa0 | len as u8, &[]),
        _ => sized(len, Some(0xd9), 0xda),
    }
}

/// So many bytes.
pub(crate) fn bin(len: usize) -> Head {
    sized(len, Some(0xc4), 0xc5)
}

/// An array of so many values.
pub(crate) fn array(len: usize) -> Head {
    match len {
        ..16 => Head::new(0x90 | len as u8, &[]),
        _ => sized(len, None, 0xdc),
    }
}

/// A length behind the type that has room for it: of 8 bits where there is one, of 16, and of 32
/// beside it. More has no form here, and nothing as large is ever answered.
fn sized(len: usize, of_8: Option<u8>, of_16: u8) -> Head {
    debug_assert!(u32::try_from(len).is_ok());
    match (len, of_8) {
        (..0x100, Some(of_8)) => Head::new(of_8, &[len as u8]),
        (..0x1_0000, _) => Head::new(of_16, &(len as u16).to_be_bytes()),
        _ => Head::new(of_16 + 1, &(len as u32).to_be_bytes()),
    }
}

/// A whole number.
pub(crate) fn whole(number: i64) -> Head {
    let bytes = number.to_be_bytes();
    match number {
        -32..0x80 => Head::new(number as u8, &[]),
        0x80..0x100 => Head::new(0xcc, &bytes[7..]),
        0x100..0x1_0000 => Head::new(0xcd, &bytes[6..]),
        0x1_0000..0x1_0000_0000 => Head::new(0xce, &bytes[4..]),
        0x1_0000_0000.. => Head::new(0xcf, &bytes),
        -0x80..-32 => Head::new(0xd0, &bytes[7..]),
        -0x8000..-0x80 => Head::new(0xd1, &bytes[6..]),
        -0x8000_0000..-0x8000 => Head::new(0xd2, &bytes[4..]),
        _ => Head::new(0xd3, &bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(head: Head) -> String {
        crate::event::hex(head.as_bytes())
    }

    #[test]
    fn lengths_take_the_shortest_form() {
        for (len, of_text, of_bin, of_array) in [
            (0, "a0", "c400", "90"),
            (15, "af", "c40f", "9f"),
            (16, "b0", "c410", "dc0010"),
            (31, "bf", "c41f", "dc001f"),
            (32, "d920", "c420", "dc0020"),
            (255, "d9ff", "c4ff", "dc00ff"),
            (256, "da0100", "c50100", "dc0100"),
            (65_535, "daffff", "c5ffff", "dcffff"),
            (65_536, "db00010000", "c600010000", "dd00010000"),
            (u32::MAX as usize, "dbffffffff", "c6ffffffff", "ddffffffff"),
        ] {
            assert_eq!(hex(text(len)), of_text);
            assert_eq!(hex(bin(len)), of_bin);
            assert_eq!(hex(array(len)), of_array);
        }
        assert_eq!(hex(map(4)), "84");
    }

    #[test]
    fn whole_numbers_take_the_shortest_form() {
        for (number, expected) in [
            (0, "00"),
            (127, "7f"),
            (128, "cc80"),
            (255, "ccff"),
            (256, "cd0100"),
            (65_535, "cdffff"),
            (65_536, "ce00010000"),
            (0xffff_ffff, "ceffffffff"),
            (0x1_0000_0000, "cf0000000100000000"),
            (i64::MAX, "cf7fffffffffffffff"),
            (-1, "ff"),
            (-32, "e0"),
            (-33, "d0df"),
            (-128, "d080"),
            (-129, "d1ff7f"),
            (-32_768, "d18000"),
            (-32_769, "d2ffff7fff"),
            (-0x8000_0000, "d280000000"),
            (-0x8000_0001, "d3ffffffff7fffffff"),
            (i64::MIN, "d38000000000000000"),
        ] {
            assert_eq!(hex(whole(number)), expected, "{number}");
        }
    }
}
