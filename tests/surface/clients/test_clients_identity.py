"""Who signs devices in, over the wire: the issuer's keys are fetched from where the operator said,
and from nowhere else; and what a device is told whose token is no good, or is so no more."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import trio
import trustme

from postbox.clients.identity.issuers import FETCH_S, PAUSE_S, NoKeySet, fetch_from
from postbox.clients.identity.jwks import MAX_BYTES
from postbox.clients.reading.stream import ALIVE_S
from postbox.clients.rules.devices import DeviceDraft, DeviceRules, Revoke
from postbox.config import ClientsConfig, Config, HostsConfig, ServeConfig
from postbox.errors import Fault
from postbox.net.faults import Forbidden, TooLarge, TooSlow, Unreachable
from postbox.net.tls import server_tls
from postbox.world import World
from support.client_door import Device, Door, Refused, door_at, kind_of, value_of
from support.client_identity import AUDIENCE, ISSUER, Login, issuer_key
from support.memory_net import MemoryNet
from support.simulate import MemoryDisk, Simulation, simulate
from support.simulated import simulated

LOGIN, ADDRESS = "login.example", "93.184.1.7"
URL = f"https://{LOGIN}/keys.json"


@dataclass
class KeyServer:
    """Speaks HTTP over TLS, and answers whatever it is told to."""

    net: MemoryNet
    tls: ssl.SSLContext
    answer: bytes = b""
    is_silent: bool = False
    asked: list[bytes] = field(default_factory=list)

    def publish(self, body: bytes, status: str = "200 OK", more: str = "") -> None:
        head = f"HTTP/1.1 {status}\r\ncontent-length: {len(body)}\r\n{more}\r\n"
        self.answer = head.encode() + body

    async def run(
        self, address: str = ADDRESS, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        [listener] = await self.net.listen(address, 443)
        async with trio.open_nursery() as nursery:
            task_status.started()
            while True:
                nursery.start_soon(self._handle, await listener.accept())

    async def _handle(self, wire: trio.abc.Stream) -> None:
        stream = trio.SSLStream(wire, self.tls, server_side=True, https_compatible=True)
        try:
            asked = b""
            while b"\r\n\r\n" not in asked:
                if not (part := await stream.receive_some()):
                    return
                asked += bytes(part)
            self.asked.append(asked.split(b"\r\n")[0])
            if self.is_silent:
                await trio.sleep_forever()
            await stream.send_all(self.answer)
            await stream.aclose()
        except trio.BrokenResourceError:
            self.asked.append(b"broke off")


@dataclass
class Place:
    """The issuer's, and whose certificates count."""

    server: KeyServer
    config: Config

    @property
    def net(self) -> MemoryNet:
        return self.server.net


@asynccontextmanager
async def key_server(
    world: World, net: MemoryNet, folder: Path, certified: str = LOGIN
) -> AsyncIterator[Place]:
    authority = trustme.CA()
    issued = authority.issue_cert(certified)
    issued.private_key_pem.write_to_path(folder / "key.pem")
    issued.cert_chain_pems[0].write_to_path(folder / "cert.pem")
    authority.cert_pem.write_to_path(folder / "ca.pem")
    net.names[LOGIN] = [ADDRESS]
    server = KeyServer(net, server_tls(folder / "cert.pem", folder / "key.pem"))
    server.publish(Login(world).published())
    named = ClientsConfig(issuer=ISSUER, jwks=URL, audience=AUDIENCE)
    config = Config(clients=named, hosts=HostsConfig(ca=folder / "ca.pem"))
    async with trio.open_nursery() as nursery:
        await nursery.start(server.run)
        yield Place(server, config)
        nursery.cancel_scope.cancel()


async def failing(world: World, config: Config) -> Fault:
    with pytest.raises(Fault) as caught:
        await fetch_from(world, config)()
    return caught.value


def net_of(world: World) -> MemoryNet:
    """The network that this node is on."""
    net = world.net.net  # type: ignore[attr-defined]
    assert isinstance(net, MemoryNet)
    return net


