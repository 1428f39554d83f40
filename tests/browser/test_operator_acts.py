"""What the operator's page may do, it does: a click, what the page says of it, and what the node
holds then."""

from __future__ import annotations

import json
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import trio
from playwright.sync_api import Page, expect

from browser.conftest import Serve, Visit
from postbox.config import Config
from postbox.config.declaration import ServeConfig
from postbox.node import open_node
from postbox.world import system_world
from support.chromium import PATIENCE_MS, Visitor, barriers, look, overflows
from support.command import postbox, served, told
from support.ports import free_port

HOUR_MS = 3_600_000
LONG_MS = 3 * PATIENCE_MS  # for nodes that find each other


@pytest.fixture
def zoe(tmp_path: Path) -> Path:
    """A home whose page may do things, and that lets nobody in unasked."""
    home = tmp_path / "zoe"
    home.mkdir(mode=0o700)
    lines = ("serve.loopback = true", 'mesh.admit = "ask"', "page.actions = true", "")
    (home / "config.toml").write_text("\n".join(lines))
    assert postbox("status", "--home", home).code == 0
    return home


def enter(visitor: Visitor, home: Path) -> Page:
    """Whoever is asked whether it is meant says yes."""
    page = visitor.open(told("open", "--home", home)["url"])
    page.on("dialog", lambda dialog: dialog.accept())
    expect(page.locator("#main")).to_be_visible(timeout=PATIENCE_MS)
    return page


def test_who_waits_is_let_in_or_refused(
    serve: Serve, visitor: Visit, zoe: Path, tmp_path: Path
) -> None:
    url = serve(zoe)
    serve(tmp_path / "ann", "--name", "ann", "--peer", url)
    page = enter(visitor(), zoe)
    waiting = page.locator(".waiting")
    with served(tmp_path / "bob", "--name", "bob", "--peer", url):  # who would ask again
        for name in ("ann", "bob"):
            expect(waiting).to_contain_text(f"{name} from 127.0.0.1", timeout=LONG_MS)
    expect(page.locator("#problems")).to_contain_text("waiting to be let in: 2")
    look(page, "phone", "light")
    assert barriers(page) == []
    assert not overflows(page)

    page.get_by_role("button", name="Let in ann").click()
    expect(page.get_by_text("ann is let in", exact=True)).to_be_visible()
    expect(waiting).not_to_contain_text("ann")
    page.get_by_role("button", name="Refuse bob").click()
    expect(page.get_by_text("bob waits no more", exact=True)).to_be_visible()
    expect(waiting).to_have_count(0)
    known = {one["name"] for one in told("trust", "list", "--home", zoe)["keys"]}
    assert ("ann" in known, "bob" in known) == (True, False)


def test_a_host_is_tried_again_at_once_and_again_when_it_is_back(
    serve: Serve, visitor: Visit, zoe: Path, tmp_path: Path
) -> None:
    """By itself it would be in an hour."""
    port, note = free_port(), tmp_path / "note.json"
    there = f"127.0.0.1:{port}"
    note.write_text(json.dumps({"text": "hello"}))
    posted = postbox("post", there, "--type", "Note", "--data", note, "--home", zoe)
    assert posted.code == 0, posted
    with ThreadPoolExecutor(1) as elsewhere:  # playwright has a loop in this thread
        elsewhere.submit(trio.run, fail_for_an_hour, zoe, there).result()
    serve(zoe)
    page = enter(visitor(), zoe)
    links = page.locator("#links")
    expect(links).to_contain_text("nobody was there")
    expect(links).to_contain_text(re.compile(r"in \d\d min"))
    page.get_by_role("button", name=f"Try again {there}").click()
    expect(page.locator("#told")).to_contain_text("tried again now")
    expect(links).to_contain_text("no connection")
    expect(links).not_to_contain_text("nobody was there")
    serve(tmp_path / "there", port=port)
    page.get_by_role("button", name=f"Try again {there}").click()
    expect(links.locator(".state")).to_have_text("level", timeout=LONG_MS)
    [link] = told("links", "--home", zoe)["links"]
    assert (link["queued"], link["acknowledged"]) == (0, 1)
    [event] = told("inbox", "--home", tmp_path / "there")["events"]
    assert event["data"] == {"text": "hello"}


async def fail_for_an_hour(home: Path, host: str) -> None:
    config = Config(serve=ServeConfig(loopback=True))
    async with open_node(system_world(), home, config) as node:
        reader, now_ms = f"to/{host}", node.world.clock.now_ns() // 10**6
        [first] = (await node.outbox.page(reader)).entries
        await node.outbox.retry(reader, first.pos, now_ms + HOUR_MS, "nobody was there")
