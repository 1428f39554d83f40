"""Anybody can make many checkpoints of one set of votes: nodes keep one of them, all the same."""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest

from postbox.trust.authoring import Checkpoint, Tally, make_event, with_voters
from postbox.trust.keys import Identity, identity_of
from support.mesh import (
    NOW_NS,
    PEER,
    believe,
    checkpoint,
    digest,
    id_of_body,
    node_at,
    standings,
    stored,
    take,
)

SUBJECT = identity_of("subject", b"s" * 32)
VOTERS = [identity_of(f"voter{n}", bytes([50 + n]) * 32) for n in range(7)]
AS_OF_S = NOW_NS // 10**9 - 3_600


def made(
    *voters: Identity, after_s: int = 60, restarts: int = 3, subject: Identity = SUBJECT
) -> bytes:
    """`after_s`: how long after the second that it speaks of."""
    plain = Checkpoint(
        version=2,
        subject=subject.name,
        subject_id=SUBJECT.id,
        observation=Tally(restarts=restarts, total_uptime=86_400, start_time=1_700_000_000),
        as_of_time=AS_OF_S,
        round=1,
    )
    return make_event(with_voters(plain, voters), (AS_OF_S + after_s) * 10**9, None).body


async def test_a_hundred_checkpoints_of_one_set_of_votes_are_one(tmp_path: Path) -> None:
    async with node_at(tmp_path) as node:
        await believe(node, *VOTERS)
        copies = [made(*VOTERS[:5], after_s=after_s) for after_s in range(100, 0, -1)]
        await take(node, copies[:60], PEER)
        for copy in copies[60:]:
            await take(node, [copy], PEER)
        (kept,) = await stored(node)
        assert kept.id == id_of_body(made(*VOTERS[:5], after_s=1))
        report = await take(node, copies, PEER)
        assert (report.imported, report.duplicates, report.pruned) == (0, 1, 99)
    async with node_at(tmp_path) as node:
        assert node.ledger.index.counts()["checkpoint"] == 1


@pytest.mark.parametrize("seed", range(4))
async def test_two_nodes_that_got_the_same_copies_hold_the_same_one(
    tmp_path: Path, seed: int
) -> None:
    copies = [
        made(*VOTERS[:count], after_s=after_s, restarts=restarts)
        for count in (2, 3, 5, 7)
        for after_s in (1, 2, 9)
        for restarts in (3, 4)
    ]
    copies += [made(*VOTERS[1:6], after_s=1), made(*VOTERS[2:7], after_s=1)]
    digests: set[str] = set()
    kept: set[bytes | None] = set()
    for home, size in (("one", 1), ("two", 5), ("three", 100)):
        salt = f"{home}{seed}".encode()
        drawn = {sha256(salt + body).digest(): body for body in copies}
        mixed = [drawn[key] for key in sorted(drawn)]
        async with node_at(tmp_path / home) as node:
            await believe(node, *VOTERS)
            for at in range(0, len(mixed), size):
                await take(node, mixed[at : at + size], PEER)
            digests.add(digest(node))
            kept.update(entry.body for entry in await stored(node))
    assert len(digests) == 1
    assert kept == {made(*VOTERS, after_s=1, restarts=restarts) for restarts in (3, 4)}


async def test_a_copy_that_lost_its_votes_on_the_way_takes_nobodys_place(tmp_path: Path) -> None:
    whole, bare = made(*VOTERS), made(*VOTERS[:2])
    assert id_of_body(whole) == id_of_body(bare), "an id does not cover the votes"
    for home, order in (("one", [whole, bare]), ("two", [bare, whole]), ("three", [whole])):
        async with node_at(tmp_path / home) as node:
            await believe(node, *VOTERS)
            await take(node, order, PEER)  # in one batch
            assert [entry.body for entry in await stored(node)] == [whole]
            (kept,) = node.projections.chain(SUBJECT.name).links
            assert kept.votes == len(VOTERS)


async def test_votes_count_as_soon_as_their_voters_are_known(tmp_path: Path) -> None:
    early, late = made(*VOTERS[:3], after_s=1), made(*VOTERS, after_s=9)
    async with node_at(tmp_path) as node:
        await believe(node, *VOTERS[:2])
        await take(node, [early, late], PEER)
        assert [entry.body for entry in await stored(node)] == [early]
        await believe(node, *VOTERS[2:])
        await take(node, [late], PEER)
        assert [entry.body for entry in await stored(node)] == [late]
    async with node_at(tmp_path) as node:
        assert node.projections.chain(SUBJECT.name).links[0].votes == len(VOTERS)
        assert (await take(node, [early], PEER)).pruned == 1


async def test_votes_on_an_id_count_for_no_node_that_is_known_by_another(tmp_path: Path) -> None:
    """Whose id it is that they voted on nobody here knows; it is not that one's."""
    other = identity_of("other", b"o" * 32)
    lie, firm = made(*VOTERS, subject=other), checkpoint(VOTERS[:2], 9_000, subject=other)
    async with node_at(tmp_path) as node:
        await believe(node, *VOTERS)
        await take(node, [lie, firm], PEER)
        assert node.projections.chain("other").latest is not None
        await believe(node, other)
        (counted,) = node.projections.chain("other").links
        assert counted.id == id_of_body(firm).hex()
        assert len(await stored(node)) == 2, "another node may know more"
    async with node_at(tmp_path) as node:
        assert node.projections.chain("other").links == (counted,)


async def test_the_votes_of_an_id_that_the_operator_gave_up_count_no_more(tmp_path: Path) -> None:
    """What is stored stays attested: it was when it came, and its voter's keys are not in doubt."""
    body = made(*VOTERS[:2])
    async with node_at(tmp_path) as node:
        await believe(node, *VOTERS[:2])
        await take(node, [body], PEER)
        assert node.projections.chain(SUBJECT.name).links[0].votes == 2
        await believe(node, replace(VOTERS[1], soul=VOTERS[2].soul))
        assert node.projections.chain(SUBJECT.name).links == ()
        assert standings(node) == (1, 0, 0)
        await believe(node, VOTERS[1])
        assert node.projections.chain(SUBJECT.name).links[0].votes == 2


async def test_votes_about_one_node_prove_nothing_about_another(tmp_path: Path) -> None:
    other = identity_of("other", b"o" * 32)
    lie = made(*VOTERS, subject=other)
    async with node_at(tmp_path) as node:
        await believe(node, *VOTERS, SUBJECT)
        assert (await take(node, [lie], PEER)).rejected == {"bad_signature": 1}
    async with node_at(tmp_path / "later") as node:
        await believe(node, *VOTERS)
        assert (await take(node, [lie], PEER)).imported == 1
        await believe(node, SUBJECT)  # whose id it is
        assert await stored(node) == []