# -- where keys come from ------------------------------------------------------------------------


@simulated
async def test_keys_are_asked_for_by_one_get_over_tls(world: World, tmp_path: Path) -> None:
    async with key_server(world, net_of(world), tmp_path) as place:
        assert await fetch_from(world, place.config)() == Login(world).published()
        assert place.server.asked == [b"GET /keys.json HTTP/1.1"]


@simulated
async def test_a_server_that_is_not_certified_is_not_believed(world: World, tmp_path: Path) -> None:
    async with key_server(world, net_of(world), tmp_path, "other.example") as place:
        assert isinstance(await failing(world, place.config), Unreachable)
        assert place.server.asked in ([], [b"broke off"])


@simulated
async def test_what_an_issuer_answers_is_bounded(world: World, tmp_path: Path) -> None:
    async with key_server(world, net_of(world), tmp_path) as place:
        for status in ("302 Found", "404 Not Found", "500 No"):
            place.server.publish(b"", status, f"location: https://{LOGIN}/else\r\n")
            assert isinstance(await failing(world, place.config), NoKeySet)
        place.server.publish(b" " * (MAX_BYTES + 1))
        assert isinstance(await failing(world, place.config), TooLarge)
        asked = len(place.server.asked)
        place.server.is_silent = True
        began_s = trio.current_time()
        assert isinstance(await failing(world, place.config), TooSlow)
        assert trio.current_time() - began_s == pytest.approx(FETCH_S, abs=0.1)
        assert len(place.server.asked) == asked + 1, "no redirect was followed, nothing repeated"


INSIDE = ["127.0.0.1", "10.0.0.7", "192.168.0.1", "169.254.169.254", "100.100.100.200", "::1",
          "::ffff:10.0.0.7", "64:ff9b::a00:7", "fd12::1", "0.0.0.0"]  # fmt: skip


@pytest.mark.parametrize("address", INSIDE)
def test_an_issuers_name_leads_to_nothing_on_the_inside(address: str, tmp_path: Path) -> None:
    async def main(simulation: Simulation) -> None:
        world = simulation.node(MemoryDisk()).world
        async with key_server(world, simulation.net, tmp_path) as place:
            inner = KeyServer(simulation.net, place.server.tls)
            simulation.net.names[LOGIN] = [ADDRESS, address]  # one of them is enough
            config = Config(place.config.node, clients=place.config.clients)
            async with trio.open_nursery() as nursery:
                await nursery.start(inner.run, address)
                assert isinstance(await failing(world, config), Forbidden)
                nursery.cancel_scope.cancel()
            assert inner.asked == place.server.asked == []

    simulate(1, main)


@simulated
async def test_an_issuer_on_a_private_network_is_named_by_the_operator(
    world: World, tmp_path: Path
) -> None:
    async with key_server(world, net_of(world), tmp_path) as place:
        inner = KeyServer(place.net, place.server.tls, place.server.answer)
        place.net.names[LOGIN] = ["10.0.0.7"]
        config = Config(
            serve=ServeConfig(loopback=True), hosts=place.config.hosts, clients=place.config.clients
        )
        async with trio.open_nursery() as nursery:
            await nursery.start(inner.run, "10.0.0.7")
            assert await fetch_from(world, config)() == Login(world).published()
            nursery.cancel_scope.cancel()


@simulated
async def test_a_file_of_keys_is_read_anew(world: World, tmp_path: Path) -> None:
    config = Config(clients=ClientsConfig(issuer=ISSUER, jwks=str(tmp_path / "keys.json")))
    fetch = fetch_from(world, config)
    with pytest.raises(OSError, match=r"keys\.json"):
        await fetch()
    for text in (b"one", b"another"):
        (tmp_path / "keys.json").write_bytes(text)
        assert await fetch() == text
    (tmp_path / "keys.json").write_bytes(b" " * 2**20)
    assert len(await fetch()) == MAX_BYTES + 1


