//! A mesh event: raw JSON bytes in, the few fields that the ledger needs out. The bytes are kept;
//! nothing is ever written back from the fields. Layout and rules are nara's
//! (`docs/protocol/mesh.md`, "Events").

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use sha2::{Digest as _, Sha256};

use crate::Cutoff;
use crate::checkpoint::{Claim, read_claim, read_votes};
use crate::fields::{name, text, text_or_empty, whole};
use crate::json::{self, Node};
use crate::payload::{Content, Facts, read_payload};
use crate::schema;
use crate::verdict::Verdict;
use crate::verify::{self, Proof, Standing};

/// Largest event taken, in bytes. nara's own are under 2 KiB; a checkpoint of ten voters is 3.
pub const MAX_BYTES: usize = 64 * 1024;
/// How far ahead of now a timestamp may be: clocks differ, and beyond this it is a lie that would
/// sit on top of every answer (strfry takes the same 900 s).
pub const MAX_AHEAD_NS: i64 = 15 * 60 * 1_000_000_000;

/// First half of the SHA-256 of `{ts}:{svc}:{content}`.
pub type Id = [u8; 16];

/// What an event is about, by code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Service {
    /// Teases, gossip and the like.
    Social = 0,
    /// A round-trip time.
    Ping,
    /// What one node says of another: restarted, first seen, online.
    Observation,
    /// I am here, and this is my key.
    HeyThere,
    /// I leave.
    Chau,
    /// I have seen another.
    Seen,
    /// What several agree on about one.
    Checkpoint,
}

impl Service {
    /// All, by code.
    pub const ALL: [Service; 7] = [
        Service::Social,
        Service::Ping,
        Service::Observation,
        Service::HeyThere,
        Service::Chau,
        Service::Seen,
        Service::Checkpoint,
    ];

    /// The value of `svc`.
    pub fn name(self) -> &'static str {
        match self {
            Service::Social => "social",
            Service::Ping => "ping",
            Service::Observation => "observation",
            Service::HeyThere => "hey-there",
            Service::Chau => "chau",
            Service::Seen => "seen",
            Service::Checkpoint => "checkpoint",
        }
    }

    /// The key of its payload.
    fn payload(self) -> &'static str {
        match self {
            Service::HeyThere => "hey_there",
            other => other.name(),
        }
    }

    /// The service of that name.
    pub fn named(name: &str) -> Option<Service> {
        Service::ALL.into_iter().find(|s| s.name() == name)
    }
}

/// How nara ranks events when it must forget some; what it never forgets comes last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Worth {
    /// Forgotten first.
    Ping = 0,
    /// Then these.
    Seen,
    /// Social events.
    Social,
    /// Hey-there, chau, status changes.
    Presence,
    /// Checkpoints, restarts, first sightings: never, in nara.
    Lasting,
}

/// Of life: what an event says about its target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign {
    /// It is there, as all but a status change says.
    Online,
    /// It has left.
    Offline,
    /// It was not found.
    Missing,
}

/// One event, decoded.
#[derive(Clone, Debug)]
pub struct Event {
    /// Recomputed, and equal to the one it came with.
    pub id: Id,
    /// Unix nanoseconds, at least 1.
    pub ts: i64,
    /// What it is about.
    pub service: Service,
    /// What it came as; line breaks between its tokens are spaces, so that it is always one line.
    pub raw: Arc<[u8]>,
    /// Who says it; empty when unsigned or a checkpoint.
    pub emitter: Box<str>,
    /// Who acts, observes or presents itself.
    pub actor: Box<str>,
    /// Whom it is about; may equal the actor.
    pub target: Box<str>,
    /// A third party of a social event.
    pub witness: Box<str>,
    /// How long it is worth keeping.
    pub worth: Worth,
    /// An observation of nara's importance 2.
    pub is_notable: bool,
    /// An observation of a restart.
    pub is_restart: bool,
    /// Whether its target is there.
    pub says: Sign,
    /// What its standing will be judged by.
    pub proof: Proof,
    /// Of a checkpoint alone.
    pub claim: Option<Box<Claim>>,
}

impl Event {
    /// Who answers for it: the emitter, or the observer; of a checkpoint its subject.
    pub fn author(&self) -> &str {
        match self.service {
            Service::Checkpoint => &self.target,
            _ if !self.emitter.is_empty() => &self.emitter,
            _ => &self.actor,
        }
    }

