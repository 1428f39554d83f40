"""Whether the doors stand open as long as there is a node behind them."""

from __future__ import annotations

from pathlib import Path

import trio

from postbox.app import ROUTES, _Listener, _Serving
from postbox.hosts.applications.host import Host
from postbox.metrics import Metrics
from postbox.net.asgi import Reply
from postbox.net.health import Front
from postbox.world import system_world
from support.mesh import node_at
from support.serving import Served, served


async def is_ready(front: Served) -> bool:
    answer = await front.client.request(
        "GET", front.url + "/readyz", max_body_bytes=2**10, deadline_s=30.0
    )
    return answer.status == 200


async def test_a_node_that_fails_lets_nobody_in_while_it_is_being_closed(tmp_path: Path) -> None:
    front, is_open = Front(lambda: Reply(200, b""), ()), trio.Event()
    async with served(front) as asked, node_at(tmp_path / "home", world=system_world()) as node:
        async with trio.open_nursery() as failing:
            listener = _Listener(node.world, node.config, front, Metrics(ROUTES))
            serving = _Serving(node, listener, asked.url, Host())
            failing.start_soon(serving.run, trio.Event(), lambda url: is_open.set())
            await is_open.wait()
            assert await is_ready(asked)
            failing.cancel_scope.cancel()
        assert not await is_ready(asked)
