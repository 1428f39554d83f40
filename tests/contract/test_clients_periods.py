"""What it costs to look at what a user may see does not grow with the conversations that it has
left, into which anybody may have put it; and for that nothing is missed, wherever one reads on."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from postbox.clients.ids import uuid_of
from postbox.clients.reading.cursors import resolve
from postbox.clients.reading.history import read_history
from postbox.clients.reading.snapshot import begin
from postbox.clients.reading.windows import Period, Viewer, read_periods_in, read_view
from postbox.store.contract import Query, Reader, Row
from postbox.world import World
from support.client_town import Phone, Town, open_town
from support.simulated import simulated


class Counting:
    """A reader that counts the rows which it is given."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self.counted = 0

    def query(self, query: Query, **params: Any) -> list[Row]:
        found = self._reader.query(query, **params)
        self.counted += len(found)
        return found

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reader, name)


async def cost(town: Town, look: Callable[[Any], object]) -> int:
    def work(reader: Reader) -> int:
        counting = Counting(reader)
        look(counting)
        return counting.counted

    return await town.kernel.runner.read(work)


async def put_in_and_out(ann: Phone, bob: Phone, times: int) -> None:
    for number in range(times):
        conversation = await ann.create(f"{number}", bob)
        await ann.send(ann.removing(conversation, bob))


@simulated
async def test_conversations_that_a_user_has_left_cost_its_devices_nothing_any_more(
    world: World, place: str
) -> None:
    async with open_town(world, place) as town:
        ann, bob = await town.phone("ann"), await town.phone("bob")
        club = await ann.create("club", bob)
        its = uuid_of(club)
        assert its is not None
        viewer, identity = bob.viewer, town.reading.identity

        async def costs() -> list[int]:
            await bob.sync()
            token, last = bob.model.token, bob.model.last_uuid
            head = town.kernel.tail.head
            looks: list[Callable[[Reader], object]] = [
                lambda reader: resolve(viewer, "", token, identity, reader),
                lambda reader: resolve(viewer, last, "", identity, reader),
                lambda reader: read_view(viewer.user, head, reader),
                lambda reader: begin(viewer, lambda *_: (), reader),
                lambda reader: read_history(viewer, its, 0, 10, reader),
            ]
            return [await cost(town, look) for look in looks]

        await bob.sync()
        await put_in_and_out(ann, bob, 1)
        before = await costs()
        await put_in_and_out(ann, bob, 9)
        assert await costs() == before
        assert list(bob.model.state.conversations) == [club]


@simulated
async def test_from_wherever_one_reads_all_is_seen_that_the_user_was_in(
    world: World, place: str
) -> None:
    """Held against all periods, from each position of the log."""
    async with open_town(world, place) as town:
        ann, bob = await town.phone("ann"), await town.phone("bob")
        rooms = [await ann.create(name, bob) for name in ("club", "pub", "den")]
        for room in rooms[:2]:
            for _ in range(3):
                await ann.send(ann.saying(room, "in"), ann.removing(room, bob))
                await ann.say(room, "out")
                await ann.send(ann.adding(room, bob), ann.removing(room, bob))
                await ann.send(ann.saying(rooms[2], "still"), ann.adding(room, bob))
        await bob.send(bob.removing(rooms[0]))
        for after in range(town.kernel.tail.head + 1):
            look = partial(differing, bob.viewer, rooms, after)
            assert await town.kernel.runner.read(look) == set()


def differing(viewer: Viewer, rooms: list[str], after: int, reader: Reader) -> set[object]:
    view = read_view(viewer.user, after, reader)
    known: list[Period] = []
    for room in rooms:
        its = uuid_of(room)
        assert its is not None
        known += read_periods_in(viewer.user, its, reader)
    wanted = {period.window for period in known if period.left_pos > after}
    own = {window for window in view.windows if window.stream.startswith(b"u/")}
    assert len(own) == 1
    return set(view.windows) - own ^ wanted
