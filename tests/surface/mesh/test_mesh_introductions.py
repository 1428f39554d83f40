"""Nodes that never heard of each other get to know each other, as far as the policy goes."""

from __future__ import annotations

import ssl
from functools import partial

import pytest
import trio
import trustme

from postbox.mesh.calling.client import Stranger
from postbox.mesh.calling.introductions import ASK_BACK_AT_ONCE, DEADLINE_S, MeetingFault
from postbox.mesh.calling.pull import Mode, pull
from postbox.mesh.wire import NARA_SYNC_PATH, PING_PATH, SYNC_PATH
from postbox.net.client import Answer
from postbox.trust.hello import read_hello
from postbox.trust.keys import identity_of
from postbox.trust.tables import LIMITS, Group
from postbox.trust.waiting_rules import WaitingRules, admit_draft
from support.mesh import ANN, BOB, CAT, MALLORY, believe, digest, impostor, take, tease
from support.strangers import (
    ask,
    greet,
    held,
    hello_of,
    now_ns,
    ping_of,
    postbox_of,
    sources,
)
from support.town import Canned, House, Town, in_town

HERE, THERE, ELSEWHERE = "100.64.0.1", "100.64.0.2", "fd7a:115c:a1e0::9"
GLOBAL, FAR = "93.184.216.34", "8.8.4.4"


async def pulled(house: House, url: str, mode: Mode = "page") -> int:
    """How many events were new."""
    report = (await pull(house.mesh.peer(url), house.node.intake, mode, lambda _: None)).report
    await house.node.settle()
    return report.imported


