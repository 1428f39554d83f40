"""A nara 0.2.0 as its peers meet it over HTTP, server and client, written from the facts about its
source. It is strict where nara is careless: what nara would choke on, and whatever differs from the
bytes that a nara would send, it notes as a complaint. A test ends with `complaints == []`.

It keeps what it is given as nara does: whatever is valid, first copy first, nothing verified.
"""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, NamedTuple
from urllib.parse import parse_qs

import trio
from hypercorn.typing import ASGIReceiveCallable, ASGISendCallable, HTTPScope, Scope

from postbox.errors import Fault
from postbox.net.asgi import JSON, Reply, address_of, headers_of, read_body, send_reply, text
from postbox.net.client import Answer, Client, open_client
from postbox.trust.keys import Identity
from postbox.world import World
from support.nara_events import (
    Choked,
    Event,
    go,
    is_signed,
    read_event,
    set_digest,
    verifies,
    written,
)
from support.town import PORT, REACH, Town

SYNC, ZINE, DM = "/events/sync", "/gossip/zine", "/dm"
_REQUEST = ("from", "services", "subjects", "mode", "sample_size", "cursor", "page_size", "limit")
_LEGACY = ("since_time", "slice_index", "slice_total", "max_events")
_ALWAYS = ("from", "services", "subjects")
CLIENT_S = 5.0
"""Of nara's HTTP client, for a whole exchange."""
LATELY_NS = 300 * 10**9


class Asked(NamedTuple):
    path: str
    headers: Mapping[str, str]
    body: bytes


