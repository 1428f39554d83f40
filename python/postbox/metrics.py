"""What a node counts, for Prometheus; whoever counts needs to know nothing of Prometheus.

Promises: every label is from a bounded set, whatever a caller of the node sends; a `Metrics` shares
nothing with another one.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable, Mapping
from http import HTTPStatus
from itertools import product
from typing import TYPE_CHECKING, Final, Literal, TypeAlias, get_args

from postbox import core

if TYPE_CHECKING:
    from prometheus_client import Counter, Gauge, Histogram

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
"""Of what `render` gives: Prometheus' text format, which every version of it reads."""

Door: TypeAlias = Literal["mesh", "hosts", "clients", "node", "page"]
Source: TypeAlias = Literal["peer", "import"]
Taken: TypeAlias = Literal["imported", "duplicate", "pruned", "rejected", "filtered"]
Pulled: TypeAlias = Literal["done", "failed"]
OnBus: TypeAlias = Literal["published", "heard", "refused", "failed", "dropped"]
Measured: TypeAlias = Literal["done", "failed"]
Checkpoint: TypeAlias = Literal["proposed", "agreed", "no_agreement", "voted", "kept", "unheard"]
Met: TypeAlias = Literal["known", "waiting", "refused"]
Began: TypeAlias = Literal["ours", "theirs"]
Direct: TypeAlias = Literal["taken", "known", "refused", "brought"]
HeldBack: TypeAlias = Literal["host", "source", "strangers", "all"]
Settled: TypeAlias = Literal["stored", "duplicate", "refused"]
KeyFetch: TypeAlias = Literal["granted", "failed"] | HeldBack

OTHER = "other"
LATENCY_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0)
"""From an answer out of memory (under a millisecond) to the slowest body that is waited for."""

_STATUSES = frozenset(status.value for status in HTTPStatus)


