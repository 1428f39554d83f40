"""What the mesh thinks of a name's past: when it began, how often it began anew, how long it was
there. Pure; nara's derivations (neighbourhood_opinion.go, checkpoint_types.go).

nara signs no observation, so anybody can invent them. As soon as two observers have signed theirs,
unsigned ones do not count any more: as two votes make a checkpoint. Where none has, an opinion is
hearsay, and nothing is decided by it but what this node says of the name itself. And of those who
signed one alone makes no restart, unless the name's own hello bears it out.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Container, Sequence
from typing import NamedTuple

from msgspec import Struct

from postbox.mesh.projections.statistics import trimmed_mean_of_positive
from postbox.mesh.reading import Checkpoint, Observation

ENOUGH_OBSERVERS = 2
STARTS = ("restart", "first-seen")
_NEVER_S = 2**62


class Remark(NamedTuple):
    """An observation as it is held. `at_s`: Unix seconds of its event."""

    observation: Observation
    at_s: int
    is_attested: bool


class Opinion(Struct, frozen=True):
    """0 where nothing is known. Times in Unix seconds, `uptime_s` in seconds.

    `restarts` is what most observers say, `counted_restarts` what comes of counting, which is what
    checkpoints are made of; so is `first_start_s`, the earliest start that anybody tells of."""

    start_time_s: int = 0
    restarts: int = 0
    last_restart_s: int = 0
    uptime_s: int = 0
    counted_restarts: int = 0
    first_start_s: int = 0
    observers: int = 0


def opinion_of(
    remarks: Sequence[Remark],
    hellos_s: Container[int],
    checkpoint: Checkpoint | None,
    now_s: int,
) -> Opinion:
    """`remarks`: about one name, in any order; `hellos_s`: when it said hello itself, signed;
    `checkpoint`: the attested one about it with the latest `as_of_time`, if any. Restarts and times
    of the future do not count."""
    counted = sorted(_believable(remarks, hellos_s, now_s), key=_in_order)
    observations = [remark.observation for remark in counted]
    starts = [one for one in observations if one.type in STARTS]
    return Opinion(
        start_time_s=trimmed_mean_of_positive(one.start_time for one in starts),
        restarts=_agreed_restarts(starts),
        last_restart_s=max((one.last_restart for one in starts), default=0),
        uptime_s=_uptime_s(counted, checkpoint, now_s),
        counted_restarts=_counted_restarts(observations, checkpoint),
        first_start_s=_first_start_s(observations, checkpoint),
        observers=len({one.observer for one in observations}),
    )


def _believable(
    remarks: Sequence[Remark], hellos_s: Container[int], now_s: int
) -> Sequence[Remark]:
    past = [one for one in remarks if is_past(one, now_s)]
    signed = [one for one in past if one.is_attested]
    observers = {one.observation.observer for one in signed}
    if len(observers) < ENOUGH_OBSERVERS:
        return past
    return _without_lone_sights(borne_out(signed, hellos_s), hellos_s)


def borne_out(remarks: Sequence[Remark], hellos_s: Container[int]) -> list[Remark]:
    """Without restarts that one observer alone tells of, if the name did not say hello then."""
    tellers: defaultdict[int, set[str]] = defaultdict(set)
    for one, _, _ in remarks:
        if one.type == "restart":
            tellers[one.start_time].add(one.observer)
    starts = {
        start
        for start, observers in tellers.items()
        if len(observers) >= ENOUGH_OBSERVERS or start in hellos_s
    }
    return [
        one
        for one in remarks
        if one.observation.type != "restart" or one.observation.start_time in starts
    ]


def _without_lone_sights(remarks: Sequence[Remark], hellos_s: Container[int]) -> list[Remark]:
    """Without first sights that are earlier than any other observer's, and than any hello."""
    earliest: dict[str, int] = {}
    for one, _, _ in remarks:
        if one.type in STARTS:
            earliest[one.observer] = min(one.start_time, earliest.get(one.observer, _NEVER_S))
    agreed = max(sorted(earliest.values())[:ENOUGH_OBSERVERS], default=0)

    def counts(one: Observation) -> bool:
        return one.type != "first-seen" or one.start_time >= agreed or one.start_time in hellos_s

    return [one for one in remarks if counts(one.observation)]


def is_past(remark: Remark, now_s: int) -> bool:
    """What tells of the future is not believed."""
    one = remark.observation
    return max(remark.at_s, one.start_time, one.last_restart) <= now_s


def _in_order(remark: Remark) -> tuple[int, str, str, int, int]:
    """By time, and of one time in an order that does not depend on how they came."""
    one = remark.observation
    return remark.at_s, one.observer, one.online_state, one.start_time, one.restart_num


def _agreed_restarts(starts: Sequence[Observation]) -> int:
    """What the only observer says most, or the trimmed mean of several."""
    most = max((one.restart_num for one in starts), default=0)
    restarts = [one for one in starts if one.type == "restart" and one.restart_num > 0]
    if len({one.observer for one in restarts}) <= 1:
        return most
    return trimmed_mean_of_positive(one.restart_num for one in restarts) or most


def _counted_restarts(observations: Sequence[Observation], checkpoint: Checkpoint | None) -> int:
    """From the checkpoint on, else from a backfill on, else all: starts that differ."""
    starts = {one.start_time for one in observations if _is_news_of_restart(one)}
    if checkpoint is not None:
        since = sum(1 for start in starts if start > checkpoint.as_of_time)
        return checkpoint.observation.restarts + since
    backfill = _backfill(observations)
    if backfill is not None:
        return backfill.restart_num + len(starts - {backfill.start_time})
    return len(starts)


def _is_news_of_restart(one: Observation) -> bool:
    return one.type == "restart" and not one.is_backfill


def _backfill(observations: Sequence[Observation]) -> Observation | None:
    """The first one, in the order of time: nara takes the first that came."""
    return next((one for one in observations if one.is_backfill), None)


def _first_start_s(observations: Sequence[Observation], checkpoint: Checkpoint | None) -> int:
    told = [one.start_time for one in observations]
    if checkpoint is not None:
        told.append(checkpoint.observation.start_time)
    return min((start for start in told if start > 0), default=0)


def _uptime_s(remarks: Sequence[Remark], checkpoint: Checkpoint | None, now_s: int) -> int:
    """The checkpoint's, and the spans since from an ONLINE to the next OFFLINE or MISSING, up to
    now if none follows. Without one a backfill says that the name was there from its start on."""
    total_s, after_s, since_s = 0, 0, 0
    if checkpoint is not None:
        total_s, after_s = checkpoint.observation.total_uptime, checkpoint.as_of_time
    else:
        backfill = _backfill([remark.observation for remark in remarks])
        since_s = 0 if backfill is None else backfill.start_time
    for observation, at_s, _ in remarks:
        if observation.type != "status-change" or at_s <= after_s:
            continue
        if observation.online_state == "ONLINE":
            since_s = since_s or at_s
        elif since_s:
            total_s += max(0, at_s - since_s)
            since_s = 0
    return total_s + (max(0, now_s - since_s) if since_s else 0)
