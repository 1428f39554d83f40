"""Sets of values as PostgreSQL takes them: one binary array a column.

psycopg looks at every item to choose a type, and chooses the smallest, so that one statement would
be prepared for each size of number. Here the column says the type, and a set is packed in one go.
What a column cannot hold is a Violation, before anything is sent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from struct import Struct, error
from typing import Any

from psycopg.adapt import Dumper
from psycopg.pq import Format

from postbox.errors import Violation
from postbox.store.contract import Scalar

_HEADER = Struct(">5i")  # dimensions, has nulls, type of the items, how many, first index
_LENGTH = Struct(">i")
_INTEGER = Struct(">iq")
_REAL = Struct(">id")
_NULL = _LENGTH.pack(-1)

_INTEGER_BYTES = _REAL_BYTES = 8


class Set:
    """An array in the wire's form. Made by `integers` and the like."""

    __slots__ = ("data",)

    def __init__(self, data: bytes) -> None:
        self.data = data


class Integers(Set):
    __slots__ = ()


class Reals(Set):
    __slots__ = ()


class Texts(Set):
    __slots__ = ()


class Blobs(Set):
    __slots__ = ()


class _SetDumper(Dumper):
    """The bytes as they are."""

    format = Format.BINARY

    def dump(self, obj: Set) -> bytes:
        return obj.data


class IntegersDumper(_SetDumper):
    oid = 1016  # bigint[]


class RealsDumper(_SetDumper):
    oid = 1022  # double precision[]


class TextsDumper(_SetDumper):
    oid = 1009  # text[]


class BlobsDumper(_SetDumper):
    oid = 1001  # bytea[]


DUMPERS: dict[type[Set], type[Dumper]] = {
    Integers: IntegersDumper,
    Reals: RealsDumper,
    Texts: TextsDumper,
    Blobs: BlobsDumper,
}


def integers(values: Sequence[Any]) -> Integers:
    pack = _INTEGER.pack
    items = [_NULL if value is None else pack(_INTEGER_BYTES, value) for value in values]
    return Integers(_array(20, items))


def reals(values: Sequence[Any]) -> Reals:
    pack = _REAL.pack
    items = [_NULL if value is None else pack(_REAL_BYTES, value) for value in values]
    return Reals(_array(701, items))


def texts(values: Sequence[Any]) -> Texts:
    return Texts(_array(25, _sized(None if each is None else each.encode() for each in values)))


def blobs(values: Sequence[Any]) -> Blobs:
    return Blobs(_array(17, _sized(values)))


def _sized(values: Iterable[bytes | None]) -> list[bytes]:
    pack = _LENGTH.pack
    return [_NULL if value is None else pack(len(value)) + value for value in values]


def _array(item_oid: int, items: list[bytes]) -> bytes:
    return _HEADER.pack(1, 1, item_oid, len(items), 1) + b"".join(items)


_MAKERS: dict[str, Callable[[Sequence[Any]], Set]] = {
    "integer": integers,
    "real": reals,
    "text": texts,
    "blob": blobs,
}


def sets(types: Sequence[str], rows: Iterable[Sequence[Scalar]]) -> list[Set]:
    """Rows as one array a column. Raises Violation for a value that its column cannot hold."""
    columns = list(zip(*rows, strict=True))
    try:
        return [_MAKERS[kind](values) for kind, values in zip(types, columns, strict=True)]
    except (error, TypeError, ValueError, AttributeError) as unfit:
        raise Violation(f"a value does not fit its column ({unfit}): nothing was stored") from unfit
