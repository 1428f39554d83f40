"""What the store makes of a PostgreSQL that fails it: nothing is lost, nothing doubled."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from itertools import chain, repeat
from pathlib import Path

import psycopg
import pytest
from psycopg.pq import DiagnosticField

from postbox.errors import Fatal, Fault, Full, Unavailable, Violation
from postbox.rules import Accepted
from postbox.store.contract import Change, Entry, Lane, Tx, Wanted
from postbox.store.postgres.driver import PostgresStore, open_postgres
from postbox.store.postgres.faults import renamed
from postbox.store.postgres.listening import PostgresListening
from postbox.store.postgres.session import Patience, Role, open_session, shown
from postbox.store.schema import Migrations
from postbox.world import FileDisk
from support.children import command, environment
from support.cutting import Cut, wire
from support.kernel import Recorder, open_kernel
from support.postgres import Server
from support.simulate import MemoryDisk, Simulation, simulate
from support.toy_chat import CHAT, MIGRATIONS, ChatDraft, ToyChat, Verb


def entry(pos: int) -> Entry:
    return Entry(
        pos, Lane.CLIENTS, b"chat", pos, pos.to_bytes(16, "big"), 1, 2, b"ann", 3, b"hello"
    )


def append_next(tx: Tx) -> int:
    tx.apply(Change(appends=[entry(tx.head + 1)]))
    return tx.head + 1


def stored(store: PostgresStore) -> list[int]:
    page = store.read(lambda reader: reader.page(Lane.CLIENTS, None, 0, 10_000, 2**30))
    return [found.pos for found in page.entries]


@contextmanager
def opened(url: str, patience: Patience = Patience()) -> Iterator[PostgresStore]:  # noqa: B008
    store = open_postgres(FileDisk(), url, [MIGRATIONS], bytes(16), bytes(32), patience)
    try:
        yield store
    finally:
        store.close()


def name_of(url: str) -> str:
    return url.split("@/")[1].split("?")[0]


CUTS = 200  # each takes a new connection


def test_a_commit_that_is_cut_off_is_found_or_done_again_but_never_lost_or_doubled(
    postgres: Server, database: str
) -> None:
    kinds = list(Cut)

    def cuts(commit: int) -> Cut | None:
        """Not the first, which makes the tables, and every fourth is answered."""
        return kinds[commit % 3] if commit > 1 and commit % 4 else None

    recorder = Recorder()
    verbs: Iterator[Verb] = chain(["create"], repeat("send"))
    with postgres.another_folder() as folder, wire(folder, postgres.folder, cuts) as carried:
        url = database.replace(str(postgres.folder), str(folder))

        async def main(simulation: Simulation) -> None:
            world = simulation.node(MemoryDisk()).world
            async with open_kernel(world, database=url, followers=[recorder]) as kernel:
                for batch, verb in enumerate(verbs, start=1):
                    drafts = [draft(chat, batch, verb) for chat in (b"a", b"b", b"c")]
                    outcomes = await kernel.admission.submit(ToyChat(), drafts)
                    first = 3 * batch - 2
                    assert outcomes == [Accepted(first + at, batch) for at in range(3)]
                    if carried.cuts >= CUTS:
                        return

        simulate(1, main)
    with opened(database) as store:
        assert stored(store) == recorder.positions
    assert recorder.positions == list(range(1, len(recorder.positions) + 1))


def draft(chat: bytes, number: int, verb: Verb) -> ChatDraft:
    return ChatDraft(chat * 8 + number.to_bytes(8, "big"), verb, chat)


def test_what_a_write_changes_goes_to_the_server_with_its_commit_at_once(
    postgres: Server, database: str
) -> None:
    """So nobody can be stopped between two of its statements, where no limit of the server ends
    it. The other message is the one that begins."""
    with postgres.another_folder() as folder, wire(folder, postgres.folder, lambda _: None) as sent:
        with opened(database.replace(str(postgres.folder), str(folder))) as store:
            store.write(append_next)
            before = sent.messages
            store.write(append_next)
            assert sent.messages - before == 2

            def work(tx: Tx) -> None:
                append_next(tx)
                tx.look_up(Wanted([(Lane.CLIENTS, bytes(16))], {CHAT: [(b"a",)]}, [b"chat"]))

            before = sent.messages
            store.write(work)
            assert sent.messages - before == 4


def test_a_write_reads_what_it_has_changed(database: str) -> None:
    def work(tx: Tx) -> tuple[dict[bytes, int], bytes | None]:
        append_next(tx)
        return tx.last_seqs([b"chat"]), tx.id_at(tx.head + 1)

    with opened(database) as store:
        store.write(append_next)
        assert store.write(work) == ({b"chat": 2}, entry(2).id)
        assert stored(store) == [1, 2]


def test_connections_that_were_ended_are_replaced_without_a_word(
    postgres: Server, database: str
) -> None:
    """As after the server was started anew: nothing was under way."""
    with opened(database) as store:
        store.write(append_next)
        assert stored(store) == [1]
        assert postgres.cut(name_of(database)) == 2
        store.write(append_next)
        assert postgres.cut(name_of(database)) == 1
        assert stored(store) == [1, 2]


def test_a_connection_that_is_ended_amid_a_write_leaves_nothing_of_it(
    postgres: Server, database: str
) -> None:
    with opened(database) as store:

        def work(tx: Tx) -> None:
            append_next(tx)
            postgres.cut(name_of(database))

        with pytest.raises(Unavailable, match="tries again"):
            store.write(work)
        store.write(append_next)
        assert stored(store) == [1]


def test_a_connection_whose_first_work_fails_at_once_serves_the_next(database: str) -> None:
    with opened(database) as store:
        for _ in range(2):
            with pytest.raises(KeyError):
                store.write(lambda tx: {"no": 1}["a bug"])
            with pytest.raises(KeyError):
                store.read(lambda reader: {"no": 1}["a bug"])
        store.write(append_next)
        assert stored(store) == [1]


@pytest.mark.parametrize("goes_on", [False, True])
def test_a_failure_that_the_work_ignores_still_fails_the_write_as_what_it_is(
    database: str, goes_on: bool
) -> None:
    """Rules that raise cost their own draft only; a transaction that failed is none of theirs."""
    with opened(database) as store:
        store.write(append_next)

        def work(tx: Tx) -> None:
            with suppress(Exception):
                tx.apply(Change(appends=[entry(1)]))
            if goes_on:
                tx.last_seqs([b"chat"])

        with pytest.raises(Violation, match="duplicate key"):
            store.write(work)
        assert store.write(append_next) == 2


def test_a_database_that_lets_nobody_in_is_unavailable_until_it_does(
    postgres: Server, database: str
) -> None:
    name = name_of(database)
    with opened(database) as store:
        store.write(append_next)
        postgres.run(f"alter database {name} allow_connections false")
        postgres.cut(name)
        with pytest.raises(Unavailable, match="not currently accepting"):
            store.write(append_next)
        with pytest.raises(Unavailable, match="not currently accepting"):
            stored(store)
        postgres.run(f"alter database {name} allow_connections true")
        store.write(append_next)
        assert stored(store) == [1, 2]


class Counted(FileDisk):
    """Keeps what it connected, so that nobody else's end closes it."""

    def __init__(self) -> None:
        self.connections: list[psycopg.Connection] = []

    def connect_database(self, conninfo: str) -> psycopg.Connection:
        self.connections.append(super().connect_database(conninfo))
        return self.connections[-1]

    @property
    def open(self) -> int:
        return sum(not each.closed for each in self.connections)


