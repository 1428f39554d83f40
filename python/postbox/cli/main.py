"""`postbox`: the command itself, and how it ends."""

from __future__ import annotations

import errno
import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cyclopts import CycloptsError

FAILED = 1
USAGE = 2
INTERRUPTED = 130  # what a shell calls a process that Ctrl-C ended
OF_STDOUT = (errno.EPIPE, errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF)
"""Of a write. Whatever else a verb does with files is a fault of its own by then."""


def main(arguments: list[str] | None = None) -> None:
    """Exits 0 when it is done, 1 when it was refused or failed, 2 when it was called wrongly."""
    _open_closed_streams()
    given = sys.argv[1:] if arguments is None else arguments
    try:
        code = _run(given)
        sys.stdout.flush()
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except Exception as bug:
        if isinstance(bug, OSError) and bug.errno in OF_STDOUT:
            _give_up_stdout(bug)
        else:
            from postbox.cli.unexpected import tell

            tell(bug, given)
        sys.exit(FAILED)
    sys.exit(code)


def _run(words: list[str]) -> int:
    if words in ([], ["-h"], ["--help"]):
        from postbox.cli.verbs import print_verbs

        print_verbs()
        return 0
    from cyclopts import CycloptsError

    from postbox.cli.calling import call

    try:
        code = call(words)
    except CycloptsError as error:
        _tell_wrong_call(error)
        return USAGE
    return code if isinstance(code, int) else 0


def _tell_wrong_call(error: CycloptsError) -> None:
    from cyclopts import UnusedCliTokensError

    from postbox.cli.output import complain

    verb = " ".join(("postbox", *(error.command_chain or ())))
    text = " ".join(str(error).split())
    if isinstance(error, UnusedCliTokensError):
        text = f"{verb} takes no {' '.join(map(repr, error.unused_tokens or ()))}"
    complain(f"{text} ({verb} --help)")


def _give_up_stdout(error: OSError) -> None:
    """Nothing more can be written there, not even what is left in its buffer."""
    if not isinstance(error, BrokenPipeError):  # `postbox status | head` has read enough
        from postbox.cli.output import complain

        complain(f"cannot write the result: {error.strerror}")
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _open_closed_streams() -> None:
    """Those that a caller closed, as daemons are started by some: on nothing, before a file of the
    node's gets their numbers."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115  (for good)
