//! Answers as bytes, straight from the kept bytes of their events.

use sha2::{Digest as _, Sha256};

use crate::event::hex;
use crate::ledger::Selection;
use crate::msgpack;

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

    /// The same answer in MessagePack, for a peer that asks for it: the same keys in the same order,
    /// each event's kept bytes as a `bin`. No line break: nothing is split by lines here.
    pub fn encode_msgpack(&self, sender: &str, ts: i64, signature: &str) -> Vec<u8> {
        let mut size = 0;
        self.put_msgpack(sender, ts, signature, &mut |part| size += part.len());
        let mut out = Vec::with_capacity(size);
        self.put_msgpack(sender, ts, signature, &mut |part| {
            out.extend_from_slice(part)
        });
        out
    }

    /// Part by part, so that the same walk measures and writes.
    fn put_msgpack(&self, sender: &str, ts: i64, signature: &str, put: &mut impl FnMut(&[u8])) {
        let cursor = self.next_cursor.map(|cursor| cursor.to_string());
        let pairs = 3 + u8::from(cursor.is_some()) + u8::from(!signature.is_empty());
        put(msgpack::map(pairs).as_bytes());
        put_msgpack_text(put, "from");
        put_msgpack_text(put, sender);
        put_msgpack_text(put, "events");
        self.put_msgpack_events(put);
        if let Some(cursor) = &cursor {
            put_msgpack_text(put, "next_cursor");
            put_msgpack_text(put, cursor);
        }
        put_msgpack_text(put, "ts");
        put(msgpack::whole(ts).as_bytes());
        if !signature.is_empty() {
            put_msgpack_text(put, "sig");
            put_msgpack_text(put, signature);
        }
    }

    fn put_msgpack_events(&self, put: &mut impl FnMut(&[u8])) {
        if self.events.is_empty() {
            put(&[msgpack::NIL]);
            return;
        }
        put(msgpack::array(self.events.len()).as_bytes());
        for event in &self.events {
            put(msgpack::bin(event.raw.len()).as_bytes());
            put(&event.raw);
        }
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

fn put_msgpack_text(put: &mut impl FnMut(&[u8]), text: &str) {
    put(msgpack::text(text.len()).as_bytes());
    put(text.as_bytes());
}
