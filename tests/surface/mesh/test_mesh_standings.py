"""Keys that come late, copies that come late, races between the two: what an event ends up as."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import pytest

from postbox.event import Standing
from postbox.mesh.drafts import drafts_of
from postbox.mesh.merging.intake import Report
from postbox.mesh.rules import VERIFY_AGAIN, MeshRules
from postbox.rules import Accepted, Rejected
from postbox.trust.keys import identity_of
from postbox.world import Pool, Threads
from support.mesh import (
    ANN,
    BOB,
    CAT,
    MALLORY,
    OPERATOR,
    PEER,
    believe,
    checkpoint,
    digest,
    fixed_world,
    hey_there,
    id_of_body,
    impostor,
    node_at,
    observation,
    standings,
    stored,
    stored_standing,
    take,
    tease,
)

T = TypeVar("T")

FALSE_ANN = impostor("ann")


async def ledger_that_saw(home: Path, *bodies: bytes) -> str:
    """The digest of a node that knows Ann and took just these, in one go."""
    async with node_at(home) as node:
        await believe(node, ANN)
        await take(node, bodies)
        return digest(node)


async def test_a_key_that_comes_later_proves_what_came_before_it(tmp_path: Path) -> None:
    async with node_at(tmp_path / "home") as node:
        assert (await take(node, [tease(1), tease(2)])).imported == 2
        assert standings(node) == (0, 2, 0)
        before = await stored_standing(node, tease(1))
        await believe(node, ANN)
        assert standings(node) == (2, 0, 0)
        after = await stored_standing(node, tease(1))
        assert [flags for _, flags in after] == [Standing.ATTESTED]
        assert after > before, "a new position, so that readers see the change"
        now = digest(node)
    assert now == await ledger_that_saw(tmp_path / "other", tease(1), tease(2))


async def test_a_key_that_comes_later_throws_out_what_it_does_not_fit(tmp_path: Path) -> None:
    """Signed in Ann's name with another key, while nobody knew hers."""
    false = tease(2, signer=FALSE_ANN)
    async with node_at(tmp_path / "home") as node:
        await take(node, [tease(1), false])
        assert standings(node) == (0, 2, 0)
        await believe(node, ANN)
        assert standings(node) == (1, 0, 0)
        assert await stored_standing(node, false) == []
        now = digest(node)
    async with node_at(tmp_path / "home") as node:
        assert digest(node) == now
        assert (await take(node, [false])).rejected == {"bad_signature": 1}
    assert now == await ledger_that_saw(tmp_path / "other", tease(1))


async def test_a_former_key_still_proves_what_it_signed(tmp_path: Path) -> None:
    later = identity_of("ann", b"later".ljust(32, b"."))
    async with node_at(tmp_path) as node:
        await believe(node, ANN)
        await believe(node, later, with_ids=False)
        await take(node, [tease(1), tease(2, signer=later)])
        assert standings(node) == (2, 0, 0)


async def test_a_checkpoint_is_proved_when_a_second_voter_is_known(tmp_path: Path) -> None:
    vote = checkpoint([BOB, CAT])
    async with node_at(tmp_path) as node:
        await take(node, [vote])
        await believe(node, BOB)
        assert standings(node) == (0, 1, 0)
        await believe(node, CAT, with_ids=False)
        assert standings(node) == (0, 1, 0), "voters are known by their ids"
        await believe(node, CAT)
        assert standings(node) == (1, 0, 0)


async def test_a_checkpoint_of_one_voter_listed_twice_is_not_proved(tmp_path: Path) -> None:
    async with node_at(tmp_path) as node:
        await believe(node, BOB)
        await take(node, [checkpoint([BOB, BOB])])
        assert standings(node) == (0, 1, 0)


