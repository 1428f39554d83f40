//! Answers as bytes, straight from the kept bytes of their events.

use sha2::{Digest as _, Sha256};

use crate::event::hex;
use crate::ledger::Selection;

/// SHA-256 of `{sender}:{ts}:` and ids as text, in order: what an answer's inner signature is over.
pub fn digest<'i>(sender: &str, ts: i64, ids: impl IntoIterator<Item = &'i str>) -> [u8; 32] {
    let mut hash = Sha256::new_with_prefix(format!("{sender}:{ts}:"));
    for id in ids {
        hash.update(id);
    }
    hash.finalize().into()
}

impl Selection {
    /// [`digest`] over the events chosen.
    pub fn digest(&self, sender: &str, ts: i64) -> [u8; 32] {
        let ids: Vec<String> = self.events.iter().map(|event| hex(&event.id)).collect();
        digest(sender, ts, ids.iter().map(String::as_str))
    }

    /// The JSON answer of `POST /api/sync`: keys in nara's order, `events` null when there are
    /// none, a line break at the end (the header signature covers it).
    pub fn encode(&self, sender: &str, ts: i64, signature: &str) -> Vec<u8> {
        let size: usize = self.events.iter().map(|event| event.raw.len() + 1).sum();
        let mut out = Vec::with_capacity(size + 512);
        out.extend_from_slice(b"{\"from\":");
        put_text(&mut out, sender);
        out.extend_from_slice(b",\"events\":");
        self.put_events(&mut out);
        if let Some(cursor) = &self.next_cursor {
            out.extend_from_slice(b",\"next_cursor\":");
            put_text(&mut out, &cursor.to_string());
        }
        out.extend_from_slice(format!(",\"ts\":{ts}").as_bytes());
        if !signature.is_empty() {
            out.extend_from_slice(b",\"sig\":");
            put_text(&mut out, signature);
        }
        out.extend_from_slice(b"}\n");
        out
    }

    fn put_events(&self, out: &mut Vec<u8>) {
        if self.events.is_empty() {
            out.extend_from_slice(b"null");
            return;
        }
        let mut before = b'[';
        for event in &self.events {
            out.push(before);
            out.extend_from_slice(&event.raw);
            before = b',';
        }
        out.push(b']');
    }
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(serde_json::Value::from(text).to_string().as_bytes());
}
