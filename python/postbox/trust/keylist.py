"""Lists of keys in files: an array of `{"Name", "PublicKey", "ID"}`, as nara's tools write them."""

from __future__ import annotations

import base64
import binascii
from typing import NamedTuple

import msgspec

from postbox.core import is_weak_key
from postbox.event import is_name
from postbox.trust.tables import KEY_BYTES


class ListedKey(NamedTuple):
    name: str
    key: bytes
    id: str | None


class BadRow(NamedTuple):
    """`number` counts the rows of the list from 1."""

    number: int
    text: str


class KeyList(NamedTuple):
    keys: list[ListedKey]
    bad: list[BadRow]


class _Row(msgspec.Struct, frozen=True, rename="pascal"):
    name: str
    public_key: str
    id: str | None = msgspec.field(default=None, name="ID")


def parse_key_list(raw: bytes) -> KeyList:
    """The good rows, and what is wrong with each of the others. Raises ValueError if it is no
    list at all."""
    try:
        rows = msgspec.json.decode(raw, type=list[msgspec.Raw])
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ValueError(f'not a JSON array of {{"Name", "PublicKey", "ID"}}: {error}') from error
    keys: dict[str, ListedKey] = {}
    bad: list[BadRow] = []
    for number, row in enumerate(rows, 1):
        try:
            listed = _listed(row)
            earlier = keys.setdefault(listed.name, listed)
            if earlier != listed:
                raise ValueError(f"{listed.name} is in the list twice, and not with the same key")
        except ValueError as error:
            bad.append(BadRow(number, str(error)))
    return KeyList(list(keys.values()), bad)


def parse_public_key(text: str) -> bytes:
    """The 32 bytes of a key in standard base64. Raises ValueError with a text for people."""
    try:
        key = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise ValueError(f"the public key {text[:60]!r} is not base64") from None
    if len(key) != KEY_BYTES:
        raise ValueError(f"a public key is {KEY_BYTES} bytes in base64, not {len(key)}")
    if is_weak_key(key):
        raise ValueError("that public key is weak: anyone can make signatures that fit it")
    return key


def _listed(raw: msgspec.Raw) -> ListedKey:
    try:
        row = msgspec.json.decode(raw, type=_Row)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"not a {{Name, PublicKey, ID}}: {error}") from error
    if not is_name(row.name):
        raise ValueError(f"{row.name[:80]!r} cannot be a name")
    if row.id and not is_name(row.id):
        raise ValueError(f"{row.id[:80]!r} cannot be an id")
    return ListedKey(row.name, parse_public_key(row.public_key), row.id or None)
