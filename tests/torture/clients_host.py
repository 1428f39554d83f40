"""The host whose devices are tortured: a whole node, tokens for it, and what its log has."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from postbox.clients.identity.tokens import DAY_MS, mint, token_key
from postbox.clients.ids import author_of, conversation_of, text_of
from postbox.store.application import execute, open_for_application
from postbox.store.contract import Lane
from postbox.trust.keys import SEED_BYTES, Identity
from postbox.world import system_world
from support.ports import free_url
from support.simulate import SeededRandom
from torture.served import Nap, Served

WORLD = system_world()

SQL = (
    "select stream, id, author, kind from entry"
    f" where lane = {int(Lane.CLIENTS)} and seq is not null order by stream, seq"
)


def node_in(folder: Path, store: str, nap: Nap) -> Served:
    """`store`: a database's URL, or nothing for SQLite."""
    home = folder / "node"
    home.mkdir(mode=0o700)
    url = free_url()
    listen = f'serve.listen = "{url.removeprefix("http://")}"\nserve.loopback = true\n'
    (home / "config.toml").write_text(listen + (f'node.store = "{store}"\n' if store else ""))
    return Served(home, url, nap)


def kill_and_start(node: Served, random: SeededRandom, longest_down_s: float, nap: Nap) -> None:
    """Now and then it is killed again while it starts."""
    node.kill()
    nap(random.fraction() * longest_down_s)
    node.start()
    if random.fraction() < 0.8:
        node.wait_ready()


def token_for(identity: Identity, user: str, device: str) -> str:
    now_ms = WORLD.clock.now_ns() // 1_000_000
    return mint(
        token_key(identity.soul[:SEED_BYTES]),
        iss=identity.name,
        user=user,
        device=device,
        iat_ms=now_ms,
        exp_ms=now_ms + DAY_MS,
        jti=WORLD.random.bytes(16),
    )


class Stored(NamedTuple):
    uuid: str
    device: bytes
    local: bytes
    kind: int


def stored_in(database: str) -> dict[str, list[Stored]]:
    """What lies in each conversation, in the order of its numbers."""
    with closing(open_for_application(WORLD.disk, database)) as connection:
        rows = execute(connection, SQL)
    found: dict[str, list[Stored]] = {}
    for stream, uuid, author, kind in rows:
        _, device, local = author_of(bytes(author))
        conversation = conversation_of(bytes(stream))
        assert conversation is not None
        stored = Stored(text_of(bytes(uuid)), device, local, kind)
        found.setdefault(text_of(conversation), []).append(stored)
    return found
