"""What an operator reads, at the terminal and on the page."""

from __future__ import annotations

import pytest

from postbox.admin.words import disk
from postbox.store.contract import Size

MIB = 2**20


@pytest.mark.parametrize(
    ("size", "says"),
    [
        (Size(3 * MIB, None, None), "3.0 MiB"),
        (Size(3 * MIB, 4_096, 9 * MIB), "3.0 MiB; the disk has 9.0 MiB left"),
        (
            Size(3 * MIB, MIB, 2048 * MIB),
            "3.0 MiB, 1.0 MiB of it to be used again; the disk has 2.0 GiB left",
        ),
    ],
)
def test_of_the_disk_only_what_is_worth_a_word_is_said(size: Size, says: str) -> None:
    assert disk(size) == says
