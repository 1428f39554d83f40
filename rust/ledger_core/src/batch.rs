//! Many events on their way in, each with its verdict: decode, sift out what is known, verify the
//! rest together. One bad event never costs its neighbours anything.

use crate::Cutoff;
use crate::encode;
use crate::event::{self, Event, hex};
use crate::json;
use crate::ledger::Ledger;
use crate::verdict::Verdict;
use crate::verify::{self, Key, Keys, Standing};

/// One event of a batch.
pub struct Item {
    claimed_id: Option<String>,
    claimed_ts: Option<i64>,
    event: Option<Event>,
    verdict: Verdict,
    standing: Option<Standing>,
    /// Its signature was checked, so that no key can change its standing any more.
    is_settled: bool,
    /// Where the log has the copy that this one is better than.
    over: Option<u64>,
}

/// A good event of a verified batch.
pub struct Accepted<'b> {
    /// Where it stood.
    pub index: usize,
    /// What it is proved to be.
    pub standing: Standing,
    /// Itself.
    pub event: &'b Event,
    /// Whose key decides its standing: of an unproven event the name that it waits for. Empty when
    /// none does, or several do.
    pub signer: &'b str,
    /// Where the log has the copy that this one is better than; none if it is new.
    pub over: Option<u64>,
}

/// Events as they came, in that order.
pub struct Batch {
    items: Vec<Item>,
}

impl Batch {
    /// Decode; `now_ns` is Unix time. `cutoffs`: which checkpoints are refused.
    pub fn decode<'r>(
        raws: impl IntoIterator<Item = &'r [u8]>,
        now_ns: i64,
        cutoffs: &[Cutoff],
    ) -> Batch {
        let item = |raw| {
            let event = event::decode(raw, now_ns, cutoffs);
            let verdict = event.as_ref().err().copied().unwrap_or(Verdict::Ok);
            Item {
                // A good event's id and time are its own; a refused one's are remembered apart.
                claimed_id: event.is_err().then(|| json::claimed_id(raw)).flatten(),
                claimed_ts: event.is_err().then(|| json::claimed_ts(raw)).flatten(),
                event: event.ok(),
                verdict,
                standing: None,
                is_settled: false,
                over: None,
            }
        };
        Batch {
            items: raws.into_iter().map(item).collect(),
        }
    }

    /// How many events came.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Did none come?
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// One an event.
    pub fn verdicts(&self) -> impl Iterator<Item = Verdict> {
        self.items.iter().map(|item| item.verdict)
    }

    /// One an event; none where it is refused, known, or not verified yet.
    pub fn standings(&self) -> impl Iterator<Item = Option<Standing>> {
        self.items
            .iter()
            .map(|item| item.standing.filter(|_| item.verdict == Verdict::Ok))
    }

    /// What an answer's inner signature is over: the ids as they came, of refused events too. None
    /// if one of them is no object, or has an id that is no text.
    pub fn claimed_digest(&self, sender: &str, ts: i64) -> Option<[u8; 32]> {
        let id = |item: &Item| match &item.event {
            Some(event) => Some(hex(&event.id)),
            None => item.claimed_id.clone(),
        };
        let ids: Vec<String> = self.items.iter().map(id).collect::<Option<_>>()?;
        Some(encode::digest(sender, ts, ids.iter().map(String::as_str)))
    }

    /// Time of the first and of the last event, in the order they came; none if there is none.
    /// Refused events count, too, as long as an id and a time can be read in them.
    pub fn span(&self) -> Option<(i64, i64)> {
        let mut times = self.times();
        let first = times.next()?;
        Some((first, times.last().unwrap_or(first)))
    }

    fn times(&self) -> impl Iterator<Item = i64> {
        self.items.iter().filter_map(|item| match &item.event {
            Some(event) => Some(event.ts),
            None => {
                event::parse_id(item.claimed_id.as_deref()?).ok()?;
                item.claimed_ts.filter(|ts| *ts > 0)
            }
        })
    }

    /// Mark what the ledger holds already or would drop at once. Before [`Batch::verify`] every
    /// event gets the benefit of the doubt: one standing that it may turn out to have is enough.
    pub fn sift(&mut self, ledger: &Ledger) {
        for item in &mut self.items {
            if let (Verdict::Ok, Some(event)) = (item.verdict, &item.event) {
                let settled = item.standing.as_slice();
                let open = if settled.is_empty() {
                    event.may_prove()
                } else {
                    settled
                };
                let met = |standing: &Standing| ledger.meet(event, *standing);
                let answers = || open.iter().map(met);
                let verdict = answers().find(|verdict| *verdict == Verdict::Ok);
                item.verdict = verdict.or_else(|| answers().next()).unwrap_or(Verdict::Ok);
                item.over = ledger.position_of(&event.id);
            }
        }
    }

    /// Check all signatures of events still good, together.
    pub fn verify(&mut self, keys: &Keys) {
        let events: Vec<&Event> = good(&self.items).map(|(_, _, event)| event).collect();
        let answers = verify::judge(&events, keys);
        let judged = self
            .items
            .iter_mut()
            .filter(|item| item.verdict == Verdict::Ok);
        for (item, answer) in judged.zip(answers) {
            match answer {
                Ok(standing) => {
                    let signer = item.event.as_ref().map_or("", Event::signer);
                    item.is_settled = !keys.keys_of(signer).is_empty();
                    item.standing = Some(standing);
                }
                Err(verdict) => item.verdict = verdict,
            }
        }
    }

    /// The verified events that are good.
    pub fn accepted(&self) -> impl Iterator<Item = Accepted<'_>> {
        good(&self.items).filter_map(|(index, item, event)| {
            let standing = item.standing?;
            // Signed with a known key, and unproven nevertheless: for another than its signer.
            let is_final = item.is_settled && standing == Standing::Unproven;
            Some(Accepted {
                index,
                standing,
                event,
                signer: if is_final { "" } else { event.signer() },
                over: item.over,
            })
        })
    }

    /// Names that have no key yet, with the keys of their self-signed hey-theres.
    pub fn introductions(&self, keys: &Keys) -> Vec<(&str, Key)> {
        let is_new = |event: &&Event| keys.keys_of(&event.actor).is_empty();
        let good = good(&self.items).map(|(_, _, event)| event);
        let events: Vec<&Event> = good.filter(is_new).collect();
        verify::introductions(&events)
    }
}

fn good(items: &[Item]) -> impl Iterator<Item = (usize, &Item, &Event)> {
    let good = items
        .iter()
        .enumerate()
        .filter(|(_, item)| item.verdict == Verdict::Ok);
    good.filter_map(|(i, item)| Some((i, item, item.event.as_ref()?)))
}