# -- what a device is told -----------------------------------------------------------------------


@simulated
async def test_a_device_signs_in_with_an_issuers_token_through_the_whole_door(
    world: World, tmp_path: Path
) -> None:
    login = Login(world)
    async with (
        key_server(world, net_of(world), tmp_path) as place,
        door_at(
            tmp_path / "home",
            world,
            hosts=place.config.hosts,
            issuer=ISSUER,
            jwks=URL,
            audience=AUDIENCE,
        ) as door,
    ):
        phone = Device(door, "ann", "phone", login.token())
        await phone.sync()
        assert (await refused(Device(door, "ann", "phone", login.token("k2")))).code in (
            "RATE_LIMITED",
            "NO_SESSION",
        )
        login.keys["k2"] = issuer_key("k2")
        place.server.publish(login.published())
        await trio.sleep(PAUSE_S)
        await Device(door, "ann", "phone", login.token("k2")).sync()
        await door.device("ann", "tablet").sync()
        assert len(place.server.asked) <= 3


async def refused(device: Device) -> Refused:
    with pytest.raises(Refused) as caught:
        await device.sync()
    return caught.value


UNAUTHENTICATED, RESOURCE_EXHAUSTED = 16, 8


@simulated
async def test_a_revoked_device_is_told_and_its_stream_ends_at_once(
    world: World, tmp_path: Path
) -> None:
    async with door_at(tmp_path, world) as door:
        phone, tablet = door.device("ann", "phone"), door.device("ann", "tablet")
        async with phone.listening() as stream, tablet.listening() as other:
            await stream.until("caughtUp")
            await other.until("caughtUp")
            began_s = trio.current_time()
            await revoke(door, "ann", "phone")
            frames = await stream.until("goAway")
            assert value_of(frames[-1]).code == "DEVICE_REVOKED"
            end = await stream.end()
            assert trio.current_time() - began_s < 1
            assert end is not None
            assert (end.status, end.code) == (UNAUTHENTICATED, "DEVICE_REVOKED")
            error = await refused(phone)
            assert (error.status, error.code) == (UNAUTHENTICATED, "DEVICE_REVOKED")
            assert kind_of(await other.next()) == "caughtUp", "the other device's goes on"
            await tablet.sync()
        await trio.sleep(61)
        await door.device("ann", "phone").sync()
        assert (await refused(phone)).code == "DEVICE_REVOKED"


@simulated
async def test_a_stream_ends_when_its_token_does(world: World, tmp_path: Path) -> None:
    async with door_at(tmp_path, world) as door:
        phone = door.device("ann", "phone", days=0.01)
        began_s = trio.current_time()
        async with phone.listening() as stream:
            frames = await stream.until("goAway")
        lasted_s = trio.current_time() - began_s
        assert value_of(frames[-1]).code == "TOKEN_EXPIRED"
        assert 864 <= lasted_s <= 864 + ALIVE_S + 1
        assert (await refused(phone)).code == "TOKEN_EXPIRED"


@simulated
async def test_a_device_that_sends_too_much_is_told_when_to_come_again(
    world: World, tmp_path: Path
) -> None:
    async with door_at(tmp_path, world, events_per_second=1, burst=3) as door:
        phone = door.device("ann")
        await phone.sync(*(phone.event() for _ in range(3)))
        with pytest.raises(Refused) as caught:
            await phone.sync(phone.event(), phone.event())
        error = caught.value
        assert (error.status, error.code) == (RESOURCE_EXHAUSTED, "RATE_LIMITED")
        await trio.sleep(float(error.metadata["retry-after"]))
        assert len((await phone.sync(phone.event(), phone.event())).events) == 2


async def revoke(door: Door, user: str, device: str) -> None:
    draft = DeviceDraft(door.node.world.new_id(), user, device, Revoke())
    await door.node.admission.submit(DeviceRules(), [draft])
