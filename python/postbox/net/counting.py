"""Counts what was asked and how it was answered, refusals for size and time among it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hypercorn.typing import (
        ASGIFramework,
        ASGIReceiveCallable,
        ASGISendCallable,
        ASGISendEvent,
        Scope,
    )

    from postbox.metrics import Metrics
    from postbox.world import Clock


def counted(app: ASGIFramework, metrics: Metrics, clock: Clock) -> ASGIFramework:
    """`app`, with every answer counted when its last part is there to be sent, and the time from
    the request's headers till then: how fast a client takes it says nothing of us."""

    async def run(scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        started_s = clock.elapsed_s()
        status = 0
        is_counted = False

        def count() -> None:
            nonlocal is_counted
            if not is_counted and scope["type"] == "http":
                is_counted = True
                metrics.request(scope["path"], status, clock.elapsed_s() - started_s)

        async def send_counted(event: ASGISendEvent) -> None:
            nonlocal status
            if event["type"] == "http.response.start":
                status = event["status"]
            elif event["type"] == "http.response.body" and not event.get("more_body", False):
                count()
            await send(event)

        try:
            await app(scope, receive, send_counted)
        except Exception:
            status = status or 500  # as hypercorn then answers
            raise
        finally:
            count()

    return run