async def test_an_attested_copy_takes_the_place_of_an_unsigned_one(tmp_path: Path) -> None:
    unsigned, signed = tease(1, signer=None), tease(1)
    assert id_of_body(unsigned) == id_of_body(signed)
    async with node_at(tmp_path / "home") as node:
        await believe(node, ANN)
        assert await take(node, [unsigned]) == Report(imported=1)
        assert standings(node) == (0, 0, 1)
        ((before, _),) = await stored_standing(node, signed)
        assert await take(node, [signed], PEER) == Report(imported=1)
        ((after, flags),) = await stored_standing(node, signed)
        assert (after > before, flags) == (True, Standing.ATTESTED)
        assert [entry.body for entry in await stored(node)] == [signed]
        now = digest(node)
        assert await take(node, [signed, unsigned]) == Report(duplicates=2)
        assert digest(node) == now
    async with node_at(tmp_path / "home") as node:
        assert digest(node) == now
    assert now == await ledger_that_saw(tmp_path / "other", signed)


async def test_both_copies_in_one_batch_leave_the_attested_one(tmp_path: Path) -> None:
    unsigned, signed = tease(1, signer=None), tease(1)
    for home, order in (("ab", [unsigned, signed]), ("ba", [signed, unsigned])):
        async with node_at(tmp_path / home) as node:
            await believe(node, ANN)
            await take(node, order)
            assert [entry.body for entry in await stored(node)] == [signed]
            assert standings(node) == (1, 0, 0)


async def test_a_signed_copy_that_is_not_proved_replaces_nothing(tmp_path: Path) -> None:
    unsigned, unproven = tease(1, signer=None), tease(1)
    async with node_at(tmp_path) as node:
        await take(node, [unsigned])
        assert await take(node, [unproven]) == Report(duplicates=1)
        assert standings(node) == (0, 0, 1)


async def test_names_are_admitted_before_what_they_signed_is_judged(tmp_path: Path) -> None:
    """Also when the hey-there comes last, as it may in a page."""
    async with node_at(tmp_path) as node:
        await take(node, [tease(1), tease(2), hey_there(ANN)])
        assert standings(node) == (3, 0, 0)
        assert node.directory.key_of("ann") == ANN.public_key


async def test_a_hey_there_never_changes_a_known_key(tmp_path: Path) -> None:
    async with node_at(tmp_path) as node:
        await believe(node, ANN)
        for payer in (OPERATOR, PEER):
            report = await take(node, [hey_there(FALSE_ANN), tease(2, signer=FALSE_ANN)], payer)
            assert report.rejected == {"key_differs": 1, "bad_signature": 1}
        assert node.directory.key_of("ann") == ANN.public_key
        assert len(node.ledger.index) == 0


async def test_of_two_hey_theres_for_a_new_name_the_first_counts(tmp_path: Path) -> None:
    async with node_at(tmp_path) as node:
        false = tease(2, signer=FALSE_ANN)
        report = await take(node, [false, hey_there(ANN), hey_there(FALSE_ANN, 1), tease(1)])
        assert node.directory.key_of("ann") == ANN.public_key
        assert report.imported == 2
        assert report.rejected == {"key_differs": 1, "bad_signature": 1}


async def test_an_unsigned_hey_there_makes_nobody_known(tmp_path: Path) -> None:
    body = hey_there(ANN).replace(b'"emitter":"ann",', b"")
    async with node_at(tmp_path) as node:
        await take(node, [body])
        assert node.directory.key_of("ann") is None
        assert standings(node) == (0, 0, 1)


async def test_unsigned_events_stay_what_they_are_whoever_is_known(tmp_path: Path) -> None:
    async with node_at(tmp_path) as node:
        await take(node, [observation(1), observation(2, subject="cat")])
        await believe(node, ANN, BOB)
        assert standings(node) == (0, 0, 2)


class Meanwhile:
    """World's threads, and something that happens while events are between thread and log."""

    def __init__(self, threads: Threads) -> None:
        self._threads = threads
        self.jobs = 0
        self.after: dict[int, Callable[[], Awaitable[object]]] = {}  # by job of the verifiers

    async def run(self, pool: Pool, work: Callable[[], T]) -> T:
        result = await self._threads.run(pool, work)
        if pool is Pool.VERIFIER:
            self.jobs += 1
            if happens := self.after.pop(self.jobs, None):
                await happens()
        return result


