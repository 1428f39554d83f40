"""One Chromium a worker, people who sit at it, and real nodes to look at."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from support.chat_page import Host, Person
from support.chromium import Visitor, chromium
from support.command import served

Serve = Callable[..., str]
Visit = Callable[[], Visitor]
Arrive = Callable[..., Person]


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    with chromium() as opened:
        yield opened


@pytest.fixture
def visitor(browser: Browser, tmp_path: Path) -> Iterator[Visit]:
    """Each call is somebody else. POSTBOX_PICTURES: a folder that keeps the pictures."""
    folder = Path(os.environ.get("POSTBOX_PICTURES", tmp_path))
    folder.mkdir(parents=True, exist_ok=True)
    visitors: list[Visitor] = []

    def visit() -> Visitor:
        visitors.append(Visitor(browser.new_context(), folder))
        return visitors[-1]

    yield visit
    for one in visitors:
        one.context.close()
    assert [each for one in visitors for each in one.unforgiven()] == []


@pytest.fixture
def serve() -> Iterator[Serve]:
    """`serve(home, *words, port=0)`: a node of this home, until the test ends; its URL."""
    with ExitStack() as nodes:

        def start(home: Path, *words: str | Path, port: int = 0) -> str:
            return nodes.enter_context(served(home, *words, port=port))

        yield start


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    """A node that a test may kill and start again at the same place."""
    host = Host(tmp_path / "home")
    host.start()
    yield host
    host.close()


@pytest.fixture
def arrive(host: Host, visitor: Visit) -> Arrive:
    """`arrive("ann")`: somebody opens the operator's link in a browser of their own."""

    def come(user: str, *, is_live: bool = True) -> Person:
        person = Person.by_link(visitor(), host.link(user))
        person.forgive_the_network()
        if is_live:
            person.wait_live()
        return person

    return come
