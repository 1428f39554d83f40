"""`GET /peer/query`: whether a node knows another one, in nara's words, asked and answered.

    /peer/query?target=X&asked=a,b  ->  200 {"target", "public_key", "mesh_ip"?, "postbox"?}
                                        307 and X-Nara-Redirect-To: a name that may know
                                        404

Nobody proves anything here, and nothing of an answer is believed: neither the key, which comes from
elsewhere (`trust`), nor the place, which is where to look.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from postbox.errors import WireError
from postbox.event import is_name
from postbox.mesh.decoding import decoded
from postbox.mesh.peers.known import Known, Origin
from postbox.mesh.peers.places import mesh_ip_of
from postbox.mesh.peers.roster import Roster
from postbox.mesh.serving.routes import Query
from postbox.net.asgi import JSON, Reply, text
from postbox.trust.directory import Directory
from postbox.trust.keys import public_key_text

PATH = "/peer/query"
REDIRECT = "x-nara-redirect-to"
MAX_ASKED = 10
"""Nodes that one look-up goes through, as nara's."""
MAX_BYTES = 4_096

Text = Annotated[str, Meta(max_length=300)]


class Place(Struct):
    """What a postbox says besides: where to call, which for a nara is always the same port."""

    url: Text


class Told(Struct):
    """Both ways."""

    target: Text
    public_key: Text
    mesh_ip: Text | UnsetType = UNSET
    postbox: Place | UnsetType = UNSET


_TOLD = msgspec.json.Decoder(Told)


def decode(body: bytes) -> Told:
    """Raises WireError for what is none."""
    return decoded(_TOLD, body, "the answer tells of no peer")


class Answering:
    def __init__(self, own_name: str, own_url: str, directory: Directory, roster: Roster) -> None:
        """`own_url`: where this node says that it is."""
        self._own_name = own_name
        self._own_url = own_url
        self._directory = directory
        self._roster = roster

    async def answer(self, query: Query) -> Reply:
        target = query.arguments.get("target", "")
        if not is_name(target):
            raise WireError("target is missing, or cannot be a name")
        key = self._directory.key_of(target)
        if key is not None:
            told = Told(target, public_key_text(key))
            url = self._url_of(target)
            if ip := mesh_ip_of(url):
                told.mesh_ip = ip
            if url:
                told.postbox = Place(url)
            return Reply(200, msgspec.json.encode(told) + b"\n", JSON)
        other = self._other(target, query.arguments.get("asked", ""))
        if other is None:
            return text(404, "peer not found")
        return text(307, "", **{REDIRECT: other})

    def _url_of(self, target: str) -> str:
        if target == self._own_name:
            return self._own_url
        known = self._roster.get(target)
        return "" if known is None or not _is_first_hand(known) else known.url

    def _other(self, target: str, asked: str) -> str | None:
        """Somebody who may know. Its name is all that is told: who asks must know where it is."""
        before = asked.split(",")[:MAX_ASKED]
        if len(before) >= MAX_ASKED:
            return None
        found = self._roster.one_in_touch({target, *before})
        return found.name if found is not None and found.name.isascii() else None


def _is_first_hand(known: Known) -> bool:
    """What others told of it is not passed on."""
    match known.origin:
        case Origin.CONFIGURED | Origin.MET | Origin.HEARD:
            return True
        case Origin.TOLD:
            return False
