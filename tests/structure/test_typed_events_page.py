"""What docs/protocol/hosts.md says of typed events and handlers is what the code does."""

from __future__ import annotations

import inspect
import re

import pytest

from postbox.hosts.applications import inbox
from postbox.hosts.applications.events import REGISTERED
from postbox.hosts.guilds import policy as guild_policy
from structure.tree import ROOT

PAGE = (ROOT / "docs" / "protocol" / "hosts.md").read_text(encoding="utf-8")
CODE = re.compile(r'Reason\(\s*"(\w+)"')


@pytest.mark.parametrize("name", REGISTERED)
def test_every_field_of_a_registered_type_is_explained(name: str) -> None:
    short = name.rpartition(".")[2]
    _, _, rest = PAGE.partition(f"| `{short}` |")
    rows = re.split(r"\n\| `[A-Z]|\n\n", rest, maxsplit=1)[0]
    for field in REGISTERED[name].desc().fields:
        assert f"`{field.name}` {field.number}" in rows, f"{short}.{field.name}"


def test_every_code_of_a_refusal_is_explained() -> None:
    codes = set(CODE.findall(inspect.getsource(guild_policy)))
    assert len(codes) > 5, "the test has lost its way"
    assert set(re.findall(r"^\| `(\w+_\w+)` \| ", PAGE, flags=re.MULTILINE)) >= codes


def test_numbers_are_those_of_the_code() -> None:
    for reason in guild_policy.REASONS:
        assert f"`{reason}`" in PAGE
    assert f"{guild_policy.MAX_GUILDS:,} of one host" in PAGE
    assert f"{guild_policy.CHANGES_AT_ONCE:,} joinings and new names at once" in PAGE
    assert guild_policy.CHANGE_MS == 60_000
    assert f"{guild_policy.INVITES_AT_ONCE} at once, and then one in three minutes" in PAGE
    assert guild_policy.INVITE_MS == 3 * 60_000
    assert f"{guild_policy.STRANGERS_AT_ONCE:,} at once, and then one in ten seconds" in PAGE
    assert guild_policy.STRANGER_MS == 10_000
    assert f"A page of {inbox.PAGE_ENTRIES} is" in PAGE
    assert "After the eighth" in PAGE
    assert (inbox.MAX_ATTEMPTS, inbox.FIRST_RETRY_S, inbox.LAST_RETRY_S) == (8, 1.0, 60.0)
