"""What SQLite raises, as the errors that a client's users see."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import apsw

from postbox.client.errors import BrokenDatabase, NoDatabase
from postbox.errors import Fatal, Fault, Full, Unavailable

_SHM_CAN_NOT_GROW = apsw.SQLITE_IOERR_SHMSIZE  # a full disk is the one reason that it has

_BEGIN_ANEW = (
    "put a backup in its place, or move it away and begin anew; what the host has comes again, what"
    " waited to be sent does not"
)


@contextmanager
def named(path: str) -> Iterator[None]:
    """Around whatever asks the database at `path`."""
    try:
        yield
    except apsw.Error as error:
        raise renamed(error, path) from error
    except OverflowError as error:  # no host counts so far
        raise Fatal(f"{path} holds no number beyond 2**63, and the host sent one") from error


def renamed(error: apsw.Error, path: str) -> Fault:
    match error:
        case apsw.CantOpenError() | apsw.ReadOnlyError() | apsw.PermissionsError():
            return NoDatabase(
                f"{path} cannot be opened or written ({error}): see that its folder is there, and"
                " that both belong to whoever runs this"
            )
        case apsw.NotADBError():
            return BrokenDatabase(
                f"{path} is no file of this library ({error}): if that is not the name that you"
                f" meant, name another, which need not be there; if it is, {_BEGIN_ANEW}"
            )
        case apsw.CorruptError():
            return BrokenDatabase(f"{path} is not a whole database ({error}): {_BEGIN_ANEW}")
        case _ if isinstance(error, apsw.FullError) or _extended(error) == _SHM_CAN_NOT_GROW:
            return Full(f"no room for {path} ({error}): make room on its disk; nothing was written")
        case apsw.BusyError() | apsw.LockedError() | apsw.InterruptError():
            return Unavailable(f"{path} is locked by another program ({error}): try again")
        case _:
            return Fatal(f"{path} failed ({error!r}): stop, and check the disk")


def _extended(error: apsw.Error) -> int:
    """SQLite's own number of what went wrong."""
    return int(getattr(error, "extendedresult", 0))
