"""A node that serves, for all tests of a file: what goes wrong as it stops is told of there, and
not of whatever test is the last of the run."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from support.chat_screen import ChatHost, chat_host


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ChatHost]:
    with chat_host(tmp_path_factory.mktemp("chat")) as host:
        yield host
