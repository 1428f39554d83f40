"""Counts what was asked and how it was answered, refusals for size and time among it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from postbox.net.health import PATHS

if TYPE_CHECKING:
    from hypercorn.typing import (
        ASGIFramework,
        ASGIReceiveCallable,
        ASGISendCallable,
        ASGISendEvent,
        Scope,
    )

    from postbox.metrics import Door, Metrics
    from postbox.world import Clock


def counted(app: ASGIFramework, metrics: Metrics, clock: Clock) -> ASGIFramework:
    """`app`, with every answer counted, and the time from its headers to its end."""

    async def run(scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        started_s = clock.elapsed_s()
        status = 0

        async def send_counted(event: ASGISendEvent) -> None:
            nonlocal status
            if event["type"] == "http.response.start":
                status = event["status"]
            await send(event)

        try:
            await app(scope, receive, send_counted)
        except Exception:
            status = status or 500  # as hypercorn then answers
            raise
        finally:
            if scope["type"] == "http":
                door: Door = "node" if scope["path"] in PATHS else "mesh"
                metrics.request(door, scope["path"], status, clock.elapsed_s() - started_s)

    return run
