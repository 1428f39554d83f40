"""The way to another host and back, walked between real hosts: every step says what it found, and
the first that is wrong is the last one."""

from __future__ import annotations

from contextlib import suppress
from functools import partial

import pytest
import trio

from postbox.hosts.links.host_rules import SetHost
from postbox.hosts.sending.connecting import Step
from postbox.hosts.sending.examination import Examination, clock_step
from support.hosts_cluster import HostsCluster, Member, among_hosts


async def walked(member: Member, to: str, own: str | None = None) -> dict[str, Step]:
    door = member.door
    own = door.name if own is None else own
    steps = await Examination(door.world, door.config, own, door.clients).of(to)
    assert [step.state for step in steps[:-1]].count("wrong") == 0, "the way ends there"
    return {step.what: step for step in steps}


async def say(member: Member, host: str, **word: str) -> None:
    draft = SetHost(member.node.world.new_id(), host, **word)  # type: ignore[arg-type]
    await member.node.admission.submit(member.door.rules, [draft])


def ends_with(found: dict[str, Step], what: str, *says: str) -> None:
    last = list(found.values())[-1]
    assert (last.what, last.state) == (what, "wrong"), found
    for each in says:
        assert each in f"{last.text}\n{last.cure}", last


async def two(cluster: HostsCluster) -> tuple[Member, Member]:
    a, b = cluster.add("a"), cluster.add("b")
    await cluster.start(a, b)
    return a, b


@among_hosts
async def test_a_way_without_fault_is_walked_to_its_end(cluster: HostsCluster) -> None:
    a, b = await two(cluster)
    await trio.sleep(5)
    found = await walked(a, "B.Example")
    assert list(found) == ["name", "address", "tls", "key", "clock", "token", "round trip"]
    assert {step.state for step in found.values()} == {"ok"}, found
    assert found["name"].text == b.host
    assert found["address"].text == f"answers at {b.address}, port 2289"
    assert "it can strict, PostEvents, Ack, follow" in found["key"].text
    assert found["token"].text == f"{b.host} lets {a.host} in"
    assert "waiting there for us: 0" in found["round trip"].text
    assert await a.posted(b) == await b.posted(a) == []


@among_hosts
async def test_what_names_no_other_host_ends_the_way_at_once(cluster: HostsCluster) -> None:
    a, _ = await two(cluster)
    ends_with(await walked(a, "b c"), "name", "names no host", "DOMAIN:PORT")
    ends_with(await walked(a, a.host), "name", "is this node itself")


@among_hosts
async def test_a_host_that_is_down_or_has_no_name_ends_it_at_its_address(
    cluster: HostsCluster,
) -> None:
    a, b = await two(cluster)
    await b.crash()
    ends_with(await walked(a, b.host), "address", f"nothing answers at {b.address} port 2289")
    ends_with(await walked(a, "nobody.example"), "address", "has no address", "in the DNS?")


@among_hosts
async def test_what_is_no_host_ends_it_at_its_key(cluster: HostsCluster) -> None:
    a, _ = await two(cluster)
    cluster.simulation.net.names["web.example"] = ["10.0.0.99"]

    async def answer(stream: trio.abc.Stream) -> None:
        with suppress(trio.BrokenResourceError):
            await stream.receive_some()
            await stream.send_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")

    listeners = await cluster.simulation.net.listen("10.0.0.99", 2289)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(partial(trio.serve_listeners, answer, listeners))
        found = await walked(a, "web.example")
        nursery.cancel_scope.cancel()
    ends_with(found, "key", "is 2289 its port? gRPC over HTTP/2 must be spoken there")


@among_hosts
async def test_a_host_under_another_name_ends_it_at_its_key(cluster: HostsCluster) -> None:
    a, b = await two(cluster)
    cluster.simulation.net.names["other.example"] = [b.address]
    found = await walked(a, "other.example")
    ends_with(found, "key", "'b.example:2289'", "is other.example:2289 what that host calls itself")


