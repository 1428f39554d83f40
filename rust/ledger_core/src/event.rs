//! A mesh event: raw JSON bytes in, the few fields that the ledger needs out. The bytes are kept;
//! nothing is ever written back from the fields. Layout and rules are nara's
//! (`docs/protocol/mesh.md`, "Events").

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use sha2::{Digest as _, Sha256};

use crate::json::{self, Node};
use crate::schema;
use crate::verdict::Verdict;
use crate::verify::{self, Proof, Standing, Vote};

/// Largest event taken, in bytes. nara's own are under 2 KiB; a checkpoint of ten voters is 3.
pub const MAX_BYTES: usize = 64 * 1024;
/// How far ahead of now a timestamp may be: clocks differ, and beyond this it is a lie that would
/// sit on top of every answer (strfry takes the same 900 s).
pub const MAX_AHEAD_NS: i64 = 15 * 60 * 1_000_000_000;
/// nara's one cutoff: checkpoints about this subject up to this second are wrong and dropped.
const CUTOFF: (&str, i64) = ("r2d2", 1_768_774_453);

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
    pub raw: Box<[u8]>,
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
    /// What its standing will be judged by.
    pub proof: Proof,
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

    /// Whose key decides its standing; empty when none does, or several do.
    pub fn signer(&self) -> &str {
        match self.proof {
            Proof::Signed { .. } => &self.emitter,
            Proof::Unsigned { .. } | Proof::Votes(_) => "",
        }
    }

    /// Always part of a sample (within the author's quota): by kind, never by a claimed importance.
    pub fn is_critical(&self) -> bool {
        self.worth == Worth::Lasting || matches!(self.service, Service::HeyThere | Service::Chau)
    }
}

/// What one piece of input turned out to be.
pub struct Decoded {
    /// The text under `id`, right or wrong: an answer's signature is over these.
    pub claimed_id: Option<String>,
    /// The event, or why it is none.
    pub event: Result<Event, Verdict>,
}

/// Decode an event from another node: everything is checked.
///
/// `now_ns` is Unix time; events beyond [`MAX_AHEAD_NS`] after it are refused.
pub fn decode(raw: &[u8], now_ns: i64) -> Decoded {
    let mut claimed_id = None;
    let event = decode_checked(raw, now_ns, &mut claimed_id);
    Decoded { claimed_id, event }
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

fn decode_checked(raw: &[u8], now_ns: i64, claimed: &mut Option<String>) -> Result<Event, Verdict> {
    if raw.len() > MAX_BYTES {
        return Err(Verdict::TooLarge);
    }
    let node = json::read(raw)?;
    *claimed = text(&node, "id").map(str::to_owned);
    if !matches!(node, Node::Object(_)) {
        return Err(Verdict::Missing);
    }
    schema::check(&node, schema::EVENT)?;
    let head = read_head(&node)?;
    check_time(head.ts, now_ns)?;
    let facts = read_payload(head.service, head.payload)?;
    if compute_id(head.ts, head.service, &facts.content) != head.id {
        return Err(Verdict::IdMismatch);
    }
    let proof = read_proof(&node, &head, &facts)?;
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
        proof,
    }
}

/// Line breaks can only stand between tokens; as spaces they keep an event on one line of a file.
fn one_line(raw: &[u8]) -> Box<[u8]> {
    let mut raw: Box<[u8]> = raw.trim_ascii().into();
    for byte in &mut raw {
        if matches!(byte, b'\n' | b'\r') {
            *byte = b' ';
        }
    }
    raw
}

fn check_time(ts: i64, now_ns: i64) -> Result<(), Verdict> {
    match ts {
        ..=0 => Err(Verdict::BadTime),
        _ if ts > now_ns.saturating_add(MAX_AHEAD_NS) => Err(Verdict::Future),
        _ => Ok(()),
    }
}

