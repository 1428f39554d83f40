"""What goes wrong on the device itself: a call that cannot be kept says so, a stream that cannot be
written down is tried again, and nothing stops in silence."""

from __future__ import annotations

import pytest
import trio

from postbox.client.store.store import Store
from postbox.errors import Full
from support.library_phone import Phone, Street, in_street, until


async def fill(phone: Phone, free_pages: int = 0) -> None:
    def limit(store: Store) -> None:
        pages = int(store._writer.pragma("page_count"))
        store._writer.pragma("max_page_count", pages + free_pages)

    await phone.client._shelf.write(limit)


async def send_without_end(phone: Phone, room: str, keys: list[str]) -> None:
    while True:
        keys.append((await phone.client.send(room, "x" * 2_000)).key)


@in_street
async def test_a_full_disk_refuses_what_is_made_and_tries_again_what_comes(street: Street) -> None:
    ann, bob = await street.phone("ann"), await street.phone("bob")
    room = await street.room(ann, bob)
    await until(ann.is_settled)
    await fill(ann)
    sent: list[str] = []
    with pytest.raises(Full, match="nothing was written"):
        await send_without_end(ann, room, sent)
    assert [message.key for message in await ann.client.messages(room, limit=1_000)] == sent
    for number in range(20):
        await bob.client.send(room, f"{number} " + "y" * 2_000)
    await bob.client.drained()
    await until(lambda: ann.client.status.why == "STORE")
    assert "make room" in ann.client.status.text
    asked = len(street.host.asked_by(ann.token))
    await trio.sleep(600)
    assert len(street.host.asked_by(ann.token)) - asked < 600 / 5, "no loop"
    await fill(ann, free_pages=10_000)
    await ann.client.drained()

    async def has_all() -> bool:
        return len(await ann.texts(room)) == len(sent) + 20

    await until(has_all)
    await until(ann.is_settled)
    assert await ann.texts(room) == await bob.texts(room)