@pytest.mark.parametrize("signer", [ANN, FALSE_ANN], ids=["fits", "does not fit"])
async def test_a_key_that_becomes_known_between_check_and_log_is_not_missed(
    tmp_path: Path, signer: object
) -> None:
    """The draft says unproven, the log knows better, and the event is verified again."""
    assert signer in (ANN, FALSE_ANN)
    body = tease(1) if signer is ANN else tease(1, signer=FALSE_ANN)
    world = fixed_world()
    meanwhile = Meanwhile(world.threads)
    async with node_at(tmp_path, world=replace(world, threads=meanwhile)) as node:
        meanwhile.after[meanwhile.jobs + 3] = lambda: believe(node, ANN)  # decode, names, check
        report = await take(node, [body])
        assert not meanwhile.after, "the moment never came"
        if signer is ANN:
            assert (report, standings(node)) == (Report(imported=1), (1, 0, 0))
        else:
            assert (report.rejected, standings(node)) == ({"bad_signature": 1}, (0, 0, 0))
        assert len(await stored(node)) == len(node.ledger.index)


async def test_the_log_itself_refuses_a_draft_whose_standing_is_out_of_date(
    tmp_path: Path,
) -> None:
    async with node_at(tmp_path) as node:
        batch = await node.intake.decode([tease(1), tease(2, MALLORY, signer=MALLORY)])
        batch.verify(node.directory.keys)
        drafts = drafts_of(batch, PEER)
        await believe(node, ANN)
        ann, mallory = await node.admission.submit(MeshRules(), drafts)
        assert isinstance(ann, Rejected)
        assert ann.reason.code == VERIFY_AGAIN
        assert isinstance(mallory, Accepted)


async def test_a_vote_that_can_be_counted_only_after_its_check_is_counted(
    tmp_path: Path,
) -> None:
    """No one key decides over a checkpoint, so the rules cannot refuse it: the ledger looks."""
    world = fixed_world()
    meanwhile = Meanwhile(world.threads)
    async with node_at(tmp_path, world=replace(world, threads=meanwhile)) as node:
        meanwhile.after[meanwhile.jobs + 3] = lambda: believe(node, BOB, CAT)
        await take(node, [checkpoint([BOB, CAT])])
        assert not meanwhile.after, "the moment never came"
        assert standings(node) == (1, 0, 0)


async def test_the_node_s_own_name_and_names_of_the_greatest_size_go_all_the_way(
    tmp_path: Path,
) -> None:
    """64 characters of four bytes each: the log's limit on authors is in bytes."""
    long = identity_of("\U0001f409" * 64, b"long".ljust(32, b"."))
    bodies = [hey_there(long), tease(1, long, signer=long)]
    async with node_at(tmp_path) as node:
        assert await take(node, bodies) == Report(imported=2)
        assert standings(node) == (2, 0, 0)
        assert {entry.author for entry in await stored(node)} == {long.name.encode()}
        assert dict(node.ledger.index.authors()) == {long.name: 2}
        now = digest(node)
    async with node_at(tmp_path) as node:
        assert digest(node) == now
        assert node.directory.key_of(long.name) == long.public_key


async def test_another_key_for_the_node_s_own_name_is_refused_with_a_reason(
    tmp_path: Path,
) -> None:
    async with node_at(tmp_path, name="ann") as node:
        (outcome,) = await believe(node, FALSE_ANN)
        assert isinstance(outcome, Rejected)
        assert outcome.reason.code == "own_name"
        assert "ann is this node itself" in outcome.reason.text
        assert node.directory.key_of("ann") == node.identity.public_key
        (same,) = await believe(node, node.identity)
        assert isinstance(same, Accepted)
