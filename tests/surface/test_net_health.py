"""What a process answers by itself while its node starts, serves and stops; and what it counts."""

from __future__ import annotations

import ipaddress
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import pytest
import trio
from hypercorn.typing import (
    ASGIReceiveCallable,
    ASGIReceiveEvent,
    ASGISendCallable,
    ASGISendEvent,
    Scope,
)
from prometheus_client.parser import text_string_to_metric_families

from postbox.metrics import CONTENT_TYPE, Metrics
from postbox.net.asgi import Reply, read_body, send_reply, text
from postbox.net.client import Answer, open_local_client
from postbox.net.health import PATHS, Front, Network
from postbox.net.limits import Limits
from postbox.net.server import UnixAddress, serve
from postbox.world import system_world
from support.serving import Served, served

LOOPBACK = (ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1/128"))
ELSEWHERE = (ipaddress.ip_network("10.0.0.0/8"), ipaddress.ip_network("::1/128"))


class Doors:
    """Answers 200, `/broken` not at all, and `/held` when it is told to."""

    def __init__(self) -> None:
        self.entered, self.release = trio.Event(), trio.Event()

    async def __call__(
        self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable
    ) -> None:
        assert scope["type"] == "http"
        await read_body(receive)
        if scope["path"] == "/broken":
            raise RuntimeError("out of cheese")
        if scope["path"] == "/held":
            self.entered.set()
            await self.release.wait()
        await send_reply(send, text(200, "the doors"))


@dataclass
class Process:
    """A front behind the real server, and what it counts."""

    front: Front
    metrics: Metrics
    served: Served
    doors: Doors = field(default_factory=Doors)

    async def ask(self, path: str, method: str = "GET", body: bytes = b"") -> Answer:
        return await self.served.client.request(
            method, self.served.url + path, body=body, max_body_bytes=2**20, deadline_s=30.0
        )

    async def statuses(self) -> list[int]:
        """Alive, ready, and what a door's route says."""
        return [(await self.ask(path)).status for path in ("/healthz", "/readyz", "/api/sync")]

    def counts(self) -> dict[tuple[str, str, str], float]:
        """Requests by door, route and status."""
        return {
            (sample.labels["door"], sample.labels["route"], sample.labels["status"]): sample.value
            for family in text_string_to_metric_families(self.metrics.render().decode())
            for sample in family.samples
            if sample.name == "postbox_requests_total"
        }


@asynccontextmanager
async def process(
    networks: Sequence[Network] = LOOPBACK, limits: Limits | None = None
) -> AsyncIterator[Process]:
    metrics = Metrics({"/api/sync": "mesh", **dict.fromkeys(PATHS, "node")})
    front = Front(lambda: Reply(200, metrics.render(), CONTENT_TYPE), networks)
    async with served(front, limits or Limits(), metrics=metrics) as server:
        yield Process(front, metrics, server)


async def test_a_node_is_alive_from_the_start_and_ready_while_it_is_open() -> None:
    async with process() as node:
        assert await node.statuses() == [200, 503, 503]
        node.front.open(node.doors)
        assert await node.statuses() == [200, 200, 200]
        node.front.close("stopping")
        assert await node.statuses() == [200, 503, 503]


async def test_who_comes_too_early_or_too_late_is_told_why_and_when_to_come_again() -> None:
    async with process() as node:
        for path in ("/readyz", "/api/sync", "/nowhere"):
            answer = await node.ask(path)
            assert (answer.status, answer.body) == (503, b"this node is starting\n")
            assert answer.headers["retry-after"] == "2"
        node.front.open(node.doors)
        node.front.close("stopping")
        assert (await node.ask("/api/sync", "POST", b"x")).body == b"this node is stopping\n"


async def test_a_request_under_way_ends_when_the_doors_are_closed_to_others() -> None:
    answers: list[Answer] = []
    async with process() as node:
        node.front.open(node.doors)

        async def ask() -> None:
            answers.append(await node.ask("/held"))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask)
            await node.doors.entered.wait()
            node.front.close("stopping")
            assert (await node.ask("/held")).status == 503
            node.doors.release.set()
    assert [(answer.status, answer.body) for answer in answers] == [(200, b"the doors\n")]


@pytest.mark.parametrize("path", PATHS)
async def test_head_is_as_get_without_the_body_and_other_methods_are_told_so(path: str) -> None:
    async with process() as node:
        node.front.open(node.doors)
        head, get = await node.ask(path, "HEAD"), await node.ask(path)
        assert (head.status, head.body) == (200, b"")
        assert head.headers["content-type"] == get.headers["content-type"]
        assert get.body
        for method in ("POST", "PUT", "DELETE", "OPTIONS", "TRACE", "FOO"):
            answer = await node.ask(path, method)
            assert (answer.status, answer.headers["allow"]) == (405, "GET, HEAD")
            assert answer.body == f"use GET {path}\n".encode()


async def test_a_large_body_where_none_belongs_is_not_kept_and_does_no_harm() -> None:
    async with process() as node:
        answer = await node.ask("/healthz", "GET", b"x" * 3 * 2**20)
        assert (answer.status, answer.body) == (200, b"alive\n")
        assert (await node.ask("/healthz", "GET", b"x" * 5 * 2**20)).status == 413