fn parse_id(hex: &str) -> Result<Id, Verdict> {
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

fn compute_id(ts: i64, service: Service, content: &str) -> Id {
    let digest = Sha256::digest(format!("{ts}:{}:{content}", service.name()));
    let mut id = [0; 16];
    id.copy_from_slice(&digest[..16]);
    id
}

/// Is this text fit to be a name? nara joins names by ":" without escaping.
pub fn is_name(text: &str) -> bool {
    let fits = |c: char| c != ':' && !c.is_whitespace() && !c.is_control();
    (1..=64).contains(&text.chars().take(65).count()) && text.chars().all(fits)
}

fn text<'n>(node: &'n Node<'_>, key: &str) -> Option<&'n str> {
    match node.get(key)? {
        Node::Str(text) => Some(text),
        _ => None,
    }
}

fn text_or_empty<'n>(node: &'n Node<'_>, key: &str) -> &'n str {
    text(node, key).unwrap_or_default()
}

fn whole(node: &Node<'_>, key: &str) -> Option<i64> {
    match node.get(key)? {
        Node::Int(value) => Some(*value),
        _ => None,
    }
}

fn whole_or_zero(node: &Node<'_>, key: &str) -> i64 {
    whole(node, key).unwrap_or_default()
}

fn number(node: &Node<'_>, key: &str) -> f64 {
    match node.get(key) {
        Some(Node::Float(value)) => *value,
        Some(Node::Int(value)) => *value as f64,
        Some(Node::UInt(value)) => *value as f64,
        _ => 0.0,
    }
}

fn strings<'n>(node: &'n Node<'_>, key: &str) -> Vec<&'n str> {
    let Some(Node::Array(items)) = node.get(key) else {
        return Vec::new();
    };
    let text = |item: &'n Node<'_>| match item {
        Node::Str(text) => Some(&**text),
        _ => None,
    };
    items.iter().filter_map(text).collect()
}

/// A name, or "" where it is left out.
fn name<'n>(node: &'n Node<'_>, key: &str) -> Result<&'n str, Verdict> {
    match text_or_empty(node, key) {
        "" => Ok(""),
        text if is_name(text) => Ok(text),
        _ => Err(Verdict::BadName),
    }
}

/// A name that must be there.
fn needed_name<'n>(node: &'n Node<'_>, key: &str) -> Result<&'n str, Verdict> {
    match name(node, key)? {
        "" => Err(Verdict::BadPayload),
        name => Ok(name),
    }
}

/// What a payload says, service by service.
struct Facts<'n> {
    actor: &'n str,
    target: &'n str,
    witness: &'n str,
    content: String,
    worth: Worth,
    is_notable: bool,
    is_restart: bool,
}

fn read_payload<'n>(service: Service, payload: &'n Node<'_>) -> Result<Facts<'n>, Verdict> {
    match service {
        Service::Social => read_social(payload),
        Service::Ping => read_ping(payload),
        Service::Observation => read_observation(payload),
        Service::HeyThere => {
            let from = needed_name(payload, "From")?;
            let key = text_or_empty(payload, "PublicKey");
            let ip = text_or_empty(payload, "MeshIP");
            Ok(presence(from, format!("hey_there:{from}:{key}:{ip}")))
        }
        Service::Chau => {
            let from = needed_name(payload, "From")?;
            let key = text_or_empty(payload, "PublicKey");
            Ok(presence(from, format!("chau:{from}:{key}")))
        }
        Service::Seen => read_seen(payload),
        Service::Checkpoint => read_checkpoint(payload),
    }
}

fn presence(from: &str, content: String) -> Facts<'_> {
    Facts {
        actor: from,
        target: from,
        witness: "",
        content,
        worth: Worth::Presence,
        is_notable: false,
        is_restart: false,
    }
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
    Ok(Facts {
        actor,
        target,
        witness,
        content: format!("{kind}:{actor}:{target}:{reason}:{witness}"),
        worth: Worth::Social,
        is_notable: false,
        is_restart: false,
    })
}

fn read_ping<'n>(payload: &'n Node<'_>) -> Result<Facts<'n>, Verdict> {
    let observer = needed_name(payload, "observer")?;
    let target = needed_name(payload, "target")?;
    let rtt = number(payload, "rtt");
    if rtt <= 0.0 {
        return Err(Verdict::BadPayload);
    }
    Ok(Facts {
        actor: observer,
        target,
        witness: "",
        content: format!("{observer}:{target}:{rtt:.1}"),
        worth: Worth::Ping,
        is_notable: false,
        is_restart: false,
    })
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
        "restart" => format!("{subject}:restart:{restarts}:{start}"),
        _ => format!("{observer}:{subject}:{kind}:{state}:{start}:{restarts}"),
    };
    Ok(Facts {
        actor: observer,
        target: subject,
        witness: "",
        content,
        worth: if kind == "status-change" {
            Worth::Presence
        } else {
            Worth::Lasting
        },
        is_notable: importance == 2,
        is_restart: kind == "restart",
    })
}

