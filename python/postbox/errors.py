"""Faults: what goes wrong with us, as exceptions, named once at the edge.

An outcome of a draft (accepted, duplicate, rejected) is a value and lives in `rules`; an error of
the protocol is a `WireError`. A fault's text says what was wrong, where, and what to do.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence


class Fault(Exception):
    """Something of ours failed. Not the caller's doing, and not part of any protocol."""


class Unavailable(Fault):
    """The store did not answer in time. A write may or may not have happened: submit it again."""


class Full(Fault):
    """No room on the disk, or a limit of the store. Nothing happened."""


class Violation(Fault):
    """A constraint of the database refused a change: a bug of a door. Nothing happened."""


class Fatal(Fault):
    """What was promised as durable may not be: stop the process and look at the disk."""


class HistoryChanged(Fault):
    """The log does not go on from what this process knows of it: it was put back, or another copy
    of it took over. What is in memory is of no use any more: close, and open again."""


class Stopped(Fault):
    """The writer is not running any more; whether the draft was committed is not known."""


OUR_LOG = (Full, Unavailable, Stopped)
"""Ours cannot take what somebody gives us just now: who gives it has no part in that."""


class HomeInUse(Fault):
    """Another process has this home open."""


class SchemaTooNew(Fault):
    """The database was written by a newer postbox, which this one cannot read."""


class DraftFault(Fault):
    """The rules of a door raised on some drafts of a call, which is a bug of that door.

    `failures` maps the index in the call to what was raised. The call's other drafts were dealt
    with: `outcomes` has what became of them, and None at the failures.
    """

    def __init__(
        self, failures: Mapping[int, Exception], outcomes: Sequence[object | None]
    ) -> None:
        first = min(failures)
        super().__init__(
            f"{len(failures)} of {len(outcomes)} drafts could not be decided; draft {first} "
            f"raised {failures[first]!r}. The other drafts were dealt with; this is a bug in the "
            f"door's rules, please report it with this text"
        )
        self.failures = failures
        self.outcomes = outcomes


class WireError(Exception):
    """They or we broke a protocol. Raised by `wire` and `trust` only, answered in one place."""


def leaves(error: BaseException) -> list[BaseException]:
    """The exceptions that it consists of: they come out of nurseries in groups."""
    if not isinstance(error, BaseExceptionGroup):
        return [error]
    return [leaf for part in error.exceptions for leaf in leaves(part)]


def in_one_line(errors: Iterable[BaseException]) -> str:
    return "; ".join(dict.fromkeys(map(str, errors)))
