"""nara's history goes into a node: all of it, once, with the standings that its proofs give."""

from __future__ import annotations

import gzip
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path

from postbox.event import Service, Standing
from postbox.mesh.audit import Audit, audit
from postbox.mesh.importing import import_file, take_raws
from postbox.mesh.merging.intake import Report
from postbox.node import Node
from postbox.trust.keylist import parse_key_list
from postbox.trust.rules import KeyRules, operator_draft
from support.homes import Imported
from support.mesh import (
    HISTORY,
    NARAS,
    NOW_NS,
    digest,
    fixed_world,
    history_lines,
    node_at,
    small_history,
    standings,
    stored,
    take,
)

Copy = Callable[[Imported], Path]

ALL = 80_000
CHECKPOINTS, UNSIGNED = 152, 16_413


async def trust_naras(node: Node) -> None:
    """`postbox trust import naras.json`."""
    drafts = [
        operator_draft(node.world.new_id(), one.name, one.key, one.id)
        for one in parse_key_list(NARAS.read_bytes()).keys
    ]
    await node.admission.submit(KeyRules(), drafts)
    await node.settle()


async def import_history(node: Node) -> Report:
    taking = partial(take_raws, node.intake)
    report, damage = await import_file(node.world, taking, HISTORY, lambda *_: None)
    assert damage is None
    await node.settle()
    return report


def test_all_of_nara_s_history_is_imported_and_nothing_refused(imported: Imported) -> None:
    assert imported.report == Report(imported=ALL)
    assert imported.damage is None
    assert imported.shares == sorted(imported.shares)
    assert imported.shares[-1] == 1


def test_hey_theres_make_the_signers_known_but_not_the_voters_ids(imported: Imported) -> None:
    assert imported.standings == (ALL - CHECKPOINTS - UNSIGNED, CHECKPOINTS, UNSIGNED)


async def test_a_second_import_is_all_duplicates_and_changes_nothing(
    imported: Imported, copy_of: Copy
) -> None:
    async with node_at(copy_of(imported)) as node:
        head = node.tail.head
        assert await import_history(node) == Report(duplicates=ALL)
        assert (digest(node), node.tail.head) == (imported.digest, head)


async def test_the_rebuilt_ledger_is_the_one_that_was_there_before(
    imported: Imported, copy_of: Copy
) -> None:
    async with node_at(copy_of(imported)) as node:
        assert digest(node) == imported.digest
        assert standings(node) == imported.standings
        assert node.ledger.index.counts()["checkpoint"] == CHECKPOINTS


async def test_every_stored_body_is_a_line_of_the_file_and_every_line_is_stored(
    imported: Imported, copy_of: Copy
) -> None:
    async with node_at(copy_of(imported)) as node:
        entries = await stored(node)
    assert Counter(entry.body for entry in entries) == Counter(history_lines())
    assert [entry.pos for entry in entries] == sorted({entry.pos for entry in entries})


async def test_a_list_of_keys_given_afterwards_proves_the_checkpoints(
    imported: Imported, copy_of: Copy, tmp_path: Path
) -> None:
    async with node_at(copy_of(imported)) as node:
        await trust_naras(node)
        after = digest(node)
        assert standings(node) == (ALL - UNSIGNED, 0, UNSIGNED)
        flags = {
            (entry.kind, entry.flags)
            for entry in await stored(node)
            if entry.kind == Service.CHECKPOINT
        }
        assert flags == {(Service.CHECKPOINT, Standing.ATTESTED)}
    async with node_at(tmp_path / "home") as node:  # rebuilt from the log, the same
        assert digest(node) == after
    async with node_at(tmp_path / "other") as other:  # the list first, then the file
        await trust_naras(other)
        assert await import_history(other) == Report(imported=ALL)
        assert digest(other) == after


async def test_an_audit_finds_each_event_as_it_was_noted(tmp_path: Path) -> None:
    async with node_at(tmp_path) as node:
        await take(node, small_history(800))
        seen: list[int] = []
        result = await audit(node, lambda so_far, _pos: seen.append(so_far.checked))
        attested, unproven, hearsay = standings(node)
    assert (result.checked, result.wrong, seen[-1]) == (800, [], 800)
    assert result.standings == Counter(
        {
            Standing.ATTESTED: attested,
            Standing.UNPROVEN: unproven,
            Standing.HEARSAY: hearsay,
        }
    )
    assert isinstance(result, Audit)


async def test_what_could_be_read_of_a_cut_file_is_taken_and_the_rest_comes_later(
    tmp_path: Path,
) -> None:
    events = small_history(2_000)
    whole = gzip.compress(b"\n".join(events) + b"\n")
    cut = tmp_path / "cut.gz"
    cut.write_bytes(whole[: len(whole) * 2 // 3])
    async with node_at(tmp_path / "home") as node:
        taking = partial(take_raws, node.intake)
        report, damage = await import_file(node.world, taking, cut, lambda *_: None)
        assert damage is not None
        # the line at the cut is half an event
        assert report.rejected.total() <= 1
        assert 0 < report.imported < 2_000
        assert (await take(node, events)).imported == 2_000 - report.imported
        assert len(node.ledger.index) == 2_000


async def test_an_import_of_events_later_than_now_is_refused_until_their_time_comes(
    tmp_path: Path,
) -> None:
    events = small_history(100)
    early = fixed_world(NOW_NS - 200 * 86_400 * 10**9)
    async with node_at(tmp_path, world=early) as node:
        assert (await take(node, events)).rejected == {"future": 100}
    async with node_at(tmp_path) as node:
        assert (await take(node, events)).imported == 100
