from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

import pytest

from postbox.cli import garbage
from postbox.cli.serve import _be_ready


class Circle:
    def __init__(self) -> None:
        self.me = self


@pytest.fixture(autouse=True)
def _as_it_was() -> Iterator[None]:
    before = gc.get_threshold()
    yield
    gc.set_threshold(*before)
    gc.unfreeze()


def test_circles_that_are_dropped_are_freed_in_a_process_that_looks_for_them_rarely() -> None:
    garbage.look_rarely()
    first = weakref.ref(Circle())
    kept: list[list[int]] = [[] for _ in range(garbage.NEW_OBJECTS)]
    assert first() is None, len(kept)


def test_what_was_dropped_before_a_node_is_ready_is_not_kept_for_good() -> None:
    first = weakref.ref(Circle())
    garbage.look_rarely()
    assert first() is None


def test_a_node_that_is_ready_says_so_and_looks_for_garbage_rarely(
    capsys: pytest.CaptureFixture[str],
) -> None:
    _be_ready("http://127.0.0.1:7433")
    assert capsys.readouterr().out == "ready http://127.0.0.1:7433\n"
    assert gc.get_threshold()[0] == garbage.NEW_OBJECTS
    assert gc.get_freeze_count() > 0
