"""What an answer says of each row of a batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from msgspec import Struct

from postbox.rpc.postbox.v1 import clients_pb as pb


class Stored(Struct, frozen=True, tag=True):
    """A row that is QUEUED is SENT from now on. `is_duplicate`: it was stored before, or changed
    nothing."""

    local: str
    uuid: str
    is_duplicate: bool


class Refused(Struct, frozen=True, tag=True):
    """A row that is QUEUED is REFUSED. `current`: with SUPERSEDED, the Event that counts."""

    local: str
    code: str
    detail: str
    current: bytes = b""


Settlement: TypeAlias = Stored | Refused


class Verdict(Struct, frozen=True):
    """One settlement a row. `next_number`: that the host awaits; 0: it did not say."""

    settlements: tuple[Settlement, ...]
    next_number: int
    server_ms: int | None


class NoAnswer(Exception):
    """It is no answer to this batch: nothing is known of any row, and all are sent again."""


def settle(batch: Sequence[str], answer: bytes) -> Verdict:
    """`batch`: what its rows were sent as. `answer`: a SubmitEventOutput. Raises NoAnswer."""
    try:
        output = pb.SubmitEventOutput.from_binary(answer)
    except (ValueError, RecursionError) as error:
        raise NoAnswer(f"the host's answer cannot be read: {error}") from error
    if len(output.events) != len(batch):
        counts = f"{len(output.events)} events to a batch of {len(batch)}"
        raise NoAnswer(f"the host answered with {counts}")
    settlements = [_settled(*each) for each in zip(batch, output.events, strict=True)]
    time = output.serverTime
    server_ms = None if time is None else time.seconds * 1_000 + time.nanos // 10**6
    return Verdict(tuple(settlements), output.nextQueueNumber, server_ms)


def _settled(local: str, answer: pb.Event) -> Settlement:
    if answer.clientUuid.lower() not in ("", local.lower()):
        raise NoAnswer(f"the host answered to {answer.clientUuid!r} in the place of {local}")
    match answer.content and answer.content.value:
        case pb.EventRefused() as refused:
            current = b"" if refused.current is None else refused.current.to_binary()
            return Refused(local, refused.code, refused.detail, current)
        case _ if not answer.uuid:
            raise NoAnswer(f"the host says neither what {local} is called nor why it is refused")
        case _:
            return Stored(local, answer.uuid, answer.duplicate)
