"""The anchor as it lies in the home, outside the database: see `epoch`.

It is written a moment after what it tells of was committed, so that it never tells of more than
there was. A lost or damaged one is no harm by itself: then a log that went back goes unnoticed.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import msgspec
import trio

from postbox.home import replace_file
from postbox.log.epoch import EPOCH_BYTES, Anchor, History

FILE = "anchor"
KEEP_S = 1.0  # what goes unnoticed if log and process end together is a second of the log

_decoder = msgspec.json.Decoder(Anchor)


def read_anchor(home: Path) -> Anchor | None:
    """None: there is none, or none that can be read."""
    try:
        anchor = _decoder.decode((home / FILE).read_bytes())
    except (OSError, msgspec.DecodeError):
        return None
    return anchor if len(anchor.epoch) == EPOCH_BYTES and anchor.pos >= 0 else None


def write_anchor(home: Path, anchor: Anchor) -> None:
    """The whole or nothing of it. Not where there is no room: the one before does, too."""
    with suppress(OSError):
        replace_file(home / FILE, msgspec.json.encode(anchor), durable=False)


async def keep_anchor(home: Path, history: History) -> None:
    """Until cancelled, and once more then."""
    written: Anchor | None = None
    try:
        while True:
            if (anchor := history.anchor) != written:
                write_anchor(home, anchor)  # some 0.1 ms
                written = anchor
            await trio.sleep(KEEP_S)
    finally:
        write_anchor(home, history.anchor)
