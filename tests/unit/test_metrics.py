"""What is counted comes out as Prometheus reads it, in a bounded number of series."""

from __future__ import annotations

import subprocess
import sys
from typing import get_args

import pytest
from prometheus_client.parser import text_string_to_metric_families as parse

from postbox import core
from postbox.metrics import CONTENT_TYPE, Door, Metrics, Source, Taken

ROUTES: dict[str, Door] = {
    "/api/sync": "mesh",
    "/ping": "mesh",
    "/readyz": "node",
    "/chat/": "page",
}

NAMES = {
    "postbox_requests": "counter",
    "postbox_request_seconds": "histogram",
    "postbox_events_taken": "counter",
    "postbox_events_served": "counter",
    "postbox_pulls": "counter",
    "postbox_mqtt_messages": "counter",
    "postbox_measurements": "counter",
    "postbox_checkpoints": "counter",
    "postbox_zines": "counter",
    "postbox_direct_messages": "counter",
    "postbox_hellos": "counter",
    "postbox_host_requests": "counter",
    "postbox_client_requests": "counter",
    "postbox_client_events": "counter",
    "postbox_client_frames": "counter",
    "postbox_host_key_fetches": "counter",
    "postbox_connections_refused": "counter",
    "postbox_build_info": "gauge",
}
"""As the parser names them: a counter without its `_total`. Dashboards rely on these."""


@pytest.fixture
def metrics() -> Metrics:
    return Metrics(ROUTES)


def samples(metrics: Metrics) -> dict[tuple[str, ...], float]:
    """By name and the values of the labels, in the order of the labels' names."""
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in parse(metrics.render().decode())
        for sample in family.samples
    }


def series(metrics: Metrics) -> int:
    return sum(name[0].startswith("postbox_") for name in samples(metrics))


def test_every_metric_has_its_name_its_type_and_a_text(metrics: Metrics) -> None:
    metrics.watch("ledger_events", "Events in the ledger.", lambda: 5)
    families = {family.name: family for family in parse(metrics.render().decode())}
    ours = {name: one.type for name, one in families.items() if name.startswith("postbox_")}
    assert ours == NAMES | {"postbox_ledger_events": "gauge"}
    assert all(family.documentation.endswith(".") for family in families.values())
    assert "process_resident_memory_bytes" in families
    assert "process_open_fds" in families


def test_what_is_counted_comes_out(metrics: Metrics) -> None:
    metrics.request("/api/sync", 200, 0.02)
    metrics.request("/api/sync", 200, 0.3)
    metrics.request("/api/sync", 401, 0.001)
    metrics.events_taken("peer", "imported", 250)
    metrics.events_taken("peer", "duplicate")
    metrics.events_served(5_000)
    metrics.pull("done")
    metrics.hello("waiting")
    metrics.connection_refused()
    told = samples(metrics)
    assert told["postbox_requests_total", "mesh", "/api/sync", "200"] == 2
    assert told["postbox_requests_total", "mesh", "/api/sync", "401"] == 1
    assert told["postbox_request_seconds_count", "mesh", "/api/sync"] == 3
    assert told["postbox_request_seconds_bucket", "mesh", "0.025", "/api/sync"] == 2
    assert told["postbox_request_seconds_sum", "mesh", "/api/sync"] == pytest.approx(0.321)
    assert told["postbox_events_taken_total", "imported", "peer"] == 250
    assert told["postbox_events_taken_total", "duplicate", "peer"] == 1
    assert told["postbox_events_served_total",] == 5_000
    assert told["postbox_pulls_total", "done"] == 1
    assert told["postbox_hellos_total", "waiting"] == 1
    assert told["postbox_connections_refused_total",] == 1
    (build,) = (name for name in told if name[0] == "postbox_build_info")
    assert core.build_profile in build


def test_a_gauge_is_asked_at_every_render(metrics: Metrics) -> None:
    values = iter([1.0, 2.0])
    metrics.watch("log_head", "The newest position.", lambda: next(values))
    assert [samples(metrics)["postbox_log_head",] for _ in "ab"] == [1.0, 2.0]
    metrics.watch("log_head", "The newest position.", lambda: 7)  # of a node that was opened anew
    assert samples(metrics)["postbox_log_head",] == 7.0


def test_paths_and_statuses_that_nobody_knows_are_one_series(metrics: Metrics) -> None:
    metrics.request("/nothing", 404, 0.1)
    before = series(metrics)
    for number in range(1_000):
        metrics.request(f"/nothing/{number}?\n\x1b[31m", 404, 0.1)
    assert series(metrics) == before
    for number in (0, -1, 99, 299, 599, 600, 10**9):
        metrics.request("/nothing", number, 0.1)
    assert series(metrics) == before + 1
    assert samples(metrics)["postbox_requests_total", "mesh", "other", "404"] == 1_001
    assert samples(metrics)["postbox_requests_total", "mesh", "other", "other"] == 7


def test_a_folder_has_whatever_is_in_it(metrics: Metrics) -> None:
    for path in ("/chat", "/chat/", "/chat/sync.js", "/chat/a/b", "/chatter", "chat/", ""):
        metrics.request(path, 200, 0.1)
    told = samples(metrics)
    assert told["postbox_requests_total", "page", "/chat/", "200"] == 4
    assert told["postbox_requests_total", "mesh", "other", "200"] == 3


def test_what_is_alarmed_about_is_there_from_the_beginning(metrics: Metrics) -> None:
    told = samples(metrics)
    for outcome in ("done", "failed"):
        assert told["postbox_pulls_total", outcome] == 0
    for outcome in ("published", "heard", "refused", "failed", "dropped"):
        assert told["postbox_mqtt_messages_total", outcome] == 0
    for outcome in ("known", "waiting", "refused"):
        assert told["postbox_hellos_total", outcome] == 0
    assert told["postbox_connections_refused_total",] == 0
    assert told["postbox_events_taken_total", "rejected", "peer"] == 0


def test_every_source_and_outcome_of_events_can_be_counted(metrics: Metrics) -> None:
    for source in get_args(Source):
        for outcome in get_args(Taken):
            metrics.events_taken(source, outcome, 3)
    told = [value for name, value in samples(metrics).items() if "events_taken" in name[0]]
    assert told == [3.0] * len(get_args(Source)) * len(get_args(Taken))


def test_two_nodes_in_a_process_share_no_figure(metrics: Metrics) -> None:
    other = Metrics(ROUTES)
    other.pull("done")
    assert samples(metrics)["postbox_pulls_total", "done"] == 0


def test_the_content_type_is_that_of_prometheus() -> None:
    from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4

    assert CONTENT_TYPE == CONTENT_TYPE_PLAIN_0_0_4


def test_who_only_imports_it_does_not_load_prometheus() -> None:
    code = "import sys, postbox.metrics; print(*sys.modules)"
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    loaded = ran.stdout.split()
    assert "postbox.core" in loaded, "the test has lost its way"
    assert "prometheus_client" not in loaded
