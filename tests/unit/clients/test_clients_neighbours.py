"""What a user's devices are told of what another door of the node has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import pytest

from postbox.clients.events.kinds import Kind
from postbox.clients.ids import author_of, user_id, user_stream
from postbox.clients.neighbours import Neighbour, News, tell, told
from postbox.rpc.postbox.v1 import clients_pb as pb
from postbox.store.contract import Lane, Reader

CAUSE = b"c" * 16
NEWS: dict[Kind, News] = {
    Kind.GUILD_ENTERED: pb.GuildEntered(host="b:1", guild="g", name="Garden"),
    Kind.GUILD_EXITED: pb.GuildExited(host="b:1", guild="g", reason="left"),
    Kind.INVITE_RECEIVED: pb.InviteReceived(host="b:1", invite="i", inviter="bob@b:1"),
    Kind.INVITE_DECIDED: pb.InviteDecided(host="b:1", invite="i", accepted=True),
}


@pytest.mark.parametrize("kind", NEWS)
def test_news_are_an_unnumbered_entry_of_the_users_stream(kind: Kind) -> None:
    entry = tell("ann", NEWS[kind], CAUSE, 1_000)
    ann = user_id("ann")
    assert (entry.lane, entry.stream, entry.kind) == (Lane.CLIENTS, user_stream(ann), kind)
    assert (entry.numbered, entry.at_ms) == (False, 1_000)
    assert author_of(entry.author) == (ann, bytes(16), bytes(16)), "it is no device's"
    event = pb.Event.from_binary(entry.body)
    assert event.content is not None
    assert event.content.value == NEWS[kind]


def test_an_entrys_id_follows_from_the_user_the_cause_and_the_time() -> None:
    news = NEWS[Kind.GUILD_ENTERED]
    same = tell("ann", news, CAUSE, 1_000)
    assert tell("ann", news, CAUSE, 1_000) == same
    others = [
        tell("bob", news, CAUSE, 1_000),
        tell("ann", news, b"d" * 16, 1_000),
        tell("ann", news, CAUSE, 1_001),
    ]
    assert len({same.id, *[other.id for other in others]}) == 4


@dataclass(frozen=True)
class OtherDoor:
    has: dict[str, Sequence[News]]

    def news(self, reader: Reader, user: str) -> Sequence[News]:
        return self.has.get(user, ())


def test_a_snapshot_has_what_the_other_door_has_for_the_user() -> None:
    entered = NEWS[Kind.GUILD_ENTERED]
    door = cast(Neighbour, OtherDoor({"ann": [entered]}))
    [state] = told(door, cast(Reader, None), "ann")
    event = pb.Event.from_binary(state)
    assert event.content is not None
    assert (event.content.value, event.uuid) == (entered, "")
    assert told(door, cast(Reader, None), "bob") == []
