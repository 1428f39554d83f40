"""A node that somebody else wrote from `docs/protocol/mesh.md` alone: with PyNaCl, hashlib, json
and msgpack, and without a word of ours. It and a postbox meet, and each gets what the other has.
"""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass, field
from typing import Any

import msgpack  # type: ignore[import-untyped]
from hypercorn.typing import ASGIReceiveCallable, ASGISendCallable, Scope
from nacl.signing import SigningKey, VerifyKey

from postbox.mesh.calling.pull import pull
from postbox.net.asgi import Reply, headers_of, read_body, send_reply
from postbox.net.client import Answer, Client
from support.mesh import take, tease
from support.strangers import now_ns
from support.town import Town, in_town

HERE, THERE = "100.64.0.1", "100.64.0.2"
PACKED = "application/msgpack"


def in_base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def sha256(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


def inner_digest(content: dict[str, Any], ids: list[str]) -> bytes:
    return sha256(f"{content['from']}:{content['ts']}:{''.join(ids)}")


@dataclass
class Stranger:
    name: str = "ada-ж"
    key: SigningKey = field(default_factory=lambda: SigningKey(b"a stranger's".ljust(32, b".")))
    knows: dict[str, VerifyKey] = field(default_factory=dict)
    served: list[str] = field(default_factory=list)

    @property
    def public(self) -> str:
        return in_base64(bytes(self.key.verify_key))

    def sign(self, message: bytes) -> str:
        return in_base64(self.key.sign(message).signature)

    # -- events -----------------------------------------------------------------------------------

    def event(self, svc: str, content: str, ts: int, **payload: object) -> dict[str, Any]:
        event_id = sha256(f"{ts}:{svc}:{content}").hex()[:32]
        sig = self.sign(sha256(f"{event_id}:{ts}:{svc}:{self.name}:{content}"))
        return {"id": event_id, "ts": ts, "svc": svc, "emitter": self.name, "sig": sig, **payload}

    def tease(self, seconds_ago: int) -> dict[str, Any]:
        social = {"type": "tease", "actor": self.name, "target": "bob", "reason": "why not"}
        content = f"tease:{self.name}:bob:why not:"
        return self.event("social", content, now_ns() - seconds_ago * 10**9, social=social)

    def hey_there(self) -> bytes:
        voter_id = "its-id"
        message = b"postbox: this id goes with this key\0" + bytes(self.key.verify_key)
        hey_there = {
            "From": self.name,
            "PublicKey": self.public,
            "MeshIP": "",
            "ID": voter_id,
            "Signature": self.sign(message + f"{self.name}:{voter_id}".encode()),
        }
        content = f"hey_there:{self.name}:{self.public}:"
        return json.dumps(self.event("hey-there", content, now_ns(), hey_there=hey_there)).encode()

    def learn(self, hello: bytes) -> None:
        """Who introduces itself, checked as the page says."""
        event = json.loads(hello)
        said, ts = event["hey_there"], event["ts"]
        assert abs(ts - now_ns()) <= 30 * 10**9
        assert event["emitter"] == said["From"]
        content = f"hey_there:{said['From']}:{said['PublicKey']}:{said['MeshIP']}"
        assert event["id"] == sha256(f"{ts}:hey-there:{content}").hex()[:32]
        signed = sha256(f"{event['id']}:{ts}:hey-there:{said['From']}:{content}")
        key = VerifyKey(base64.b64decode(said["PublicKey"]))
        key.verify(signed, base64.b64decode(event["sig"]))
        message = b"postbox: this id goes with this key\0" + bytes(key)
        whose_id = message + f"{said['From']}:{said['ID']}".encode()
        key.verify(whose_id, base64.b64decode(said["Signature"]))
        self.knows[said["From"]] = key

    # -- as a client ------------------------------------------------------------------------------

    async def post(self, http: Client, url: str, path: str, body: bytes) -> Answer:
        ts = str(now_ns() // 10**6)
        headers = {
            "X-Nara-Name": self.name,
            "X-Nara-Timestamp": ts,
            "X-Nara-Signature": self.sign(f"{self.name}{ts}POST{path}".encode()),
            "Accept": PACKED,
        }
        return await http.request(
            "POST", url + path, body=body, headers=headers, max_body_bytes=2**24, deadline_s=60
        )

    async def pull(self, http: Client, url: str) -> list[bytes]:
        request = json.dumps({"from": self.name, "mode": "page"}).encode()
        answer = await self.post(http, url, "/api/sync", request)
        assert answer.status == 200, answer.body
        name, ts = answer.headers["x-nara-name"], answer.headers["x-nara-timestamp"]
        body_hash = in_base64(hashlib.sha256(answer.body).digest())
        proof = base64.b64decode(answer.headers["x-nara-signature"])
        self.knows[name].verify(f"{name}{ts}{body_hash}".encode(), proof)
        content = msgpack.unpackb(answer.body)
        assert content["from"] == name
        ids = [json.loads(event)["id"] for event in content["events"]]
        self.knows[name].verify(inner_digest(content, ids), base64.b64decode(content["sig"]))
        return list(content["events"])

    # -- as a server ------------------------------------------------------------------------------

    async def __call__(
        self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable
    ) -> None:
        assert scope["type"] == "http"
        body, headers = await read_body(receive), headers_of(scope)
        assert body is not None
        self.served.append(f"{scope['method']} {scope['path']}")
        await send_reply(send, self.answer(scope["path"], headers, body))

    def answer(self, path: str, headers: dict[str, str], body: bytes) -> Reply:
        match path:
            case "/ping":
                about: dict[str, Any] = {
                    "version": "7",
                    "modes": ["page"],
                    "url": "",
                    "memory_mode": "hog",
                }
                whole = about | {"uptime_s": 0}
                ping = {"from": self.name, "public_key": self.public, "postbox": whole}
                return Reply(200, json.dumps(ping).encode())
            case "/api/hello":
                self.learn(body)
                return Reply(200, self.hey_there())
            case "/api/sync":
                return self.sync(headers, body)
            case _:
                return Reply(404, b"")

    def sync(self, headers: dict[str, str], body: bytes) -> Reply:
        name, ts = headers["x-nara-name"], headers["x-nara-timestamp"]
        if name not in self.knows:
            return Reply(401, f"Authentication failed: unknown sender: {name}\n".encode())
        proof = base64.b64decode(headers["x-nara-signature"])
        self.knows[name].verify(f"{name}{ts}POST/api/sync".encode(), proof)
        everything = {"services": None, "subjects": None}
        asked = {"from": name, **everything, "mode": "page", "page_size": 5_000}
        assert json.loads(body) == asked
        assert headers["accept"] == PACKED
        events = [self.tease(2), self.tease(1)]
        content: dict[str, Any] = {"from": self.name, "ts": now_ns() // 10**9}
        content["sig"] = self.sign(inner_digest(content, [event["id"] for event in events]))
        content["events"] = [json.dumps(event).encode() for event in events]
        packed = bytes(msgpack.packb(content))
        at = str(now_ns() // 10**6)
        body_hash = in_base64(hashlib.sha256(packed).digest())
        proofs = {
            "X-Nara-Name": self.name,
            "X-Nara-Timestamp": at,
            "X-Nara-Signature": self.sign(f"{self.name}{at}{body_hash}".encode()),
        }
        return Reply(200, packed, PACKED, proofs)


@in_town
async def test_it_introduces_itself_and_pulls_from_a_postbox(town: Town) -> None:
    stranger = Stranger()
    async with town.house(HERE, "node", admit="open") as house, town.caller(THERE) as http:
        await take(house.node, [tease(2), tease(1)])
        answer = await stranger.post(http, house.url, "/api/hello", stranger.hey_there())
        assert answer.status == 200, answer.body
        stranger.learn(answer.body)
        assert await stranger.pull(http, house.url) == [tease(2), tease(1)]


@in_town
async def test_a_postbox_meets_it_is_introduced_and_pulls(town: Town) -> None:
    stranger = Stranger()
    async with town.house(HERE, "node") as house, town.serving(THERE, stranger) as url:
        pulled = await pull(house.mesh.peer(url), house.node.intake, "page", lambda _: None)
        assert (pulled.report.imported, pulled.report.rejected) == (2, {})
        assert house.node.ledger.index.counts()["attested"] == 2
        hello, sync = "POST /api/hello", "POST /api/sync"
        assert stranger.served == ["GET /ping", hello, sync]
        known = house.node.directory.get(stranger.name)
        assert known is not None
        assert (known.key, known.id) == (bytes(stranger.key.verify_key), "its-id")
        stranger.knows.clear()
        stranger.served.clear()
        again = await pull(house.mesh.peer(url), house.node.intake, "page", lambda _: None)
        assert again.report.rejected == {}
        assert stranger.served == ["GET /ping", sync, hello, sync], "it had forgotten us"
