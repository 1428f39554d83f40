"""Histories that look like a mesh's, signed and as long as you like, made from a seed.

For demonstrations, tests and benches: the mix, the spread over time and the bursts are those of
the 80,000 events in `tests/data/nara` (made by nara's own code), which is where every number here
comes from. One seed always gives the same bytes, on every machine.

What holds for every history, whatever its seed and length:
- all ids differ, and the core accepts every event;
- each emitter's first hey-there comes before everything else that it signed;
- nothing is pruned for its pair or target: at most 5 pings a target and `PAIR_CAP` observations an
  (observer, subject). Longer histories therefore have more emitters (`emitters_for`): with the
  square root of the length, since pairs grow with the square of the emitters.
- addresses are of 198.18.0.0/15 (RFC 2544): nobody is there, so that no node looks for who was
  made up at a machine that is somebody's.
- nothing is later than `end_ns`, or earlier than 120 days and `FIRST_SPREAD_S` before it; age is
  120 days times the square of an even draw, so a day counts the more the younger it is.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from enum import IntEnum
from typing import assert_never

from postbox.mesh.draws import Draws
from postbox.trust.authoring import (
    Chau,
    Checkpoint,
    HeyThere,
    MadeEvent,
    Observation,
    Ping,
    Seen,
    Social,
    Tally,
    make_event,
    with_voters,
)
from postbox.trust.keys import Identity, identity_of
from postbox.trust.words import FIRST, SECOND

SPAN_S = 120 * 86_400
FIRST_SPREAD_S = 1_000
"""The emitters' first hey-theres lie in so many seconds before everything else."""

PING_SPAN_S = 3 * 86_400
"""Pings are young: a ledger keeps the newest few of each target."""

PAIR_CAP = 17
"""Observations an (observer, subject): the most that the real history has; pruning starts at 20."""

PINGS_A_TARGET = 5
VOTERS = 5

MAX_COUNT = 10_000_000
"""Longer histories could repeat an id: see `_ts`."""

REAL_COUNT = 80_000
"""The shares below are of so many events; what is left is social."""

REAL_BURSTS = 51
BURST_MIN, BURST_MAX = 34, 40


class _Kind(IntEnum):
    SOCIAL = 0
    SEEN = 1
    STATUS_CHANGE = 2
    RESTART = 3
    CHAU = 4
    HEY_THERE = 5
    CHECKPOINT = 6
    PING = 7


_SHARES = {
    _Kind.SEEN: 16_194,
    _Kind.STATUS_CHANGE: 14_021,
    _Kind.RESTART: 2_342,
    _Kind.CHAU: 661,
    _Kind.HEY_THERE: 409,  # beside the first one of each emitter
    _Kind.CHECKPOINT: 152,
    _Kind.PING: 250,
}

_REASONS = ("high-restarts", "comeback", "trend-abandon", "random", "nice-number")
_VIAS = ("zine", "mesh", "ping", "sync")
_STATES = ("ONLINE", "OFFLINE", "MISSING")