    /// Whose key its signature is checked with; empty when unsigned, or when several sign.
    pub fn signer(&self) -> &str {
        match self.proof {
            Proof::Signed { .. } => &self.emitter,
            Proof::Unsigned { .. } | Proof::Votes(_) => "",
        }
    }

    /// Is it said by the one who acts, observes or presents itself? Only then does a signature prove
    /// it. The id does not cover the emitter: who signs another's words again would otherwise keep
    /// the true copy out.
    pub fn is_own_word(&self) -> bool {
        self.emitter == self.actor
    }

    /// The standings that checking it may lead to. An attested event is not always the easier one
    /// to keep: only these are bounded an author.
    pub fn may_prove(&self) -> &'static [Standing] {
        match &self.proof {
            Proof::Unsigned { .. } => &[Standing::Hearsay],
            Proof::Votes(votes) if votes.is_empty() => &[Standing::Hearsay],
            Proof::Signed { .. } if !self.is_own_word() => &[Standing::Unproven],
            _ => &[Standing::Attested, Standing::Unproven],
        }
    }

    /// Always part of a sample (within the author's quota): by kind, never by a claimed importance.
    pub fn is_critical(&self) -> bool {
        self.worth == Worth::Lasting || matches!(self.service, Service::HeyThere | Service::Chau)
    }
}

/// Decode an event from another node: everything is checked.
///
/// `now_ns` is Unix time; events beyond [`MAX_AHEAD_NS`] after it are refused. `cutoffs`: which
/// checkpoints are.
pub fn decode(raw: &[u8], now_ns: i64, cutoffs: &[Cutoff]) -> Result<Event, Verdict> {
    if raw.len() > MAX_BYTES {
        return Err(Verdict::TooLarge);
    }
    let node = json::read(raw)?;
    if !matches!(node, Node::Object(_)) {
        return Err(Verdict::Missing);
    }
    schema::check(&node, schema::EVENT)?;
    let head = read_head(&node)?;
    check_time(head.ts, now_ns)?;
    let facts = read_payload(head.service, head.payload)?;
    if facts.content.is_ahead_of(head.ts) {
        return Err(Verdict::BadPayload);
    }
    if facts.content.is_cut_off(cutoffs) {
        return Err(Verdict::Cutoff);
    }
    if compute_id(head.ts, head.service, &facts.content) != head.id {
        return Err(Verdict::IdMismatch);
    }
    let proof = read_proof(&node, &head, &facts)?;
    Ok(assemble(raw, &head, &facts, proof))
}

/// Decode an event from our own log, where it was checked before it came in: its id is taken as it
/// is, and its proof only if it may still be asked for.
pub fn decode_stored(raw: &[u8], standing: Standing) -> Result<Event, Verdict> {
    let node = json::read(raw)?;
    let head = read_head(&node)?;
    let facts = read_payload(head.service, head.payload)?;
    let proof = match standing {
        Standing::Unproven => read_proof(&node, &head, &facts)?,
        _ => Proof::Unsigned { inner_key: None },
    };
    Ok(assemble(raw, &head, &facts, proof))
}

/// What all services have.
struct Head<'n> {
    id: Id,
    ts: i64,
    service: Service,
    emitter: &'n str,
    payload: &'n Node<'n>,
}

fn read_head<'n>(node: &'n Node<'n>) -> Result<Head<'n>, Verdict> {
    let id = parse_id(text(node, "id").ok_or(Verdict::Missing)?)?;
    let ts = whole(node, "ts").ok_or(Verdict::Missing)?;
    let svc = text(node, "svc").ok_or(Verdict::Missing)?;
    let service = Service::named(svc).ok_or(Verdict::UnknownService)?;
    let payload = node.get(service.payload()).ok_or(Verdict::Missing)?;
    let emitter = name(node, "emitter")?;
    Ok(Head {
        id,
        ts,
        service,
        emitter,
        payload,
    })
}

fn assemble(raw: &[u8], head: &Head<'_>, facts: &Facts<'_>, proof: Proof) -> Event {
    let claim = || Box::new(read_claim(facts.target, head.payload));
    Event {
        id: head.id,
        ts: head.ts,
        service: head.service,
        raw: one_line(raw),
        emitter: head.emitter.into(),
        actor: facts.actor.into(),
        target: facts.target.into(),
        witness: facts.witness.into(),
        worth: facts.worth,
        is_notable: facts.is_notable,
        is_restart: facts.is_restart,
        says: facts.says,
        proof,
        claim: (head.service == Service::Checkpoint).then(claim),
    }
}

