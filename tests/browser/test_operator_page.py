"""The operator's page in a real browser: a recovery as it runs, a broken link, the way in."""

from __future__ import annotations

import gzip
import json
import re
import shutil
from itertools import islice
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from browser.conftest import Serve, Visit
from support.chromium import LOOKS, PATIENCE_MS, Visitor, barriers, look, overflows
from support.command import postbox, served, told
from support.mesh import HISTORY
from support.ports import free_port

EVENTS = 3_000
LONG_MS = 3 * PATIENCE_MS  # for nodes that find each other
RECOVERING = re.compile("looking for peers|asking peers|waiting to ask again")
RECOVERED = re.compile(r"3,0\d\d\s*events held")
"""And what the nodes say of themselves."""
NOTHING_FOUND = "events looked at is like that"


@pytest.fixture(scope="package")
def imported_some(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with some of the real events in it."""
    folder = tmp_path_factory.mktemp("history")
    with gzip.open(HISTORY) as lines:
        (folder / "some.jsonl").write_bytes(b"".join(islice(lines, EVENTS)))
    assert postbox("import", folder / "some.jsonl", "--home", folder / "home").code == 0
    return folder / "home"


@pytest.fixture
def history(imported_some: Path, tmp_path: Path) -> Path:
    """The same node, for one test alone."""
    return shutil.copytree(imported_some, tmp_path / "history")


def enter(visitor: Visitor, home: Path) -> Page:
    page = visitor.open(told("open", "--home", home)["url"])
    expect(page.locator("#main")).to_be_visible(timeout=PATIENCE_MS)
    return page


def never_begin_anew(somebody: Visitor, page: Page, url: str) -> None:
    """On a machine that is busy a node may well be silent for as long as makes a page do that."""
    somebody.forgiven.append("503")
    page.route(f"{url}/", lambda route: route.fulfill(status=503))


def test_a_recovery_a_broken_link_events_and_what_it_looks_like(
    serve: Serve, visitor: Visit, history: Path, tmp_path: Path
) -> None:
    """One node for all of it, since a node takes a while to start."""
    home, port = tmp_path / "zoe", free_port()
    nowhere = f"localhost:{free_port()}"
    home.mkdir(mode=0o700)
    (home / "config.toml").write_text(f'[mesh]\npeers = ["http://127.0.0.1:{port}"]\n')
    url = serve(home, "--name", "zoe", "--host", "127.0.0.1:2289")
    somebody = visitor()
    page = enter(somebody, home)
    never_begin_anew(somebody, page, url)
    problems = page.locator("#problems")
    expect(problems).to_contain_text(f"wrong peer http://127.0.0.1:{port}")
    expect(problems).to_contain_text("What to do: is it running, and its URL right?")

    expect(page.locator(".recovery")).to_contain_text(RECOVERING)
    serve(history, port=port)
    page.evaluate("window.stays = true")
    expect(page.locator("#tiles")).to_contain_text(RECOVERED, timeout=LONG_MS)
    expect(page.locator(".recovery")).to_contain_text("done", timeout=LONG_MS)
    expect(page.locator("#problems-title")).to_have_text("Nothing needs you", timeout=LONG_MS)
    expect(page.locator("#head .pill")).to_have_text("all is well")
    assert page.evaluate("window.stays"), "it changed by itself, and was not loaded again"

    (tmp_path / "note.json").write_text(json.dumps({"text": "hello"}))
    words = ("--type", "Note", "--data", tmp_path / "note.json", "--home", home)
    assert postbox("hosts", "allow", nowhere, "--home", home).code == 0
    assert postbox("post", nowhere, *words).code == 0
    expect(problems).to_contain_text(f"host {nowhere}")
    expect(problems).to_contain_text("failed (")
    expect(problems).to_contain_text(f"postbox doctor {nowhere} walks the way there")
    expect(page.locator("#links")).to_contain_text("failing")

    _look_at_events(page)
    for size, scheme in LOOKS:
        look(page, size, scheme)
        expect(page.locator("#curve canvas")).to_be_visible()
        somebody.picture(page, f"page-{size}-{scheme}")
        assert barriers(page) == []
        assert not overflows(page), "a page is never scrolled sideways"


def _look_at_events(page: Page) -> None:
    rows = page.locator(".events li")
    expect(rows).to_have_count(25)
    page.get_by_label("About").select_option("checkpoint")
    expect(page.locator(".events .svc").first).to_have_text("checkpoint")
    expect(page.locator(".events .svc", has_text="social")).to_have_count(0)
    page.get_by_label("About").select_option("")
    page.get_by_label("With the text").fill("no event says this")
    expect(page.locator("#events")).to_contain_text(NOTHING_FOUND)
    page.get_by_label("With the text").fill("")
    page.get_by_label("By", exact=True).fill("zoe")
    names = page.locator(".events b")
    expect(names.first).to_have_text("zoe")
    expect(names.filter(has_not_text="zoe")).to_have_count(0)
    page.locator(".events a").first.focus()
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog", name="An event")
    expect(dialog).to_contain_text("the signature verifies: zoe wrote it")
    expect(dialog.locator("pre")).to_contain_text('"emitter": "zoe"')
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    page.get_by_label("By", exact=True).fill("")


def test_a_link_lets_one_browser_in(serve: Serve, visitor: Visit, history: Path) -> None:
    url = serve(history)
    link = told("open", "--home", history)["url"]
    first, second = visitor(), visitor()
    page = first.open(link)
    expect(page.locator("#main")).to_be_visible()
    expect(page).to_have_url(f"{url}/")  # the secret left the address bar
    late = second.open(link)
    expect(late.get_by_role("status")).to_contain_text("this link was used, or is too old")
    expect(late.locator("body")).not_to_contain_text("events held")
    second.complains_of(late, "403")
    for size, scheme in LOOKS:
        look(late, size, scheme)
        second.picture(late, f"login-{size}-{scheme}")
        assert barriers(late) == []
        assert not overflows(late)
    page.get_by_role("button", name="Log out").click()
    expect(page.locator("h1")).to_have_text("This is a postbox node")


def test_a_link_is_good_in_a_tab_that_shows_the_page_already(
    serve: Serve, visitor: Visit, history: Path
) -> None:
    """What is behind the # alone changes then, and a browser loads nothing."""
    url = serve(history)
    page = visitor().open(url)
    expect(page.locator("h1")).to_have_text("This is a postbox node")
    page.goto(told("open", "--home", history)["url"])
    expect(page.locator("#main")).to_be_visible()
    page.goto(told("open", "--home", history)["url"])
    expect(page).to_have_url(f"{url}/")
    page.get_by_role("link", name="Events").click()
    expect(page).to_have_url(f"{url}/#recent")


def test_a_node_that_stops_and_starts_again_is_missed_and_asks_for_a_new_link(
    visitor: Visit, history: Path
) -> None:
    port, somebody = free_port(), visitor()
    with served(history, port=port):  # stops at once, though somebody looks
        page = enter(somebody, history)
        expect(page.locator("#rate-in")).not_to_have_text("–")
        expect(page.locator("#lost")).to_be_hidden()
    expect(page.get_by_role("alert")).to_contain_text("The node does not answer")
    with served(history, port=port):
        expect(page.locator("h1")).to_have_text("This is a postbox node")
        page.close()  # before the node stops, of which it would complain as well
    # That it cannot be reached is what a browser complains of, in several ways.
    assert [one for one in somebody.complaints if "Policy" in one] == []
    somebody.complaints.clear()


def test_a_page_that_heard_nothing_for_a_while_begins_anew(
    serve: Serve, visitor: Visit, history: Path
) -> None:
    """As behind a connection that died without a word, or on a machine that slept."""
    serve(history)
    somebody = visitor()
    somebody.context.clock.install()
    page = enter(somebody, history)
    expect(page.locator("#rate-in")).not_to_have_text("–")
    page.get_by_label("With the text").fill("no & event says <this>")
    expect(page.locator("#events")).to_contain_text(NOTHING_FOUND)
    page.evaluate("window.stays = true")
    with page.expect_event("load"):
        page.clock.fast_forward(60_000)
    expect(page.locator("#rate-in")).not_to_have_text("–")
    expect(page.get_by_label("With the text")).to_have_value("no & event says <this>")
    expect(page.locator("#events")).to_contain_text(NOTHING_FOUND)
    expect(page.locator("#lost")).to_be_hidden()
    assert page.evaluate("window.stays") is None


def test_what_the_page_may_do_it_does_when_the_configuration_lets_it(
    serve: Serve, visitor: Visit, history: Path, tmp_path: Path
) -> None:
    home, there = tmp_path / "zoe", serve(history)
    home.mkdir(mode=0o700)
    (home / "config.toml").write_text("[page]\nactions = true\n")
    serve(home, "--name", "zoe", "--peer", there)
    page = enter(visitor(), home)
    page.on("dialog", lambda dialog: dialog.accept())
    name = told("status", "--home", history)["name"]
    page.get_by_role("button", name=f"Ban {name}").click()
    expect(page.locator("#told")).to_have_text(f"{name} is banned, until it is forgiven")
    expect(page.locator("#problems")).to_contain_text(f"{name} is banned")
    page.get_by_role("button", name=f"Forgive {name}").click()
    expect(page.locator("#problems-title")).to_have_text("Nothing needs you", timeout=LONG_MS)