class Metrics:
    """`routes`: the paths that are counted by name, and whose they are; a folder, as `/chat/`, has
    all that is in it. Any other path is `other`, and counts for the mesh."""

    def __init__(self, routes: Mapping[str, Door] | None = None) -> None:
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
        self._routes = dict(routes or {})

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"postbox_{name}", text, labels, registry=registry)

        self._requests = counter("requests", "HTTP requests answered.", "door", "route", "status")
        self._seconds: Histogram = Histogram(
            "postbox_request_seconds",
            "From a request's headers until the last of its answer is there to be sent.",
            ("door", "route"),
            buckets=LATENCY_S,
            registry=registry,
        )
        self._taken = counter(
            "events_taken", "Events that came in, by what became of them.", "source", "outcome"
        )
        self._served = counter("events_served", "Events given out to peers.")
        self._pulls = counter("pulls", "Pulls from peers.", "outcome")
        self._bus_messages = counter(
            "mqtt_messages", "Messages on the MQTT broker, by what became of them.", "outcome"
        )
        self._measurements = counter(
            "measurements", "Ways to peers that were measured, for coordinates.", "outcome"
        )
        self._checkpoints = counter(
            "checkpoints",
            "Of this node: proposed, agreed on or not. Of others: voted on, kept, and unheard, as"
            " they are by nobody who is known.",
            "outcome",
        )
        self._hellos = counter("hellos", "Introductions by other nodes.", "outcome")
        self._zines = counter(
            "zines", "Zines exchanged with peers, by who began.", "began", "outcome"
        )
        self._direct_messages = counter(
            "direct_messages", "Direct messages of peers, and those brought to them.", "outcome"
        )
        self._host_requests = counter(
            "host_requests", "Requests of other hosts, by what became of them.", "rpc", "code"
        )
        self._client_requests = counter(
            "client_requests", "Requests of users' devices, by what became of them.", "rpc", "code"
        )
        self._client_events = counter(
            "client_events", "Events of users' devices, by what became of them.", "outcome"
        )
        self._client_frames = counter("client_frames", "Frames sent to users' devices.")
        self._key_fetches = counter(
            "host_key_fetches",
            "Keys of hosts that requests wanted fetched: granted, failed, or held back by a bound.",
            "outcome",
        )
        self._connections_refused = counter(
            "connections_refused", "Connections closed at once, as there were too many."
        )
        build = Info("postbox_build", "What runs here.", registry=registry)
        version = importlib.metadata.version("postbox")
        build.info({"version": version, "core_profile": core.build_profile})
        self._watched: dict[str, Gauge] = {}
        self.given = 0
        """Events to peers and frames to devices, in all."""
        self._begin_at_zero()
        ProcessCollector(registry=registry)  # memory, open files and CPU time, from /proc

    def _begin_at_zero(self) -> None:
        """A series that is not there cannot be seen to grow."""
        for outcome in get_args(Pulled):
            self._pulls.labels(outcome)
        for outcome in get_args(OnBus):
            self._bus_messages.labels(outcome)
        for outcome in get_args(Measured):
            self._measurements.labels(outcome)
        for outcome in get_args(Checkpoint):
            self._checkpoints.labels(outcome)
        for outcome in get_args(Met):
            self._hellos.labels(outcome)
        for began, outcome in product(get_args(Began), get_args(Pulled)):
            self._zines.labels(began, outcome)
        for outcome in get_args(Direct):
            self._direct_messages.labels(outcome)
        for outcome in get_args(Settled):
            self._client_events.labels(outcome)
        for outcome in ("granted", "failed", *get_args(HeldBack)):
            self._key_fetches.labels(outcome)
        for source, outcome in product(get_args(Source), get_args(Taken)):
            self._taken.labels(source, outcome)

    def request(self, route: str, status: int, seconds: float) -> None:
        """`route`: the request's path."""
        folder = f"/{route.split('/', 2)[1]}/" if route.startswith("/") else OTHER
        known = next((name for name in (route, folder) if name in self._routes), OTHER)
        door = self._routes.get(known, "mesh")
        code = str(status) if status in _STATUSES else OTHER
        self._requests.labels(door, known, code).inc()
        self._seconds.labels(door, known).observe(seconds)

    def events_taken(self, source: Source, outcome: Taken, count: int = 1) -> None:
        self._taken.labels(source, outcome).inc(count)

    def events_served(self, count: int) -> None:
        self._served.inc(count)
        self.given += count

    def pull(self, outcome: Pulled) -> None:
        self._pulls.labels(outcome).inc()

    def bus_message(self, outcome: OnBus) -> None:
        self._bus_messages.labels(outcome).inc()

    def measurement(self, outcome: Measured) -> None:
        self._measurements.labels(outcome).inc()

    def zine(self, began: Began, outcome: Pulled) -> None:
        self._zines.labels(began, outcome).inc()

    def direct_message(self, outcome: Direct) -> None:
        self._direct_messages.labels(outcome).inc()

    def checkpoint(self, outcome: Checkpoint) -> None:
        self._checkpoints.labels(outcome).inc()

    def hello(self, outcome: Met) -> None:
        self._hellos.labels(outcome).inc()

    def host_request(self, rpc: str, code: str) -> None:
        """Both of bounded sets: an rpc of ours, and `ok` or a code of Connect's."""
        self._host_requests.labels(rpc, code).inc()

    def client_request(self, rpc: str, code: str) -> None:
        """Both of bounded sets: an rpc of ours, and a code of `clients/serving/replies.py`."""
        self._client_requests.labels(rpc, code).inc()

    def client_events(self, outcome: Settled, count: int = 1) -> None:
        self._client_events.labels(outcome).inc(count)

    def client_frame(self) -> None:
        self._client_frames.inc()
        self.given += 1

    def key_fetch(self, outcome: KeyFetch) -> None:
        self._key_fetches.labels(outcome).inc()

    def connection_refused(self) -> None:
        self._connections_refused.inc()

    def watch(self, name: str, text: str, callback: Callable[[], float]) -> None:
        """A gauge `postbox_NAME` whose value is asked for at every `render`: by the last `callback`
        that was given for the name."""
        from prometheus_client import Gauge

        if name not in self._watched:
            self._watched[name] = Gauge(f"postbox_{name}", text, registry=self._registry)
        self._watched[name].set_function(callback)

    def render(self) -> bytes:
        """All of it, as `CONTENT_TYPE` says. Raises what a callback raises."""
        from prometheus_client import generate_latest

        return generate_latest(self._registry)