/// Line breaks can only stand between tokens; as spaces they keep an event on one line of a file.
fn one_line(raw: &[u8]) -> Arc<[u8]> {
    let raw = raw.trim_ascii();
    if !raw.iter().any(is_line_break) {
        return raw.into();
    }
    let space_for = |byte: &u8| if is_line_break(byte) { b' ' } else { *byte };
    raw.iter().map(space_for).collect()
}

fn is_line_break(byte: &u8) -> bool {
    matches!(byte, b'\n' | b'\r')
}

fn check_time(ts: i64, now_ns: i64) -> Result<(), Verdict> {
    match ts {
        ..=0 => Err(Verdict::BadTime),
        _ if ts > now_ns.saturating_add(MAX_AHEAD_NS) => Err(Verdict::Future),
        _ => Ok(()),
    }
}

pub(crate) fn parse_id(hex: &str) -> Result<Id, Verdict> {
    let digit = |c: u8| match c {
        b'0'..=b'9' => Ok(c - b'0'),
        b'a'..=b'f' => Ok(c - b'a' + 10),
        _ => Err(Verdict::BadId),
    };
    let hex = hex.as_bytes();
    if hex.len() != 32 {
        return Err(Verdict::BadId);
    }
    let mut id = [0; 16];
    for (byte, two) in id.iter_mut().zip(hex.chunks_exact(2)) {
        *byte = digit(two[0])? << 4 | digit(two[1])?;
    }
    Ok(id)
}

/// An id as text.
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |half: u8| char::from(DIGITS[usize::from(half)]);
    bytes
        .iter()
        .flat_map(|b| [digit(b >> 4), digit(b & 15)])
        .collect()
}

fn compute_id(ts: i64, service: Service, content: &Content<'_>) -> Id {
    let digest = Sha256::digest(format!("{ts}:{}:{content}", service.name()));
    let mut id = [0; 16];
    id.copy_from_slice(&digest[..16]);
    id
}

fn read_proof(node: &Node<'_>, head: &Head<'_>, facts: &Facts<'_>) -> Result<Proof, Verdict> {
    let signature = match text_or_empty(node, "sig") {
        "" => None,
        text => Some(decode_base64::<64>(text)?),
    };
    let inner_key = match head.service {
        Service::HeyThere | Service::Chau => read_inner_key(head.service, head.payload)?,
        Service::Checkpoint => return read_votes(head.payload),
        _ => None,
    };
    let introduces = matches!(head.service, Service::HeyThere | Service::Chau);
    if introduces && !head.emitter.is_empty() && head.emitter != facts.actor {
        return Err(Verdict::WrongEmitter);
    }
    Ok(match signature {
        Some(signature) if !head.emitter.is_empty() => Proof::Signed {
            signature,
            digest: signable(head, &facts.content),
            inner_key,
        },
        _ => Proof::Unsigned { inner_key },
    })
}

/// What an emitter signs: a digest, signed as raw bytes.
fn signable(head: &Head<'_>, content: &Content<'_>) -> [u8; 32] {
    let Head {
        id,
        ts,
        service,
        emitter,
        ..
    } = head;
    let text = format!("{}:{ts}:{}:{emitter}:{content}", hex(id), service.name());
    Sha256::digest(text).into()
}

fn read_inner_key(service: Service, payload: &Node<'_>) -> Result<Option<[u8; 32]>, Verdict> {
    let key = match text_or_empty(payload, "PublicKey") {
        "" if service == Service::Chau => return Ok(None),
        "" => return Err(Verdict::BadPayload),
        text => decode_base64::<32>(text)?,
    };
    if verify::is_weak_key(&key) {
        return Err(Verdict::WeakKey);
    }
    Ok(Some(key))
}

pub(crate) fn decode_base64<const N: usize>(text: &str) -> Result<[u8; N], Verdict> {
    let bytes = BASE64.decode(text).map_err(|_| Verdict::BadBase64)?;
    bytes.try_into().map_err(|_| Verdict::BadBase64)
}
