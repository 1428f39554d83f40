"""The file in the home that makes a node the node it is: `node.key`.

Promises: made once and never again (a second maker gets the first one's identity), readable by its
owner only from the first byte, whole or not there at all, whenever the process dies. A file that
cannot be used is an error that says what to do: a new identity is never made in its place, as
the node would then be a stranger to all its peers.
"""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path

import msgspec

from postbox.errors import Fault
from postbox.home import flush
from postbox.trust.keys import Identity, SoulError, identity_from_text, make_identity
from postbox.world import Random

FILE_NAME = "node.key"
MAX_BYTES = 4096
"""A key file has about 150 bytes; more than this is another file."""


class KeyFileError(Fault):
    """The key file cannot be used; the text says why and what to do."""


class _Contents(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    soul: str

    def __repr__(self) -> str:
        return f"_Contents(name={self.name!r})"


def open_identity(home: Path, random: Random, name: str | None = None) -> Identity:
    """The identity of this home, made if it has none. `name`: what the operator calls the node;
    raises `KeyFileError` if the home's node has another one, or its key file cannot be used."""
    path = home / FILE_NAME
    try:
        identity = load_identity(path)
    except FileNotFoundError:
        identity = _make(path, random, name)
    if name is not None and name != identity.name:
        raise KeyFileError(
            f"{path} holds the key of {identity.name!r}, not of {name!r}: a node keeps its name."
            " Leave the name out, or use another home"
        )
    return identity


def has_key(home: Path) -> bool:
    """Is there a key file, good or bad?"""
    return os.path.lexists(home / FILE_NAME)


def load_identity(path: Path) -> Identity:
    """Raises FileNotFoundError, or `KeyFileError` for a file that others may read, that is
    damaged, or whose soul does not fit its name."""
    try:
        return decode_identity(_read(path))
    except SoulError as error:
        reason = str(error)
    raise KeyFileError(
        f"{path} is damaged ({reason}). Put back a copy of it; without one, move it away, and the"
        " node starts anew with another key, which its peers must be told"
    )


def decode_identity(raw: bytes) -> Identity:
    """From the bytes of a key file. Raises SoulError, which never quotes the soul."""
    try:
        contents = msgspec.json.decode(raw, type=_Contents)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise SoulError("it is not what postbox wrote") from None
    return identity_from_text(contents.name, contents.soul)


def encode_identity(identity: Identity) -> bytes:
    """The bytes of its key file: the secret itself."""
    return msgspec.json.encode(_Contents(identity.name, identity.soul_text)) + b"\n"


def _read(path: Path) -> bytes:
    try:
        # not blocking, so that a pipe put there by mistake is named instead of waited for
        file = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise KeyFileError(f"cannot read {path}: {error.strerror}") from error
    try:
        status = os.fstat(file)
        if not stat.S_ISREG(status.st_mode):
            raise KeyFileError(f"{path} is not a file. Move it away")
        if status.st_mode & 0o077:
            mode = stat.S_IMODE(status.st_mode)
            raise KeyFileError(
                f"{path} may be read or changed by others (mode {mode:04o})."
                f" If nobody else has had it, run: chmod 600 {path}"
            )
        return os.read(file, MAX_BYTES)
    finally:
        os.close(file)


def _make(path: Path, random: Random, name: str | None) -> Identity:
    try:
        identity = make_identity(random, name)
    except ValueError as error:
        raise KeyFileError(str(error)) from error
    return place_identity(path.parent, random, identity)


def place_identity(home: Path, random: Random, identity: Identity) -> Identity:
    """Made the home's, unless that has one: returns what the home has then."""
    path = home / FILE_NAME
    # a name of its own for each attempt: one that was cut short leaves a file nobody reads
    draft = path.with_name(f"{FILE_NAME}.{random.bytes(8).hex()}.new")
    try:
        home.mkdir(parents=True, exist_ok=True)
        _write(draft, encode_identity(identity))
        try:
            # unlike a rename, a link never replaces a key that somebody else has just made
            os.link(draft, path)
        except FileExistsError:
            identity = load_identity(path)
        finally:
            os.unlink(draft)
        flush(home)
    except OSError as error:
        raise KeyFileError(f"cannot make {path}: {error.strerror}") from error
    return identity


def _write(path: Path, data: bytes) -> None:
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(file, rest) :]
        os.fsync(file)
    except OSError:
        with contextlib.suppress(OSError):
            os.unlink(path)
        raise
    finally:
        os.close(file)
