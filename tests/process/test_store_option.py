"""`--store`: one option points a node at PostgreSQL, and what is wrong with that is said."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.command import Call, Done, served
from support.mesh import small_history
from support.postgres import OWNER, Pair, Server
from support.tailing import name_of

SECRET = "s3cret"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def history(tmp_path: Path) -> Path:
    path = tmp_path / "history.jsonl"
    path.write_bytes(b"\n".join(small_history(50)))
    return path


def refused(done: Done, *words: str, code: int = 1) -> None:
    """In one line, that says all of these words."""
    assert done.code == code, done
    assert done.err.startswith("postbox: ")
    assert "Traceback" not in done.err
    assert SECRET not in done.err + done.out
    for word in words:
        assert word in done.err, done.err


def verbs(folder: Path, history: Path) -> list[tuple[object, ...]]:
    return [
        ("import", history),
        ("export", folder / "exported.jsonl"),
        ("status",),
        ("verify",),
        ("peers",),
        ("doctor",),
        ("keys", "show"),
        ("trust", "list"),
        ("backup", folder / "backup"),
    ]


@pytest.mark.parametrize("is_served", [False, True])
def test_every_verb_works_on_a_node_on_postgresql_that_was_named_once(
    call: Call, tmp_path: Path, home: Path, history: Path, database: str, is_served: bool
) -> None:
    assert call("status", "--home", home, "--store", database).code == 0
    assert (home / "store").stat().st_mode & 0o777 == 0o600
    (home / "config.toml").write_text('serve.listen = "127.0.0.1:0"\n')

    def call_all() -> None:
        for words in verbs(tmp_path, history):
            done = call(*words, "--home", home)
            assert done.code == 0, (words, done)
            assert "Traceback" not in done.err
        assert call("status", "--home", home, "--json").json["events"] == 50
        assert len((tmp_path / "exported.jsonl").read_bytes().splitlines()) == 50

    if is_served:
        with served(home):
            call_all()
            done = call("status", "--home", home, "--store", "postgresql://elsewhere/x")
            assert (done.code, "--store has no effect" in done.err) == (0, True)
    else:
        call_all()
    assert not (home / "postbox.db").exists()


def test_what_is_no_url_is_refused_without_being_shown(call: Call, home: Path) -> None:
    for url in (f"mysql://ann:{SECRET}@db/x", SECRET, f"postgresql://ann:{SECRET}@db/a b"):
        refused(
            call("status", "--home", home, "--store", url), "postgresql://user@host/name", code=2
        )
    refused(
        call("status", "--home", home, "--store", f"postgresql://ann:{SECRET}@host:port/x?y"),
        "the URL of the database is none",
    )
    assert not (home / "store").exists()


@pytest.mark.parametrize(
    "url", [f"postgresql://ann:{SECRET}@db/x", f"postgresql://db/x?user=ann&password={SECRET}"]
)
def test_the_configuration_is_shown_without_the_password(call: Call, home: Path, url: str) -> None:
    home.mkdir(mode=0o700)
    (home / "config.toml").write_text(f'node.store = "{url}"\n')
    for words in ((), ("--json",)):
        done = call("config", "--home", home, *words)
        assert done.code == 0
        assert SECRET not in done.out + done.err
        assert "***" in done.out


def test_a_server_or_a_database_that_is_not_there_is_named(
    call: Call, home: Path, tmp_path: Path, postgres: Server
) -> None:
    nowhere = f"postgresql://ann:{SECRET}@/x?host={tmp_path}"
    refused(call("status", "--home", home, "--store", nowhere), "see that the server runs")
    missing = postgres.url("nothing")
    refused(call("status", "--home", home, "--store", missing), '"nothing" does not exist')
    refused(call("status", "--home", home), '"nothing" does not exist')  # it is remembered
    done = call("doctor", "--home", home, "--json")
    [*_, database] = done.json["findings"]
    assert (done.code, database["what"], database["state"]) == (1, "database", "wrong")
    assert '"nothing" does not exist' in database["text"]
    assert not (home / "postbox.db").exists()


def test_an_anchor_of_a_log_that_the_home_had_before_says_nothing_of_another_one(
    call: Call, home: Path, tmp_path: Path, database: str
) -> None:
    """As of who forgot --store once."""
    epoch = call("status", "--home", home, "--store", database, "--json").json["epoch"]
    other = tmp_path / "other"
    other.mkdir(mode=0o700)
    (other / "node.key").write_bytes((home / "node.key").read_bytes())
    (other / "node.key").chmod(0o600)
    assert call("status", "--home", other).code == 0
    joined = call("status", "--home", other, "--store", database, "--json").json
    assert (joined["epoch"], joined["renewed"]) == (epoch, None)


@pytest.fixture
def asking(postgres: Server) -> Iterator[Server]:
    """A server that wants a password, of one user."""
    rules = postgres.data / "pg_hba.conf"
    before = rules.read_bytes()
    postgres.run(f"create role ann login password '{SECRET}'")
    rules.write_bytes(b"local all ann scram-sha-256\n" + before)
    postgres.reload()
    yield postgres
    rules.write_bytes(before)
    postgres.reload()
    postgres.run("drop role ann")


def test_a_wrong_password_is_refused_and_no_password_is_ever_told(
    call: Call, home: Path, asking: Server, database: str
) -> None:
    wrong = database.replace(OWNER, f"ann:{SECRET}-not", 1)
    refused(call("status", "--home", home, "--store", wrong), "password authentication failed")
    asking.run("grant all on schema public to ann", name_of(database))
    right = database.replace(OWNER, f"ann:{SECRET}", 1)
    done = call("status", "--home", home, "--store", right)
    assert (done.code, SECRET in done.out + done.err) == (0, False)
    with served(home):
        for words in (("status", "--json"), ("doctor",), ("config",), ("peers",)):
            done = call(*words, "--home", home)
            assert SECRET not in done.out + done.err
    asking.run("drop owned by ann", name_of(database))


def test_another_nodes_database_is_refused_with_its_key(
    call: Call, home: Path, tmp_path: Path, database: str
) -> None:
    call("status", "--home", home, "--store", database)
    key = call("keys", "show", "--home", home, "--json").json["public_key"]
    other = tmp_path / "other"
    for _ in range(2):  # with a key of its own the second time
        refused(call("status", "--home", other, "--store", database), key, "copy its node.key")
        assert not (other / "store").exists()
        call("status", "--home", other)
    assert call("status", "--home", other).code == 0


def test_an_empty_database_is_not_taken_for_the_log_of_a_node_that_has_one(
    call: Call, home: Path, history: Path, database: str
) -> None:
    call("import", history, "--home", home)
    done = call("status", "--home", home, "--store", database)
    refused(done, "the database is empty", "postbox backup FILE", "postbox restore FILE")
    assert call("status", "--home", home, "--json").json["events"] == 50


def test_a_second_process_needs_a_copy_of_the_key_and_nothing_else(
    call: Call, home: Path, tmp_path: Path, history: Path, database: str
) -> None:
    call("import", history, "--home", home, "--store", database)
    other = tmp_path / "other"
    other.mkdir(mode=0o700)
    shutil.copy(home / "node.key", other)
    with served(home):
        shown = [
            call("status", "--home", each, "--json", *words).json
            for each, words in ((home, ()), (other, ("--store", database)))
        ]
    for same in ("name", "digest", "epoch", "events"):
        assert shown[0][same] == shown[1][same]


def examined(call: Call, home: Path, code: int = 0) -> list[dict[str, Any]]:
    done = call("doctor", "--home", home, "--json")
    assert done.code == code, done
    return [each for each in done.json["findings"] if each["what"] == "database"]


def test_doctor_says_how_the_server_is_set_up_and_what_to_mend(
    call: Call, home: Path, database: str, postgres: Server
) -> None:
    call("status", "--home", home, "--store", database)
    (home / "config.toml").write_text('serve.listen = "127.0.0.1:0"\n')
    [fine] = examined(call, home)
    assert (fine["state"], "PostgreSQL 1" in fine["text"]) == ("ok", True)
    off = ["autovacuum", "fsync", "full_page_writes", "synchronous_commit"]
    try:
        for name in off:
            postgres.configure(name, "off")
        doubts = examined(call, home)
        assert sorted(each["text"].split()[0] for each in doubts) == off
        for each in doubts:
            assert each["state"] == "warning"
            assert "alter system set" in each["cure"]
    finally:
        for name in off:
            postgres.run(f"alter system reset {name}")
        postgres.reload()


def test_doctor_tells_a_standby(call: Call, home: Path, pair: Pair) -> None:
    assert call("status", "--home", home, "--store", pair.url).code == 0
    pair.wait_replayed()
    (home / "store").write_text(pair.standby.url() + "\n")
    [standby] = examined(call, home, 1)
    assert (standby["state"], "is a standby" in standby["text"]) == ("wrong", True)
    assert "promote" in standby["text"]