@pytest.mark.parametrize(("ahead_s", "state"), [(0.5, "ok"), (-10.0, "warning"), (10.0, "warning")])
def test_clocks_that_differ_a_little_are_told(ahead_s: float, state: str) -> None:
    step = clock_step(round(ahead_s * 1e3))
    assert (step.state, bool(step.cure)) == (state, state != "ok")
    assert f"{ahead_s:+.1f} s off ours" in step.text
    assert clock_step(-40).text == "+0.0 s off ours"


@among_hosts
async def test_a_clock_that_is_far_off_ends_it_before_the_token_that_it_spoils(
    cluster: HostsCluster,
) -> None:
    a, b = cluster.add("a"), cluster.add("b")
    b.ahead_s = 100.0
    await cluster.start(a, b)
    ends_with(await walked(a, b.host), "clock", "+100.0 s off ours", "set the clocks")


@among_hosts
async def test_a_host_that_lets_this_one_not_in_ends_it_at_the_token(
    cluster: HostsCluster,
) -> None:
    a, b = await two(cluster)
    await trio.sleep(5)
    await say(b, a.host, admit="block")
    ends_with(await walked(a, b.host), "token", "is blocked here", f"postbox hosts allow {a.host}")


@among_hosts
async def test_a_key_that_cannot_be_fetched_ends_it_at_the_token(cluster: HostsCluster) -> None:
    """b has no way to a."""
    a, b = cluster.add("a"), cluster.add("b")
    del cluster.simulation.net.names["a.example"]
    await cluster.start(a, b)
    ends_with(await walked(a, b.host), "token", f"postbox doctor {a.host} there says")


@among_hosts
async def test_a_host_that_is_marked_plain_and_is_none_ends_it_at_the_token_with_the_mark(
    cluster: HostsCluster,
) -> None:
    a, b = await two(cluster)
    await say(a, b.host, tokens="plain")
    cure = f"postbox hosts set {b.host} --tokens strict"
    found = await walked(a, b.host)
    ends_with(found, "token", "it is a plain one", cure)
    assert (found["key"].state, found["key"].cure) == ("warning", cure)


@among_hosts
async def test_a_host_without_a_name_can_prove_nothing(cluster: HostsCluster) -> None:
    a, b = await two(cluster)
    ends_with(await walked(a, b.host, own=""), "token", "has no name", "--host DOMAIN:PORT")


@among_hosts
async def test_a_host_that_fails_ends_it_at_the_round_trip(cluster: HostsCluster) -> None:
    a, b = await two(cluster)
    await trio.sleep(5)
    b.mood.status = 500
    ends_with(await walked(a, b.host), "round trip", "500")
    b.mood.status = 429
    ends_with(await walked(a, b.host), "token", "429", "try again")


@among_hosts
async def test_the_operators_own_word_is_held_against_what_the_host_can(
    cluster: HostsCluster,
) -> None:
    a, b = await two(cluster)
    await trio.sleep(5)
    await say(a, b.host, admit="block", tokens="plain")
    found = await walked(a, b.host)
    assert found["name"].state == found["key"].state == "warning"
    assert "is blocked here" in found["name"].text
    assert found["name"].cure.startswith(f"postbox hosts allow {b.host}")
    assert found["key"].cure == f"postbox hosts set {b.host} --tokens strict"


@among_hosts
async def test_a_way_back_that_is_broken_is_told_with_the_other_hosts_words(
    cluster: HostsCluster,
) -> None:
    """b cannot call a, which can call b: what b posts waits there."""
    a, b = await two(cluster)
    await trio.sleep(5)
    await walked(a, b.host)  # b has the key of a then
    await trio.sleep(30)  # and no connection any more
    del cluster.simulation.net.names["a.example"]
    await b.post(a, [b"{}"])
    await trio.sleep(5)
    step = (await walked(a, b.host))["round trip"]
    assert (step.state, step.cure) == (
        "warning",
        f"postbox doctor {a.host} there says at which step",
    )
    assert "waiting there for us: 1; it cannot send to us: " in step.text