def emitters_for(count: int, emitters: int = 50) -> int:
    """How many emitters a history of `count` events has when `emitters` were asked for: more if
    it is so long that pairs would come near their cap, fewer if it is so short that they would
    not all get a word in (but never fewer than a checkpoint needs)."""
    enough = math.ceil(50 * math.sqrt(count / REAL_COUNT))
    return max(VOTERS + 1, enough, min(emitters, count // 8))


def identities(seed: int, emitters: int = 50) -> list[Identity]:
    """The emitters of this seed's histories; a longer list begins with the shorter one."""
    return [_identity(seed, number) for number in range(emitters)]


def generate(seed: int, count: int, end_ns: int, emitters: int = 50) -> Iterator[bytes]:
    """`count` events, each as Go writes it, in the order of a ledger that learned them one by one
    (not of their time): `identities(seed, emitters_for(count, emitters))` make them in the 120
    days before `end_ns` (Unix nanoseconds). Raises ValueError for more than `MAX_COUNT`."""
    if count > MAX_COUNT:
        raise ValueError(f"at most {MAX_COUNT} events, not {count}")
    crowd = identities(seed, emitters_for(count, emitters))
    return _History(seed, count, end_ns, crowd).events()


def _identity(seed: int, number: int) -> Identity:
    digest = hashlib.sha256(f"postbox synthetic emitter {seed} {number}".encode()).digest()
    # the number in the words: so no two emitters share a name
    second, first = divmod(number, len(FIRST))
    round_, second = divmod(second, len(SECOND))
    name = f"{FIRST[first]}-{SECOND[(first + second) % len(SECOND)]}"
    return identity_of(f"{name}-{round_ + 1}" if round_ else name, digest)


class _History:
    """One history in the making."""

    def __init__(self, seed: int, count: int, end_ns: int, crowd: list[Identity]) -> None:
        self._draws = Draws(f"postbox synthetic history {seed} {count} {len(crowd)}")
        self._count = count
        self._end_ns = end_ns
        self._start_ns = end_ns - SPAN_S * 10**9
        self._crowd = crowd
        self._names = [one.name for one in crowd]
        self._observations = bytearray(len(crowd) ** 2)
        self._pings = 0
        self._last_checkpoints: dict[int, str] = {}

    def events(self) -> Iterator[bytes]:
        made = 0
        for event in self._introductions():
            if made == self._count:
                return
            yield event.body
            made += 1
        kinds = self._kinds(self._count - made)
        bursts = self._bursts(len(kinds))
        at = 0
        while at < len(kinds):
            length = bursts.get(at, 1)
            yield from self._moment(at, kinds[at : at + length])
            at += length

    def _introductions(self) -> Iterator[MadeEvent]:
        """Every emitter says hey, and then is seen for the first time: all at one moment."""
        for number in range(len(self._crowd)):
            # a second before anything else can be: ids hold nothing but time and content
            ts_ns = self._start_ns - 10**9 - self._draws.below((FIRST_SPREAD_S - 1) * 10**9)
            yield self._hey_there(number, ts_ns)
            observer = self._other(number)
            self._observations[observer * len(self._crowd) + number] += 1
            first_seen = Observation(
                observer=self._names[observer],
                subject=self._names[number],
                type="first-seen",
                importance=3,
                start_time=self._start_ns // 10**9 - self._draws.below(1_000_000),
            )
            yield make_event(first_seen, self._start_ns, None)

    def _kinds(self, count: int) -> bytearray:
        """What each of the other events is: the real shares, exactly, in a random order."""
        kinds = bytearray()
        for kind, share in _SHARES.items():
            quota = round(self._count * share / REAL_COUNT)
            if kind is _Kind.PING:
                quota = min(quota, PINGS_A_TARGET * len(self._crowd))
            kinds += bytes([kind]) * quota
        kinds = kinds[:count].ljust(count, bytes([_Kind.SOCIAL]))
        self._draws.shuffle(kinds)
        return kinds

    def _bursts(self, count: int) -> dict[int, int]:
        """Where a burst starts, and its length. One that starts inside another is not seen."""
        bursts = {}
        for _ in range(round(count * REAL_BURSTS / REAL_COUNT)):
            start = self._draws.below(count)
            bursts[start] = BURST_MIN + self._draws.below(BURST_MAX - BURST_MIN + 1)
        return bursts

    def _moment(self, at: int, kinds: bytearray) -> Iterator[bytes]:
        """The events of one moment: mostly one, in a burst all with the same time."""
        ts_ns = self._ts(at, PING_SPAN_S if kinds[0] == _Kind.PING else SPAN_S)
        ids: set[str] = set()
        for kind in kinds:
            event = self._event(_Kind(kind), ts_ns)
            while event.id in ids:  # the same words at the same time: somebody says another thing
                event = self._event(_Kind.SOCIAL, ts_ns)
            ids.add(event.id)
            yield event.body

    def _ts(self, at: int, span_s: int) -> int:
        """Unix nanoseconds. The last seven digits are the place in the history, so that no two
        moments are one."""
        age_ns = int(span_s * 10**9 * self._draws.fraction() ** 2)
        drawn = self._end_ns - age_ns
        return drawn - drawn % MAX_COUNT - MAX_COUNT + at

    def _event(self, kind: _Kind, ts_ns: int) -> MadeEvent:
        match kind:
            case _Kind.SOCIAL:
                return self._social(ts_ns)
            case _Kind.SEEN:
                return self._seen(ts_ns)
            case _Kind.STATUS_CHANGE:
                return self._status_change(ts_ns)
            case _Kind.RESTART:
                return self._restart(ts_ns)
            case _Kind.CHAU:
                return self._chau(ts_ns)
            case _Kind.HEY_THERE:
                return self._hey_there(self._draws.below(len(self._crowd)), ts_ns)
            case _Kind.CHECKPOINT:
                return self._checkpoint(ts_ns)
            case _Kind.PING:
                return self._ping(ts_ns)
            case _:
                assert_never(kind)

    def _social(self, ts_ns: int) -> MadeEvent:
        actor, target = self._two()
        is_gossip = self._draws.below(4) == 0
        name = self._names[actor]
        payload = Social(
            type="gossip" if is_gossip else "tease",
            actor=name,
            target=self._names[target],
            reason=_REASONS[self._draws.below(len(_REASONS))],
            witness=name if is_gossip else "",
        )
        return make_event(payload, ts_ns, self._crowd[actor])

    def _seen(self, ts_ns: int) -> MadeEvent:
        observer, subject = self._two()
        payload = Seen(
            observer=self._names[observer],
            subject=self._names[subject],
            via=_VIAS[self._draws.below(len(_VIAS))],
        )
        return make_event(payload, ts_ns, self._crowd[observer])

    def _status_change(self, ts_ns: int) -> MadeEvent:
        observer, subject = self._pair()
        payload = Observation(
            observer=observer,
            subject=subject,
            type="status-change",
            importance=2,
            start_time=ts_ns // 10**9 - self._draws.below(9_000_000),
            online_state=_STATES[self._draws.below(len(_STATES))],
            observer_uptime=1 + self._draws.below(9_000_000),
        )
        return make_event(payload, ts_ns, None)

    def _restart(self, ts_ns: int) -> MadeEvent:
        observer, subject = self._pair()
        payload = Observation(
            observer=observer,
            subject=subject,
            type="restart",
            importance=3,
            start_time=ts_ns // 10**9 - self._draws.below(1_000_000),
            restart_num=1 + self._draws.below(499),
        )
        return make_event(payload, ts_ns, None)

    def _chau(self, ts_ns: int) -> MadeEvent:
        who = self._crowd[self._draws.below(len(self._crowd))]
        payload = Chau(from_=who.name, public_key=who.public_key_base64, id=who.id)
        return make_event(payload, ts_ns, who)

    def _hey_there(self, number: int, ts_ns: int) -> MadeEvent:
        who = self._crowd[number]
        payload = HeyThere(
            from_=who.name,
            public_key=who.public_key_base64,
            mesh_ip=f"198.{18 + (number >> 16 & 1)}.{number >> 8 & 255}.{number & 255}",
            id=who.id,
        )
        return make_event(payload, ts_ns, who)

    def _checkpoint(self, ts_ns: int) -> MadeEvent:
        subject = self._draws.below(len(self._crowd))
        payload = Checkpoint(
            version=2,
            subject=self._names[subject],
            subject_id=self._crowd[subject].id,
            previous_checkpoint_id=self._last_checkpoints.get(subject, ""),
            observation=Tally(
                restarts=1 + self._draws.below(499),
                total_uptime=1 + self._draws.below(9_000_000),
                start_time=ts_ns // 10**9 - self._draws.below(9_000_000),
            ),
            as_of_time=ts_ns // 10**9,
            round=1,
        )
        event = make_event(with_voters(payload, self._voters()), ts_ns, None)
        self._last_checkpoints[subject] = event.id
        return event

    def _ping(self, ts_ns: int) -> MadeEvent:
        target = self._pings % len(self._crowd)
        self._pings += 1
        observer = self._other(target)
        # from 3 to 430 ms, in steps that decimals do not hold, as measured times are
        rtt = 3 + self._draws.below(29_890) / 70
        payload = Ping(observer=self._names[observer], target=self._names[target], rtt=rtt)
        return make_event(payload, ts_ns, self._crowd[observer])

    def _voters(self) -> list[Identity]:
        chosen: list[Identity] = []
        while len(chosen) < VOTERS:
            voter = self._crowd[self._draws.below(len(self._crowd))]
            if voter not in chosen:
                chosen.append(voter)
        return chosen

    def _pair(self) -> tuple[str, str]:
        """Observer and subject that have not reached their cap."""
        while True:
            observer, subject = self._two()
            place = observer * len(self._crowd) + subject
            if self._observations[place] < PAIR_CAP:
                self._observations[place] += 1
                return self._names[observer], self._names[subject]

    def _two(self) -> tuple[int, int]:
        one = self._draws.below(len(self._crowd))
        return one, self._other(one)

    def _other(self, one: int) -> int:
        other = self._draws.below(len(self._crowd) - 1)
        return other + (other >= one)
