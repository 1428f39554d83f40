"""Background tasks start in few places that a reader can list (DESIGN: tasks and lifetimes)."""

from __future__ import annotations

import ast

from structure.tree import PACKAGE, modules

MAY_OPEN = {
    "admin/peers.py",
    "admin/server.py",
    "app.py",
    "cli",
    "client/following.py",  # reads on while it commits; none outlives the stream
    "client/open.py",  # what of a client goes on by itself
    "client/transport/open.py",  # connections of gRPC
    "clients/door.py",  # what asks an issuer for its keys
    "hosts/door.py",  # connections to hosts, and what fetches their keys
    "hosts/applications/inbox.py",  # a task a host that has something to be handled
    "hosts/sending/receiver.py",  # a task a host that is asked, as the sender has one to send to
    "hosts/sending/sender.py",
    "library.py",
    "log/tail.py",
    "log/audit.py",  # pages that are checked beside each other; none outlives the audit
    "mesh/background/keeping.py",
    "mesh/background/loops.py",
    "mesh/calling/pull.py",  # asks for pages while it takes them in; none outlives the walk
    "mesh/peers/finding.py",  # peers that are called on; none outlives the turn
    "mesh/door.py",  # a goodbye by two ways at once
    "mesh/gossip/rounds.py",  # a few exchanges beside each other; none outlives the round
    "mesh/gossip/farewell.py",  # a few messages beside each other; none outlives it
    "mesh/boot/attempt.py",  # a task a peer that is asked; none outlives the attempt
    "mesh/bus/bus.py",  # a task a handler, so that none waits for another
    "net/mqtt/connection.py",  # its reader, its writer and its watch; none outlives the connection
    "net/server.py",
    "node.py",
    "page/stream.py",  # notices that a browser went away; none outlives its stream
    "rpc/connection.py",  # its reader, its writer and its watch; none outlives the connection
}


def opens_nursery(source: str) -> bool:
    """Is there an `open_nursery`, or anyio's task group, called, passed on or imported?"""
    return any(
        name in ("open_nursery", "create_task_group")
        for node in ast.walk(ast.parse(source))
        for name in (getattr(node, "attr", None), getattr(node, "id", None), _imported(node))
    )


def _imported(node: ast.AST) -> str | None:
    return node.name if isinstance(node, ast.alias) else None


def test_nurseries_are_opened_in_the_listed_files_only() -> None:
    opening = {
        path.relative_to(PACKAGE).as_posix()
        for path in modules()
        if opens_nursery(path.read_text(encoding="utf-8"))
    }
    strays = {name for name in opening if not {name, name.split("/")[0]} & MAY_OPEN}
    assert strays == set(), "start this task where the others start, or argue for a longer list"
    assert "net/server.py" in opening, "the test has lost its way"


def test_an_opened_nursery_is_seen_in_every_spelling() -> None:
    assert opens_nursery("async with trio.open_nursery() as nursery: pass")
    assert opens_nursery("from trio import open_nursery as quietly")
    assert opens_nursery("start = trio.open_nursery")
    assert opens_nursery("async with anyio.create_task_group() as tasks: pass")
    assert not opens_nursery("# trio.open_nursery()")
