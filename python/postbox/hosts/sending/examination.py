"""The way to another host and back, looked at step by step as `postbox doctor HOST` does: name,
address, TLS, key, clock, token, round trip. Nothing is posted, and nothing acknowledged.

What comes later rests on what comes earlier: the first step that is wrong is the last one, and says
why and what to do.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from postbox.config import Config
from postbox.connections import h2_client_tls
from postbox.hosts import wire
from postbox.hosts.keys.key_list import BadKeyReply, Read, read_reply
from postbox.hosts.links.place import NOWHERE
from postbox.hosts.sending.client import Clients, HostFault
from postbox.hosts.sending.connecting import Blocked, Step, addresses_of, connected, shake_hands
from postbox.net.addresses import reach_of_hosts
from postbox.rpc.faults import Code
from postbox.rpc.postbox.v1.hosts_pb import View
from postbox.trust.host_names import BadHostName, canonical_destination, split_host
from postbox.trust.tokens import LEEWAY_S
from postbox.world import World

CLOCK_WARNING_MS = 5_000

NO_NAME = "this host has no name, and nobody would know who asks"
CURE_NO_NAME = "serve --host DOMAIN:PORT, or hosts.name in config.toml"


@dataclass
class Examination:
    """`own`: this host's canonical name; empty: it has none."""

    world: World
    config: Config
    own: str
    clients: Clients
    found: list[Step] = field(default_factory=list)

    async def of(self, text: str) -> list[Step]:
        """What was found on the way to the host that is called so."""
        try:
            host = self._name(text)
            await self._connection(host)
            read = await self._key(host)
            await self._round_trip(host, read)
        except Blocked as end:
            self.found.append(end.step)
        return self.found

    def _name(self, text: str) -> str:
        is_local = self.config.serve.loopback
        try:
            host = canonical_destination(text, own=self.own or None, is_local=is_local)
        except BadHostName as error:
            cure = "a host is DOMAIN:PORT; its operator knows it (postbox keys show there)"
            raise Blocked("name", str(error), cure) from error
        refusal = self.clients.settings(host).refusal
        if refusal is None:
            self.found.append(Step("name", "ok", host))
        else:
            cure = f"postbox hosts allow {host}, if its events are wanted"
            self.found.append(Step("name", "warning", f"nothing is taken from it: {refusal}", cure))
        return host

    async def _connection(self, host: str) -> None:
        net, is_tls = self.world.net, self.clients.calls.is_tls
        reach = reach_of_hosts(loopback=self.config.serve.loopback)
        addresses = await addresses_of(net, host, reach, is_tls=is_tls)
        async with connected(net, host, addresses, self.found) as stream:
            if not is_tls:
                self.found.append(Step("tls", "ok", "none: --loopback, for tests"))
                return
            now_s = self.world.clock.now_ns() / 1e9
            tls = h2_client_tls(self.config.hosts.ca)
            self.found.append(await shake_hands(stream, split_host(host)[0], tls, now_s))

    async def _key(self, host: str) -> Read:
        before_ms = self._now_ms()
        try:
            raw = await self.clients.calls.get_key(host)
            after_ms = self._now_ms()
            read = read_reply(raw, host, after_ms)
        except HostFault as fault:
            raise Blocked("key", fault.failure.text, _cure_of_key(host, fault)) from fault
        except BadKeyReply as error:
            cure = f"is {host} what that host calls itself? (postbox keys show there)"
            raise Blocked("key", str(error), cure) from error
        self.found.append(self._key_step(host, read))
        if read.their_now_ms is not None:
            self.found.append(clock_step(read.their_now_ms - (before_ms + after_ms) // 2))
        return read

    def _key_step(self, host: str, read: Read) -> Step:
        is_plain, kid = self.clients.settings(host).is_plain, read.peer.keys[0].kid
        if read.peer.capabilities:
            text = f"{kid}; it can {', '.join(read.peer.capabilities)}"
            if not is_plain:
                return Step("key", "ok", text)
            cure = _STRICT.format(host)
            return Step("key", "warning", f"{text}, and is marked as a plain host", cure)
        text = f"{kid}; it knows no more than the PostBox specification"
        if is_plain:
            return Step("key", "ok", text)
        cure = (
            f"postbox hosts set {host} --tokens plain, if its tokens shall count here: whoever saw"
            " one can use it again"
        )
        return Step("key", "warning", text, cure)

    async def _round_trip(self, host: str, read: Read) -> None:
        if not self.own:
            raise Blocked("token", NO_NAME, CURE_NO_NAME)
        if wire.ACK not in read.peer.capabilities:
            self.found.append(_NOT_TRIED)
            return
        before_s = self.world.clock.elapsed_s()
        try:
            answer = await self.clients.of(host).ack(NOWHERE)
        except HostFault as fault:
            is_plain = self.clients.settings(host).is_plain
            raise _refused(host, self.own, fault, is_plain=is_plain) from fault
        took_ms = (self.world.clock.elapsed_s() - before_s) * 1e3
        self.found.append(Step("token", "ok", f"{host} lets {self.own} in"))
        self.found.append(_answered(took_ms, answer.view or View(), self.own))

    def _now_ms(self) -> int:
        return self.world.clock.now_ns() // 10**6


_STRICT = "postbox hosts set {} --tokens strict"
"""Of one that is marked as plain, and is none: what it is asked is refused for its plain token."""

_NOT_TRIED = Step(
    "token",
    "warning",
    "not tried: a host that knows only the specification has no request that changes nothing",
    "postbox links shows whether it takes what is posted to it",
)
"""It may forget what it once gave to a `Sync`, and takes whatever `PostEvent` brings."""


def _cure_of_key(host: str, fault: HostFault) -> str:
    match fault.failure.code:
        case Code.UNIMPLEMENTED | Code.NOT_FOUND:
            return (
                "what answers there is no host of this kind, or one without a name (serve --host"
                f" {host} there), or a proxy that does not pass on /{wire.AUTH_SERVICE}/"
            )
        case Code.RESOURCE_EXHAUSTED:
            return "it is busy: try again"
        case _:
            return (
                f"is {split_host(host)[1]} its port? gRPC over HTTP/2 must be spoken there. One"
                " that starts or stops does so in a moment: try again"
            )


def clock_step(off_ms: int) -> Step:
    """Of another host's clock less ours. Raises Blocked beyond what tokens bear."""
    text = f"{round(off_ms / 1e3, 1) + 0.0:+.1f} s off ours"  # there is no -0.0
    cure = f"set the clocks, here or there: beyond {LEEWAY_S} s tokens are refused"
    if abs(off_ms) > LEEWAY_S * 1_000:
        raise Blocked("clock", text, cure)
    if abs(off_ms) > CLOCK_WARNING_MS:
        return Step("clock", "warning", text, cure)
    return Step("clock", "ok", text)


def _refused(host: str, own: str, fault: HostFault, *, is_plain: bool) -> Blocked:
    text = fault.failure.text
    match fault.failure.code:
        case Code.UNAUTHENTICATED if is_plain:
            return Blocked("token", text, _STRICT.format(host))
        case Code.UNAUTHENTICATED | Code.RESOURCE_EXHAUSTED:
            cure = (
                f"it must be able to fetch this host's key: if it cannot, postbox doctor {own}"
                " there says why. If it is only busy, try again"
            )
            return Blocked("token", text, cure)
        case Code.PERMISSION_DENIED:
            return Blocked("token", text, f"its operator says: postbox hosts allow {own}")
        case _:
            return Blocked("round trip", text, f"the log of {host} may say more")


def _answered(took_ms: float, view: View, own: str) -> Step:
    text = f"{took_ms:.0f} ms; waiting there for us: {view.queued:,}"
    if view.last_error:
        cure = f"postbox doctor {own} there says at which step"
        why = f"{text}; it cannot send to us: {view.last_error}"
        return Step("round trip", "warning", why, cure)
    return Step("round trip", "ok", text)
