"""JSON documents in a file, as `postbox post` takes them: the file is one, or, where its name ends
in .jsonl, each line that is not empty is. What comes on stdin is one, or else lines.

A document is kept as it stands there, less the white space around it; each is looked at whole
before it is handed on, and what is wrong with one is said with its line.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

import msgspec

from postbox.cli.stdin import STDIN
from postbox.errors import Fault

LINES = ".jsonl"
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"  # what some editors put before UTF-8; JSON has none
_SPACE = b" \t\r\n"


class BadDocument(Fault):
    """The file cannot be read, or something in it is no document that can be taken."""


class Document(NamedTuple):
    raw: bytes
    where: str  # "line 7 of notes.jsonl", "notes.json"
    share: float  # of the file, up to its end


class Documents:
    """Those of a file, read anew at every iteration, which raises BadDocument where it ends early.

    `file`: as the operator called it; `path`: where it can be read. `max_bytes`: of one."""

    def __init__(self, file: Path, path: Path, max_bytes: int) -> None:
        self._name = "stdin" if file == STDIN else str(file)
        self._path = path
        self._max_bytes = max_bytes
        self._is_stdin = file == STDIN
        self._is_lines = file.name.endswith(LINES)

    def __iter__(self) -> Iterator[Document]:
        try:
            with self._path.open("rb") as file:
                if self._is_lines or (self._is_stdin and not self._is_one(file)):
                    yield from self._lines(file)
                else:
                    yield Document(self._whole(file), self._name, 1.0)
        except OSError as error:
            raise BadDocument(f"cannot read {self._name}: {error.strerror or error}") from error

    def _is_one(self, file: BinaryIO) -> bool:
        try:
            self._whole(file)
        except BadDocument:
            return False
        finally:
            file.seek(0)
        return True

    def _whole(self, file: BinaryIO) -> bytes:
        raw = file.read(self._max_bytes + len(_BYTE_ORDER_MARK) + 1)
        hint = f" (one document a line? then call the file {LINES})" if b"\n" in raw else ""
        return self._checked(raw, self._name, hint)

    def _lines(self, file: BinaryIO) -> Iterator[Document]:
        size = max(self._path.stat().st_size, 1)
        most = self._max_bytes + len(_BYTE_ORDER_MARK) + len(b"\r\n") + 1
        number, read = 0, 0
        while line := file.readline(most):
            number, read = number + 1, read + len(line)
            if line.strip(_SPACE):
                where = f"line {number} of {self._name}"
                yield Document(self._checked(line, where), where, min(1.0, read / size))

    def _checked(self, raw: bytes, where: str, hint: str = "") -> bytes:
        document = raw.removeprefix(_BYTE_ORDER_MARK).strip(_SPACE)
        if len(document) > self._max_bytes:
            raise BadDocument(
                f"{where} is larger than {self._max_bytes:,} bytes, the most of one event"
            )
        try:
            msgspec.json.decode(document)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise BadDocument(f"{where} is no JSON document: {error}{hint}") from error
        return document


def batches(
    documents: Iterable[Document], max_count: int, max_bytes: int
) -> Generator[list[Document], None, None]:
    """In order, none of them empty; one that is larger than `max_bytes` is a batch by itself."""
    batch: list[Document] = []
    size = 0
    for document in documents:
        if batch and (len(batch) == max_count or size + len(document.raw) > max_bytes):
            yield batch
            batch, size = [], 0
        batch.append(document)
        size += len(document.raw)
    if batch:
        yield batch
