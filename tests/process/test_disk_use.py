"""How much of its disk a node takes: said by `status` and by `/metrics`, and bounded."""

from __future__ import annotations

import math
from pathlib import Path

import httpx2
from prometheus_client.parser import text_string_to_metric_families

from support.command import Call, served, told
from support.mesh import small_history

DATABASE_FILES = ("postbox.db", "postbox.db-wal")


def gauges(url: str) -> dict[str, float]:
    text = httpx2.get(f"{url}/metrics").text
    families = text_string_to_metric_families(text)
    return {sample.name: sample.value for family in families for sample in family.samples}


def size_of(home: Path) -> int:
    return sum((home / name).stat().st_size for name in DATABASE_FILES)


def test_status_says_what_the_log_takes_and_what_there_is(tmp_path: Path, call: Call) -> None:
    home = tmp_path / "home"
    empty = told("status", "--home", home)["disk"]
    (tmp_path / "history.jsonl").write_bytes(b"\n".join(small_history(2_000)))
    told("import", tmp_path / "history.jsonl", "--home", home)
    disk = told("status", "--home", home)["disk"]
    assert 500_000 < disk["used_bytes"] - empty["used_bytes"] < 3_000_000
    assert disk["free_bytes"] <= disk["used_bytes"]
    assert disk["room_bytes"] > 0
    shown = call("status", "--home", home).out
    assert " MiB" in shown
    assert "; the disk has " in shown


def test_a_serving_node_counts_what_is_written_ahead_and_tells_prometheus(tmp_path: Path) -> None:
    home = tmp_path / "home"
    (tmp_path / "history.jsonl").write_bytes(b"\n".join(small_history(2_000)))
    with served(home) as url:
        told("import", tmp_path / "history.jsonl", "--home", home)
        before = size_of(home)
        disk = told("status", "--home", home)["disk"]
        seen, after = gauges(url), size_of(home)  # what is written ahead grows, and is used again
    assert before <= disk["used_bytes"] <= after
    assert 0 < seen["postbox_store_bytes"] <= after
    assert seen["postbox_store_free_bytes"] >= 0
    assert seen["postbox_store_room_bytes"] > 0
    assert not math.isnan(seen["postbox_store_room_bytes"])