def test_a_connection_that_cannot_begin_is_closed(postgres: Server, database: str) -> None:
    name, disk = name_of(database), Counted()
    store = open_postgres(disk, database, [MIGRATIONS], bytes(16), bytes(32))
    try:
        postgres.run("alter table news rename to gone", name)
        for _ in range(3):
            with pytest.raises(Fatal):
                stored(store)
        assert disk.open == 1, "the writer's alone"
        postgres.run("alter table gone rename to news", name)
        assert stored(store) == []
        session = open_session(disk, database, Role.LISTENER, Patience())
        session.channel = "no channel"
        with pytest.raises(psycopg.errors.SyntaxError):
            PostgresListening(session, lambda: 0, "here")
        assert disk.open == 2, "the writer's and a reader's"
    finally:
        store.close()


def test_a_writers_connection_that_was_half_prepared_is_replaced(
    postgres: Server, database: str
) -> None:
    name = name_of(database)
    with opened(database) as store:
        postgres.run("alter table news rename to gone", name)
        for _ in range(2):
            with pytest.raises(Fatal, match="news"):
                store.write(append_next)
        postgres.run("alter table gone rename to news", name)
        assert store.write(append_next) == 1


def test_tables_are_brought_up_to_date_however_long_that_takes(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "slow").mkdir()
    (tmp_path / "slow" / "__init__.py").touch()
    script = "-- compatible: 1\ndo $$begin perform pg_sleep(1); end$$"
    (tmp_path / "slow" / "0001_slow.postgres.sql").write_text(script)
    monkeypatch.syspath_prepend(tmp_path)
    sets, patience = [Migrations("slow", "slow")], Patience(statement_ms=500)
    open_postgres(FileDisk(), database, sets, bytes(16), bytes(32), patience).close()