def tls_of(*addresses: str) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Of a server at these addresses, and of clients that trust it."""
    authority = trustme.CA()
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*addresses).configure_cert(server)
    client = ssl.create_default_context()
    authority.configure_trust(client)
    return server, client


# -- two nodes ------------------------------------------------------------------------------------


@in_town
async def test_two_nodes_that_never_heard_of_each_other_pull_from_each_other(town: Town) -> None:
    async with town.house(HERE, "one", admit="open") as one:
        async with town.house(THERE, "two", admit="open") as two:
            await take(one.node, [tease(1), tease(2)])
            await take(two.node, [tease(2), tease(3)])
            assert await pulled(one, two.url) == 1
            assert sources(one.node) == {"one": "own", "two": "configured"}
            assert sources(two.node) == {"one": "introduction", "two": "own"}
            assert await pulled(two, one.url) == 1
            assert digest(one.node) == digest(two.node)
            for here, there in ((one, two), (two, one)):
                me = there.node.identity
                assert here.node.directory.key_of(me.name) == me.public_key
                assert here.node.directory.keys.name_of(me.id) is None, "an id is only claimed"
            assert await pulled(one, two.url) == 0


@in_town
async def test_under_ask_a_node_waits_for_the_operator_and_is_told_the_command(town: Town) -> None:
    async with town.house(HERE, "one") as one, town.house(THERE, "two", admit="ask") as two:
        await take(two.node, [tease(1)])
        for _ in range(2):
            with pytest.raises(Stranger) as stranger:
                await pulled(one, two.url)
            me = one.node.identity
            assert "postbox trust add one," in str(stranger.value)
            assert f"postbox trust add one {me.public_key_base64} --id {me.id}" in str(
                stranger.value
            )
        [waiting] = two.node.waiting.all()
        assert (waiting.name, waiting.key, waiting.id) == (me.name, me.public_key, me.id)
        assert waiting.address == HERE
        assert two.node.directory.get("one") is None
        draft = admit_draft(two.node.world.new_id(), "one")
        await two.node.admission.submit(WaitingRules(), [draft])
        assert await pulled(one, two.url) == 1
        assert two.node.directory.keys.name_of(me.id) == "one"
        assert two.node.waiting.all() == []


@in_town
async def test_who_waits_is_answered_with_202_and_who_is_known_with_200(town: Town) -> None:
    async with town.house(HERE, "node", admit="ask") as house, town.caller(THERE) as http:
        for _ in range(2):
            answer = await greet(http, house.url, hello_of(ANN))
            assert answer.status == 202
        assert [one.name for one in house.node.waiting.all()] == ["ann"]
        await believe(house.node, ANN)
        answer = await greet(http, house.url, hello_of(ANN))
        assert answer.status == 200
        who = read_hello(answer.body, now_ns())
        me = house.node.identity
        assert who == (me.name, me.public_key, me.id)


@in_town
async def test_auto_lets_in_from_the_mesh_s_networks_and_asks_about_all_others(town: Town) -> None:
    server, client = tls_of(GLOBAL)
    async with town.house(GLOBAL, "node", tls=server) as house:
        async with town.caller(HERE, client) as inside, town.caller(FAR, client) as outside:
            assert (await greet(inside, house.url, hello_of(ANN))).status == 200
            assert (await greet(outside, house.url, hello_of(BOB))).status == 202
    assert house.url.startswith("https://")
    assert sources(house.node) == {"node": "own", "ann": "introduction"}
    assert [(one.name, one.address) for one in house.node.waiting.all()] == [("bob", FAR)]


# -- a nara, which signs and introduces itself to nobody -------------------------------------------


@pytest.mark.parametrize("address", [THERE, ELSEWHERE])
@pytest.mark.parametrize("path", [SYNC_PATH, NARA_SYNC_PATH])
@in_town
async def test_a_nara_from_inside_is_asked_back_and_then_answered(
    town: Town, address: str, path: str
) -> None:
    nara = Canned({PING_PATH: ping_of(ANN)})
    async with (
        town.house(HERE, "node") as house,
        town.serving(address, nara),
        town.caller(address) as http,
    ):
        for _ in range(2):
            assert (await ask(http, house.url, ANN, path)).status == 200
        assert nara.asked == [PING_PATH], "once: then its key is known"
        assert sources(house.node) == {"node": "own", "ann": "ping"}
        assert house.node.directory.key_of("ann") == ANN.public_key


@in_town
async def test_under_ask_a_nara_that_was_asked_back_waits_for_the_operator(town: Town) -> None:
    nara = Canned({PING_PATH: ping_of(ANN)})
    async with (
        town.house(HERE, "node", admit="ask") as house,
        town.serving(THERE, nara),
        town.caller(THERE) as http,
    ):
        for _ in range(5):
            answer = await ask(http, house.url, ANN)
            assert (answer.status, b"unknown sender: ann" in answer.body) == (401, True)
        assert nara.asked == [PING_PATH], "once: then it waits"
        [waiting] = house.node.waiting.all()
        assert (waiting.name, waiting.key, waiting.id) == ("ann", ANN.public_key, None)
        draft = admit_draft(house.node.world.new_id(), "ann")
        await house.node.admission.submit(WaitingRules(), [draft])
        assert (await ask(http, house.url, ANN)).status == 200
        assert sources(house.node) == {"node": "own", "ann": "admitted"}


@in_town
async def test_a_postbox_is_not_asked_back_into_being_known(town: Town) -> None:
    """It introduces itself when it gets the 401: under the policy, and with its id."""
    async with (
        town.house(HERE, "node") as house,
        town.serving(THERE, Canned(postbox_of(ANN))),
        town.caller(THERE) as http,
    ):
        assert (await ask(http, house.url, ANN, SYNC_PATH)).status == 401
        assert sources(house.node) == {"node": "own"}
        assert (await greet(http, house.url, hello_of(ANN))).status == 200
        assert (await ask(http, house.url, ANN, SYNC_PATH)).status == 200


@in_town
async def test_a_caller_from_outside_is_not_asked_back(town: Town) -> None:
    server, client = tls_of(GLOBAL)
    nara = Canned({PING_PATH: ping_of(ANN)})
    async with (
        town.house(GLOBAL, "node", tls=server) as house,
        town.serving(FAR, nara),
        town.caller(FAR, client) as http,
    ):
        before = held(house.node)
        answer = await ask(http, house.url, ANN)
        assert (answer.status, answer.body) == (
            401,
            b"Authentication failed: unknown sender: ann\n",
        )
        assert nara.asked == []
        assert held(house.node) == before


@pytest.mark.parametrize("address", ["127.0.0.5", "10.0.0.5"])
@in_town
async def test_a_caller_who_may_call_only_under_loopback_is_not_asked_back(
    town: Town, address: str
) -> None:
    """It may introduce itself; but asking back proves something only where the wire is secure."""
    nara = Canned({PING_PATH: ping_of(ANN)})
    async with (
        town.house(HERE, "node", loopback=True) as house,
        town.serving(address, nara),
        town.caller(address) as http,
    ):
        assert (await ask(http, house.url, ANN)).status == 401
        assert nara.asked == []
        assert (await greet(http, house.url, hello_of(ANN))).status == 200


@in_town
async def test_who_is_not_who_it_said_when_asked_back_stays_unknown(town: Town) -> None:
    """Another name, another key than what was signed with, no key, no node, and ourselves."""
    false_ann = impostor("ann")
    hosts = {
        "100.64.0.11": Canned({PING_PATH: ping_of(BOB)}),
        "100.64.0.12": Canned({PING_PATH: ping_of(false_ann)}),
        "100.64.0.13": Canned({PING_PATH: ping_of(ANN, public_key="AAAA")}),
        "100.64.0.14": Canned({}),
        "100.64.0.16": Canned({PING_PATH: ping_of(BOB, public_key=ANN.public_key_base64)}),
    }
    async with town.house(HERE, "node") as house, trio.open_nursery() as nursery:
        before = held(house.node)
        for address, host in hosts.items():
            await nursery.start(partial(_serve, town, address, host))
        for address in (*hosts, "100.64.0.15", HERE):
            async with town.caller(address) as http:
                answer = await ask(http, house.url, ANN)
            assert (answer.status, b"unknown sender: ann" in answer.body) == (401, True), address
        assert held(house.node) == before
        assert [host.asked for host in hosts.values()] == [[PING_PATH]] * 5
        nursery.cancel_scope.cancel()


async def _serve(
    town: Town, address: str, host: Canned, task_status: trio.TaskStatus[None]
) -> None:
    async with town.serving(address, host):
        task_status.started()
        await trio.sleep_forever()


@in_town
async def test_a_name_that_is_known_is_not_asked_back_whatever_key_its_caller_has(
    town: Town,
) -> None:
    false_ann = impostor("ann")
    host = Canned({PING_PATH: ping_of(false_ann)})
    async with (
        town.house(HERE, "node") as house,
        town.serving(THERE, host),
        town.caller(THERE) as http,
    ):
        await believe(house.node, ANN)
        before = held(house.node)
        me = impostor("node")
        for who in (false_ann, me):
            answer = await ask(http, house.url, who)
            assert (answer.status, b"verification failed" in answer.body) == (401, True)
        assert host.asked == []
        assert held(house.node) == before


@in_town
async def test_an_address_is_asked_back_twice_a_minute_and_no_more(town: Town) -> None:
    host = Canned({PING_PATH: ping_of(ANN)})
    async with (
        town.house(HERE, "node") as house,
        town.serving(THERE, host),
        town.caller(THERE) as http,
    ):
        for number in range(10):
            who = identity_of(f"nobody{number}", bytes([number]) * 32)
            assert (await ask(http, house.url, who)).status == 401
        assert host.asked == [PING_PATH] * 2
        assert (await ask(http, house.url, ANN)).status == 401, "not now"
        await trio.sleep(30)
        assert (await ask(http, house.url, ANN)).status == 200
        assert host.asked == [PING_PATH] * 3


@in_town
async def test_asking_back_is_one_at_a_time_of_an_address_and_so_many_in_all(town: Town) -> None:
    """And ends after its time: the callers are told then, and nothing is left of it."""
    slow = {f"100.64.0.{n}": Canned({}, pause_s=3600) for n in range(11, 11 + ASK_BACK_AT_ONCE + 3)}
    told: list[tuple[float, int]] = []
    async with town.house(HERE, "node") as house, trio.open_nursery() as hosts:

        async def call(address: str) -> None:
            async with town.caller(address) as http:
                answer = await ask(http, house.url, ANN)
            told.append((round(trio.current_time() - started_s), answer.status))

        for address, host in slow.items():
            await hosts.start(partial(_serve, town, address, host))
        started_s = trio.current_time()
        async with trio.open_nursery() as calls:
            for address in slow:
                calls.start_soon(call, address)
                calls.start_soon(call, address)
        assert sum(len(host.asked) for host in slow.values()) == ASK_BACK_AT_ONCE
        assert {host.most_under_way for host in slow.values()} == {0, 1}
        at_once, later = len(slow) * 2 - ASK_BACK_AT_ONCE, ASK_BACK_AT_ONCE
        assert sorted(told) == [(0, 401)] * at_once + [(DEADLINE_S, 401)] * later
        async with (
            town.caller(THERE) as http,
            town.serving(THERE, Canned({PING_PATH: ping_of(ANN)})),
        ):
            assert (await ask(http, house.url, ANN)).status == 200, "there is room again"
        hosts.cancel_scope.cancel()


@in_town
async def test_neighbours_inside_the_mesh_s_networks_do_not_count_as_one(town: Town) -> None:
    """All nodes of a tailnet have addresses of one /64."""
    tailnet = [f"fd7a:115c:a1e0:ab12:4843:cd96:6240:{n:x}" for n in range(1, 10)]
    async with town.house(HERE, "node") as house:
        for number, address in enumerate(tailnet):
            nara = identity_of(f"nara{number}", bytes([number + 1]) * 32)
            box = identity_of(f"box{number}", bytes([number + 101]) * 32)
            async with (
                town.caller(address) as http,
                town.serving(address, Canned({PING_PATH: ping_of(nara)})),
            ):
                assert (await ask(http, house.url, nara)).status == 200
                assert (await greet(http, house.url, hello_of(box))).status == 200
        assert len(house.node.directory) == 1 + 2 * len(tailnet)


# -- so many and no more ---------------------------------------------------------------------------


@in_town
async def test_an_address_introduces_six_names_a_minute(town: Town) -> None:
    async with town.house(HERE, "node") as house, town.caller(THERE) as http:

        async def introduced(number: int) -> Answer:
            who = identity_of(f"one{number}", bytes([number + 1]) * 32)
            return await greet(http, house.url, hello_of(who))

        assert [(await introduced(number)).status for number in range(6)] == [200] * 6
        refused = await introduced(6)
        assert (refused.status, refused.headers["retry-after"]) == (429, "10")
        async with town.caller(ELSEWHERE) as other:
            assert (await greet(other, house.url, hello_of(ANN))).status == 200
        await trio.sleep(10)
        assert (await introduced(6)).status == 200
        assert len(house.node.directory) == 1 + 7 + 1


@in_town
async def test_when_all_places_are_taken_the_next_name_comes_in_by_no_introduction(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    for group in Group:
        monkeypatch.setitem(LIMITS, group, 2)
    nara, postbox = Canned({PING_PATH: ping_of(CAT)}), Canned(postbox_of(CAT))
    async with (
        town.house(HERE, "node", admit="open") as house,
        town.serving(THERE, nara),
        town.serving(ELSEWHERE, postbox) as url,
        town.caller(THERE) as http,
    ):
        for who in (ANN, BOB):
            assert (await greet(http, house.url, hello_of(who))).status == 200
        refused = await greet(http, house.url, hello_of(CAT))
        assert (refused.status, b"postbox trust add" in refused.body) == (403, True)
        assert (await ask(http, house.url, CAT)).status == 401
        assert nara.asked == [], "nothing could be learned there"
        postbox.answers = postbox_of(MALLORY)
        await house.mesh.peer(url).meet()
        assert sources(house.node)["mallory"] == "configured", "the operator has always room"
        postbox.answers = postbox_of(CAT)
        with pytest.raises(MeetingFault, match="postbox trust add"):
            await house.mesh.peer(url).meet()
        assert house.node.directory.get("cat") is None, "whoever is there has its name"
        assert (await greet(http, house.url, hello_of(ANN))).status == 200, "it is known already"
        await believe(house.node, ANN)
        assert (await greet(http, house.url, hello_of(CAT))).status == 200, "a place is free again"


@in_town
async def test_when_so_many_wait_the_next_name_does_not(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(LIMITS, Group.WAITING, 2)
    async with town.house(HERE, "node", admit="ask") as house, town.caller(THERE) as http:
        for who in (ANN, BOB):
            assert (await greet(http, house.url, hello_of(who))).status == 202
        full = held(house.node)
        refused = await greet(http, house.url, hello_of(CAT))
        assert (refused.status, b"too many names wait" in refused.body) == (403, True)
        assert held(house.node) == full
        assert (await greet(http, house.url, hello_of(ANN))).status == 202
