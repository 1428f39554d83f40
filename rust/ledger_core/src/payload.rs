//! What an event's payload says, service by service: its rules of validity, who is concerned, and
//! the content string that the id and the signature are over. All of it is nara's.

use std::fmt;

use crate::Cutoff;
use crate::checkpoint::{Tally, read_checkpoint};
use crate::event::{Service, Sign, Worth};
use crate::fields::{name, needed_name, number, text_or_empty, whole_or_zero};
use crate::json::Node;
use crate::verdict::Verdict;

/// What the id and the signature are over. A stored event is read without it.
pub(crate) enum Content<'n> {
    HeyThere(&'n str, &'n str, &'n str),
    Chau(&'n str, &'n str),
    Social([&'n str; 5]),
    Ping(&'n str, &'n str, f64),
    Restart(&'n str, i64, i64),
    Observation([&'n str; 4], i64, i64),
    Seen(&'n str, &'n str, &'n str),
    Checkpoint(&'n str, Tally<'n>),
}

impl Content<'_> {
    /// Is it a checkpoint that one of these rules drops?
    pub fn is_cut_off(&self, cutoffs: &[Cutoff]) -> bool {
        matches!(self, Content::Checkpoint(subject, tally) if tally.is_cut_off(subject, cutoffs))
    }

    /// Is it a checkpoint of a time well after its own?
    pub fn is_ahead_of(&self, ts: i64) -> bool {
        matches!(self, Content::Checkpoint(_, tally) if tally.is_ahead_of(ts))
    }
}

impl fmt::Display for Content<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Content::HeyThere(from, key, ip) => write!(f, "hey_there:{from}:{key}:{ip}"),
            Content::Chau(from, key) => write!(f, "chau:{from}:{key}"),
            Content::Social([kind, actor, target, reason, witness]) => {
                write!(f, "{kind}:{actor}:{target}:{reason}:{witness}")
            }
            Content::Ping(observer, target, rtt) => write!(f, "{observer}:{target}:{rtt:.1}"),
            Content::Restart(subject, restarts, start) => {
                write!(f, "{subject}:restart:{restarts}:{start}")
            }
            Content::Observation([observer, subject, kind, state], start, restarts) => {
                write!(f, "{observer}:{subject}:{kind}:{state}:{start}:{restarts}")
            }
            Content::Seen(observer, subject, via) => write!(f, "seen:{observer}:{subject}:{via}"),
            Content::Checkpoint(subject, tally) => tally.write_content(subject, f),
        }
    }
}

/// What a payload says, service by service.
pub(crate) struct Facts<'n> {
    pub actor: &'n str,
    pub target: &'n str,
    pub witness: &'n str,
    pub content: Content<'n>,
    pub worth: Worth,
    pub is_notable: bool,
    pub is_restart: bool,
    pub says: Sign,
}

impl<'n> Facts<'n> {
    pub fn new(actor: &'n str, target: &'n str, worth: Worth, content: Content<'n>) -> Facts<'n> {
        Facts {
            actor,
            target,
            witness: "",
            content,
            worth,
            is_notable: false,
            is_restart: false,
            says: Sign::Online,
        }
    }
}

pub(crate) fn read_payload<'n>(
    service: Service,
    payload: &'n Node<'_>,
) -> Result<Facts<'n>, Verdict> {
    match service {
        Service::Social => read_social(payload),
        Service::Ping => read_ping(payload),
        Service::Observation => read_observation(payload),
        Service::HeyThere => {
            let from = needed_name(payload, "From")?;
            let key = text_or_empty(payload, "PublicKey");
            let ip = text_or_empty(payload, "MeshIP");
            Ok(presence(from, Content::HeyThere(from, key, ip)))
        }
        Service::Chau => {
            let from = needed_name(payload, "From")?;
            let key = text_or_empty(payload, "PublicKey");
            Ok(presence(from, Content::Chau(from, key)))
        }
        Service::Seen => read_seen(payload),
        Service::Checkpoint => read_checkpoint(payload),
    }
}

fn presence<'n>(from: &'n str, content: Content<'n>) -> Facts<'n> {
    Facts::new(from, from, Worth::Presence, content)
}

fn read_social<'n>(payload: &'n Node<'_>) -> Result<Facts<'n>, Verdict> {
    let kind = text_or_empty(payload, "type");
    if !matches!(
        kind,
        "tease" | "observed" | "gossip" | "observation" | "service"
    ) {
        return Err(Verdict::BadPayload);
    }
    let actor = needed_name(payload, "actor")?;
    let target = needed_name(payload, "target")?;
    let witness = name(payload, "witness")?;
    let reason = text_or_empty(payload, "reason");
    let content = Content::Social([kind, actor, target, reason, witness]);
    Ok(Facts {
        witness,
        ..Facts::new(actor, target, Worth::Social, content)
    })
}

fn read_ping<'n>(payload: &'n Node<'_>) -> Result<Facts<'n>, Verdict> {
    let observer = needed_name(payload, "observer")?;
    let target = needed_name(payload, "target")?;
    let rtt = number(payload, "rtt");
    if rtt <= 0.0 {
        return Err(Verdict::BadPayload);
    }
    let content = Content::Ping(observer, target, rtt);
    Ok(Facts::new(observer, target, Worth::Ping, content))
}

fn read_observation<'n>(payload: &'n Node<'_>) -> Result<Facts<'n>, Verdict> {
    let observer = needed_name(payload, "observer")?;
    let subject = needed_name(payload, "subject")?;
    let kind = text_or_empty(payload, "type");
    let state = text_or_empty(payload, "online_state");
    let start = whole_or_zero(payload, "start_time");
    let restarts = whole_or_zero(payload, "restart_num");
    let importance = whole_or_zero(payload, "importance");
    let is_valid = match kind {
        "restart" => start > 0 && restarts >= 0,
        "first-seen" => start > 0,
        "status-change" => matches!(state, "ONLINE" | "OFFLINE" | "MISSING"),
        _ => false,
    };
    if !is_valid || !(1..=3).contains(&importance) {
        return Err(Verdict::BadPayload);
    }
    let content = match kind {
        "restart" => Content::Restart(subject, restarts, start),
        _ => Content::Observation([observer, subject, kind, state], start, restarts),
    };
    let worth = match kind {
        "status-change" => Worth::Presence,
        _ => Worth::Lasting,
    };
    Ok(Facts {
        is_notable: importance == 2,
        is_restart: kind == "restart",
        says: match state {
            "OFFLINE" if kind == "status-change" => Sign::Offline,
            "MISSING" if kind == "status-change" => Sign::Missing,
            _ => Sign::Online,
        },
        ..Facts::new(observer, subject, worth, content)
    })
}

fn read_seen<'n>(payload: &'n Node<'_>) -> Result<Facts<'n>, Verdict> {
    let observer = needed_name(payload, "observer")?;
    let subject = needed_name(payload, "subject")?;
    let via = text_or_empty(payload, "via");
    if via.is_empty() {
        return Err(Verdict::BadPayload);
    }
    let content = Content::Seen(observer, subject, via);
    Ok(Facts::new(observer, subject, Worth::Seen, content))
}
