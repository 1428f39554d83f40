"""Two devices that are told the same log in differently cut frames, with repeats, cut-off streams
and snapshots in between, come to know the same."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from postbox.client.core.apply import Reader, page_of
from postbox.client.core.changes import Place
from support.client_base import Base, Room
from support.client_log import ME, Log
from support.simulate import SeededRandom


class Device:
    def __init__(self, log: Log) -> None:
        self.log = log
        self.place = Place()
        self.base = Base()

    def follow(self, per_frame: int, cut_at: int = 10**6, begins_anew: bool = False) -> None:
        """One stream, up to where it is cut off or has caught up."""
        place = Place() if begins_anew else self.place
        reader = Reader(ME, self.place, self.base.heads)
        if place.token:
            frames = self.log.stream(int(place.token), "", per_frame)
        else:
            frames = self.log.snapshot(per_frame)
        for number, (frame, _) in enumerate(frames):
            if number == cut_at:
                return
            taken = reader.take(frame)
            self.base.take(taken.changes)
            self.place = taken.place

    def look_back(self, size: int) -> None:
        """Everything that History has, of each conversation."""
        for name, room in self.base.rooms.items():
            for before in range(room.reached + 1, 0, -size):
                self.base.take(page_of(self.log.page(name, before, size)).changes)


def known(device: Device) -> dict[str, object]:
    return {name: told(room, device.base) for name, room in device.base.rooms.items()}


def told(room: Room, base: Base) -> object:
    marks = {key: seq for key, seq in room.marks.items() if key[0] in room.members}
    names = {user: base.names[user] for user in room.members}
    return room.name, room.reached, room.members, marks, names, room.shown()


@pytest.mark.parametrize("seed", range(30))
def test_devices_that_are_told_in_different_ways_know_the_same(seed: int) -> None:
    random = SeededRandom(seed)
    log = Log(random)
    steady, shaky = Device(log), Device(log)
    for _ in range(40):
        for _ in range(int(random.fraction() * 5)):
            log.grow()
        steady.follow(per_frame=1)
        draw = random.fraction()
        if draw < 0.5:
            cut_at = int(random.fraction() * 8)
            shaky.follow(log.one_of([1, 2, 7]), cut_at, begins_anew=random.fraction() < 0.2)
        if draw < 0.2 and shaky.place.token:  # it is told again what it has
            shaky.place = replace(shaky.place, token=str(log.before(int(shaky.place.token))))
    shaky.follow(100)
    fresh = Device(log)
    fresh.follow(100)
    for device, size in ((steady, 7), (shaky, 3), (fresh, 50)):
        device.look_back(size)
    assert known(steady) == known(shaky)
    assert known(steady) == known(fresh)
    assert steady.base.settled >= shaky.base.settled