def test_a_server_that_is_read_only_is_unavailable_for_writing(
    postgres: Server, database: str
) -> None:
    name = name_of(database)
    with opened(database) as store:
        store.write(append_next)
        postgres.run(f"alter database {name} set default_transaction_read_only = on")
        postgres.cut(name)
        with pytest.raises(Unavailable, match="read-only"):
            store.write(append_next)
        assert stored(store) == [1]
        postgres.run(f"alter database {name} reset default_transaction_read_only")
        store.write(append_next)
        assert stored(store) == [1, 2]


def test_a_process_that_is_stopped_while_it_writes_keeps_the_others_waiting_for_a_while_only(
    database: str,
) -> None:
    with opened(database) as store:
        store.write(append_next)
        with subprocess.Popen(
            command("hold-the-turn", database),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment(),
        ) as child:
            assert child.stdout is not None
            assert child.stdout.readline() == "holding\n"
            child.send_signal(signal.SIGSTOP)
            try:
                store.write(append_next)
            finally:
                child.send_signal(signal.SIGCONT)
            said, _ = child.communicate("go on\n")
        assert said.startswith("Unavailable: ")
        assert "stood still" in said
        assert stored(store) == [1, 2]
        assert [found.stream for found in entries(store)] == [b"chat", b"chat"]


def test_who_waits_too_long_for_its_turn_is_told_why_and_gets_it_later(database: str) -> None:
    with opened(database) as holder, opened(database, Patience(lock_ms=50)) as waiter:

        def work(tx: Tx) -> None:
            append_next(tx)
            with pytest.raises(Unavailable, match="another process of this node stands still"):
                waiter.write(append_next)

        holder.write(work)
        waiter.write(append_next)
        assert stored(waiter) == [1, 2]


def test_two_processes_take_turns_and_know_when_the_other_wrote(database: str) -> None:
    def is_next(store: PostgresStore) -> bool:
        return store.write(lambda tx: (tx.is_next, append_next(tx)))[0]

    with opened(database) as one, opened(database) as other:
        assert not is_next(one)
        assert is_next(one)
        assert not is_next(other)
        assert is_next(other)
        assert not is_next(one)
        with pytest.raises(KeyError):
            other.write(lambda tx: {"no": 1}["a bug"])
        assert not is_next(one)
        assert stored(one) == list(range(1, 7))


def test_a_commit_that_was_not_replicated_as_asked_is_not_taken_for_done(
    postgres: Server, database: str
) -> None:
    """The server only warns then. The next write makes sure of it, since it waits for the same."""
    name = name_of(database)
    with opened(database, Patience(statement_ms=1_000)) as store, ThreadPoolExecutor(1) as thread:
        with waiting_for_nobody(postgres):
            writing = first_that_waits(postgres, partial(thread.submit, store.write, append_next))
            postgres.run("select pg_sleep(1.5)")  # longer than any other statement may take
            assert not writing.done()
            postgres.run(f"select pg_cancel_backend(pid) {WAITING}")
            with pytest.raises(Unavailable, match="synchronous replication"):
                writing.result()
            looking = thread.submit(store.write, head_of)
            while not postgres.run(f"select pid {WAITING}"):
                assert not looking.done()
        assert stored(store) == list(range(1, looking.result() + 1))
        assert postgres.run("select max(pos) from entry", name) == [(looking.result(),)]


WAITING = "from pg_stat_activity where wait_event = 'SyncRep'"


def head_of(tx: Tx) -> int:
    return tx.head


@contextmanager
def waiting_for_nobody(postgres: Server) -> Iterator[None]:
    """Commits wait for a standby that is not there, from some moment on."""
    postgres.run("alter system set synchronous_standby_names = 'nobody'")
    postgres.run("select pg_reload_conf()")
    try:
        yield
    finally:
        postgres.run("alter system reset synchronous_standby_names")
        postgres.run("select pg_reload_conf()")


def first_that_waits(postgres: Server, start: Callable[[], Future[int]]) -> Future[int]:
    for _ in range(1_000):
        started = start()
        while not started.done():
            if postgres.run(f"select pid {WAITING}"):
                return started
    raise AssertionError("no commit waits for a standby")


