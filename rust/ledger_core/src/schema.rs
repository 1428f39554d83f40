//! The types that nara declares for every field it knows. One field of another type makes a nara
//! node drop the whole answer it came in, so such an event must never be stored and served on.

use crate::json::{Node, same_key};
use crate::verdict::Verdict;

/// The type of a field.
pub enum Kind {
    /// A string.
    Str,
    /// A whole number in 64 signed bits.
    Int,
    /// A whole number in 64 unsigned bits.
    UInt,
    /// Any number.
    Number,
    /// true or false.
    Bool,
    /// An array of strings.
    Strings,
    /// An object with these fields.
    Object(&'static [Field]),
}

/// A key and the type of its value.
pub type Field = (&'static str, Kind);

use Kind::{Bool, Int, Number, Object, Str, Strings, UInt};

/// A whole event (`facts`: nara's SyncEvent and its payloads).
pub const EVENT: &[Field] = &[
    ("id", Str),
    ("ts", Int),
    ("svc", Str),
    ("emitter", Str),
    ("emitter_id", Str),
    ("sig", Str),
    ("social", Object(SOCIAL)),
    ("ping", Object(PING)),
    ("observation", Object(OBSERVATION)),
    ("hey_there", Object(HEY_THERE)),
    ("chau", Object(CHAU)),
    ("seen", Object(SEEN)),
    ("checkpoint", Object(CHECKPOINT)),
];

const SOCIAL: &[Field] = &[
    ("type", Str),
    ("actor", Str),
    ("actor_id", Str),
    ("target", Str),
    ("target_id", Str),
    ("reason", Str),
    ("witness", Str),
];

const PING: &[Field] = &[
    ("observer", Str),
    ("observer_id", Str),
    ("target", Str),
    ("target_id", Str),
    ("rtt", Number),
];

const OBSERVATION: &[Field] = &[
    ("observer", Str),
    ("observer_id", Str),
    ("subject", Str),
    ("subject_id", Str),
    ("type", Str),
    ("importance", Int),
    ("is_backfill", Bool),
    ("start_time", Int),
    ("restart_num", Int),
    ("last_restart", Int),
    ("online_state", Str),
    ("cluster_name", Str),
    ("observer_uptime", UInt),
];

const HEY_THERE: &[Field] = &[
    ("From", Str),
    ("PublicKey", Str),
    ("MeshIP", Str),
    ("ID", Str),
    ("Signature", Str),
];

const CHAU: &[Field] = &[
    ("From", Str),
    ("PublicKey", Str),
    ("ID", Str),
    ("Signature", Str),
];

const SEEN: &[Field] = &[
    ("observer", Str),
    ("observer_id", Str),
    ("subject", Str),
    ("subject_id", Str),
    ("via", Str),
];

const CHECKPOINT: &[Field] = &[
    ("version", Int),
    ("subject", Str),
    ("subject_id", Str),
    ("previous_checkpoint_id", Str),
    ("observation", Object(CHECKPOINT_OBSERVATION)),
    ("as_of_time", Int),
    ("round", Int),
    ("voter_ids", Strings),
    ("signatures", Strings),
];

const CHECKPOINT_OBSERVATION: &[Field] = &[
    ("restarts", Int),
    ("total_uptime", Int),
    ("start_time", Int),
    ("online", Str),
    ("last_seen", Int),
    ("last_restart", Int),
    ("cluster_name", Str),
    ("cluster_emoji", Str),
    ("last_ping_rtt", Number),
    ("avg_ping_rtt", Number),
    ("last_ping_time", Int),
];

/// Does this object keep to `fields`? Null is as good as absent, unknown keys are left alone.
pub fn check(node: &Node<'_>, fields: &[Field]) -> Result<(), Verdict> {
    let Node::Object(pairs) = node else {
        return Err(Verdict::WrongType);
    };
    for (key, value) in pairs {
        match fields.iter().find(|(name, _)| name == key) {
            Some((_, kind)) => check_value(value, kind)?,
            None if fields.iter().any(|(name, _)| same_key(name, key)) => {
                return Err(Verdict::MiscasedKey);
            }
            None => {}
        }
    }
    Ok(())
}

fn check_value(value: &Node<'_>, kind: &Kind) -> Result<(), Verdict> {
    let fits = match (kind, value) {
        (_, Node::Null)
        | (Str, Node::Str(_))
        | (Int | UInt | Number, Node::UInt(_) | Node::Int(0..))
        | (Int | Number, Node::Int(_))
        | (Number, Node::Float(_))
        | (Bool, Node::Bool(_)) => !matches!((kind, value), (Int, Node::UInt(_))),
        (Strings, Node::Array(items)) => items.iter().all(|item| matches!(item, Node::Str(_))),
        (Object(fields), value) => return check(value, fields),
        _ => false,
    };
    if fits {
        Ok(())
    } else {
        Err(Verdict::WrongType)
    }
}
