"""`postbox --help` answers at once, and a node is soon ready: nothing is loaded before its time."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = ("apsw", "httpx2", "hypercorn", "msgspec", "nacl", "psycopg", "quart", "quart_trio", "trio")
MAY_LOAD = {
    *("postbox", "postbox.admin", "postbox.admin.words"),
    *("postbox.cli", "postbox.cli.main", "postbox.cli.output", "postbox.cli.verbs"),
}

LOADED = """
import sys
from postbox.cli.main import main
try:
    main(sys.argv[1:])
finally:
    print(*sys.modules, file=sys.stderr)
"""


def loaded_by(*words: str, script: str = LOADED) -> set[str]:
    ran = subprocess.run(
        [sys.executable, "-c", script, *words],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return set(ran.stderr.split())


@pytest.mark.parametrize("words", [["--help"], ["-h"], []])
def test_help_loads_neither_server_nor_store_nor_core(words: list[str]) -> None:
    loaded = loaded_by(*words)
    assert "postbox.cli.main" in loaded, "the test has lost its way"
    assert not {name for name in loaded if name.split(".")[0] in HEAVY}
    assert {name for name in loaded if name.split(".")[0] == "postbox"} == MAY_LOAD
    assert not {"cyclopts", "rich", "inspect"} & loaded, "four fifths of it"


def test_a_verb_s_own_help_is_read_as_it_is_written() -> None:
    loaded = loaded_by("serve", "--help")
    assert "rich.markdown" in loaded, "a paragraph of a docstring is more than one line"


def test_a_node_whose_database_is_a_file_loads_nothing_for_servers_of_databases(
    tmp_path: Path,
) -> None:
    loaded = loaded_by("status", "--home", str(tmp_path))
    assert "postbox.store.sqlite.driver" in loaded, "the test has lost its way"
    assert not {name for name in loaded if "psycopg" in name or "store.postgres" in name}


def test_a_verb_on_a_home_that_is_not_served_loads_no_http(tmp_path: Path) -> None:
    loaded = loaded_by("status", "--home", str(tmp_path))
    assert "postbox.store.sqlite.driver" in loaded, "the test has lost its way"
    assert not {name for name in loaded if name.split(".")[0] in ("httpx2", "hypercorn", "quart")}


def test_a_verb_that_speaks_with_no_host_loads_nothing_that_hosts_speak(tmp_path: Path) -> None:
    loaded = loaded_by("status", "--home", str(tmp_path))
    assert "postbox.hosts.links.summary" in loaded, "the test has lost its way"
    assert not {name for name in loaded if name.split(".")[0] in ("protobuf", "joserfc", "h2")}


def test_a_verb_that_does_not_serve_loads_no_server() -> None:
    loaded = loaded_by("status", "--help")
    assert "apsw" in loaded or "trio" in loaded, "the test has lost its way"
    assert not {name for name in loaded if name.split(".")[0] in ("hypercorn", "quart")}


def test_a_node_starts_without_what_its_first_token_needs() -> None:
    loaded = loaded_by(script="import sys, postbox.app; print(*sys.modules, file=sys.stderr)")
    assert "hypercorn.protocol.h2" in loaded, "the test has lost its way"
    assert not {"joserfc", "cryptography", "psycopg"} & loaded


def test_a_verb_that_asks_a_serving_node_loads_none() -> None:
    loaded = loaded_by("status", "--help")
    assert "postbox.admin.status" in loaded, "the test has lost its way"
    assert not {"apsw", "postbox.node", "postbox.mesh.ledger"} & loaded
