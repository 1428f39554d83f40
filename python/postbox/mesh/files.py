"""Histories in files: lines of events, an array of them, or an answer of `/api/sync`; packed with
gzip or not. What a file is shows in its bytes, not in its name."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import BinaryIO, cast

import msgspec

from postbox.errors import Fault

MAX_LINE_BYTES = 64 * 1024
"""The largest event (`docs/protocol/mesh.md`). A longer line is handed on cut, one byte over, and
refused for its size."""
MAX_DOCUMENT_BYTES = 512 * 2**20
"""An array or an answer is read whole; a million events are 300 MB. Larger histories are lines."""

_GZIP = b"\x1f\x8b"
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"  # what some editors put before UTF-8; JSON has none


class BadFile(Fault):
    """The file cannot be read, or not to its end; what came before the fault has been handed on."""


class _Answer(msgspec.Struct):
    events: list[msgspec.Raw] | None


class History:
    """A file of events; iterate over it once. Raises BadFile where reading fails."""

    def __init__(self, path: Path, max_document_bytes: int = MAX_DOCUMENT_BYTES) -> None:
        self._path = path
        self._max_document_bytes = max_document_bytes
        self._raw: BinaryIO | None = None
        self._read_bytes = 0
        self.size_bytes = 0

    @property
    def read_bytes(self) -> int:
        """How much of `size_bytes` has been read."""
        return self._read_bytes if self._raw is None else self._raw.tell()

    def __iter__(self) -> Generator[bytes, None, None]:
        path = self._path
        try:
            with path.open("rb") as raw:
                self.size_bytes = path.stat().st_size
                with self._watched(raw), closing(_unpacked(raw)) as file:
                    yield from _events(file, self._max_document_bytes)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise BadFile(
                f"{path} is damaged or cut off ({error}); what could be read of it was taken"
            ) from error
        except OSError as error:
            raise BadFile(f"cannot read {path}: {error.strerror or error}") from error

    @contextmanager
    def _watched(self, raw: BinaryIO) -> Iterator[None]:
        self._raw = raw
        try:
            yield
        finally:
            self._read_bytes, self._raw = self.size_bytes if raw.closed else raw.tell(), None


def _unpacked(raw: BinaryIO) -> BinaryIO:
    is_packed = raw.read(len(_GZIP)) == _GZIP
    raw.seek(0)
    return cast("BinaryIO", gzip.GzipFile(fileobj=raw)) if is_packed else raw


def _events(file: BinaryIO, max_document_bytes: int) -> Iterator[bytes]:
    first = file.readline(MAX_LINE_BYTES + 1).removeprefix(_BYTE_ORDER_MARK)
    while first and not first.strip():
        first = file.readline(MAX_LINE_BYTES + 1)
    if not _may_be_document(first):
        yield from _lines(first, file)
        return
    document = first + file.read(max(0, max_document_bytes + 1 - len(first)))
    if len(document) > max_document_bytes:
        raise BadFile(
            f"the file is one JSON document of more than {max_document_bytes >> 20} MB:"
            " write one event a line, then any size will do"
        )
    yield from _document(document)


def _may_be_document(first: bytes) -> bool:
    """An array, or an object that is no event by itself: an answer, perhaps over many lines."""
    if first.lstrip()[:1] == b"[":
        return True
    if first.lstrip()[:1] != b"{":
        return False
    try:
        return "events" in msgspec.json.decode(first, type=dict[str, msgspec.Raw])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return True


def _document(document: bytes) -> Iterator[bytes]:
    events: list[msgspec.Raw] | None
    try:
        if document.lstrip()[:1] == b"[":
            events = msgspec.json.decode(document, type=list[msgspec.Raw])
        else:
            events = msgspec.json.decode(document, type=_Answer).events
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        # No document after all: lines, of which the first happens to be bad.
        for line in document.splitlines():
            if line.strip():
                yield line[: MAX_LINE_BYTES + 1]
        return
    for event in events or ():
        yield bytes(event)[: MAX_LINE_BYTES + 1]


def _lines(line: bytes, file: BinaryIO) -> Iterator[bytes]:
    while line:
        if line.strip():
            yield line.rstrip(b"\r\n")
        while len(line) > MAX_LINE_BYTES and not line.endswith(b"\n"):
            line = file.readline(MAX_LINE_BYTES + 1)  # the rest of a line that is too long
        line = file.readline(MAX_LINE_BYTES + 1)
