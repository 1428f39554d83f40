//! Events made for the tests and the bench: the JSON that a nara would send, with its id computed
//! here and not by the crate, and a log that gives positions to what it adds to a ledger.
#![allow(dead_code, missing_docs)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeSet;
use std::fmt::Write as _;

use ed25519_zebra::{SigningKey, VerificationKey};
use ledger_core::event::{self, Event, Id, Service};
use ledger_core::ledger::{Added, Ledger, Selection};
use ledger_core::verdict::Verdict;
use ledger_core::verify::{Key, Standing};
use sha2::{Digest as _, Sha256};

pub const DAY: i64 = 86_400_000_000_000;
/// When most tests happen: a day after the newest real event.
pub const NOW: i64 = 1_795_300_000_000_000_000;

/// Random numbers for tests; splitmix64.
pub struct Draws(pub u64);

impl Draws {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    pub fn sixteen(&mut self) -> [u8; 16] {
        (u128::from(self.next()) << 64 | u128::from(self.next())).to_le_bytes()
    }

    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            items.swap(i, self.below(i as u64 + 1) as usize);
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub enum What {
    Social {
        actor: String,
        target: String,
        witness: String,
    },
    Ping {
        observer: String,
        target: String,
    },
    Status {
        observer: String,
        subject: String,
        importance: u8,
    },
    Restart {
        observer: String,
        subject: String,
        number: u32,
    },
    FirstSeen {
        observer: String,
        subject: String,
    },
    HeyThere {
        from: String,
    },
    Chau {
        from: String,
    },
    Seen {
        observer: String,
        subject: String,
    },
    Checkpoint {
        subject: String,
        subject_id: String,
        as_of: i64,
        restarts: i64,
        voters: Vec<String>,
    },
}

/// An event to be, and the note that the log has on it.
#[derive(Clone, Debug, PartialEq)]
pub struct Spec {
    pub ts: i64,
    pub what: What,
    pub emitter: Option<String>,
    pub standing: Standing,
}

/// A key that decodes; whose it is does not matter where standings are given.
const SOME_KEY: &str = "f9ImRnyqBvwPQLZRA4QxX+p8bof9t8YO9kFQ+TOo9Ss=";

impl Spec {
    pub fn new(ts: i64, what: What) -> Spec {
        let standing = Standing::Hearsay;
        Spec {
            ts,
            what,
            emitter: None,
            standing,
        }
    }

    pub fn attested(mut self) -> Spec {
        self.standing = Standing::Attested;
        self
    }

    pub fn by(mut self, emitter: &str) -> Spec {
        self.emitter = Some(emitter.to_owned());
        self
    }

    /// A checkpoint's votes are on this id.
    pub fn on(mut self, id: &str) -> Spec {
        match &mut self.what {
            What::Checkpoint { subject_id, .. } => id.clone_into(subject_id),
            other => panic!("{other:?} has no votes"),
        }
        self
    }

    pub fn service(&self) -> Service {
        match self.what {
            What::Social { .. } => Service::Social,
            What::Ping { .. } => Service::Ping,
            What::Status { .. } | What::Restart { .. } | What::FirstSeen { .. } => {
                Service::Observation
            }
            What::HeyThere { .. } => Service::HeyThere,
            What::Chau { .. } => Service::Chau,
            What::Seen { .. } => Service::Seen,
            What::Checkpoint { .. } => Service::Checkpoint,
        }
    }

    pub fn actor(&self) -> &str {
        match &self.what {
            What::Social { actor, .. } => actor,
            What::Ping { observer, .. }
            | What::Status { observer, .. }
            | What::Restart { observer, .. }
            | What::FirstSeen { observer, .. }
            | What::Seen { observer, .. } => observer,
            What::HeyThere { from } | What::Chau { from } => from,
            What::Checkpoint { .. } => "",
        }
    }

    pub fn target(&self) -> &str {
        match &self.what {
            What::Social { target, .. } | What::Ping { target, .. } => target,
            What::Status { subject, .. }
            | What::Restart { subject, .. }
            | What::FirstSeen { subject, .. }
            | What::Seen { subject, .. }
            | What::Checkpoint { subject, .. } => subject,
            What::HeyThere { from } | What::Chau { from } => from,
        }
    }

