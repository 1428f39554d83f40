"""What is said of an error that nobody expected: one line with what to do, and the traceback in a
file, or on stderr where it was asked for.

Such an error is a bug of postbox, so the file has what a report of it needs: the traceback, and the
versions. It has no arguments and no values, which may be secret, and is its owner's alone.
"""

from __future__ import annotations

import os
import platform
import tempfile
import traceback
from collections.abc import Sequence
from importlib.metadata import version

from postbox.cli.output import complain, print_json

OPTION = "--traceback"
VARIABLE = "POSTBOX_TRACEBACK"
MOST_CHARACTERS = 300
"""Of the error's own text."""


def tell(bug: BaseException, words: Sequence[str]) -> None:
    """`words`: as postbox was called."""
    error = _in_words(bug)
    if OPTION in words or os.environ.get(VARIABLE):
        traceback.print_exception(bug)
        complain(f"{error}. {_ADVICE}")
    else:
        complain(f"{error}. {_ADVICE} {_kept(bug)}")
    if "--json" in words:
        print_json({"error": error})


_ADVICE = "This is a bug of postbox: what is stored is as it was. Please report it"


def _in_words(bug: BaseException) -> str:
    """One line: the first error of those that came together, which they mostly do alone."""
    while isinstance(bug, BaseExceptionGroup):
        bug = bug.exceptions[0]
    text = " ".join(str(bug).split())[:MOST_CHARACTERS]
    return f"unexpected {type(bug).__name__}{f': {text}' if text else ''}"


def _kept(bug: BaseException) -> str:
    """Where the traceback is."""
    try:
        folder = os.environ.get("TMPDIR") or tempfile.gettempdir()
        number, path = tempfile.mkstemp(prefix="postbox-traceback-", suffix=".txt", dir=folder)
        with open(number, "w", encoding="utf-8") as file:
            file.write(f"postbox {version('postbox')}, Python {platform.python_version()}, ")
            file.write(f"{platform.platform()}\n\n")
            traceback.print_exception(bug, file=file)
    except OSError as error:
        return f"with what {OPTION} shows (it could not be written to a file: {error.strerror})"
    return f"with {path}, which has the traceback ({OPTION} shows it)"
