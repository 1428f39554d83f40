"""The answer to a hey-there by MQTT: who answers, and whom else the newcomer may like to know.
Bytes in, values out.

Signed by its sender over both names and a number, and nothing else: what it says of addresses and
of others is no more than a hint where to look.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import msgspec
from msgspec import Struct

from postbox.errors import WireError
from postbox.event import is_name
from postbox.trust.authoring import go_json
from postbox.trust.keylist import parse_public_key
from postbox.trust.keys import Identity
from postbox.trust.signatures import is_signed_digest, sign_digest

HOWDY_BYTES = 64 * 2**10
"""A nara's own status has its observations of others with it: some 10 KB in a mesh of fifty."""
MAX_NEIGHBOURS = 10


class Neighbour(NamedTuple):
    """`mesh_ip`: where it is said to be, "" if nothing is said."""

    name: str
    public_key: str
    mesh_ip: str
    id: str


class About(NamedTuple):
    """The sender, by its own word. `url`: a postbox's, "" for a nara's."""

    public_key: str
    id: str
    mesh_ip: str
    url: str
    memory_mode: str


class Howdy(NamedTuple):
    """`start_time_s`: when the one it is for was started first, as far as the sender knows."""

    sender: str
    receiver: str
    number: int
    start_time_s: int
    neighbours: tuple[Neighbour, ...]
    about: About

    @property
    def key(self) -> bytes:
        """That it is signed by."""
        return parse_public_key(self.about.public_key)


class _Observation(Struct, omit_defaults=True):
    start_time: int = 0


class _Neighbour(Struct, kw_only=True):
    name: str = msgspec.field(name="Name")
    public_key: str = msgspec.field(name="PublicKey", default="")
    mesh_ip: str = msgspec.field(name="MeshIP", default="")
    id: str = msgspec.field(name="ID", default="")
    observation: _Observation = msgspec.field(name="Observation", default_factory=_Observation)


class _Status(Struct, kw_only=True):
    """The keys of a NaraStatus that a postbox has something to say to."""

    public_key: str = msgspec.field(name="PublicKey", default="")
    id: str = msgspec.field(name="ID", default="")
    mesh_ip: str = msgspec.field(name="MeshIP", default="")
    mesh_enabled: bool = msgspec.field(name="MeshEnabled", default=False)
    memory_mode: str = ""
    postbox_url: str = ""


class _Howdy(Struct, kw_only=True):
    sender: str = msgspec.field(name="From")
    receiver: str = msgspec.field(name="To")
    number: int = msgspec.field(name="Seq", default=0)
    you: _Observation = msgspec.field(name="You", default_factory=_Observation)
    neighbours: list[_Neighbour] | None = msgspec.field(name="Neighbors", default=None)
    me: _Status = msgspec.field(name="Me", default_factory=_Status)
    signature: str = msgspec.field(name="Signature", default="")


_HOWDY = msgspec.json.Decoder(_Howdy)


def encode_howdy(identity: Identity, howdy: Howdy) -> bytes:
    """Signed by `identity`, whose howdy it is."""
    me = howdy.about
    return go_json(
        _Howdy(
            sender=howdy.sender,
            receiver=howdy.receiver,
            number=howdy.number,
            you=_Observation(howdy.start_time_s),
            neighbours=_encoded(howdy.neighbours),
            me=_Status(
                public_key=me.public_key,
                id=me.id,
                mesh_ip=me.mesh_ip,
                mesh_enabled=bool(me.mesh_ip),
                memory_mode=me.memory_mode,
                postbox_url=me.url,
            ),
            signature=sign_digest(identity, _signed(howdy.sender, howdy.receiver, howdy.number)),
        )
    )


def _encoded(neighbours: Sequence[Neighbour]) -> list[_Neighbour] | None:
    return [
        _Neighbour(name=one.name, public_key=one.public_key, mesh_ip=one.mesh_ip, id=one.id)
        for one in neighbours
    ] or None


def decode_howdy(payload: bytes) -> Howdy:
    """One that is signed by the key that it names. Raises WireError."""
    if len(payload) > HOWDY_BYTES:
        raise WireError(f"a howdy of {len(payload)} bytes: at most {HOWDY_BYTES}")
    try:
        said = _HOWDY.decode(payload)
        key = parse_public_key(said.me.public_key)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError) as error:
        raise WireError(f"this is no howdy: {error}") from error
    if not is_name(said.sender) or not is_name(said.receiver):
        raise WireError("this is no howdy: From and To are names")
    if not is_signed_digest(key, _signed(said.sender, said.receiver, said.number), said.signature):
        raise WireError(f"a howdy of {said.sender!r} whose signature is not by the key in it")
    told = (said.neighbours or [])[:MAX_NEIGHBOURS]
    return Howdy(
        said.sender,
        said.receiver,
        said.number,
        said.you.start_time,
        tuple(_neighbour(one) for one in told if is_name(one.name)),
        About(
            said.me.public_key,
            said.me.id,
            said.me.mesh_ip,
            said.me.postbox_url,
            said.me.memory_mode,
        ),
    )


def _neighbour(one: _Neighbour) -> Neighbour:
    return Neighbour(one.name, one.public_key, one.mesh_ip, one.id)


def _signed(sender: str, receiver: str, number: int) -> bytes:
    return f"howdy:{sender}:{receiver}:{number}".encode()
