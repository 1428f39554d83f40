"""What the page says of a node: its problems in words, events with filters, one event's verdict;
and that what strangers wrote is never HTML."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from html import unescape
from pathlib import Path

import pytest
from msgspec.structs import replace

from postbox.admin.command import Desk
from postbox.admin.recent import STRETCH, Asked, recent
from postbox.clients.ids import device_id, user_id
from postbox.clients.rules.devices import DeviceDraft, DeviceRules, Register
from postbox.mesh.peers.known import Contact
from postbox.mesh.peers.rules import PeerRules, Sentence
from postbox.node import Node
from support.certificates import certificate_in
from support.mesh import ANN, BOB, CAT, NOW_NS, believe, node_at, observation, take, tease
from support.page import Browser, page_of

PEER = "http://127.0.0.1:1"
HOSTILE = "<img/src=x>\u202e"


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[Node]:
    async with node_at(tmp_path / "home", name="zoe", peers=(PEER,)) as opened:
        yield opened


@pytest.fixture
async def browser(node: Node) -> AsyncIterator[Browser]:
    async with page_of(node) as opened:
        await opened.log_in()
        yield opened


async def shown(browser: Browser, path: str = "/") -> str:
    answer = await browser.ask(path)
    assert answer.status == 200, answer.body
    return answer.body.decode()


def problems_in(page: str) -> str:
    """As a person reads them."""
    found = re.search(r'<section id="problems".*?</section>', page, re.DOTALL)
    assert found is not None
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", found[0])).split())


async def test_a_node_that_is_well_says_so(browser: Browser) -> None:
    page = await shown(browser)
    assert problems_in(page) == "Nothing needs you"
    assert "all is well" in page
    assert "zoe" in page


async def test_problems_come_first_the_gravest_before_the_others_each_with_its_cure(
    node: Node, browser: Browser
) -> None:
    (link,) = browser.mesh.peers.configured
    link.contact, link.last_error = Contact.FAILED, f"GET {PEER}/ping: nobody is there"
    link.failed_ns, link.next_ns = NOW_NS - 9 * 10**9, NOW_NS + 20 * 10**9
    sentence = Sentence("mallory", "ban", "she lied about it", NOW_NS)
    await node.admission.submit(PeerRules(), [sentence])
    await take(node, [tease(at, by=CAT, signer=CAT) for at in range(4)])
    page = await shown(browser)
    text = problems_in(page)
    assert text.startswith("3 things to look at wrong peer http://127.0.0.1:1")
    assert "failed 9 s ago, next try in 20 s: nobody is there" in text
    assert "What to do: is it running, and its URL right?" in text
    assert "unproven are 4 of 4 events: their signers' keys are not known" in text
    assert "mallory is banned: she lied about it" in text
    assert "postbox peers forgive mallory" in text
    assert "needs you" in page
    assert page.index('id="problems"') < page.index('id="tiles"')


async def test_what_a_node_stands_on_is_doubted_as_doctor_does(tmp_path: Path) -> None:
    cert, key = certificate_in(tmp_path, datetime.fromtimestamp(NOW_NS / 1e9, UTC))
    home = tmp_path / "home"
    async with node_at(home, name="zoe") as node:
        serve = replace(node.config.serve, tls_cert=cert, tls_key=key, max_connections=2**40)
        doubtful = dataclasses.replace(node, config=replace(node.config, serve=serve))
        home.chmod(0o755)
        async with page_of(doubtful) as browser:
            await browser.log_in()
            text = problems_in(await shown(browser))
    assert text.startswith("3 things to look at")
    for words in (
        "wrong tls callers will refuse",
        "certificate has expired",
        f"What to do: chmod 700 {home}",
        "fewer connections than serve.max_connections",
        "LimitNOFILE",
    ):
        assert words in text


async def test_what_strangers_wrote_is_text(node: Node, browser: Browser) -> None:
    event = tease(1, target=HOSTILE[:-1])
    await believe(node, ANN)
    assert (await take(node, [event])).imported == 1
    await node.admission.submit(PeerRules(), [Sentence("eve", "ban", HOSTILE, NOW_NS)])
    event_id = (await recent(Desk(node), Asked())).events[0].id
    for path in ("/", "/page/events", f"/page/event/{event_id}", f"/page/events?text={HOSTILE}"):
        page = await shown(browser, path)
        assert "<img/" not in page
        assert "\u202e" not in page
        assert path == "/" or "img/src=x" in page or "text=" in path


async def test_a_name_turns_no_text_around_and_a_button_means_the_name_as_it_is(
    node: Node,
) -> None:
    name = "gnp\u202e.\u200bexe"
    await node.admission.submit(PeerRules(), [Sentence(name, "ban", "lied", NOW_NS)])
    async with page_of(node, actions=True) as browser:
        await browser.log_in()
        page = await shown(browser)
        assert "gnp\ufffd.\ufffdexe" in page
        assert page.count("\u202e") == page.count(f'name="name" value="{name}"') == 1


async def test_events_are_filtered_by_service_author_and_text(node: Node, browser: Browser) -> None:
    await believe(node, ANN, BOB)
    events = [tease(at, target=f"target{at}") for at in range(1, 4)]
    await take(node, [*events, tease(9, by=BOB, signer=BOB), observation(5)])
    for query, count in {
        "": 5,
        "service=social": 4,
        "service=observation": 1,
        "author=bob": 1,
        "author=ann&service=social": 3,
        "text=TARGET2": 1,
        "text=nowhere": 0,
        "service=no-such": 0,
    }.items():
        page = await shown(browser, f"/page/events?{query}")
        assert page.count("<li ") == count, query
        assert "looked at" in page
    assert "None of the 5 events looked at is like that." in page


async def test_a_page_begins_with_the_filter_that_its_address_has(browser: Browser) -> None:
    page = await shown(browser, '/?service=social&author=ann&text=%22a%26<b>"')
    assert "<option selected>social</option>" in page
    assert page.count("selected") == 1
    assert 'name="author" value="ann"' in page
    assert 'name="text" value="&#34;a&amp;&lt;b&gt;&#34;"' in page


async def test_events_go_on_page_by_page_the_newest_first(node: Node) -> None:
    await believe(node, ANN)
    await take(node, [tease(STRETCH * 3 - at) for at in range(STRETCH * 2 + 7)])
    desk, before, seen = Desk(node), 0, []
    while True:
        page = await recent(desk, Asked(before=before, limit=300))
        seen += [one.pos for one in page.events]
        before = page.before
        if not before:
            break
    assert len(seen) == STRETCH * 2 + 7
    assert seen == sorted(seen, reverse=True)


@pytest.mark.parametrize(
    ("event", "standing", "verdict"),
    [
        (tease(1), "attested", "the signature verifies: ann wrote it"),
        (tease(1, by=CAT, signer=CAT), "unproven", "signed, and not proved"),
        (observation(1), "hearsay", "not signed: nobody answers for it"),
    ],
)
async def test_an_event_has_its_signatures_verdict_and_its_bytes(
    node: Node, browser: Browser, event: bytes, standing: str, verdict: str
) -> None:
    await believe(node, ANN)
    await take(node, [event])
    [brief] = (await recent(Desk(node), Asked())).events
    page = await shown(browser, f"/page/event/{brief.id}")
    assert f'"{standing}"' in page.replace("standing ", "")
    assert verdict in page
    assert f"&#34;id&#34;: &#34;{brief.id}&#34;" in page


# -- doing something ----------------------------------------------------------------------------


async def test_the_page_changes_nothing_unless_the_configuration_lets_it(
    node: Node, browser: Browser
) -> None:
    refused = await browser.post("/page/act/ban", name="bob")
    assert refused.status == 403
    assert b"page.actions" in refused.body
    assert "/page/act/" not in await shown(browser)
    assert str(node.records.regard("bob")) == "good"


async def test_a_peer_is_banned_and_forgiven(node: Node) -> None:
    async with page_of(node, actions=True) as browser:
        await browser.log_in()
        done = await browser.post("/page/act/ban", name="bob", why="he shouts")
        assert done.body == b"bob is banned, until it is forgiven"
        assert str(node.records.regard("bob")) == "banned"
        assert 'hx-post="/page/act/forgive"' in await shown(browser)
        done = await browser.post("/page/act/forgive", name="bob")
        assert done.body == b"nothing is held against bob any more"
        assert str(node.records.regard("bob")) == "good"


async def test_what_cannot_be_done_is_said(node: Node) -> None:
    async with page_of(node, actions=True) as browser:
        await browser.log_in()
        for act, form, status, words in (
            ("ban", {"name": "zoe"}, 200, "zoe is this node itself"),
            ("ban", {"name": "a b"}, 200, "a b"),
            ("admit", {"name": "dan"}, 200, "dan"),
            ("refuse", {"name": ""}, 200, "cannot be a name"),
            ("retry", {"host": "nowhere.example:1"}, 503, "nowhere.example"),
            ("explode", {}, 404, "no such thing"),
        ):
            answer = await browser.post(f"/page/act/{act}", **form)
            assert (answer.status, words in unescape(answer.body.decode())) == (status, True), act


async def test_what_refuses_is_text_for_a_script_that_takes_all_for_html(node: Node) -> None:
    async with page_of(node, actions=True) as browser:
        await browser.log_in()
        browser.is_htmx = True
        for path, form in (
            ("/page/act/retry", {"host": "<img/src=x>"}),
            ("/page/act/ban", {"name": "<img/src=x>:"}),
            ("/page/act/admit", {"name": "<img/src=x>"}),
        ):
            answer = await browser.post(path, **form)
            assert answer.headers["content-type"] == "text/html; charset=utf-8"
            assert b"<img" not in answer.body
            assert b"&lt;img/src=x&gt;" in answer.body, path
        browser.cookie = ""
        assert (
            await browser.ask("/page/events")
        ).body == b"log in first: postbox open prints a link\n"


# -- devices ------------------------------------------------------------------------------------


async def test_a_device_is_live_or_catching_up_or_away(node: Node, browser: Browser) -> None:
    drafts = [
        DeviceDraft(node.world.new_id(), "ann", name, Register(NOW_NS // 10**6))
        for name in ("phone", "pad", "old")
    ]
    await node.admission.submit(DeviceRules(), drafts)
    clients = browser.clients
    with (
        clients.streams.one(device_id(user_id("ann"), "phone"), 2**62) as phone,
        clients.streams.one(device_id(user_id("ann"), "pad"), 2**62) as pad,
    ):
        phone.reached(node.tail.head, is_live=True)
        pad.reached(node.tail.head - 2, is_live=False)
        page = await shown(browser)
    assert "live, has everything" in page
    assert "catching up: 2 positions behind" in page
    assert '<span class="state away">away</span>' in page
    assert "<b>2</b><span>devices listening</span>" in page
