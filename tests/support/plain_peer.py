"""A host that knows only the specification: its three messages, its two rpcs and GetKey, on
grpcio, in threads of its own. Nothing of ours is in it, the encoding of its messages included.

Its token is {"alg": "EdDSA"} and {"jti": uuid4}; it acknowledges nothing, numbers nothing and skips
all fields that it does not know. What it is sent it takes if the token verifies with the key that
the named host gives, which it keeps until a token does not verify.
"""

from __future__ import annotations

import base64
import json
import threading
import uuid  # noqa: TID251  (it is no part of the node)
from collections import defaultdict
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, NamedTuple

import grpc  # type: ignore[import-untyped]
from nacl.exceptions import BadSignatureError
from nacl.signing import SigningKey, VerifyKey

POSTBOX = "/postbox.v1.PostboxService/"
GET_KEY = "/auth.v1.AuthService/GetKey"
DEADLINE_S = 120.0
_OPTIONS = [("grpc.enable_http_proxy", 0), ("grpc.use_local_subchannel_pool", 1)]


class Event(NamedTuple):
    """A google.protobuf.Any."""

    type_url: str
    value: bytes


class Refused(Exception):
    """What a host answered instead: the name of a gRPC status, and its text."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(f"{code}: {text}")
        self.code = code
        self.text = text


class PlainPeer:
    """`name` is host and port. `received`: (host, event) as they came. `waiting`: what Sync gives
    to each host, and drops when it was given. `tokens`: what it was asked with. `keys_served`: how
    often it was asked for its key. While `is_down` it answers no rpc but GetKey.
    """

    def __init__(self) -> None:
        self.name = ""
        self.received: list[tuple[str, Event]] = []
        self.waiting: dict[str, list[Event]] = defaultdict(list)
        self.tokens: list[str] = []
        self.keys_served = 0
        self.is_down = False
        self._key = SigningKey.generate()
        self._keys_of: dict[str, bytes] = {}
        self._moved = threading.Condition()

    def post(self, host: str, event: Event, *, token: str | None = None) -> bytes:
        """The answer as it came: an Empty, to this peer. Raises Refused."""
        request = _field(1, self.sync_request(token)) + _field(2, posted(event))
        with _calling(host) as channel:
            return bytes(channel.unary_unary(POSTBOX + "PostEvent")(request, timeout=DEADLINE_S))

    def sync(self, host: str, *, token: str | None = None) -> list[Event]:
        """All that the host has for this peer, in its order. Raises Refused."""
        with _calling(host) as channel:
            stream = channel.unary_stream(POSTBOX + "Sync")(
                self.sync_request(token), timeout=DEADLINE_S
            )
            return [_event_of(message) for message in stream]

    def sync_request(self, token: str | None = None) -> bytes:
        return _field(1, (token or self.token()).encode()) + _field(2, self.name.encode())

    def token(self) -> str:
        """A new one, good for everything and everyone for ever: so it is specified."""
        return self.signed({"alg": "EdDSA"}, {"jti": str(uuid.uuid4())})

    def signed(self, *parts: Mapping[str, object]) -> str:
        """A JWT of this header and these claims."""
        text = ".".join(_base64(json.dumps(part).encode()) for part in parts)
        return f"{text}.{_base64(self._key.sign(text.encode()).signature)}"

    @property
    def key(self) -> bytes:
        return bytes(self._key.verify_key)

    def change_key(self) -> None:
        self._key = SigningKey.generate()

    def wait_received(self, count: int, timeout_s: float = DEADLINE_S) -> list[Event]:
        """The events that came, once there are so many; or those that came in time."""
        with self._moved:
            self._moved.wait_for(lambda: len(self.received) >= count, timeout_s)
            return [event for _, event in self.received]

    def wait_asked(self, count: int, timeout_s: float = DEADLINE_S) -> bool:
        """Whether it was asked for something so many times, in time."""
        with self._moved:
            return self._moved.wait_for(lambda: len(self.tokens) >= count, timeout_s)

    # What it serves.

    def get_key(self, request: bytes, context: Any) -> bytes:
        with self._moved:
            self.keys_served += 1
        return _field(1, self.key)

    def take_event(self, request: bytes, context: Any) -> bytes:
        fields = _fields(request)
        host = self._authenticate(fields[1][-1], context)
        with self._moved:
            self.received.append((host, _event_of(fields[2][-1])))
            self._moved.notify_all()
        return b""

    def give_events(self, request: bytes, context: Any) -> Iterator[bytes]:
        host = self._authenticate(request, context)
        while self.waiting[host]:
            yield posted(self.waiting[host][0])
            del self.waiting[host][0]

    def _authenticate(self, sync_request: bytes, context: Any) -> str:
        fields = _fields(sync_request)
        token, host = fields[1][-1].decode(), fields[2][-1].decode()
        with self._moved:
            self.tokens.append(token)
            self._moved.notify_all()
        if self.is_down:
            context.abort(grpc.StatusCode.UNAVAILABLE, "down")
        if not self._verifies(host, token):
            self._keys_of.pop(host, None)
            if not self._verifies(host, token):
                context.abort(grpc.StatusCode.UNAUTHENTICATED, "the token does not verify")
        return host

    def _verifies(self, host: str, token: str) -> bool:
        if host not in self._keys_of:
            with _calling(host) as channel:
                reply = channel.unary_unary(GET_KEY)(b"", timeout=DEADLINE_S)
            self._keys_of[host] = _fields(reply)[1][-1]
        signed, _, signature = token.rpartition(".")
        padded = signature + "=" * (-len(signature) % 4)
        try:
            key = VerifyKey(self._keys_of[host])
            key.verify(signed.encode(), base64.urlsafe_b64decode(padded))
        except BadSignatureError:
            return False
        return True


@contextmanager
def plain_peer(*, port: int = 0) -> Iterator[PlainPeer]:
    """One that listens on this machine, in plain HTTP; the same `port` again is the same host."""
    peer = PlainPeer()
    unary, stream = grpc.unary_unary_rpc_method_handler, grpc.unary_stream_rpc_method_handler
    handlers = {
        POSTBOX + "PostEvent": unary(peer.take_event),
        POSTBOX + "Sync": stream(peer.give_events),
        GET_KEY: unary(peer.get_key),
    }

    class Handlers(grpc.GenericRpcHandler):  # type: ignore[misc]
        def service(self, details: Any) -> Any:
            return handlers.get(details.method)

    pool = ThreadPoolExecutor(max_workers=8)
    server = grpc.server(pool, handlers=[Handlers()], options=[("grpc.so_reuseport", 0)])
    peer.name = f"127.0.0.1:{server.add_insecure_port(f'127.0.0.1:{port}')}"
    server.start()
    try:
        yield peer
    finally:
        server.stop(0).wait(10)
        pool.shutdown()


@contextmanager
def _calling(host: str) -> Iterator[Any]:
    with grpc.insecure_channel(host, options=_OPTIONS) as channel:
        try:
            yield channel
        except grpc.RpcError as error:
            raise Refused(error.code().name, error.details()) from error


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


# Protobuf, as far as three messages of strings and messages need it.


def posted(event: Event) -> bytes:
    """A PostboxEvent."""
    return _field(1, _field(1, event.type_url.encode()) + _field(2, event.value))


def _event_of(message: bytes) -> Event:
    """Of a PostboxEvent; one without an event is an Any of nothing."""
    of_any = _fields(b"".join(_fields(message)[1]))
    return Event(b"".join(of_any[1]).decode(), b"".join(of_any[2]))


def _field(number: int, value: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(value)) + value


def _varint(number: int) -> bytes:
    low, rest = number & 0x7F, number >> 7
    return bytes([low | 0x80]) + _varint(rest) if rest else bytes([low])


def _fields(message: bytes) -> dict[int, list[bytes]]:
    """Those with a length, by number; all others are skipped."""
    found: dict[int, list[bytes]] = defaultdict(list)
    at = 0
    while at < len(message):
        tag, at = _read_varint(message, at)
        match tag & 7:
            case 0:
                _, at = _read_varint(message, at)
            case 1:
                at += 8
            case 5:
                at += 4
            case 2:
                length, at = _read_varint(message, at)
                found[tag >> 3].append(message[at : at + length])
                at += length
            case kind:
                raise ValueError(f"a field of kind {kind}")
    return found


def _read_varint(message: bytes, at: int) -> tuple[int, int]:
    number = shift = 0
    while True:
        byte = message[at]
        number |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return number, at
