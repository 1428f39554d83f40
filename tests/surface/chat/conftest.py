"""A node that serves, for all tests of the chat."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from support.chat_screen import ChatHost, chat_host


@pytest.fixture(scope="session")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ChatHost]:
    with chat_host(tmp_path_factory.mktemp("chat")) as host:
        yield host