async def test_metrics_are_for_the_networks_that_the_configuration_names() -> None:
    for networks, status in ((LOOPBACK, 200), (ELSEWHERE, 403), ((), 403)):
        async with process(networks) as node:
            for method in ("GET", "HEAD"):
                assert (await node.ask("/metrics", method)).status == status
            assert await node.statuses() == [200, 503, 503], "whoever asks"
    assert b"metrics.networks" in (await said_of_metrics(ELSEWHERE)).body
    answer = await said_of_metrics(LOOPBACK)
    assert answer.headers["content-type"] == CONTENT_TYPE
    assert list(text_string_to_metric_families(answer.body.decode()))


@pytest.mark.parametrize(
    ("client", "server", "status"),
    [
        ("100.64.0.7", "100.64.0.7", 200),  # this machine, by the address where the node listens
        ("fd7a:115c:a1e0::7", "fd7a:115c:a1e0::7", 200),
        ("100.64.0.8", "100.64.0.7", 403),
        ("::ffff:100.64.0.7", "100.64.0.7", 403),
    ],
)
async def test_this_machine_may_read_the_metrics_of_a_node_that_listens_elsewhere(
    client: str, server: str, status: int
) -> None:
    front = Front(lambda: Reply(200, b"figures", CONTENT_TYPE), LOOPBACK)
    scope = cast(
        Scope,
        {
            "type": "http",
            "method": "GET",
            "path": "/metrics",
            "client": (client, 1),
            "server": (server, 7433),
        },
    )
    sent: list[ASGISendEvent] = []

    async def receive() -> ASGIReceiveEvent:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(event: ASGISendEvent) -> None:
        sent.append(event)

    await front(scope, receive, send)
    assert [event["status"] for event in sent if event["type"] == "http.response.start"] == [status]


async def said_of_metrics(networks: Sequence[Network]) -> Answer:
    async with process(networks) as node:
        return await node.ask("/metrics")


async def test_metrics_are_told_before_the_node_is_open_and_while_it_stops() -> None:
    async with process() as node:
        assert (await node.ask("/metrics")).status == 200
        node.front.open(node.doors)
        node.front.close("stopping")
        assert (await node.ask("/metrics")).status == 200


async def test_the_owner_of_a_unix_socket_may_read_the_metrics(tmp_path: Path) -> None:
    front = Front(lambda: Reply(200, b"figures", CONTENT_TYPE), ())
    where, stop, world = str(tmp_path / "socket"), trio.Event(), system_world()
    async with trio.open_nursery() as nursery:

        async def run(task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED) -> None:
            await serve(world, front, UnixAddress(where), stop=stop, task_status=task_status)

        await nursery.start(run)
        async with open_local_client(world.net, where) as client:
            answer = await client.request(
                "GET", "http://local/metrics", max_body_bytes=100, deadline_s=30.0
            )
        stop.set()
    assert (answer.status, answer.body) == (200, b"figures")


async def test_every_answer_is_counted_by_door_route_and_status() -> None:
    async with process() as node:
        await node.statuses()
        node.front.open(node.doors)
        await node.statuses()
        await node.ask("/metrics", "PUT")
        assert (await node.ask("/broken")).status == 500
        assert node.counts() == {
            ("node", "/healthz", "200"): 2,
            ("node", "/readyz", "503"): 1,
            ("node", "/readyz", "200"): 1,
            ("node", "/metrics", "405"): 1,
            ("mesh", "/api/sync", "503"): 1,
            ("mesh", "/api/sync", "200"): 1,
            ("mesh", "other", "500"): 1,
        }


async def test_what_is_refused_for_its_size_is_counted_too() -> None:
    async with process(limits=Limits(max_body_bytes=10)) as node:
        node.front.open(node.doors)
        assert (await node.ask("/api/sync", "POST", bytes(11))).status == 413
        assert node.counts() == {("mesh", "/api/sync", "413"): 1}


async def test_connections_too_many_are_counted() -> None:
    limits = Limits(max_connections_per_address=1)
    async with process(limits=limits) as node:
        async with await trio.open_tcp_stream(*node.served.address) as first:
            await first.send_all(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
            assert (await first.receive_some()).startswith(b"HTTP/1.1 200 ")
            async with await trio.open_tcp_stream(*node.served.address) as second:
                assert await second.receive_some() == b""
        assert b"postbox_connections_refused_total 1.0" in node.metrics.render()


async def test_made_up_paths_are_one_route_however_many_there_are() -> None:
    async with process() as node:
        node.front.open(node.doors)
        before = len(node.metrics.render())
        paths = ["/healthz/", "//healthz", "/api/sync/", "/api%2fsync/x", "/%0d%0apostbox_x%201"]
        for path in [*paths, *(f"/{number}" for number in range(50))]:
            assert (await node.ask(path)).status == 200
        assert node.counts() == {("mesh", "other", "200"): 55}
        grown = len(node.metrics.render()) - before
        for number in range(50):
            await node.ask(f"/again/{number}")
        assert abs(len(node.metrics.render()) - before - grown) < 100, "figures, and no lines"
