"""A serving node whose database is away: verbs say so, and it stops when it is told to."""

from __future__ import annotations

from pathlib import Path

from postbox.trust.keys import Identity
from support.command import postbox, running, served, told
from support.mesh import ANN, BOB, CAT, MALLORY
from support.postgres import Server


def test_a_node_stops_in_order_though_its_database_is_away(
    tmp_path: Path, own_postgres: Server
) -> None:
    home = tmp_path / "home"
    told("status", "--home", home, "--store", own_postgres.url())
    with served(home):
        own_postgres.stop()
        asked = postbox("status", "--home", home)
        assert (asked.code, "see that the server runs" in asked.err) == (1, True)
    own_postgres.start()
    assert told("status", "--home", home)["events"] == 0


WAITING = "select pid from pg_stat_activity where wait_event = 'SyncRep'"


def test_a_node_stops_in_order_though_its_database_waits_for_a_standby_that_is_gone(
    tmp_path: Path, own_postgres: Server
) -> None:
    """What was being written then is not told as written, and may be there all the same."""
    home = tmp_path / "home"
    told("status", "--home", home, "--store", own_postgres.url())
    with served(home):
        own_postgres.configure("synchronous_standby_names", "nobody")
        # The server begins to wait some time after it was told to, and nothing says when.
        assert any(has_to_wait(own_postgres, home, who) for who in (ANN, BOB, CAT, MALLORY))
    own_postgres.configure("synchronous_standby_names", "")
    assert 1 <= told("status", "--home", home)["keys"] <= 5


def has_to_wait(server: Server, home: Path, who: Identity) -> bool:
    """Whether a commit waits before the verb is done."""
    with running("trust", "add", who.name, who.public_key_base64, "--home", home) as adding:
        while adding.poll() is None:
            if server.run(WAITING):
                return True
    return False
