"""Whoever signs clients in: tokens of a node's own and of an issuer, and a node's part that takes
them."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import trio

from postbox.clients.identity.callers import Caller, Callers
from postbox.clients.identity.devices import Devices
from postbox.clients.identity.issuers import Issuer
from postbox.clients.identity.tokens import DAY_MS, mint, token_key
from postbox.clients.rules.devices import DeviceDraft, DeviceRules, Revoke
from postbox.clients.tables import MIGRATIONS
from postbox.errors import Fault
from postbox.trust.host_keys import HostKey, host_key
from postbox.world import World
from support.forged_tokens import encoded, signed
from support.kernel import Kernel, open_kernel

SEED = b"node".ljust(32, b".")
ISSUER, AUDIENCE = "https://login.example", "chat"


def own_token(
    world: World, user: str = "ann", device: str = "phone", *, iat_ms: int = 0, seed: bytes = SEED
) -> str:
    """For a day, made now or at `iat_ms`."""
    iat_ms = iat_ms or now_ms(world)
    return mint(
        token_key(seed),
        iss="node",
        user=user,
        device=device,
        iat_ms=iat_ms,
        exp_ms=iat_ms + DAY_MS,
        jti=world.random.bytes(16),
    )


def now_ms(world: World) -> int:
    return world.clock.now_ns() // 1_000_000


@dataclass
class Login:
    """An issuer, with the keys that it publishes; `fetch` counts how often it is asked."""

    world: World
    keys: dict[str, HostKey] = field(default_factory=lambda: {"k1": issuer_key("k1")})
    asked: int = 0
    fault: Fault | None = None
    takes_s: float = 0.0

    async def fetch(self) -> bytes:
        self.asked += 1
        await trio.sleep(self.takes_s)
        if self.fault is not None:
            raise self.fault
        return self.published()

    def published(self) -> bytes:
        keys = [jwk(kid, key.public_key) for kid, key in self.keys.items()]
        return json.dumps({"keys": keys}).encode()

    def token(self, kid: str = "k1", key: HostKey | None = None, **claims: Any) -> str:
        now_s = self.world.clock.now_ns() / 1e9
        said = {"iss": ISSUER, "aud": AUDIENCE, "sub": "ann", "device": "phone", "iat": now_s,
                "exp": now_s + 86_400}  # fmt: skip
        return signed({"alg": "EdDSA", "kid": kid}, said | claims, key or issuer_key(kid))


def issuer_key(kid: str) -> HostKey:
    return host_key(kid.encode().ljust(32, b"."), 0)


def jwk(kid: str, key: bytes) -> dict[str, str]:
    return {"kty": "OKP", "crv": "Ed25519", "kid": kid, "x": encoded(key)}


@dataclass
class Desk:
    """Where clients show who they are."""

    world: World
    kernel: Kernel
    devices: Devices
    issuer: Issuer | None
    callers: Callers

    async def known(
        self, token: str, device: str | None = None, address: str | None = "93.184.1.9"
    ) -> Caller:
        return await self.callers.known(f"Bearer {token}", address, device)

    async def revoke(self, user: str = "ann", device: str = "phone") -> None:
        draft = DeviceDraft(self.world.new_id(), user, device, Revoke())
        await self.kernel.admission.submit(DeviceRules(), [draft])


@asynccontextmanager
async def open_desk(
    world: World,
    login: Login | None = None,
    *,
    max_devices: int = 50,
    events_per_second: int = 100,
    burst: int = 1000,
    counts_as: Callable[[str | None], str] = str,
) -> AsyncIterator[Desk]:
    async with open_kernel(world, migrations=(MIGRATIONS,)) as kernel, trio.open_nursery() as tasks:
        devices = Devices(world, kernel.runner, kernel.admission, max_devices=max_devices)
        kernel.tail.follow(devices)
        issuer = None
        if login is not None:
            issuer = Issuer(world.clock, ISSUER, AUDIENCE, login.fetch)
            tasks.start_soon(issuer.run)
        callers = Callers(
            world,
            token_key(SEED),
            issuer,
            devices,
            counts_as,
            events_per_second=events_per_second,
            burst=burst,
        )
        yield Desk(world, kernel, devices, issuer, callers)
        tasks.cancel_scope.cancel()
