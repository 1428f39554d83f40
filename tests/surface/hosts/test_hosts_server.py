"""What other hosts get to hear, asked by grpcio on real sockets."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trustme

from postbox.hosts import wire
from postbox.hosts.links.host_rules import SetHost
from postbox.hosts.links.place import NOWHERE, Place
from postbox.metrics import Metrics
from postbox.rpc.auth.v1.auth_pb import GetKeyReply
from postbox.rpc.postbox.v1 import hosts_pb as pb
from postbox.world import system_world
from support.grpc_host import GrpcHost, Refusal, grpc_host
from support.hosts_door import EPOCH, Caller, Door, door_at, note, until
from support.serving import served

B = "b.example:2289"
WORLD = system_world()


@asynccontextmanager
async def asked(home: Path, **door: Any) -> AsyncIterator[tuple[Door, GrpcHost, Caller]]:
    """A node that serves, who asks it, and whose name that is."""
    async with door_at(home, **door) as opened:
        caller = Caller(B, WORLD)
        await opened.know(caller)
        async with served(opened.hosts.make_app(), world=WORLD) as where:
            with grpc_host(where.url) as host:
                yield opened, host, caller


def reply(found: bytes) -> pb.PostReply:
    return pb.PostReply.from_binary(found)


def numbers(bodies: list[bytes]) -> list[int]:
    return [pb.PostboxEvent.from_binary(body).seq for body in bodies]


async def say(door: Door, admit: Any = None, tokens: Any = None) -> None:
    draft = SetHost(WORLD.new_id(), B, admit, tokens)
    await door.node.admission.submit(door.hosts.rules, [draft])


async def test_the_key_is_given_to_whoever_asks(tmp_path: Path) -> None:
    async with asked(tmp_path) as (door, host, _):
        found = GetKeyReply.from_binary(await host.answer(wire.GET_KEY, b""))
        assert found.key == door.hosts.own_keys.current.public_key


async def test_the_key_is_given_when_the_database_and_the_node_are_gone(tmp_path: Path) -> None:
    """Two hosts that start at once ask each other for it before they answer."""
    async with door_at(tmp_path) as door:
        app = door.hosts.make_app()
    async with served(app, world=WORLD) as where:
        with grpc_host(where.url) as host:
            assert len(GetKeyReply.from_binary(await host.answer(wire.GET_KEY, b"")).key) == 32


async def test_an_event_is_durable_when_its_post_is_answered(tmp_path: Path) -> None:
    async with asked(tmp_path) as (door, host, caller):
        found = reply(await host.answer(wire.POST_EVENT, caller.post(note(1))))
        assert await door.texts(B) == [b"hello"]
    assert found.received == pb.Place(epoch=EPOCH, seq=1)
    assert not found.gap
    assert found.view is not None
    assert found.view.received == found.received


async def test_an_event_that_is_posted_again_is_there_once(tmp_path: Path) -> None:
    async with asked(tmp_path) as (door, host, caller):
        for _ in range(3):
            found = reply(await host.answer(wire.POST_EVENT, caller.post(note(1))))
            assert found.received == pb.Place(epoch=EPOCH, seq=1)
        assert await door.texts(B) == [b"hello"]


async def test_events_come_together_and_a_hole_among_them_is_told(tmp_path: Path) -> None:
    async with asked(tmp_path) as (door, host, caller):
        many = [note(number, b"%d" % number) for number in (1, 2, 3)]
        found = reply(await host.answer(wire.POST_EVENTS, caller.posts(*many)))
        assert (found.received, found.gap) == (pb.Place(epoch=EPOCH, seq=3), False)
        found = reply(await host.answer(wire.POST_EVENTS, caller.posts(note(3), note(5))))
        assert (found.received, found.gap) == (pb.Place(epoch=EPOCH, seq=3), True)
        assert await door.texts(B) == [b"1", b"2", b"3"]


async def test_what_was_posted_for_a_host_is_given_to_it_and_acknowledged_by_its_place(
    tmp_path: Path,
) -> None:
    async with asked(tmp_path) as (door, host, caller):
        await door.post(B, b"1", b"2", b"3")
        bodies = await host.drained(caller.sync())
        assert numbers(bodies) == [1, 2, 3]
        epoch = pb.PostboxEvent.from_binary(bodies[0]).epoch
        assert numbers(await host.drained(caller.sync(Place(epoch, 2)))) == [3]
        view = await door.hosts.links.view_of(B)
        assert (view.acknowledged, view.queued) == (2, 1)
        found = pb.AckReply.from_binary(
            await host.answer(wire.ACK, caller.ack(Place(epoch, 3)))
        ).view
        assert found is not None
        assert (found.acknowledged, found.queued) == (3, 0)
        # who was put back is given again what it had, and acknowledges nothing less by that
        assert numbers(await host.drained(caller.sync(Place(epoch, 1)))) == [2, 3]
        assert (await door.hosts.links.view_of(B)).acknowledged == 3


async def test_a_place_that_says_nothing_of_the_link_acknowledges_nothing(tmp_path: Path) -> None:
    async with asked(tmp_path) as (door, host, caller):
        await door.post(B, b"1", b"2")
        assert numbers(await host.drained(caller.sync(Place(EPOCH, 1)))) == [1, 2]
        assert (await host.refusal(wire.ACK, caller.ack(Place(EPOCH, 1)))).code == (
            "FAILED_PRECONDITION"
        )
        assert (await door.hosts.links.view_of(B)).acknowledged == 0


@pytest.mark.parametrize("by_ack", [True, False])
async def test_what_the_asker_refuses_for_good_is_a_tombstone(tmp_path: Path, by_ack: bool) -> None:
    async with asked(tmp_path) as (door, host, caller):
        await door.post(B, b"1", b"2", b"3")
        epoch = pb.PostboxEvent.from_binary((await host.drained(caller.sync()))[0]).epoch
        no = pb.Refusal(seq=2, code="unwanted", text="not this one")
        if by_ack:
            await host.answer(wire.ACK, caller.ack(Place(epoch, 1), no))
            bodies = await host.drained(caller.sync(Place(epoch, 1)))
        else:
            bodies = await host.drained(caller.sync(Place(epoch, 1), no))
        events = [pb.PostboxEvent.from_binary(body) for body in bodies]
        assert [(event.seq, event.tombstone is None) for event in events] == [
            (2, False),
            (3, True),
        ]


# -- who knows only the specification --------------------------------------------------------------


async def test_a_plain_token_is_taken_from_hosts_that_the_operator_marked_alone(
    tmp_path: Path,
) -> None:
    async with asked(tmp_path) as (door, host, caller):
        message = caller.post(note(0), is_plain=True)
        refusal = await host.refusal(wire.POST_EVENT, message)
        assert refusal.code == "UNAUTHENTICATED"
        assert "postbox hosts set b.example:2289 --tokens plain" in refusal.text
        await say(door, tokens="plain")
        assert await host.answer(wire.POST_EVENT, message) == b"", "an Empty"
        assert await host.answer(wire.POST_EVENT, message) == b""
        assert await door.texts(B) == [b"hello"], "the same request again is a duplicate"
        await host.answer(wire.POST_EVENT, caller.post(note(0), is_plain=True))
        assert await door.texts(B) == [b"hello"] * 2


async def test_numbers_that_come_with_a_plain_token_are_not_believed(tmp_path: Path) -> None:
    """Whoever saw the token can send another event with it."""
    async with asked(tmp_path) as (door, host, caller):
        await say(door, tokens="plain")
        assert await host.answer(wire.POST_EVENT, caller.post(note(7), is_plain=True)) == b""
        assert await door.texts(B) == [b"hello"]
        assert await door.hosts.links.place_of(B) == NOWHERE


async def test_a_plain_host_is_given_no_tombstones(tmp_path: Path) -> None:
    """It would read an event without content."""
    async with asked(tmp_path) as (door, host, caller):
        await door.post(B, b"1", b"2")
        epoch = pb.PostboxEvent.from_binary((await host.drained(caller.sync()))[0]).epoch
        no = pb.Refusal(seq=1, code="unwanted", text="not this one")
        await door.hosts.links.refused(B, epoch, no.seq, no.code, no.text)
        await say(door, tokens="plain")
        assert numbers(await host.drained(caller.sync(is_plain=True))) == [2]


async def test_nothing_is_acknowledged_refused_or_followed_by_a_plain_token(tmp_path: Path) -> None:
    """Whoever saw it could so keep from the host what waits for it."""
    async with asked(tmp_path) as (door, host, caller):
        await say(door, tokens="plain")
        await door.post(B, b"1", b"2")
        epoch = pb.PostboxEvent.from_binary((await host.drained(caller.sync()))[0]).epoch
        no = pb.Refusal(seq=2, code="unwanted", text="not this one")
        forged = caller.sync(Place(epoch, 1), no, follow=True, is_plain=True)
        assert numbers(await host.drained(forged)) == [1, 2]
        bound = wire.asking(Place(epoch, 2))
        ack = wire.ack_request(caller.asked(wire.ACK, bound, is_plain=True))
        refusal = await host.refusal(wire.ACK, ack)
        assert (refusal.code, "PostEvent and Sync" in refusal.text) == ("UNAUTHENTICATED", True)
        assert (await door.hosts.links.view_of(B)).acknowledged == 0
        assert (await door.hosts.links.letters()).letters == []


async def test_who_never_acknowledges_is_given_everything_each_time(tmp_path: Path) -> None:
    async with asked(tmp_path) as (door, host, caller):
        await say(door, tokens="plain")
        await door.post(B, b"1", b"2")
        for _ in range(2):
            bodies = await host.drained(caller.sync(is_plain=True))
            events = [pb.PostboxEvent.from_binary(body).event for body in bodies]
            assert [event.value for event in events if event is not None] == [b"1", b"2"]


# -- who is let in, and how often ------------------------------------------------------------------


async def test_a_host_is_let_in_when_it_is_on_the_list_and_not_when_it_is_blocked(
    tmp_path: Path,
) -> None:
    async with asked(tmp_path, admit="list") as (door, host, caller):
        refusal = await host.refusal(wire.POST_EVENT, caller.post(note(1)))
        assert refusal.code == "PERMISSION_DENIED"
        assert "postbox hosts allow b.example:2289" in refusal.text
        await say(door, "allow")
        await host.answer(wire.POST_EVENT, caller.post(note(1)))
        await say(door, "block")
        assert (await host.refused_stream(caller.sync())).code == "PERMISSION_DENIED"


async def test_a_token_for_one_rpc_or_event_is_none_for_another(tmp_path: Path) -> None:
    async with asked(tmp_path) as (door, host, caller):
        posted = caller.asked(wire.POST_EVENT, note(1))
        assert (await host.refused_stream(posted)).code == "UNAUTHENTICATED"
        other = wire.post_request(posted, note(1, b"forged"))
        assert (await host.refusal(wire.POST_EVENT, other)).code == "UNAUTHENTICATED"
        sync = wire.post_request(caller.sync(), note(1))
        assert (await host.refusal(wire.POST_EVENT, sync)).code == "UNAUTHENTICATED"
        assert await door.inbox(B) == []


async def test_what_is_not_authenticated_leaves_nothing_in_the_log(tmp_path: Path) -> None:
    async with asked(tmp_path) as (door, host, _):
        before = await door.log_size()
        for name in ("c.example", B, "", "no name", "a.example", "x" * 5_000):
            asker = wire.signed(b"", "a.b.c", name)
            refusal = await host.refusal(wire.POST_EVENT, wire.post_request(asker, note(1)))
            assert refusal.code == "UNAUTHENTICATED"
        assert await door.log_size() == before


async def test_a_host_that_asks_too_often_is_told_when_to_ask_again(tmp_path: Path) -> None:
    async with asked(tmp_path, requests_per_minute=2) as (_, host, caller):
        for number in (1, 2):
            await host.answer(wire.POST_EVENT, caller.post(note(number)))
        refusal = await host.refusal(wire.POST_EVENT, caller.post(note(3)))
        assert refusal.code == "RESOURCE_EXHAUSTED"
        assert 1 <= int(refusal.trailers["retry-after"]) <= 30


async def test_an_address_that_proves_nothing_is_told_to_wait(tmp_path: Path) -> None:
    async with asked(tmp_path) as (_, host, caller):
        found: bytes | Refusal = b""
        for _ in range(3_000):
            if isinstance(found, bytes):
                found = await host.ask(wire.GET_KEY, b"")
        assert isinstance(found, Refusal)
        assert (found.code, found.trailers["retry-after"]) == ("RESOURCE_EXHAUSTED", "1")
        await host.answer(wire.POST_EVENT, caller.post(note(1)))  # proves something


async def test_a_host_that_was_in_touch_is_a_contact_and_its_sender_is_woken(
    tmp_path: Path,
) -> None:
    async with asked(tmp_path) as (door, host, caller):
        heard: list[str] = []
        door.hosts.waker.listen(heard.append)
        assert door.hosts.known.contacts() == []
        await host.drained(caller.sync())
        assert door.hosts.known.contacts() == [B]
        assert heard == [B]


# -- the wire --------------------------------------------------------------------------------------


async def test_over_plain_http_only_a_loopback_node_is_asked(tmp_path: Path) -> None:
    async with asked(tmp_path, loopback=False, admit="open") as (door, host, caller):
        for rpc, message in ((wire.GET_KEY, b""), (wire.POST_EVENT, caller.post(note(1)))):
            assert (await host.refusal(rpc, message)).code == "PERMISSION_DENIED"
        assert await door.inbox(B) == []


async def test_over_tls_any_node_is_asked(
    tmp_path: Path, tls: ssl.SSLContext, authority: trustme.CA
) -> None:
    async with door_at(tmp_path / "home", loopback=False, admit="open") as door:
        caller = Caller(B, WORLD)
        await door.know(caller)
        async with served(door.hosts.make_app(), world=WORLD, tls=tls) as where:
            with grpc_host(where.url, authority.cert_pem.bytes()) as host:
                await host.answer(wire.GET_KEY, b"")
                await host.answer(wire.POST_EVENT, caller.post(note(1)))
                assert numbers(await host.drained(caller.sync())) == []


async def test_a_node_without_a_name_says_so(tmp_path: Path) -> None:
    async with asked(tmp_path, name="") as (_, host, caller):
        assert (await host.refusal(wire.GET_KEY, b"")).code == "UNIMPLEMENTED"
        assert (await host.refused_stream(caller.sync())).code == "UNIMPLEMENTED"


async def test_requests_are_counted_by_what_became_of_them(tmp_path: Path) -> None:
    metrics = Metrics()
    async with asked(tmp_path, metrics=metrics) as (_, host, caller):
        await host.answer(wire.POST_EVENT, caller.post(note(1)))
        await host.ask(wire.POST_EVENT, b"\xff")
        await host.drained(caller.sync())
    told = metrics.render().decode()
    for rpc, code in (("PostEvent", "ok"), ("PostEvent", "invalid_argument"), ("Sync", "ok")):
        assert f'postbox_host_requests_total{{code="{code}",rpc="{rpc}"}} 1.0' in told


async def test_a_stream_that_is_given_up_is_let_go_of(tmp_path: Path) -> None:
    async with asked(tmp_path) as (door, host, caller):
        await door.post(B, b"1")
        cancel, first = await host.followed(caller.sync(follow=True))
        assert numbers([first]) == [1]
        assert set(door.hosts.follows.open_hosts) == {B}
        cancel()
        await until(lambda: not door.hosts.follows.open_hosts)
