"""What devices are answered."""

from __future__ import annotations

from pathlib import Path

from support.client_door import conversation, door_at, kind_of, message, value_of


async def test_a_message_that_is_sent_again_is_stored_once(tmp_path: Path) -> None:
    async with door_at(tmp_path) as door:
        ann, bob = door.device("ann"), door.device("bob")
        room = await conversation(ann, bob)
        event = ann.event(message(room, "hi"))
        (sent,) = (await ann.sync(event)).events
        assert kind_of(sent) == "sentNewMessage"
        assert (value_of(sent).uuid, sent.clientUuid) == (sent.uuid, event.uuid)
        assert not sent.duplicate
        (again,) = (await ann.sync(event)).events
        assert again.duplicate
        assert again.uuid == sent.uuid
