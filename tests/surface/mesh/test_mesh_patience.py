"""How long a node waits for a peer, in virtual time: for bytes, for an answer, and when it is told
to come again later."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import trio

from postbox.mesh.calling.client import Busy, PeerFault
from postbox.mesh.merging.intake import Report
from postbox.net.faults import TooSlow
from support.liars import (
    Answering,
    Asked,
    Facing,
    Liar,
    Reply,
    Wire,
    facing,
    for_ever,
    honest,
    in_turn,
    silence,
)
from support.mesh import CAT, tease
from support.simulate import MemoryDisk, Simulation, simulate

GOOD = [tease(2), tease(1)]
OK = b"HTTP/1.1 200 OK\r\n"


def face_to_face(home: Path, liar: Liar, test: Callable[[Facing], Awaitable[None]]) -> float:
    """The virtual seconds that `test` took."""
    took_s = 0.0

    async def main(simulation: Simulation) -> None:
        nonlocal took_s
        world = simulation.node(MemoryDisk()).world
        liar.clock = world.clock
        async with facing(home, liar, world=world) as face:
            start_s = trio.current_time()
            await test(face)
            took_s = trio.current_time() - start_s

    simulate(1, main)
    return took_s


def sends(sent: Wire) -> Answering:
    return lambda _liar, _asked: sent


SLOW: dict[str, Wire] = {
    "says nothing": silence,
    "says its headers and no more": for_ever(OK + b"Content-Length: 5\r\n\r\n", b"", 1),
    "drips its status line": for_ever(b"", b"H", 20),
    "drips its headers": for_ever(OK, b"X: y\r\n", 1),
    "says for ever that we shall go on": for_ever(b"", b"HTTP/1.1 100 Continue\r\n\r\n", 1),
    "drips its body": for_ever(OK + b"Content-Length: 999\r\n\r\n", b"{", 1),
    "drips chunks": for_ever(OK + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n{\r\n", 1),
    "drips a chunk's length": for_ever(OK + b"Transfer-Encoding: chunked\r\n\r\n", b"0", 3),
    "drips until it closes": for_ever(OK + b"\r\n", b"{", 1),
}


@pytest.mark.parametrize("how", SLOW)
@pytest.mark.parametrize(("what", "bound_s"), [("ping", 10), ("hello", 10), ("sync", 60)])
def test_who_is_too_slow_is_left_when_its_time_is_over(
    tmp_path: Path, how: str, what: str, bound_s: int
) -> None:
    liar = Liar(CAT, is_postbox=True)
    answers = {"ping": liar.ping, "hello": liar.hello, "sync": honest(GOOD)}
    liar.sync = answers["sync"]
    setattr(liar, what, sends(SLOW[how]))

    async def test(face: Facing) -> None:
        with pytest.raises(TooSlow, match=f"no complete answer within {bound_s} s"):
            await face.pull()
        assert await face.holds() == []

    assert bound_s <= face_to_face(tmp_path / "slow", liar, test) < bound_s + 1
    setattr(liar, what, answers[what])

    async def again(face: Facing) -> None:
        assert await face.pull() == Report(imported=2)

    face_to_face(tmp_path / "good", liar, again)


def test_an_answer_that_takes_its_time_is_believed(tmp_path: Path) -> None:
    """Its headers were signed when it was asked for, its body came a minute long."""

    def slowly(liar: Liar, _: Asked) -> Wire:
        answer = liar.signed(liar.told(GOOD)).raw()

        async def send(stream: trio.abc.Stream) -> None:
            for start in range(0, len(answer), 20):
                await stream.send_all(answer[start : start + 20])
                await trio.sleep(1100 / len(answer))

        return send

    async def test(face: Facing) -> None:
        assert await face.pull() == Report(imported=2)

    assert 45 < face_to_face(tmp_path, Liar(sync=slowly), test) < 60


def busy(status: int, *said: str) -> Answering:
    return lambda _liar, _asked: Reply(status, [("Retry-After", one) for one in said], b"busy")


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(("said", "wait_s"), [("0", 0), ("7", 7), ("300", 300), ("301", 300)])
def test_a_busy_peer_is_asked_again_when_it_says_so_and_not_for_ever(
    tmp_path: Path, status: int, said: str, wait_s: int
) -> None:
    liar = Liar(sync=busy(status, said))

    async def test(face: Facing) -> None:
        with pytest.raises(Busy, match=f"answered {status}: 'busy'"):
            await face.pull()

    assert 4 * wait_s <= face_to_face(tmp_path, liar, test) < 4 * wait_s + 1
    assert len(liar.syncs) == 5


@pytest.mark.parametrize("said", ["1000000000", "9" * 500])
def test_a_peer_that_is_busy_for_years_is_waited_for_five_minutes_each_time(
    tmp_path: Path, said: str
) -> None:
    async def test(face: Facing) -> None:
        with pytest.raises(Busy):
            await face.pull()

    assert 1_200 <= face_to_face(tmp_path, Liar(sync=busy(429, said)), test) < 1_201


@pytest.mark.parametrize(
    "said",
    [(), ("",), ("-1",), ("soon",), ("1.5",), ("+1",), ("1e9",), ("1 2",), ("1", "2"), ("²",)],
)
def test_a_busy_peer_that_does_not_say_when_is_not_waited_for(
    tmp_path: Path, said: tuple[str, ...]
) -> None:
    liar = Liar(sync=busy(429, *said))

    async def test(face: Facing) -> None:
        with pytest.raises(PeerFault) as told:
            await face.pull()
        assert not isinstance(told.value, Busy)

    assert face_to_face(tmp_path, liar, test) < 1
    assert len(liar.syncs) == 1


def test_other_refusals_are_not_waited_for(tmp_path: Path) -> None:
    for status in (200, 401, 403, 500):
        liar = Liar(sync=busy(status, "5"))

        async def test(face: Facing) -> None:
            with pytest.raises(PeerFault):
                await face.pull()

        assert face_to_face(tmp_path / str(status), liar, test) < 1


def test_a_peer_that_was_busy_is_walked_through(tmp_path: Path) -> None:
    liar = Liar(sync=in_turn(busy(503, "5"), busy(429, "5"), honest(GOOD)))

    async def test(face: Facing) -> None:
        assert await face.pull() == Report(imported=2)

    assert 10 <= face_to_face(tmp_path, liar, test) < 11
    assert len({str(request) for request in liar.syncs}) == 1, "the same question each time"


def test_who_gives_up_waiting_leaves_nothing_behind(tmp_path: Path) -> None:
    """As an operator's Ctrl-C does."""

    async def test(face: Facing) -> None:
        for sync in (sends(silence), busy(429, "300"), sends(SLOW["drips its body"])):
            face.liar.sync = sync
            with trio.move_on_after(5) as waiting:
                await face.pull()
            assert waiting.cancelled_caught
        face.liar.sync = honest(GOOD)
        assert await face.pull() == Report(imported=2)

    assert face_to_face(tmp_path, Liar(), test) < 16
