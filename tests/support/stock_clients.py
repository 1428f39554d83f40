"""Calls a host as devices do that have nothing of ours: by grpcio; by Connect with JSON over
HTTP/1.1; and as a page does, with server-sent events. What is asked and answered is JSON's trees,
whoever carries it. Made for threads: each call waits.
"""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any, NoReturn, Protocol, TypeAlias
from urllib.parse import urlsplit

import grpc  # type: ignore[import-untyped]

from postbox.clients import wire
from postbox.rpc.codecs import from_tree, to_tree
from postbox.rpc.postbox.v1 import clients_pb as pb

Tree: TypeAlias = dict[str, Any]

ANSWER_S = 20
STREAM_S = 60  # more than twice the time between two signs of life
RECONNECT = [("grpc.initial_reconnect_backoff_ms", 100), ("grpc.max_reconnect_backoff_ms", 300)]
END = 2  # the flag of Connect's last message
JSON = {"Content-Type": "application/json"}
HEAD_BYTES = 5  # of each: flags, and its length


class Lost(Exception):
    """Nobody knows what became of it."""


class Refused(Exception):
    """By a host, with a code of ours."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(f"{code}: {text}")
        self.code = code


class StockClient(Protocol):
    """Each raises Lost and Refused."""

    def sync(self, request: Tree) -> Tree: ...

    def stream(self, request: Tree) -> Iterator[Tree]:
        """Frames, to the stream's end."""
        ...

    def close(self) -> None:
        """From any thread: whoever waits raises Lost."""
        ...


class GrpcClient:
    def __init__(self, url: str, token: str) -> None:
        self._channel = grpc.insecure_channel(urlsplit(url).netloc, options=RECONNECT)
        self._metadata = (("authorization", f"Bearer {token}"),)

    def sync(self, request: Tree) -> Tree:
        call = self._channel.unary_unary(wire.PATHS[wire.SYNC])
        message = from_tree(pb.SubmitEventInput, request).to_binary()
        with _as_ours():
            answer = call(message, timeout=ANSWER_S, metadata=self._metadata)
        return to_tree(pb.SubmitEventOutput.from_binary(answer))

    def stream(self, request: Tree) -> Iterator[Tree]:
        message = from_tree(pb.SyncFromServerRequest, request).to_binary()
        open_stream = self._channel.unary_stream(wire.PATHS[wire.SYNC_FROM_SERVER])
        with _as_ours():
            call = open_stream(message, metadata=self._metadata)
            try:
                for frame in call:
                    yield to_tree(pb.Event.from_binary(frame))
            finally:
                call.cancel()

    def close(self) -> None:
        self._channel.close()


@contextmanager
def _as_ours() -> Iterator[None]:
    try:
        yield
    except grpc.RpcError as error:
        found = dict(error.trailing_metadata() or ())
        if (code := found.get("postbox-code")) is None:
            raise Lost(str(error.code())) from error
        raise Refused(code, error.details() or "") from error
    except ValueError as error:  # grpcio's, for a channel that was closed
        raise Lost(str(error)) from error


class ConnectClient:
    """Its stream is Connect's, too."""

    def __init__(self, url: str, token: str) -> None:
        self._address = urlsplit(url).netloc
        self._headers = {"Authorization": f"Bearer {token}"}
        self._asking: http.client.HTTPConnection | None = None  # kept from call to call
        self._streaming: http.client.HTTPConnection | None = None

    def sync(self, request: Tree) -> Tree:
        if self._asking is None:
            self._asking = http.client.HTTPConnection(self._address, timeout=ANSWER_S)
        try:
            with _known():
                response = self._post(self._asking, wire.SYNC, _json(request), JSON)
                return _object(response.read())
        except Lost:
            self._asking.close()
            self._asking = None
            raise

    def stream(self, request: Tree) -> Iterator[Tree]:
        body = _json(request)
        body = bytes([0]) + len(body).to_bytes(4, "big") + body
        with self._opened(body, {"Content-Type": "application/connect+json"}) as response:
            while True:
                flags, message = _enveloped(response)
                if flags & END:
                    if "error" in message:
                        _raise(message["error"])
                    return
                yield message

    def close(self) -> None:
        for connection in (self._asking, self._streaming):
            if connection is not None and connection.sock is not None:
                connection.sock.shutdown(2)  # both ways

    @contextmanager
    def _opened(self, body: bytes, headers: dict[str, str]) -> Iterator[http.client.HTTPResponse]:
        self._streaming = http.client.HTTPConnection(self._address, timeout=STREAM_S)
        with closing(self._streaming) as connection, _known():
            yield self._post(connection, wire.SYNC_FROM_SERVER, body, headers)

    def _post(
        self, connection: http.client.HTTPConnection, rpc: str, body: bytes, headers: dict[str, str]
    ) -> http.client.HTTPResponse:
        connection.request("POST", wire.PATHS[rpc], body, self._headers | headers)
        response = connection.getresponse()
        if response.status != 200:
            _raise(_object(response.read()))
        return response


class PageClient(ConnectClient):
    """Its stream is one of server-sent events."""

    def stream(self, request: Tree) -> Iterator[Tree]:
        with self._opened(_json(request), JSON | {"Accept": "text/event-stream"}) as response:
            for event in _server_sent(response):
                if event.get("event") == "error":
                    _raise(_object(event["data"].encode()))
                yield _object(event["data"].encode())


def _server_sent(response: http.client.HTTPResponse) -> Iterator[dict[str, str]]:
    """By the names of their lines. One that breaks off is none."""
    fields: dict[str, str] = {}
    while line := response.readline():
        if line != b"\n":
            name, _, text = line.decode().rstrip("\n").partition(": ")
            fields[name] = text
        else:
            yield fields
            fields = {}


def _enveloped(response: http.client.HTTPResponse) -> tuple[int, Tree]:
    head = response.read(HEAD_BYTES)
    length = int.from_bytes(head[1:], "big")
    body = response.read(length)
    if len(head) < HEAD_BYTES or len(body) < length:
        raise Lost("the stream breaks off")
    return head[0], _object(body)


def _raise(error: Tree) -> NoReturn:
    """An error of Connect's: ours begins with its code."""
    raise Refused(error["message"].partition(":")[0], error["message"])


@contextmanager
def _known() -> Iterator[None]:
    try:
        yield
    except (OSError, http.client.HTTPException, AttributeError) as error:
        # AttributeError: what http.client makes of a connection that another thread shut down
        raise Lost(repr(error)) from error


def _json(tree: Tree) -> bytes:
    return json.dumps(tree).encode()


def _object(data: bytes) -> Tree:
    try:
        found = json.loads(data)
    except ValueError as error:  # http.client takes headers that break off for whole ones
        raise Lost(f"an answer breaks off: {data!r}") from error
    assert isinstance(found, dict), found
    return found
