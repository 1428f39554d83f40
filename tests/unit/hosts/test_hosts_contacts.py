"""Who was in touch is written down: the first time at once, then now and then."""

from __future__ import annotations

from pathlib import Path

from postbox.hosts.links.summary import LinkSummary
from support.hosts_door import Door, door_at

B = "b.example:2289"
VIEW = b"\x08\x01"


async def noted(door: Door) -> tuple[int, bytes]:
    (link,) = await door.hosts.links.summary()
    assert isinstance(link, LinkSummary)
    return link.last_contact_ms, link.view


async def test_a_host_is_a_contact_when_it_was_met_and_stays_one(tmp_path: Path) -> None:
    async with door_at(tmp_path) as door:
        assert door.hosts.known.contacts() == []
        await door.hosts.contacts.met(B)
        assert door.hosts.known.contacts() == [B]
    async with door_at(tmp_path) as door:
        assert door.hosts.known.contacts() == [B]


async def test_a_host_that_is_met_all_day_is_not_written_down_each_time(tmp_path: Path) -> None:
    async with door_at(tmp_path) as door:
        await door.hosts.contacts.met(B)
        first = await noted(door)
        for _ in range(3):
            await door.hosts.contacts.met(B)
        assert await noted(door) == first


async def test_how_it_sees_the_link_is_noted_though_it_was_just_met(tmp_path: Path) -> None:
    async with door_at(tmp_path) as door:
        await door.hosts.contacts.met(B)
        await door.hosts.contacts.met(B, VIEW)
        assert (await noted(door))[1] == VIEW
