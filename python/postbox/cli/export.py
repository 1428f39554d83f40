"""`postbox export FILE`."""

from __future__ import annotations

import gzip
import os
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import BinaryIO, cast

from postbox.admin.command import Operator
from postbox.admin.events import EVENTS, After
from postbox.cli.node import operated
from postbox.cli.options import Common, run
from postbox.cli.output import events, print_json
from postbox.cli.progress import Show, progress
from postbox.errors import Fault
from postbox.world import SystemClock


class CannotWrite(Fault):
    """The file cannot be written."""


def export(file: Path, /, *, common: Common | None = None) -> int:
    """Write all events to FILE, one a line, in the order in which they came; packed if its name
    ends in .gz. `postbox import` reads it back, to an equal ledger where the same keys are known.

    FILE is written under another name and takes its own when it is complete.

    Parameters
    ----------
    file
        To be written, and replaced if it is there; packed if its name ends in .gz.
    """
    options = common or Common()

    async def verb() -> int:
        _require_plain(file)
        async with operated(options) as operator:
            with progress(f"exporting to {file.name}", SystemClock()) as show:
                count = await _write(operator, file, show)
        if options.json:
            print_json({"exported": count})
        else:
            print(f"{events(count)} exported to {file}")
        return 0

    return run(verb, as_json=options.json)


def _require_plain(file: Path) -> None:
    """The file is replaced as a whole, which a link or a device must not be."""
    if file.is_symlink() or (file.exists() and not file.is_file()):
        raise CannotWrite(
            f"will not write {file}: it is a link, a pipe, a device or a folder; name a plain file"
        )


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
        raise CannotWrite(f"can not write {file}: {error.strerror or error}") from error
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
