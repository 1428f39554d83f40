"""Answers that are not to be believed: each ends the pull with its own words, what came before is
kept, nothing of it is learned, and the next answer is read as if nothing had been."""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

import pytest

from postbox.errors import Fault
from postbox.mesh.calling.client import Lied
from postbox.mesh.calling.introductions import MeetingFault
from postbox.mesh.calling.pull import Mode
from postbox.mesh.merging.intake import Report
from postbox.mesh.wire import HELLO_PATH
from postbox.net.faults import BadAnswer, TooLarge, Unreachable
from postbox.trust.keys import Identity, identity_of
from postbox.world import system_world
from support.liars import Answering, Asked, Liar, Reply, facing, honest, in_turn, listening, raw
from support.lies import FIRST, FIRST_CURSOR, GOOD, LIES
from support.mesh import ANN, BOB, CAT, MALLORY, hey_there, impostor, tease

FALSE_BOB = identity_of("bob", b"later".ljust(32, b"."))


def test_the_table_is_long() -> None:
    assert len(LIES) >= 150


@pytest.mark.parametrize("name", LIES)
async def test_a_lie_ends_the_pull_and_nothing_of_it_stays(tmp_path: Path, name: str) -> None:
    tell, fault, text = LIES[name]
    is_postbox = list(LIES).index(name) % 2 == 0  # it makes no difference
    liar = Liar(is_postbox=is_postbox, sync=in_turn(honest(FIRST, FIRST_CURSOR), tell))
    async with facing(tmp_path, liar) as face:
        known = face.knows()
        with pytest.raises(fault) as told:
            await face.pull()
        assert text in str(told.value)
        assert isinstance(told.value, Lied) == (fault is Lied), "that is held against the peer"
        assert face.url in str(told.value)
        assert str(told.value).isprintable()
        assert len(liar.syncs) == 2, "a lie is not asked about again"
        assert await face.holds() == FIRST
        assert (face.knows(), face.node.waiting.all()) == (known, [])
        liar.sync = honest(GOOD)
        assert await face.pull() == Report(imported=2)
        assert await face.holds() == [*FIRST, *GOOD]


@pytest.mark.parametrize("mode", ["recent", "sample"])
async def test_the_other_modes_are_lied_to_as_little(tmp_path: Path, mode: Mode) -> None:
    names = ("another known peer's answer", "a signature inside over another order", "status 307")
    for number, name in enumerate(names):
        tell, fault, text = LIES[name]
        async with facing(tmp_path / str(number), Liar(sync=tell)) as face:
            with pytest.raises(fault) as told:
                await face.pull(mode)
            assert text in str(told.value)
            assert await face.holds() == []


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
async def test_a_redirect_is_followed_nowhere(tmp_path: Path, code: int) -> None:
    trap = Liar(sync=honest(GOOD))
    async with listening(system_world().net, trap) as url:

        def elsewhere(_liar: Liar, asked: Asked) -> Reply:
            return Reply(code, [("Location", url + asked.path)], b"")

        for number in range(3):
            liar = Liar(CAT, is_postbox=True)
            setattr(liar, ("ping", "hello", "sync")[number], elsewhere)
            async with facing(tmp_path / str(number), liar) as face:
                with pytest.raises(Fault, match=f"{code}"):
                    await face.pull()
    assert trap.asked == []


# -- events that cost their neighbours nothing ----------------------------------------------------


WITHOUT_ID = tease(9).replace(b'"id":', b'"x":')


@pytest.mark.parametrize(
    ("bad", "claimed", "verdict"),
    [
        (WITHOUT_ID, "", "missing"),
        (tease(9).replace(b'"ts":', b'"ts":1,"ts":'), None, "duplicate_key"),
        (tease(9).replace(b"{", b'{"x":' + b"[" * 99 + b"]" * 99 + b",", 1), None, "too_deep"),
        (tease(9).replace(b"{", b'{"x":"' + b"x" * 65_536 + b'",', 1), None, "too_large"),
        (tease(9).replace(b"random", b"comebk"), None, "id_mismatch"),
        (tease(9, signer=FALSE_BOB).replace(b'"emitter":"bob"', b'"emitter":"ann"'), None, None),
        (tease(-901), None, "future"),
        (b'{"id":"5"}', None, "bad_id"),
    ],
)
@pytest.mark.parametrize("packed", [False, True], ids=["json", "msgpack"])
async def test_an_event_that_is_refused_does_not_spoil_its_answer(
    tmp_path: Path, bad: bytes, claimed: str | None, verdict: str | None, packed: bool
) -> None:
    ids = [json.loads(event)["id"] for event in GOOD]
    ids.insert(1, json.loads(bad)["id"] if claimed is None else claimed)
    answer = honest([GOOD[0], bad, GOOD[1]], ids=ids, packed=packed)
    async with facing(tmp_path, Liar(is_postbox=packed, sync=answer)) as face:
        report = await face.pull()
        assert report.rejected == {verdict or "bad_signature": 1}
        assert await face.holds() == GOOD


