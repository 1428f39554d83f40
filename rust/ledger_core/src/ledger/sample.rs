//! A weighted sample: what a peer that missed much should hear first.
//!
//! The law is successive sampling: draw one by weight, take it out, draw the next. It is drawn as an
//! exponential race (Efraimidis and Spirakis 2006): event i arrives after `-ln(1-u)/w`, the first k
//! win. All in base-2 logarithms, because a weight halves every 30 days and after some years no
//! longer fits a float. `u` is a keyed hash of the event's id, so equal ledgers give equal samples
//! for equal seeds, whatever order they grew in.

use std::cmp::Reverse;
use std::collections::HashMap;

use super::index::Filter;
use super::names::NameId;
use super::query::{Selection, clamp_size};
use super::retention::CriticalKey;
use super::{Entry, Ledger, Slot};
use crate::event::Id;

/// A weight halves in this time.
const HALF_LIFE_NS: f64 = 30.0 * 24.0 * 3600.0 * 1e9;
/// One author's critical places: a sixteenth of the sample, but at least this many.
const MIN_AUTHOR_PLACES: usize = 32;
/// Critical events get at most this part of a sample, so that something else always comes too.
const CRITICAL_SHARE: (usize, usize) = (9, 10);
/// The importance with which critical events compete that the quotas left out.
const CRITICAL_IMPORTANCE: f64 = 5.0;
/// The importance of an observation of nara's "normal"; anything else has 1.
const NOTABLE_IMPORTANCE: f64 = 2.0;
/// Base-2 logarithm of the most that relevance can do: twice for the responder, twice for the
/// requester.
const MOST_FAVOUR: f64 = 2.0;

/// What is asked for. `seed` must be fresh and secret for each answer; it makes the draw.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// How many; absent, non-positive or over 5,000 means 5,000.
    pub size: Option<i64>,
    /// 16 random bytes.
    pub seed: [u8; 16],
    /// Unix nanoseconds.
    pub now_ns: i64,
    /// Whose ledger this is.
    pub responder: &'a str,
    /// Who asks, by authenticated name.
    pub requester: &'a str,
}

/// What a race needs to know of every event, side by side so that a scan runs through memory in
/// order. Free places hold NaN, which wins no comparison.
#[derive(Default)]
pub(crate) struct Weights {
    /// Time of the event in half-lives since 1970.
    time: Vec<f64>,
    /// Base-2 logarithm of its importance.
    lift: Vec<f64>,
    id: Vec<Id>,
    /// Emitter, actor and target: who makes it more relevant by asking or answering.
    names: Vec<[NameId; 3]>,
}

impl Weights {
    pub fn set(&mut self, slot: Slot, entry: &Entry) {
        let slot = slot as usize;
        if slot >= self.id.len() {
            self.time.resize(slot + 1, f64::NAN);
            self.lift.resize(slot + 1, 0.0);
            self.id.resize(slot + 1, [0; 16]);
            self.names.resize(slot + 1, [NameId::NONE; 3]);
        }
        let importance = match () {
            () if entry.is_critical() => CRITICAL_IMPORTANCE,
            () if entry.is_notable => NOTABLE_IMPORTANCE,
            () => 1.0,
        };
        self.time[slot] = half_lives(entry.ts);
        self.lift[slot] = importance.log2();
        self.id[slot] = entry.id;
        self.names[slot] = [entry.emitter, entry.actor, entry.target];
    }

    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.id.len()
    }

    pub fn clear(&mut self, slot: Slot) {
        self.time[slot as usize] = f64::NAN;
    }
}

fn half_lives(ts: i64) -> f64 {
    ts as f64 / HALF_LIFE_NS
}

impl Ledger {
    /// A weighted sample without replacement, in order of time.
    pub fn sample(&self, request: &Request<'_>, filter: &Filter) -> Selection {
        let size = clamp_size(request.size);
        let candidates = self.candidates(filter);
        let (mut slots, is_taken) = self.critical_places(size, candidates.as_deref());
        let race = Race::new(self, request);
        let rest = size - slots.len();
        let examined = match &candidates {
            Some(list) => {
                let free = list
                    .iter()
                    .copied()
                    .filter(|slot| !is_taken[*slot as usize]);
                slots.extend(race.run(free, rest));
                list.len()
            }
            None => {
                let all = 0..self.entries.len() as Slot;
                slots.extend(race.run(all.filter(|slot| !is_taken[*slot as usize]), rest));
                self.len()
            }
        };
        let drawn = slots.into_iter().map(|slot| self.entry(slot).key(slot));
        let (mut keys, _) = self.fill(size, drawn);
        keys.sort_unstable();
        Selection {
            events: keys.into_iter().map(|key| self.pick(key.slot)).collect(),
            next_cursor: None,
            examined,
        }
    }

