"""Where the socket of a serving node lies: HOME/admin.sock, or, where that path is too long for a
socket, in a folder of its own with a short path, which is noted in HOME/admin.path.

Whoever can connect is the operator. The socket has mode 0600 and lies in a folder of mode 0700, so
that is the home's owner, and root. It is made only while the home's lock is held, so nobody's is
taken over; what a killed node left behind is swept away by the next one, and a verb that finds it
is refused the connection, which means that nobody serves.
"""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from postbox.errors import Fault
from postbox.world import Net

SOCKET = "admin.sock"
NOTE = "admin.path"
MAX_PATH_BYTES = 100
"""Of a socket: the system takes 107 on Linux and 103 on macOS."""
_FOLDER_PREFIX = "postbox-"


class NoPlace(Fault):
    """Nowhere can the socket lie: something is in its way, or every path is too long for one."""


@contextmanager
def claimed(home: Path) -> Iterator[str]:
    """A path for the socket, which is removed at the end. The caller holds the home's lock."""
    _sweep(home)
    path = _in_home(home)
    if os.path.lexists(path):
        raise NoPlace(f"{path} cannot be removed, and the node's socket goes there: move it away")
    if not _fits(path):
        path = _short_folder() / SOCKET
        (home / NOTE).write_text(str(path), encoding="utf-8", errors="surrogateescape")
    try:
        yield str(path)
    finally:
        _sweep(home)


async def serving_socket(net: Net, home: Path) -> str | None:
    """The socket that somebody listens on for this home, if anybody does."""
    path = _noted(home) or _in_home(home)
    if not _fits(path) or not _is_private(path, home):
        return None
    try:
        stream = await net.connect_unix(str(path))
    except OSError:  # nobody is there any more
        return None
    await stream.aclose()
    return str(path)


def _in_home(home: Path) -> Path:
    """Whatever the home is called by: node and verb may stand in different folders."""
    return home.resolve() / SOCKET


def _fits(path: Path) -> bool:
    return len(os.fsencode(path)) <= MAX_PATH_BYTES


def _noted(home: Path) -> Path | None:
    try:
        return Path((home / NOTE).read_text(encoding="utf-8", errors="surrogateescape"))
    except OSError:
        return None


def _is_private(path: Path, home: Path) -> bool:
    """Is it where only the home's owner could have put it? In the system's temporary folder anybody
    may take a name that has become free."""
    if path.parent == home.resolve():
        return True
    try:
        folder, owner = path.parent.lstat(), home.stat().st_uid
    except OSError:
        return False
    return folder.st_uid == owner and stat.S_IMODE(folder.st_mode) == 0o700


def _short_folder() -> Path:
    for place in (os.environ.get("XDG_RUNTIME_DIR"), tempfile.gettempdir(), "/tmp"):
        if place and _fits(Path(place) / f"{_FOLDER_PREFIX}12345678" / SOCKET):
            with suppress(OSError):
                return Path(tempfile.mkdtemp(prefix=_FOLDER_PREFIX, dir=place))
    raise NoPlace(
        "no folder with a path short enough for the node's socket lets it be made there:"
        " set XDG_RUNTIME_DIR to a folder of your own with a short path"
    )


def _sweep(home: Path) -> None:
    """Removes the socket, and the note with the folder that it names."""
    noted = _noted(home)
    with suppress(OSError):
        _in_home(home).unlink()
    if noted is None:
        return
    with suppress(OSError):
        (home / NOTE).unlink()
    if noted.name == SOCKET and noted.parent.name.startswith(_FOLDER_PREFIX):
        with suppress(OSError):
            if _is_private(noted, home):
                noted.unlink(missing_ok=True)
                noted.parent.rmdir()
