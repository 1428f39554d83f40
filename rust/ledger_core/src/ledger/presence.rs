//! Is a name online? From the newest attested words about it, none of them later than now.
//!
//! nara lets the newest word decide, whoever says it (projection_online_status.go). Here a name's
//! own word, while it is fresh, is not overruled by what others say; and that somebody is gone two
//! different observers must say. Otherwise one liar could make living nodes look gone, and itself
//! the only one to be asked.

use super::names::NameId;
use super::{Entry, Ledger};
use crate::event::{Service, Sign};
use crate::verify::Standing;

/// What follows from the words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// Nobody says anything.
    Unknown = 0,
    /// It is there.
    Online = 1,
    /// It has left.
    Offline = 2,
    /// It is silent, or was not found.
    Missing = 3,
}

#[derive(Clone, Copy)]
struct Word {
    at: i64,
    says: Sign,
}

/// Services in which a name says something about itself, by saying anything.
const OWN: [Service; 6] = [
    Service::Social,
    Service::Ping,
    Service::Observation,
    Service::HeyThere,
    Service::Chau,
    Service::Seen,
];
/// And those in which others say something about it.
const OTHERS: [Service; 3] = [Service::Ping, Service::Seen, Service::Observation];

impl Ledger {
    /// `fresh_ns`: so long a sign of life tells that somebody is online.
    pub fn presence(&self, name: &str, now_ns: i64, fresh_ns: i64) -> Presence {
        let Some(name) = self.names.find(name) else {
            return Presence::Unknown;
        };
        let is_own = |entry: &Entry| entry.actor == name;
        let own = self.newest(name, &OWN, now_ns, is_own).map(own_word);
        if let Some(own) = own
            && own.says == Sign::Online
            && now_ns.saturating_sub(own.at) <= fresh_ns
        {
            return Presence::Online;
        }
        let newest = match (own, self.others(name, now_ns)) {
            (Some(own), Some(others)) if others.at > own.at => Some(others),
            (own, others) => own.or(others),
        };
        let is_old = |word: Word| now_ns.saturating_sub(word.at) > fresh_ns;
        match newest {
            None => Presence::Unknown,
            Some(word) if word.says == Sign::Online && is_old(word) => Presence::Missing,
            Some(word) => match word.says {
                Sign::Online => Presence::Online,
                Sign::Offline => Presence::Offline,
                Sign::Missing => Presence::Missing,
            },
        }
    }

    /// The newest word of another. That the name is gone counts from when a second observer said
    /// so, and if the one who spoke before says that it is there, that counts.
    fn others(&self, name: NameId, now_ns: i64) -> Option<Word> {
        let first = self.newest(name, &OTHERS, now_ns, |entry| entry.actor != name)?;
        if first.says == Sign::Online {
            return Some(Word {
                at: first.ts,
                says: first.says,
            });
        }
        let by_a_second = |entry: &Entry| entry.actor != name && entry.actor != first.actor;
        let second = self.newest(name, &OTHERS, now_ns, by_a_second)?;
        let says = match second.says {
            Sign::Online => Sign::Online,
            Sign::Offline | Sign::Missing => first.says,
        };
        Some(Word {
            at: second.ts,
            says,
        })
    }

    /// The newest attested event of these services that has to do with the name, and fits.
    fn newest(
        &self,
        name: NameId,
        services: &[Service],
        upto_ns: i64,
        fits: impl Fn(&Entry) -> bool,
    ) -> Option<&Entry> {
        let of_service = |service: &Service| {
            self.index
                .before(name, *service, upto_ns)
                .map(|key| self.entry(key.slot))
                .find(|entry| entry.standing == Standing::Attested && fits(entry))
        };
        services
            .iter()
            .filter_map(of_service)
            .max_by_key(|entry| (entry.ts, entry.id))
    }
}

/// Who says anything at all is there, unless it is goodbye.
fn own_word(entry: &Entry) -> Word {
    let says = match entry.service {
        Service::Chau => Sign::Offline,
        _ => Sign::Online,
    };
    Word { at: entry.ts, says }
}