    /// The events that a filter leaves; None means all, for which no list is made.
    fn candidates(&self, filter: &Filter) -> Option<Vec<Slot>> {
        if filter.is_open() {
            return None;
        }
        let examined = std::cell::Cell::new(0);
        let start = std::ops::Bound::Unbounded;
        let walk = self.index.ascending(filter, &self.names, start, &examined);
        Some(walk.map(|key| key.slot).collect())
    }

    /// The critical events that are in whatever the draw, and for every slot whether it is one.
    fn critical_places(&self, size: usize, among: Option<&[Slot]>) -> (Vec<Slot>, Vec<bool>) {
        let mut is_taken = vec![false; self.entries.len()];
        let taken = match among {
            None => self.share_out(size, self.retention.critical().iter().copied()),
            Some(slots) => {
                let entries = slots.iter().map(|slot| (*slot, self.entry(*slot)));
                let mut keys: Vec<CriticalKey> = entries
                    .filter(|(_, entry)| entry.is_critical())
                    .map(|(slot, entry)| (entry.rank.class, Reverse(entry.key(slot))))
                    .collect();
                keys.sort_unstable();
                self.share_out(size, keys.into_iter())
            }
        };
        for slot in &taken {
            is_taken[*slot as usize] = true;
        }
        (taken, is_taken)
    }

    /// Places by rank, until the author's or everybody's share is used up.
    fn share_out(&self, size: usize, ranked: impl Iterator<Item = CriticalKey>) -> Vec<Slot> {
        let most = size * CRITICAL_SHARE.0 / CRITICAL_SHARE.1;
        let most_of_one = MIN_AUTHOR_PLACES.max(size / 16);
        let mut places = HashMap::with_hasher(self.by_id.hasher().clone());
        let mut taken = Vec::new();
        for (_, Reverse(key)) in ranked {
            if taken.len() == most {
                break;
            }
            let of_author = places.entry(self.entry(key.slot).author).or_insert(0);
            if *of_author < most_of_one {
                *of_author += 1;
                taken.push(key.slot);
            }
        }
        taken
    }
}

/// One draw.
struct Race<'l> {
    ledger: &'l Ledger,
    seed: [u64; 2],
    now: f64,
    favoured: [NameId; 2],
}

