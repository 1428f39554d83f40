"""What `postbox post` says of a file that it did not come to the end of."""

from __future__ import annotations

import pytest

from postbox.admin.command import NodeGone
from postbox.cli.documents import Document
from postbox.cli.post import in_part
from postbox.errors import Fault, Full

BATCH = [Document(b"{}", f"line {number} of notes.jsonl", 0.5) for number in (4_001, 4_002, 8_000)]
GONE = NodeGone("the node of h went away", "Start it again, or run this on the stopped one")


@pytest.mark.parametrize("count", [0, 4_000])
def test_who_lost_the_node_is_told_what_may_be_posted_and_never_to_run_it_again(count: int) -> None:
    said = in_part(GONE, count, BATCH)
    assert said.startswith("the node of h went away. ")
    assert "line 4001 of notes.jsonl to line 8000 of notes.jsonl all, some" in said
    assert "run this" not in said
    assert ("4,000 events posted, and not to be posted again" in said) is (count > 0)


def test_what_a_full_disk_ended_goes_on_where_it_ended() -> None:
    said = in_part(Full("no room"), 4_000, BATCH[:1])
    assert said.startswith("no room. 4,000 events posted, and not to be posted again. Of line 4001")
    assert said.endswith("Post only the rest")


def test_what_was_refused_at_once_is_told_as_it_is() -> None:
    assert in_part(Fault("names no host"), 0, BATCH) == "names no host"