@dataclass
class Nara:
    """`keys`: of its neighbourhood, by name; `addresses`: what it tells of them. `asked`: what came
    in, signed. `may_ask_back`: a stranger at its address for its key."""

    who: Identity
    world: World
    http: Client
    events: dict[str, Event] = field(default_factory=dict)
    keys: dict[str, bytes] = field(default_factory=dict)
    addresses: dict[str, str] = field(default_factory=dict)
    complaints: list[str] = field(default_factory=list)
    asked: list[Asked] = field(default_factory=list)
    coordinates: Event | None = None
    may_ask_back: bool = True
    is_down: bool = False
    is_stuck: bool = False

    def __post_init__(self) -> None:
        self.keys[self.who.name] = self.who.public_key

    # -- what it holds ----------------------------------------------------------------------------

    def knows(self, *who: Identity) -> None:
        for one in who:
            self.keys[one.name] = one.public_key

    def merge(self, events: object) -> int:
        """Each that is valid and new; how many."""
        before = len(self.events)
        for raw in listed(events):
            event = read_event(raw)
            key = self.keys.get(event.get("emitter", ""))
            if event.get("sig") and key is not None and not verifies(event, key):
                self.complaints.append(f"a bad signature: {event}")
            self.events.setdefault(event["id"], event)
            if event["svc"] == "hey-there":
                self._learn(event["hey_there"])
        return len(self.events) - before

    def add(self, *bodies: bytes) -> None:
        self.merge([json.loads(body) for body in bodies])

    def _learn(self, hey: Event) -> None:
        self.keys.setdefault(hey["From"], base64.b64decode(hey["PublicKey"]))

    # -- what it serves ---------------------------------------------------------------------------

    async def __call__(
        self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable
    ) -> None:
        assert scope["type"] == "http"
        body = await read_body(receive) or b""
        if self.is_stuck:
            await trio.sleep_forever()
        if self.is_down:
            reply = text(503, "down")
        elif scope["path"] in (SYNC, ZINE, DM):
            reply = await self._authenticated(scope, body)
        else:
            reply = self._open(scope)
        await send_reply(send, reply)

    async def _authenticated(self, scope: HTTPScope, body: bytes) -> Reply:
        headers = headers_of(scope)
        reason = await self._refuse(scope, headers)
        if reason:
            return text(401, f"Authentication failed: {reason}")
        self.asked.append(Asked(scope["path"], headers, body))
        try:
            reply = self._answer(scope["path"], headers["x-nara-name"], body)
        except Choked as choked:
            self.complaints.append(str(choked))
            reply = text(400, "Invalid JSON")
        return self._signed(reply)

    async def _refuse(self, scope: HTTPScope, headers: Mapping[str, str]) -> str:
        name, ts = headers.get("x-nara-name", ""), headers.get("x-nara-timestamp", "")
        signature = headers.get("x-nara-signature", "")
        if not (name and ts and signature):
            return "missing auth headers"
        if not ts.lstrip("-").isdigit():
            return "invalid timestamp"
        if abs(self._now_ms() - int(ts)) > 30_000:
            return "timestamp too old or in future: …"
        if name not in self.keys and self.may_ask_back:
            await self._ask_back(name, address_of(scope) or "")
        if name not in self.keys:
            return f"unknown sender: {name}"
        message = f"{name}{ts}{scope['method']}{scope['path']}".encode()
        return (
            ""
            if is_signed(self.keys[name], message, signature)
            else ("signature verification failed")
        )

    async def _ask_back(self, name: str, address: str) -> None:
        if not address.startswith("100.64."):
            return
        try:
            answer = await self._request("GET", f"http://{address}:{PORT}/ping")
        except Fault:
            return
        ping = json.loads(answer.body)
        if ping["from"] == name:
            self.keys[name] = base64.b64decode(ping["public_key"])

    def _answer(self, path: str, sender: str, body: bytes) -> Reply:
        request = decoded(body)
        match path:
            case "/events/sync":
                return self._sync(request, body)
            case "/gossip/zine":
                return self._zine(request, sender, body)
            case _:
                return self._dm(request, body)

    def _sync(self, request: Event, body: bytes) -> Reply:
        given = {key: value for key, value in request.items() if value or key in _ALWAYS}
        order = [key for key in (*_REQUEST, *_LEGACY) if key in given or key in _ALWAYS]
        self._compare(body, go({key: given.get(key) for key in order}))
        if not request.get("from"):
            return text(400, "from is required")
        found, cursor = self._found(request)
        at_s = self._now_ms() // 1000
        answer = {"from": self.who.name, "events": [written(one) for one in found] or None}
        if cursor:
            answer["next_cursor"] = cursor
        return _json({**answer, "ts": at_s, "sig": self._sign_set(at_s, found)})

    def _found(self, request: Event) -> tuple[list[Event], str]:
        """nara's three modes, without its ties; a sample here is the newest."""
        services = request.get("services")
        events = sorted(
            (one for one in self.events.values() if not services or one["svc"] in services),
            key=lambda one: (one["ts"], one["id"]),
        )
        if request["mode"] == "page":
            size = request.get("page_size") or 5_000
            after = int(request.get("cursor") or 0)
            page = [one for one in events if one["ts"] > after][:size]
            return page, str(page[-1]["ts"]) if len(page) == size else ""
        if request["mode"] == "recent":
            return events[::-1][: request.get("limit") or 100], ""
        return events[-(request.get("sample_size") or 5_000) :], ""

    def _zine(self, zine: Event, sender: str, body: bytes) -> Reply:
        events = [read_event(one) for one in listed(zine.get("events"))]
        self._compare(body, self._as_zine(zine, events))
        digest = set_digest(zine["from"], zine["created_at"], events)
        key = self.keys.get(zine["from"])
        if zine["from"] != sender:
            self.complaints.append(f"a zine of {zine['from']} by {sender}")
        if key is not None and not is_signed(key, digest, zine["signature"]):
            return text(403, "Invalid zine signature")
        self.merge(zine["events"])
        return Reply(200, self.zine() + b"\n", JSON)

    def _as_zine(self, zine: Event, events: list[Event]) -> bytes:
        return go(
            {
                "from": zine["from"],
                "created_at": zine["created_at"],
                "events": [written(one) for one in events] or None,
                "signature": zine["signature"],
            }
        )

    def _dm(self, event: Event, body: bytes) -> Reply:
        event = read_event(event)
        self._compare(body, go(written(event)))
        if not (event.get("emitter") and event.get("sig")):
            return text(400, "event must be signed")
        key = self.keys.get(event["emitter"])
        if key is None or not verifies(event, key):
            return text(403, "unknown emitter, or a bad signature")
        return _json({"success": bool(self.merge([event])), "from": self.who.name})

    def _open(self, scope: HTTPScope) -> Reply:
        query = {
            name: values[0] for name, values in parse_qs(scope["query_string"].decode()).items()
        }
        match scope["path"]:
            case "/ping":
                return _json(self.own_ping())
            case "/coordinates":
                return _json({"name": self.who.name, "coordinates": self.coordinates})
            case "/peer/query":
                return self._peer(query.get("target", ""), query.get("asked", ""))
            case "/api/checkpoints/all":
                return self._checkpoints(
                    int(query.get("limit", "1000")), int(query.get("offset", "0"))
                )
            case _:
                return text(404, "404 page not found")

    def own_ping(self) -> Event:
        return {
            "from": self.who.name,
            "mesh_ip": "",
            "public_key": self.who.public_key_base64,
            "t": self.world.clock.now_ns(),
        }

    def _peer(self, target: str, asked: str) -> Reply:
        if target in self.keys:
            key = base64.b64encode(self.keys[target]).decode()
            found = {"target": target, "public_key": key}
            address = self.addresses.get(target)
            return _json({**found, "mesh_ip": address} if address else found)
        others = [one for one in self.keys if one not in (self.who.name, *asked.split(","))]
        if not others:
            return text(404, "not found")
        return Reply(307, b"", headers={"X-Nara-Redirect-To": others[0]})

    def _checkpoints(self, limit: int, offset: int) -> Reply:
        found = [written(one) for one in self.events.values() if one["svc"] == "checkpoint"]
        page = found[offset : offset + min(limit, 10_000)]
        return _json(
            {
                "server": self.who.name,
                "total": len(found),
                "count": len(page),
                "checkpoints": page,
                "has_more": offset + len(page) < len(found),
                "offset": offset,
                "limit": limit,
            }
        )

    # -- what it asks -----------------------------------------------------------------------------

    async def sync(self, url: str, **request: Any) -> list[Event]:
        """`request`: the fields that nara's client would set. Merged."""
        body = go({"from": self.who.name, "services": None, "subjects": None, **request})
        answer = await self.post(url, SYNC, body)
        return self._believed(answer, "ts", "sig")

    async def gossip(self, url: str) -> list[Event]:
        """One exchange of zines: what came back, merged."""
        answer = await self.post(url, ZINE, self.zine())
        self._compare(answer.body, self._again(answer.body) + b"\n")
        return self._believed(answer, "created_at", "signature")

    def _again(self, body: bytes) -> bytes:
        zine = decoded(body)
        return self._as_zine(zine, [read_event(one) for one in listed(zine.get("events"))])

    async def dm(self, url: str, body: bytes) -> Answer:
        return await self.post(url, DM, body)

    async def post(self, url: str, path: str, body: bytes) -> Answer:
        ts = str(self._now_ms())
        message = f"{self.who.name}{ts}POST{path}"
        headers = {
            "content-type": JSON,
            "X-Nara-Name": self.who.name,
            "X-Nara-Timestamp": ts,
            "X-Nara-Signature": self._sign(message.encode()),
        }
        return await self._request("POST", url + path, body, headers)

    async def get(self, url: str, **query: object) -> Answer:
        asked = {name: str(value) for name, value in query.items()}
        return await self.http.request(
            "GET", url, query=asked, max_body_bytes=2**26, deadline_s=CLIENT_S
        )

    async def _request(
        self, method: str, url: str, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> Answer:
        return await self.http.request(
            method, url, body=body, headers=headers, max_body_bytes=2**26, deadline_s=CLIENT_S
        )

    def _believed(self, answer: Answer, time: str, signature: str) -> list[Event]:
        """nara checks neither signature; here both must be right."""
        if answer.status != 200:
            self.complaints.append(f"{answer.status}: {answer.body[:200]!r}")
            return []
        said = decoded(answer.body)
        events = [read_event(one) for one in listed(said.get("events"))]
        key = self.keys.get(said["from"])
        digest = set_digest(said["from"], said[time], events)
        if key is not None and not is_signed(key, digest, said[signature]):
            self.complaints.append(f"an answer of {said['from']} that it did not sign")
        self._check_headers(answer, said["from"], key)
        self.merge(events)
        return events

    def _check_headers(self, answer: Answer, name: str, key: bytes | None) -> None:
        ts = answer.headers.get("x-nara-timestamp", "")
        digest = base64.b64encode(sha256(answer.body).digest()).decode()
        proof = answer.headers.get("x-nara-signature", "")
        if key is not None and not is_signed(key, f"{name}{ts}{digest}".encode(), proof):
            self.complaints.append(f"headers of {name} that do not fit its answer")

    # -- what it writes ---------------------------------------------------------------------------

    def zine(self) -> bytes:
        """All of the last five minutes."""
        now_ns = self.world.clock.now_ns()
        at_s = now_ns // 10**9
        events = [one for one in self.events.values() if one["ts"] >= now_ns - LATELY_NS]
        zine = {
            "from": self.who.name,
            "created_at": at_s,
            "signature": self._sign_set(at_s, events),
        }
        return self._as_zine(zine, events)

    def _sign_set(self, at_s: int, events: list[Event]) -> str:
        return self._sign(set_digest(self.who.name, at_s, events))

    def _sign(self, message: bytes) -> str:
        return base64.b64encode(self.who.sign(message)).decode()

    def _signed(self, reply: Reply) -> Reply:
        ts = str(self._now_ms())
        digest = base64.b64encode(sha256(reply.body).digest()).decode()
        proof = {
            "X-Nara-Name": self.who.name,
            "X-Nara-Timestamp": ts,
            "X-Nara-Signature": self._sign(f"{self.who.name}{ts}{digest}".encode()),
        }
        return Reply(reply.status, reply.body, reply.content_type, {**reply.headers, **proof})

    def _compare(self, came: bytes, expected: bytes) -> None:
        if came != expected:
            self.complaints.append(f"{came!r} is not as a nara writes it: {expected!r}")

    def _now_ms(self) -> int:
        return self.world.clock.now_ns() // 10**6


def decoded(body: bytes) -> Event:
    """Raises Choked."""
    try:
        value = json.loads(body)
    except ValueError as error:
        raise Choked(f"no JSON: {error}") from error
    if not isinstance(value, dict):
        raise Choked(f"no object: {body[:80]!r}")
    return value


def listed(events: object) -> list[object]:
    """Raises Choked."""
    if not (events is None or isinstance(events, list)):
        raise Choked(f"events is {events!r}")
    return events or []


def _json(value: object) -> Reply:
    return Reply(200, go(value) + b"\n", JSON)


@asynccontextmanager
async def nara_in(town: Town, address: str, who: Identity) -> AsyncIterator[tuple[Nara, str]]:
    """It lives at that address, and listens at its port: itself, and its URL."""
    world = town.world(address)
    async with open_client(world.net, reach=REACH) as http:
        nara = Nara(who, world, http)
        async with town.serving(address, nara, world=world) as url:
            yield nara, url