impl<'l> Race<'l> {
    fn new(ledger: &'l Ledger, request: &Request<'_>) -> Race<'l> {
        let seed = u128::from_le_bytes(request.seed);
        let find = |name| ledger.names.find(name).unwrap_or(NameId::UNHEARD);
        Race {
            ledger,
            seed: [seed as u64, (seed >> 64) as u64],
            now: half_lives(request.now_ns),
            favoured: [find(request.responder), find(request.requester)],
        }
    }

    /// The `count` that arrive first.
    fn run(&self, candidates: impl Iterator<Item = Slot> + Clone, count: usize) -> Vec<Slot> {
        if count == 0 {
            return Vec::new();
        }
        let horizon = self.horizon(candidates.clone(), count);
        let mut arrivals = self.arrivals(candidates.clone(), horizon);
        if arrivals.len() < count && horizon < f64::INFINITY {
            // The guess was too near (it is meant to be once in a million draws); the draw itself
            // does not depend on it, so looking further changes nothing but the cost.
            arrivals = self.arrivals(candidates, f64::INFINITY);
        }
        if arrivals.len() > count {
            let by_time = |a: &(f64, Slot), b: &(f64, Slot)| {
                let id = |slot: Slot| self.ledger.weights.id[slot as usize];
                a.0.total_cmp(&b.0).then_with(|| id(a.1).cmp(&id(b.1)))
            };
            arrivals.select_nth_unstable_by(count - 1, by_time);
            arrivals.truncate(count);
        }
        arrivals.into_iter().map(|(_, slot)| slot).collect()
    }

    /// Everybody who arrives before the horizon, and when; both as logarithms.
    fn arrivals(&self, candidates: impl Iterator<Item = Slot>, horizon: f64) -> Vec<(f64, Slot)> {
        let ids = &self.ledger.weights.id;
        let mut arrivals = Vec::new();
        for slot in candidates {
            let weight = self.weight(slot as usize);
            let hash = mix(self.seed, &ids[slot as usize]);
            // The bounds turn nearly everybody away before anything that costs.
            let earliest = least_wait(hash) - weight;
            if earliest - MOST_FAVOUR > horizon {
                continue;
            }
            let favour = self.favour(slot as usize);
            if earliest - favour <= horizon {
                let arrival = wait(hash) - weight - favour;
                if arrival <= horizon {
                    arrivals.push((arrival, slot));
                }
            }
        }
        arrivals
    }

    /// Base-2 logarithm of a weight, relevance aside; NaN for a free place. The future counts as
    /// now.
    fn weight(&self, slot: usize) -> f64 {
        let weights = &self.ledger.weights;
        let time = weights.time[slot];
        let time = if time > self.now { self.now } else { time };
        time - self.now + weights.lift[slot]
    }

    /// Base-2 logarithm of the relevance: twice for the responder, twice for the requester.
    fn favour(&self, slot: usize) -> f64 {
        let names = &self.ledger.weights.names[slot];
        self.favoured
            .iter()
            .filter(|name| names.contains(name))
            .count() as f64
    }

    /// A time by which a few more than `count` will have arrived, from how many events there are of
    /// each weight: only a way to look at fewer of them.
    fn horizon(&self, candidates: impl Iterator<Item = Slot>, count: usize) -> f64 {
        const STEP: f64 = 0.25;
        const BINS: usize = 4096;
        // Weights of some thousands tell enough about all.
        let stride = (self.ledger.entries.len() / 8192).max(1);
        // Five standard deviations, of the tosses and of the estimate, and some for small counts.
        let deviation = (count as f64 * (1 + stride) as f64).sqrt();
        let wanted = count as f64 + 5.0 * deviation + 10.0;
        if self.ledger.len() as f64 <= wanted {
            return f64::INFINITY;
        }
        let top = CRITICAL_IMPORTANCE.log2();
        let mut bins = vec![0_u32; BINS];
        for slot in candidates.step_by(stride) {
            let weight = self.weight(slot as usize);
            if !weight.is_nan() {
                bins[(((top - weight) / STEP) as usize).min(BINS - 1)] += 1;
            }
        }
        let counted = bins.iter().enumerate().filter(|(_, count)| **count > 0);
        let floors: Vec<(f64, f64)> = counted
            .map(|(bin, n)| (top - (bin + 1) as f64 * STEP, f64::from(*n) * stride as f64))
            .collect();
        solve(&floors, wanted)
    }
}

/// The horizon by which `wanted` of these (weight, how many) have arrived on average; infinite if
/// there are not so many.
fn solve(floors: &[(f64, f64)], wanted: f64) -> f64 {
    let total: f64 = floors.iter().map(|(_, count)| count).sum();
    if total <= wanted {
        return f64::INFINITY;
    }
    let expected = |horizon: f64| -> f64 {
        let arrived = |(weight, count): &(f64, f64)| -count * (-(weight + horizon).exp2()).exp_m1();
        floors.iter().map(arrived).sum()
    };
    let (mut low, mut high) = (-80.0, 1200.0);
    for _ in 0..40 {
        let middle = (low + high) / 2.0;
        if expected(middle) < wanted {
            low = middle
        } else {
            high = middle
        }
    }
    high
}

/// Base-2 logarithm of an exponential waiting time, from 64 random bits.
fn wait(hash: u64) -> f64 {
    let u = (hash as f64 + 0.5) * (-64_f64).exp2();
    (-(-u).ln_1p()).log2()
}

/// A lower bound of [`wait`] that needs no logarithm: `-ln(1-u) >= u`, and a float's own bits are a
/// logarithm that is at most 0.09 too small.
fn least_wait(hash: u64) -> f64 {
    let bits = (hash as f64).to_bits();
    // One unit off for the rounding of `hash as f64`.
    (bits.saturating_sub(1) as f64) * (-52_f64).exp2() - 1023.0 - 64.0
}

/// 64 bits from an id under a key: two rounds of folded 128-bit multiplication, as wyhash has them.
/// Ids are hashes already and the seed is secret, so nobody can aim; the sampler's chi-square tests
/// hold it to being uniform.
fn mix(seed: [u64; 2], id: &Id) -> u64 {
    let id = u128::from_le_bytes(*id);
    let fold = |a: u64, b: u64| {
        let product = u128::from(a) * u128::from(b);
        product as u64 ^ (product >> 64) as u64
    };
    let once = fold(
        id as u64 ^ seed[0],
        (id >> 64) as u64 ^ seed[1] ^ 0x9e37_79b9_7f4a_7c15,
    );
    fold(once ^ seed[1], seed[0] ^ 0xa076_1d64_78bd_642f)
}