async def test_one_event_five_thousand_times_is_one_event(tmp_path: Path) -> None:
    liar = Liar(is_postbox=True, sync=honest([GOOD[0]] * 5_000, packed=True))
    async with facing(tmp_path, liar) as face:
        assert await face.pull() == Report(imported=1, duplicates=4_999)
        assert await face.holds() == [GOOD[0]]


async def test_of_two_copies_in_one_answer_the_proved_one_stays(tmp_path: Path) -> None:
    unsigned = tease(1, signer=None)
    for number, events in enumerate(([unsigned, tease(1)], [tease(1), unsigned])):
        async with facing(tmp_path / str(number), Liar(sync=honest(events))) as face:
            assert (await face.pull()).rejected == {}
            assert await face.holds() == [tease(1)]


async def test_an_answer_teaches_new_names_and_changes_no_key(tmp_path: Path) -> None:
    events = [hey_there(CAT, 3), hey_there(impostor("ann"), 2)]
    async with facing(tmp_path, Liar(sync=honest(events))) as face:
        known = face.knows()
        report = await face.pull()
        assert (report.imported, report.rejected) == (1, {"key_differs": 1})
        assert face.knows() == known | {"cat": CAT.public_key}


# -- who is met -----------------------------------------------------------------------------------


def ping(**changed: object) -> Answering:
    return lambda liar, _: liar.own_ping(**changed)


def says(status: int, body: bytes) -> Answering:
    return lambda _liar, _asked: Reply(status, [], body)


def about(**changed: object) -> Answering:
    known = {"version": "1", "modes": [], "url": "", "memory_mode": "", "uptime_s": 1}
    return ping(postbox=known | changed)


def as_the_caller(liar: Liar, _: Asked) -> Reply:
    assert liar.caller is not None
    return liar.own_ping(**{"from": liar.caller.name})


WEAK = "AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
NO_PING = "the answer is none to a ping"


class PingLie(NamedTuple):
    ping: Answering
    text: str
    fault: type[Fault] = MeetingFault
    who: Identity = CAT


PINGS = {
    "nothing": PingLie(says(200, b""), NO_PING),
    "a page of HTML": PingLie(says(200, b"<html>"), NO_PING),
    "an array": PingLie(says(200, b"[]"), NO_PING),
    "two of them": PingLie(says(200, b"{}{}"), NO_PING),
    "brackets": PingLie(says(200, b"[" * 16_000), NO_PING),
    "no name": PingLie(says(200, b'{"public_key":""}'), "missing required field `from`"),
    "a name that is a number": PingLie(ping(**{"from": 5}), "Expected `str`, got `int`"),
    "an empty name": PingLie(ping(**{"from": ""}), "cannot be a name"),
    "a name with a colon": PingLie(ping(**{"from": "a:b"}), "'a:b' cannot be a name"),
    "a name that a terminal obeys": PingLie(ping(**{"from": "\x1b[2J"}), "cannot be a name"),
    "a name of 65": PingLie(ping(**{"from": "x" * 65}), "cannot be a name"),
    "our own name": PingLie(as_the_caller, "is this node itself, or one that has taken its name"),
    "no key": PingLie(ping(public_key=None), "`$.public_key`"),
    "an empty key": PingLie(ping(public_key=""), "32 bytes"),
    "a short key": PingLie(ping(public_key="AAAA"), "32 bytes"),
    "a key in no base64": PingLie(ping(public_key="!" * 44), "base64"),
    "a weak key": PingLie(ping(public_key=WEAK), "that public key is weak"),
    "another key than is known": PingLie(
        ping(public_key=FALSE_BOB.public_key_base64), "another key", who=BOB
    ),
    "a time over 64 bits": PingLie(ping(t=2**63), "`$.t`"),
    "a time of text": PingLie(ping(t="now"), "`$.t`"),
    "a version that a terminal obeys": PingLie(about(version="\x1b[2J"), "`$.postbox.version`"),
    "a version that is a book": PingLie(about(version="1" * 201), "`$.postbox.version`"),
    "an endless uptime": PingLie(about(uptime_s=10**30), "uptime_s"),
    "status 404": PingLie(says(404, b"no"), "/ping answered 404"),
    "status 500": PingLie(says(500, b"no"), "/ping answered 500"),
    "a megabyte": PingLie(ping(more="x" * 2**20), "more than 16384", TooLarge),
    "no HTTP": PingLie(lambda *_: raw(b"\x00" * 99 + b"\r\n\r\n"), "GET http", BadAnswer),
    "no answer": PingLie(lambda *_: raw(), "GET http", Unreachable),
}


