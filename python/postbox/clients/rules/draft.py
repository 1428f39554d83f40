"""What the clients' door submits: an event of a device, or one that the host makes in its place."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from msgspec import Struct

from postbox.clients.events import bodies
from postbox.clients.events.incoming import Delivered, Incoming
from postbox.clients.events.kinds import FIRST_FOREIGN
from postbox.clients.ids import NIL, conversation_stream, event_id, user_stream
from postbox.rpc.fields import bytes_field
from postbox.rules import NewEntry, Payer
from postbox.store.contract import Lane

_OVERHEAD_BYTES = 256  # of an entry and a row or two, beside the event


class DeviceRef(NamedTuple):
    """Whose event it is. The host's own are of no device: `id` is NIL."""

    user: bytes
    user_name: str
    id: bytes
    payer: Payer


def device_ref(user: bytes, user_name: str, device: bytes) -> DeviceRef:
    """Made once a caller: events of one device are decided in order, since they have one payer."""
    return DeviceRef(user, user_name, device, Payer("device", device.hex()))


class ClientDraft(Struct, frozen=True, gc=False):
    id: bytes
    device: DeviceRef
    incoming: Incoming
    queue_number: int | None = None
    """Dense in the device's queue, from 1 on. None: the device does not count."""

    @property
    def payer(self) -> Payer:
        return self.device.payer

    @property
    def size_bytes(self) -> int:
        return self.incoming.size_bytes + _OVERHEAD_BYTES

    @property
    def is_hosts(self) -> bool:
        return self.device.id == NIL

    @property
    def author(self) -> bytes:
        return self.device.user + self.device.id + self.incoming.local

    def own(self, named: bytes) -> bytes:
        """The id of this device's event, if the device named it by a local uuid."""
        return _own(self.device.id, named)


@lru_cache(maxsize=4096)
def _own(device: bytes, named: bytes) -> bytes:
    """Kept: of a conversation it is asked with each of its events, several times."""
    return event_id(device, named)


def draft_of(device: DeviceRef, incoming: Incoming, queue_number: int | None = None) -> ClientDraft:
    return ClientDraft(event_id(device.id, incoming.local), device, incoming, queue_number)


def delivered(
    user: bytes, user_name: str, conversation: bytes, seq: int, new_id: bytes
) -> ClientDraft:
    """The host's own word that a device of the user's has everything up to there."""
    payer = Payer("device", "delivered " + user.hex())
    incoming = Incoming("", NIL, Delivered(seq), 0, conversation)
    return ClientDraft(new_id, DeviceRef(user, user_name, NIL, payer), incoming)


def entry_in(
    draft: ClientDraft,
    conversation: bytes,
    kind: int,
    content: bytes,
    at_ms: int,
    *,
    is_numbered: bool = True,
) -> NewEntry:
    """The draft's own, in a conversation. `content` as `bodies` gives it; a foreign one as it came,
    with its tag."""
    body = _body(draft, kind, content, conversation)
    return _entry(draft, conversation_stream(conversation), kind, body, at_ms, is_numbered)


def entry_of_user(
    draft: ClientDraft, kind: int, content: bytes, at_ms: int, conversation: bytes | None = None
) -> NewEntry:
    """The draft's own, for the author's devices alone."""
    body = _body(draft, kind, content, conversation)
    return _entry(draft, user_stream(draft.device.user), kind, body, at_ms, False)


def _body(draft: ClientDraft, kind: int, content: bytes, conversation: bytes | None) -> bytes:
    field = content if kind >= FIRST_FOREIGN else bytes_field(kind, content)
    return bodies.enveloped(field, draft.device.user, conversation, draft.incoming.client_ms)


def _entry(
    draft: ClientDraft, stream: bytes, kind: int, body: bytes, at_ms: int, is_numbered: bool
) -> NewEntry:
    return NewEntry(Lane.CLIENTS, stream, draft.id, kind, draft.author, at_ms, body, 0, is_numbered)
