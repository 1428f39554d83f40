//! Checkpoints: what several nodes agree on about one, and the votes that say so.

use std::fmt::{self, Write as _};

use sha2::{Digest as _, Sha256};

use crate::event::{MAX_AHEAD_NS, Worth, decode_base64};
use crate::fields::{needed_name, strings, text_or_empty, whole_or_zero};
use crate::json::Node;
use crate::payload::{Content, Facts};
use crate::verdict::Verdict;
use crate::verify::{Proof, Vote};

/// A rule of the operator's: checkpoints about this subject up to this second are wrong, and
/// dropped.
#[derive(Debug, Clone)]
pub struct Cutoff {
    /// Its name.
    pub subject: Box<str>,
    /// In Unix time.
    pub until: i64,
}

/// What the votes of a checkpoint are about. Two checkpoints that one set of votes fits have it in
/// common, whatever their own times: no vote says a word of those.
#[derive(Debug, Clone)]
pub struct Claim {
    /// Of the subject and of what every voter signs, but for the voter's own id.
    pub digest: [u8; 16],
    /// The id that stands for the subject in the votes.
    pub subject_id: Box<str>,
    /// The ids of those who vote, as they came.
    pub voters: Box<[Box<str>]>,
}

/// What a checkpoint says and its voters sign.
pub(crate) struct Tally<'n> {
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

pub(crate) fn read_checkpoint<'n>(payload: &'n Node<'_>) -> Result<Facts<'n>, Verdict> {
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
    let content = Content::Checkpoint(subject, tally);
    Ok(Facts::new("", subject, Worth::Lasting, content))
}

impl Tally<'_> {
    /// Does it speak of a time that was still to come when it was made?
    pub fn is_ahead_of(&self, ts: i64) -> bool {
        self.as_of > ts.saturating_add(MAX_AHEAD_NS) / 1_000_000_000
    }

    pub fn is_cut_off(&self, subject: &str, cutoffs: &[Cutoff]) -> bool {
        cutoffs
            .iter()
            .any(|one| *one.subject == *subject && self.as_of <= one.until)
    }

    pub fn write_content(&self, subject: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Tally {
            version,
            as_of,
            restarts,
            uptime,
            start,
            previous,
            ..
        } = *self;
        let sid = match self.subject_id {
            "" => subject,
            id => id,
        };
        match version {
            ..2 => write!(f, "checkpoint:{sid}:{as_of}:{start}:{restarts}:{uptime}"),
            2.. => write!(
                f,
                "checkpoint:v2:{sid}:{as_of}:{start}:{restarts}:{uptime}:{previous}"
            ),
        }
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

pub(crate) fn read_claim(subject: &str, payload: &Node<'_>) -> Claim {
    let tally = read_tally(payload);
    // A name has no zero byte.
    let text = format!("{subject}\0{}", attestation("", &tally));
    let mut digest = [0; 16];
    digest.copy_from_slice(&Sha256::digest(text)[..16]);
    Claim {
        digest,
        subject_id: tally.subject_id.into(),
        voters: strings(payload, "voter_ids")
            .into_iter()
            .map(Into::into)
            .collect(),
    }
}

pub(crate) fn read_votes(payload: &Node<'_>) -> Result<Proof, Verdict> {
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