@pytest.mark.parametrize("name", PINGS)
async def test_who_lies_to_a_ping_is_not_met(tmp_path: Path, name: str) -> None:
    tell, text, fault, who = PINGS[name]
    async with facing(tmp_path, Liar(who, ping=tell, sync=honest(GOOD))) as face:
        known = face.knows()
        with pytest.raises(fault) as told:
            await face.pull()
        assert text in str(told.value)
        assert str(told.value).isprintable()
        assert len(face.liar.asked) == 1, "nothing more is asked"
        assert (face.knows(), face.node.waiting.all()) == (known, [])
        face.liar.ping = Liar().ping
        assert await face.pull() == Report(imported=2)


def hello(who: Identity | None = None, late_ns: int = 0) -> Answering:
    return lambda liar, _: liar.own_hello(who, late_ns)


MINUTE_NS = 60 * 10**9
FALSE_CAT = impostor("cat")
HELLOS: dict[str, tuple[Answering, str]] = {
    "another's hey-there": (hello(MALLORY), "introduces itself otherwise"),
    "a hey-there with another key": (hello(FALSE_CAT), "introduces itself otherwise"),
    "one of a minute ago": (hello(late_ns=MINUTE_NS), "this hey-there is 60 s off"),
    "one of in a minute": (hello(late_ns=-MINUTE_NS), "this hey-there is 60 s off"),
    "nothing": (says(200, b""), "no good hey-there"),
    "no event": (says(200, b'{"ok":true}'), "no good hey-there"),
    "another event": (says(200, tease(1)), "this is no hey-there event"),
    "an unsigned one": (
        says(200, hey_there(CAT).replace(b'"sig":', b'"x":')),
        "this is no hey-there event with its emitter",
    ),
    "our own, played back": (lambda _, asked: Reply(200, [], asked.body), "itself otherwise"),
    "status 400": (says(400, b"no"), "does not let this node in: 400, 'no'"),
    "status 403": (says(403, b"no\x07"), "does not let this node in: 403, 'no\\x07'"),
    "status 404": (says(404, b"no"), "does not let this node in: 404, 'no'"),
    "status 429": (says(429, b"no"), "does not let this node in: 429, 'no'"),
    "status 503": (says(503, b"no"), "does not let this node in: 503, 'no'"),
    "status 201": (says(201, b"no"), "does not let this node in: 201, 'no'"),
}


@pytest.mark.parametrize("name", HELLOS)
async def test_who_lies_to_an_introduction_is_not_met(tmp_path: Path, name: str) -> None:
    tell, text = HELLOS[name]
    liar = Liar(CAT, is_postbox=True, hello=tell, sync=honest(GOOD))
    async with facing(tmp_path, liar) as face:
        known = face.knows()
        with pytest.raises(MeetingFault) as told:
            await face.pull()
        assert text in str(told.value)
        assert str(told.value).isprintable()
        assert liar.syncs == []
        assert (face.knows(), face.node.waiting.all()) == (known, [])
        liar.hello = Liar().hello
        assert await face.pull() == Report(imported=2)
        assert face.knows() == known | {"cat": CAT.public_key}


@pytest.mark.parametrize("who", [MALLORY, FALSE_BOB, ANN], ids=["stranger", "key", "known"])
async def test_a_known_peer_that_asks_to_be_greeted_must_be_who_was_met(
    tmp_path: Path, who: Identity
) -> None:
    unknown = says(401, b"Authentication failed: unknown sender: you")
    liar = Liar(is_postbox=True, hello=hello(who), sync=unknown)
    async with facing(tmp_path, liar) as face:
        known = face.knows()
        with pytest.raises(Fault, match=f"introduces itself as {who.name}, or with another key"):
            await face.pull()
        assert (len(liar.syncs), len(liar.asked_at(HELLO_PATH))) == (1, 1)
        assert face.knows() == known


async def test_a_name_that_changes_after_the_ping_is_not_believed(tmp_path: Path) -> None:
    """Both keys are known: who answers must be who is met there."""
    liar = Liar(ping=lambda liar, _: Liar(ANN).own_ping(), sync=honest(GOOD))
    async with facing(tmp_path, liar) as face:
        with pytest.raises(Fault, match="it is signed by bob, and ann is who is met there"):
            await face.pull()
        assert await face.holds() == []
