"""`postbox export FILE`."""

from __future__ import annotations

import gzip
import os
import sys
from contextlib import AbstractContextManager, nullcontext, redirect_stdout
from pathlib import Path
from typing import Annotated, BinaryIO, cast

from cyclopts import Parameter

from postbox.admin.command import Operator
from postbox.admin.events import EVENTS, After
from postbox.cli.main import FAILED
from postbox.cli.node import operated
from postbox.cli.options import Common, require_no_option, run
from postbox.cli.output import events, print_json
from postbox.cli.progress import Show, progress
from postbox.errors import Fault
from postbox.world import SystemClock

STDOUT = Path("-")


class CannotWrite(Fault):
    """The file cannot be written."""


def export(
    file: Annotated[Path, Parameter(allow_leading_hyphen=True)], /, *, common: Common | None = None
) -> int:
    """Write all events to FILE, one a line, in the order in which they came; packed if its name
    ends in .gz. `postbox import` reads it back, to an equal ledger where the same keys are known.

    FILE is written under another name and takes its own when it is complete. On stdout there are
    events alone: what became of them is told on stderr.

    Parameters
    ----------
    file
        To be written, and replaced if it is there; packed if its name ends in .gz. Stdout if it is
        a dash.
    """
    options = common or Common()
    is_stdout = file == STDOUT
    name = "stdout" if is_stdout else str(file)

    async def verb() -> int:
        if not is_stdout:
            _require_plain(file)
        async with operated(options) as operator:
            with progress(f"exporting to {Path(name).name}", SystemClock()) as show:
                if is_stdout:
                    count = await _write_out(operator, show)
                else:
                    count = await _write(operator, file, show)
        if count is None:
            return FAILED
        with redirect_stdout(sys.stderr if is_stdout else sys.stdout):
            if options.json:
                print_json({"exported": count})
            else:
                print(f"{events(count)} exported to {name}")
        return 0

    return run(verb, as_json=options.json and not is_stdout)


def _require_plain(file: Path) -> None:
    """The file is replaced as a whole, which a link or a device must not be."""
    require_no_option(file, "export")
    if file.is_symlink() or (file.exists() and not file.is_file()):
        raise CannotWrite(
            f"will not write {file}: it is a link, a pipe, a device or a folder; name a plain file"
        )


async def _write_out(operator: Operator, show: Show) -> int | None:
    """None if whoever reads has read enough, as `head` does."""
    try:
        count = await _write_pages(operator, sys.stdout.buffer, show)
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        return None
    except OSError as error:
        raise CannotWrite(f"cannot write to stdout: {error.strerror or error}") from error
    return count


async def _write(operator: Operator, file: Path, show: Show) -> int:
    part = file.with_name(f"{file.name}.part")
    try:
        with part.open("wb") as raw:
            with _packed(raw, file) as out:
                count = await _write_pages(operator, out, show)
            raw.flush()
            os.fsync(raw.fileno())
        part.replace(file)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise CannotWrite(f"cannot write {file}: {error.strerror or error}") from error
    return count


def _packed(raw: BinaryIO, file: Path) -> AbstractContextManager[BinaryIO]:
    if file.suffix != ".gz":
        return nullcontext(raw)
    # Without a time or a name in its header, equal histories make equal files.
    return cast("BinaryIO", gzip.GzipFile(fileobj=raw, mode="wb", mtime=0, filename=""))


async def _write_pages(operator: Operator, out: BinaryIO, show: Show) -> int:
    after = count = 0
    while True:
        page = await operator.call(EVENTS, After(after))
        out.write(b"".join([line + b"\n" for line in page.lines]))
        count += len(page.lines)
        after = page.next
        show(count, page.share)
        if not page.more:
            return count
