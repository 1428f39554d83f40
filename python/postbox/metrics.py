"""What a node counts, for Prometheus; whoever counts needs to know nothing of Prometheus.

Promises: every label is from a bounded set, whatever a caller of the node sends; a `Metrics` shares
nothing with another one.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from postbox import core

if TYPE_CHECKING:
    from prometheus_client import Counter, Histogram

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
"""Of what `render` gives: Prometheus' text format, which every version of it reads."""

Door: TypeAlias = Literal["mesh", "node", "admin"]
Source: TypeAlias = Literal["peer", "import"]
Taken: TypeAlias = Literal["imported", "duplicate", "pruned", "rejected"]

OTHER = "other"
MAX_WORDS = 32
"""Reasons and outcomes are words of the program, a dozen a counter. This bounds the harm of a
caller who counts by something that came over the wire."""

LATENCY_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0)
"""From an answer out of memory (under a millisecond) to the slowest body that is waited for."""

_STATUSES = frozenset(status.value for status in HTTPStatus)


class Metrics:
    """`routes`: the paths that are counted by name; any other is `other`."""

    def __init__(self, routes: Iterable[str] = ()) -> None:
        # Here and not above: it loads an HTTP server of its own, in some 80 ms, and not every
        # verb counts.
        from prometheus_client import (
            CollectorRegistry,
            Counter,
            Histogram,
            Info,
            ProcessCollector,
            disable_created_metrics,
        )

        # They are a second series for each, by the machine's clock.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self._registry = registry = CollectorRegistry()
        self._routes = frozenset(routes)

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"postbox_{name}", text, labels, registry=registry)

        self._requests = counter("requests", "HTTP requests answered.", "door", "route", "status")
        self._seconds: Histogram = Histogram(
            "postbox_request_seconds",
            "From a request's headers to the end of its answer.",
            ("door", "route"),
            buckets=LATENCY_S,
            registry=registry,
        )
        self._taken = counter(
            "events_taken", "Events that came in, by what became of them.", "source", "outcome"
        )
        self._served = counter("events_served", "Events given out to peers.")
        self._pulls = _Words(counter("pulls", "Pulls from peers.", "outcome"))
        self._hellos = _Words(counter("hellos", "Introductions by other nodes.", "outcome"))
        self._connections_refused = counter(
            "connections_refused", "Connections closed at once, as there were too many."
        )
        build = Info("postbox_build", "What runs here.", registry=registry)
        version = importlib.metadata.version("postbox")
        build.info({"version": version, "core_profile": core.build_profile})
        ProcessCollector(registry=registry)  # memory, open files and CPU time, from /proc

    def request(self, door: Door, route: str, status: int, seconds: float) -> None:
        """`route`: the request's path."""
        known = route if route in self._routes else OTHER
        code = str(status) if status in _STATUSES else OTHER
        self._requests.labels(door, known, code).inc()
        self._seconds.labels(door, known).observe(seconds)

    def events_taken(self, source: Source, outcome: Taken, count: int = 1) -> None:
        self._taken.labels(source, outcome).inc(count)

    def events_served(self, count: int) -> None:
        self._served.inc(count)

    def pull(self, outcome: str) -> None:
        self._pulls.count(outcome)

    def hello(self, outcome: str) -> None:
        self._hellos.count(outcome)

    def connection_refused(self) -> None:
        self._connections_refused.inc()

    def watch(self, name: str, text: str, callback: Callable[[], float]) -> None:
        """A gauge `postbox_NAME` whose value is asked for at every `render`. Raises ValueError if
        the name is taken."""
        from prometheus_client import Gauge

        Gauge(f"postbox_{name}", text, registry=self._registry).set_function(callback)

    def render(self) -> bytes:
        """All of it, as `CONTENT_TYPE` says. Raises what a callback raises."""
        from prometheus_client import generate_latest

        return generate_latest(self._registry)


class _Words:
    """A counter by one word, of which there are few."""

    def __init__(self, counter: Counter) -> None:
        self._counter = counter
        self._known: set[str] = set()

    def count(self, word: str) -> None:
        if word not in self._known:
            if len(self._known) >= MAX_WORDS:
                word = OTHER
            self._known.add(word)
        self._counter.labels(word).inc()