    pub fn author(&self) -> &str {
        match (&self.what, &self.emitter) {
            (What::Checkpoint { subject, .. }, _) => subject,
            (_, Some(emitter)) => emitter,
            _ => self.actor(),
        }
    }

    pub fn is_lasting(&self) -> bool {
        let lasting = ["restart", "first-seen", "checkpoint"];
        lasting.contains(&self.kind())
    }

    pub fn is_critical(&self) -> bool {
        self.is_lasting() || ["hey-there", "chau"].contains(&self.kind())
    }

    pub fn kind(&self) -> &'static str {
        match self.what {
            What::Status { .. } => "status-change",
            What::Restart { .. } => "restart",
            What::FirstSeen { .. } => "first-seen",
            _ => self.service().name(),
        }
    }

    /// What its id is over, and its payload.
    fn content(&self) -> (String, String) {
        let (actor, target, start) = (self.actor(), self.target(), 1_700_000_000);
        match &self.what {
            What::Social { witness, .. } => (
                format!("tease:{actor}:{target}:random:{witness}"),
                format!(
                    r#""social":{{"type":"tease","actor":"{actor}","target":"{target}","reason":"random","witness":"{witness}"}}"#
                ),
            ),
            What::Ping { .. } => (
                format!("{actor}:{target}:12.5"),
                format!(r#""ping":{{"observer":"{actor}","target":"{target}","rtt":12.5}}"#),
            ),
            What::Status { importance, .. } => (
                format!("{actor}:{target}:status-change:ONLINE:0:0"),
                format!(
                    r#""observation":{{"observer":"{actor}","subject":"{target}","type":"status-change","importance":{importance},"online_state":"ONLINE"}}"#
                ),
            ),
            What::Restart { number, .. } => (
                format!("{target}:restart:{number}:{start}"),
                format!(
                    r#""observation":{{"observer":"{actor}","subject":"{target}","type":"restart","importance":3,"start_time":{start},"restart_num":{number}}}"#
                ),
            ),
            What::FirstSeen { .. } => (
                format!("{actor}:{target}:first-seen::{start}:0"),
                format!(
                    r#""observation":{{"observer":"{actor}","subject":"{target}","type":"first-seen","importance":3,"start_time":{start}}}"#
                ),
            ),
            What::HeyThere { .. } => (
                format!("hey_there:{actor}:{SOME_KEY}:"),
                format!(
                    r#""hey_there":{{"From":"{actor}","PublicKey":"{SOME_KEY}","MeshIP":"","ID":"","Signature":""}}"#
                ),
            ),
            What::Chau { .. } => (
                format!("chau:{actor}:{SOME_KEY}"),
                format!(
                    r#""chau":{{"From":"{actor}","PublicKey":"{SOME_KEY}","ID":"","Signature":""}}"#
                ),
            ),
            What::Seen { .. } => (
                format!("seen:{actor}:{target}:sync"),
                format!(r#""seen":{{"observer":"{actor}","subject":"{target}","via":"sync"}}"#),
            ),
            What::Checkpoint {
                subject_id,
                as_of,
                restarts,
                voters,
                ..
            } => {
                let sid = match &subject_id[..] {
                    "" => target,
                    id => id,
                };
                let signatures = vec![base64(&[0; 64]); voters.len()];
                (
                    format!("checkpoint:{sid}:{as_of}:{start}:{restarts}:2"),
                    format!(
                        r#""checkpoint":{{"version":1,"subject":"{target}","subject_id":"{subject_id}","observation":{{"restarts":{restarts},"total_uptime":2,"start_time":{start}}},"as_of_time":{as_of},"voter_ids":{voters:?},"signatures":{signatures:?}}}"#,
                    ),
                )
            }
        }
    }

    pub fn id(&self) -> Id {
        id_of(self.ts, self.service().name(), &self.content().0)
    }

    /// Copies of different standing differ in their bytes, as a signature would make them.
    pub fn raw(&self) -> Vec<u8> {
        let (_, payload) = self.content();
        let emitter = match &self.emitter {
            Some(emitter) => format!(r#""emitter":"{emitter}","#),
            None => String::new(),
        };
        let (svc, ts, note) = (self.service().name(), self.ts, self.standing as u8);
        let id = hex(&self.id());
        format!(r#"{{"id":"{id}","ts":{ts},"svc":"{svc}",{emitter}{payload},"copy":{note}}}"#)
            .into_bytes()
    }

    pub fn event(&self) -> Event {
        decoded(&self.raw())
    }
}

/// Decode what must be good.
pub fn decoded(raw: &[u8]) -> Event {
    match event::decode(raw, i64::MAX, &[]) {
        Ok(event) => event,
        Err(verdict) => panic!("{}: {}", verdict.name(), String::from_utf8_lossy(raw)),
    }
}

pub fn verdict_of(raw: &[u8]) -> Verdict {
    event::decode(raw, NOW, &[]).err().unwrap_or(Verdict::Ok)
}

pub fn id_of(ts: i64, svc: &str, content: &str) -> Id {
    let digest = Sha256::digest(format!("{ts}:{svc}:{content}"));
    digest[..16].try_into().unwrap()
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

pub fn name(i: u64) -> String {
    format!("n{i}")
}

pub fn tease(ts: i64, actor: &str, target: &str) -> Spec {
    let what = What::Social {
        actor: actor.to_owned(),
        target: target.to_owned(),
        witness: String::new(),
    };
    Spec::new(ts, what)
}

pub fn ping(ts: i64, observer: &str, target: &str) -> Spec {
    let what = What::Ping {
        observer: observer.to_owned(),
        target: target.to_owned(),
    };
    Spec::new(ts, what)
}

pub fn seen(ts: i64, observer: &str, subject: &str) -> Spec {
    let what = What::Seen {
        observer: observer.to_owned(),
        subject: subject.to_owned(),
    };
    Spec::new(ts, what)
}

pub fn status(ts: i64, observer: &str, subject: &str) -> Spec {
    let (observer, subject) = (observer.to_owned(), subject.to_owned());
    Spec::new(
        ts,
        What::Status {
            observer,
            subject,
            importance: 2,
        },
    )
}

pub fn restart(ts: i64, observer: &str, subject: &str, number: u32) -> Spec {
    let (observer, subject) = (observer.to_owned(), subject.to_owned());
    Spec::new(
        ts,
        What::Restart {
            observer,
            subject,
            number,
        },
    )
}

pub fn first_seen(ts: i64, observer: &str, subject: &str) -> Spec {
    let (observer, subject) = (observer.to_owned(), subject.to_owned());
    Spec::new(ts, What::FirstSeen { observer, subject })
}

pub fn hey_there(ts: i64, from: &str) -> Spec {
    Spec::new(
        ts,
        What::HeyThere {
            from: from.to_owned(),
        },
    )
}

pub fn chau(ts: i64, from: &str) -> Spec {
    Spec::new(
        ts,
        What::Chau {
            from: from.to_owned(),
        },
    )
}

/// One that no other's votes fit, unless it is of the same time.
pub fn checkpoint(ts: i64, subject: &str) -> Spec {
    voted(ts, subject, ts, &[])
}

/// With these votes on so many restarts, until the second of `ts`.
pub fn voted(ts: i64, subject: &str, restarts: i64, voters: &[&str]) -> Spec {
    let what = What::Checkpoint {
        subject: subject.to_owned(),
        subject_id: String::new(),
        as_of: (ts / 1_000_000_000).max(1),
        restarts,
        voters: voters.iter().map(|id| (*id).to_owned()).collect(),
    };
    Spec::new(ts, what)
}

/// A ledger, and the positions that its log would have given.
pub struct Log {
    pub ledger: Ledger,
    pub next: u64,
}

impl Log {
    pub fn new(capacity: usize) -> Log {
        Log {
            ledger: Ledger::new(capacity, [7; 16]),
            next: 1,
        }
    }

    /// One commit; returns the first position given and what was evicted.
    pub fn commit(&mut self, specs: &[Spec]) -> (u64, Vec<u64>) {
        let raws: Vec<Vec<u8>> = specs.iter().map(Spec::raw).collect();
        let first = self.next;
        let added: Vec<Added<'_>> = raws
            .iter()
            .zip(specs)
            .zip(first..)
            .map(|((raw, spec), pos)| Added {
                pos,
                body: raw,
                standing: spec.standing,
            })
            .collect();
        self.next += specs.len() as u64;
        (first, self.ledger.apply(&[], &added).unwrap())
    }

    /// One event; its position and what was evicted.
    pub fn add(&mut self, spec: &Spec) -> (u64, Vec<u64>) {
        self.commit(std::slice::from_ref(spec))
    }

    pub fn with(mut self, specs: &[Spec]) -> Log {
        self.commit(specs);
        self
    }

    pub fn holds(&self, spec: &Spec) -> bool {
        self.ledger.contains(&spec.id())
    }
}

/// The first of each id: restarts that two observers saw are one event to nara.
pub fn distinct(specs: Vec<Spec>) -> Vec<Spec> {
    let mut ids = BTreeSet::new();
    specs
        .into_iter()
        .filter(|spec| ids.insert(spec.id()))
        .collect()
}

/// [`Ledger::digest`], written again from its definition.
pub fn digest_of<'s>(specs: impl IntoIterator<Item = &'s Spec>) -> [u8; 32] {
    let mut specs: Vec<&Spec> = specs.into_iter().collect();
    specs.sort_by_key(|spec| spec.id());
    let mut all = Sha256::new();
    for spec in specs {
        all.update(spec.id());
        all.update(Sha256::digest(spec.raw()));
        all.update([spec.standing as u8]);
    }
    all.finalize().into()
}

pub fn ids(selection: &Selection) -> Vec<Id> {
    selection.events.iter().map(|picked| picked.id).collect()
}

/// Somebody who can sign.
pub struct Signer {
    pub name: String,
    key: SigningKey,
}

impl Signer {
    pub fn new(name: &str) -> Signer {
        let seed: [u8; 32] = Sha256::digest(name).into();
        Signer {
            name: name.to_owned(),
            key: SigningKey::from(seed),
        }
    }

    pub fn public(&self) -> Key {
        VerificationKey::from(&self.key).into()
    }

    pub fn public_text(&self) -> String {
        base64(&self.public())
    }

    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.key.sign(message).into()
    }

    /// An event of this signer's, signed as nara does it.
    pub fn event(&self, ts: i64, svc: &str, content: &str, payload: &str) -> Vec<u8> {
        let id = hex(&id_of(ts, svc, content));
        let digest = Sha256::digest(format!("{id}:{ts}:{svc}:{}:{content}", self.name));
        signed(&id, ts, svc, &self.name, &self.sign(&digest), payload)
    }

    pub fn seen(&self, ts: i64, subject: &str) -> Vec<u8> {
        let name = &self.name;
        let content = format!("seen:{name}:{subject}:sync");
        let payload =
            format!(r#""seen":{{"observer":"{name}","subject":"{subject}","via":"sync"}}"#);
        self.event(ts, "seen", &content, &payload)
    }

    pub fn hey_there(&self, ts: i64) -> Vec<u8> {
        let (name, key) = (&self.name, self.public_text());
        let content = format!("hey_there:{name}:{key}:100.64.0.1");
        let payload = format!(
            r#""hey_there":{{"From":"{name}","PublicKey":"{key}","MeshIP":"100.64.0.1","ID":"","Signature":""}}"#
        );
        self.event(ts, "hey-there", &content, &payload)
    }
}

pub fn signed(id: &str, ts: i64, svc: &str, emitter: &str, sig: &[u8], payload: &str) -> Vec<u8> {
    let sig = base64(sig);
    format!(
        r#"{{"id":"{id}","ts":{ts},"svc":"{svc}","emitter":"{emitter}","sig":"{sig}",{payload}}}"#
    )
    .into_bytes()
}

pub fn base64(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}