fn read_seen<'n>(payload: &'n Node<'_>) -> Result<Facts<'n>, Verdict> {
    let observer = needed_name(payload, "observer")?;
    let subject = needed_name(payload, "subject")?;
    let via = text_or_empty(payload, "via");
    if via.is_empty() {
        return Err(Verdict::BadPayload);
    }
    Ok(Facts {
        actor: observer,
        target: subject,
        witness: "",
        content: format!("seen:{observer}:{subject}:{via}"),
        worth: Worth::Seen,
        is_notable: false,
        is_restart: false,
    })
}

/// What a checkpoint says and its voters sign.
struct Tally<'n> {
    version: i64,
    subject_id: &'n str,
    previous: &'n str,
    as_of: i64,
    restarts: i64,
    uptime: i64,
    start: i64,
}

fn read_tally<'n>(payload: &'n Node<'_>) -> Tally<'n> {
    let none = Node::Null;
    let seen = payload.get("observation").unwrap_or(&none);
    Tally {
        version: whole_or_zero(payload, "version"),
        subject_id: text_or_empty(payload, "subject_id"),
        previous: text_or_empty(payload, "previous_checkpoint_id"),
        as_of: whole_or_zero(payload, "as_of_time"),
        restarts: whole_or_zero(seen, "restarts"),
        uptime: whole_or_zero(seen, "total_uptime"),
        start: whole_or_zero(seen, "start_time"),
    }
}

fn read_checkpoint<'n>(payload: &'n Node<'_>) -> Result<Facts<'n>, Verdict> {
    let subject = needed_name(payload, "subject")?;
    let tally = read_tally(payload);
    let (voters, signatures) = (
        strings(payload, "voter_ids"),
        strings(payload, "signatures"),
    );
    if tally.as_of <= 0
        || tally.restarts < 0
        || tally.uptime < 0
        || voters.len() != signatures.len()
    {
        return Err(Verdict::BadPayload);
    }
    if subject == CUTOFF.0 && tally.as_of <= CUTOFF.1 {
        return Err(Verdict::Cutoff);
    }
    Ok(Facts {
        actor: "",
        target: subject,
        witness: "",
        content: checkpoint_content(subject, &tally),
        worth: Worth::Lasting,
        is_notable: false,
        is_restart: false,
    })
}

fn checkpoint_content(subject: &str, tally: &Tally<'_>) -> String {
    let Tally {
        version,
        as_of,
        restarts,
        uptime,
        start,
        previous,
        ..
    } = *tally;
    let sid = if tally.subject_id.is_empty() {
        subject
    } else {
        tally.subject_id
    };
    match version {
        ..2 => format!("checkpoint:{sid}:{as_of}:{start}:{restarts}:{uptime}"),
        2.. => format!("checkpoint:v2:{sid}:{as_of}:{start}:{restarts}:{uptime}:{previous}"),
    }
}

fn attestation(voter: &str, tally: &Tally<'_>) -> String {
    let Tally {
        version,
        subject_id,
        as_of,
        restarts,
        uptime,
        start,
        previous,
    } = *tally;
    let version = version.max(1);
    let mut text =
        format!("attestation:v{version}:{voter}:{subject_id}:{as_of}:{restarts}:{uptime}:{start}");
    if version >= 2 {
        // Writing to a String cannot fail.
        let _ = write!(text, ":{previous}");
    }
    text
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
fn signable(head: &Head<'_>, content: &str) -> [u8; 32] {
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

fn read_votes(payload: &Node<'_>) -> Result<Proof, Verdict> {
    let tally = read_tally(payload);
    let mut votes = Vec::new();
    for (voter, signature) in strings(payload, "voter_ids")
        .into_iter()
        .zip(strings(payload, "signatures"))
    {
        votes.push(Vote {
            voter: voter.into(),
            signature: decode_base64::<64>(signature)?,
            message: attestation(voter, &tally).into(),
        });
    }
    Ok(Proof::Votes(votes))
}

fn decode_base64<const N: usize>(text: &str) -> Result<[u8; N], Verdict> {
    let bytes = BASE64.decode(text).map_err(|_| Verdict::BadBase64)?;
    bytes.try_into().map_err(|_| Verdict::BadBase64)
}
