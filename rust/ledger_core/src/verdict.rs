//! What becomes of an event: the one list of reasons, shared by every door that takes mesh events.

/// Why an event is refused, or `Ok`. The discriminant is the code that crosses to Python; the
/// order is part of that contract, so new ones go to the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Verdict {
    /// Good so far.
    Ok = 0,
    /// Over 64 KiB.
    TooLarge,
    /// No single JSON value in UTF-8 (also: a lone surrogate, NaN, a number out of range).
    NotJson,
    /// Nested deeper than 16.
    TooDeep,
    /// An object names a key twice, or twice but for case: readers would disagree about it.
    DuplicateKey,
    /// A key that nara knows, in another case: nara would read it, we would not.
    MiscasedKey,
    /// A field of another type than nara declares, or an integer beyond its range.
    WrongType,
    /// No object, no `id`, `ts` or `svc`, or no payload of that service.
    Missing,
    /// A service that is none of the seven.
    UnknownService,
    /// A name that is none: longer than 64 characters, or with ":", space or control characters.
    BadName,
    /// A timestamp below 1.
    BadTime,
    /// Later than now by more than 15 minutes.
    Future,
    /// A payload that nara's own validity rules refuse.
    BadPayload,
    /// An id that is not 32 lower-case hexadecimal digits.
    BadId,
    /// An id that is not the hash of the content.
    IdMismatch,
    /// A signature or key that is not base64 of the right length.
    BadBase64,
    /// A key of small order, or one that is no point of the curve.
    WeakKey,
    /// A hey-there or chau whose emitter is not the one it speaks of.
    WrongEmitter,
    /// A checkpoint before the cutoff.
    Cutoff,
    /// A signature that could be checked, and fails.
    BadSignature,
    /// A hey-there or chau with another key than the one known for that name.
    KeyDiffers,
    /// Stored already; nothing to do.
    Known,
    /// Would be evicted at once: older than what the ledger retains of its kind.
    BelowRetention,
}

/// The names of the verdicts, by code.
pub const NAMES: [&str; 23] = [
    "ok",
    "too_large",
    "not_json",
    "too_deep",
    "duplicate_key",
    "miscased_key",
    "wrong_type",
    "missing",
    "unknown_service",
    "bad_name",
    "bad_time",
    "future",
    "bad_payload",
    "bad_id",
    "id_mismatch",
    "bad_base64",
    "weak_key",
    "wrong_emitter",
    "cutoff",
    "bad_signature",
    "key_differs",
    "known",
    "below_retention",
];

impl Verdict {
    /// The name that Python, logs and the protocol page use.
    pub fn name(self) -> &'static str {
        NAMES[self as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_its_name() {
        assert_eq!(NAMES.len(), Verdict::BelowRetention as usize + 1);
        assert_eq!(Verdict::BelowRetention.name(), "below_retention");
        assert_eq!(Verdict::IdMismatch.name(), "id_mismatch");
    }
}