def entries(store: PostgresStore) -> list[Entry]:
    page = store.read(lambda reader: reader.page(Lane.CLIENTS, None, 0, 10_000, 2**30))
    return list(page.entries)


RENAMED: list[tuple[str, type[Fault]]] = [
    ("53100", Full),  # disk_full
    ("53200", Unavailable),  # out_of_memory
    ("57014", Unavailable),  # query_canceled
    ("57P01", Unavailable),  # admin_shutdown
    ("25006", Unavailable),  # read_only_sql_transaction
    ("40001", Unavailable),  # serialization_failure
    ("40P01", Unavailable),  # deadlock_detected
    ("55P03", Unavailable),  # lock_not_available
    ("08006", Unavailable),  # connection_failure
    ("23505", Violation),  # unique_violation
    ("22P02", Violation),  # invalid_text_representation
    ("54000", Violation),  # program_limit_exceeded
    ("58030", Fatal),  # io_error
    ("XX001", Fatal),  # data_corrupted
    ("42501", Fatal),  # insufficient_privilege
]


@pytest.mark.parametrize(("code", "fault"), RENAMED)
def test_what_the_server_says_is_renamed_to_what_is_to_be_done(
    postgres: Server, database: str, code: str, fault: type[Fault]
) -> None:
    with opened(database) as store:
        postgres.run(
            f"""create function refuse() returns trigger language plpgsql as
            $$begin raise 'no such luck' using errcode = '{code}'; end$$;
            create trigger refuse before insert on entry execute function refuse()""",
            name_of(database),
        )
        with pytest.raises(fault, match="no such luck"):
            store.write(append_next)
        postgres.run("drop trigger refuse on entry", name_of(database))
        assert store.write(append_next) == 1


def test_a_queue_of_notifications_that_is_full_is_no_fault_of_the_change() -> None:
    """As the server says it (async.c); its queue has 8 GiB, which no test fills."""
    said = {
        DiagnosticField.SQLSTATE: b"54000",
        DiagnosticField.SEVERITY_NONLOCALIZED: b"ERROR",
        DiagnosticField.MESSAGE_PRIMARY: b"too many notifications in the NOTIFY queue",
        DiagnosticField.SOURCE_FUNCTION: b"PreCommit_Notify",
    }
    full = psycopg.errors.ProgramLimitExceeded("too many", info=said)  # type: ignore[arg-type]
    assert "takes nothing" in str(renamed(full, "the database"))
    assert type(renamed(full, "the database")) is Unavailable


def test_a_server_that_is_not_there_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="see that the server runs"):
        open_postgres(FileDisk(), f"postgresql:///x?host={tmp_path}", [], bytes(16), bytes(32))


def test_no_text_has_the_password(tmp_path: Path) -> None:
    for url in (
        f"postgresql://ann:s3cret@/x?host={tmp_path}",
        f"postgresql:///x?host={tmp_path}&user=ann&password=s3cret",
        "postgresql://ann:s3cret@host:port/x?y",
    ):
        with pytest.raises(Fault) as raised:
            open_postgres(FileDisk(), url, [], bytes(16), bytes(32))
        assert "s3cret" not in str(raised.value)
    assert shown("postgresql://ann:s3cret@db:5433/x?sslmode=require") == (
        "postgresql://ann@db:5433/x"
    )


def test_a_database_that_can_not_hold_every_text_is_refused(postgres: Server) -> None:
    postgres.run("create database latin template template0 encoding 'LATIN1'")
    with pytest.raises(Fatal, match="encoding 'UTF8'"):
        open_postgres(FileDisk(), postgres.url("latin"), [], bytes(16), bytes(32))


def test_a_log_in_a_schema_of_its_own_is_a_log_of_its_own(postgres: Server, database: str) -> None:
    postgres.run("create schema other", name_of(database))
    with (
        opened(database) as store,
        opened(f"{database}&options=-csearch_path%3Dother") as other,
    ):
        store.write(append_next)

        def work(tx: Tx) -> None:
            append_next(tx)
            other.write(append_next)  # has another turn, too

        store.write(work)
        assert (stored(store), stored(other)) == ([1, 2], [1])


def test_a_setting_of_the_server_that_would_lose_commits_is_overruled(
    postgres: Server, database: str
) -> None:
    name = name_of(database)
    postgres.run(f"alter database {name} set synchronous_commit = off")
    session = open_session(FileDisk(), database, Role.WRITER, Patience())
    try:
        assert session.send("show synchronous_commit") == ["on"]
    finally:
        session.close()
