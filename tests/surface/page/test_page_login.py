"""Who is not logged in learns nothing of the node, and nothing is done for another site's page."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from postbox.net.addresses import Reach
from postbox.page.site import HEADERS, MAX_BODY_BYTES, TRIES_AT_ONCE
from support.mesh import ANN, node_at, small_history, take
from support.page import Browser, page_of

SECRET_PATHS = ("/page/events", "/page/event/" + "0" * 32, "/page/stream", "/page/nothing")


@pytest.fixture
async def browser(tmp_path: Path) -> AsyncIterator[Browser]:
    async with node_at(tmp_path / "home", name=ANN.name) as node, page_of(node) as opened:
        await take(node, small_history(20))
        yield opened


async def test_without_a_login_the_page_says_how_to_log_in_and_nothing_of_the_node(
    browser: Browser,
) -> None:
    answer = await browser.ask("/")
    assert answer.status == 200
    assert b"postbox open" in answer.body
    assert ANN.name.encode() not in answer.body
    assert {name: answer.headers[name] for name in HEADERS} == dict(HEADERS)
    for path in SECRET_PATHS:
        refused = await browser.ask(path)
        assert (refused.status, refused.body) == (
            401,
            b"log in first: postbox open prints a link\n",
        )
    for path in ("/page/logout", "/page/act/ban", "/page/nothing"):
        assert (await browser.post(path, name="bob")).status == 401


async def test_a_link_lets_one_browser_in_until_it_logs_out(browser: Browser) -> None:
    link = browser.sessions.link()
    answer = await browser.log_in(link)
    assert answer.status == 204
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith("postbox-7433=")
    assert "; HttpOnly; SameSite=Strict" in cookie
    assert "Secure" not in cookie
    assert ANN.name.encode() in (await browser.ask("/")).body
    again = Browser(browser.site, browser.sessions, browser.mesh, browser.clients)
    assert (await again.log_in(link)).status == 403
    assert b"postbox open" in (await again.ask("/")).body
    assert (await browser.post("/page/logout")).status == 303
    assert b"postbox open" in (await browser.ask("/")).body


async def test_over_tls_the_cookie_is_secure_and_of_this_host_alone(browser: Browser) -> None:
    browser.origin = f"https://{browser.host}"
    cookie = (await browser.log_in(scheme="https")).headers["set-cookie"]
    assert cookie.startswith("__Host-postbox-7433=")
    assert cookie.endswith("; Secure")
    assert "; Path=/;" in cookie
    assert "Domain" not in cookie


@pytest.mark.parametrize(
    "origin", ["", "null", "http://evil.example", "http://127.0.0.1:7434", "http://127.0.0.1"]
)
async def test_another_pages_form_is_refused(browser: Browser, origin: str) -> None:
    link = browser.sessions.link()
    browser.origin = origin
    assert (await browser.log_in(link)).status == 403
    browser.origin = f"http://{browser.host}"
    assert (await browser.log_in(link)).status == 204, "the link was not used up"
    browser.origin = origin
    for path in ("/page/logout", "/page/act/ban"):
        assert (await browser.post(path, name="bob")).status == 403
    assert browser.sessions.is_open(browser.cookie.partition("=")[2])


async def test_over_tls_a_page_of_plain_http_is_another_page(browser: Browser) -> None:
    """Of the same host and port by their names: who is on the wire can make one up."""
    link = browser.sessions.link()
    assert (await browser.log_in(link, scheme="https")).status == 403
    browser.origin = f"https://{browser.host}"
    assert (await browser.log_in(link, scheme="https")).status == 204


async def test_tries_are_bounded_an_address(browser: Browser) -> None:
    statuses = [(await browser.log_in("wrong")).status for _ in range(TRIES_AT_ONCE + 1)]
    assert statuses == [403] * TRIES_AT_ONCE + [429]
    assert (await browser.log_in("wrong", client=("127.0.0.2", 1))).status == 403
    assert (await browser.log_in()).status == 204, "others behind the same proxy shut nobody out"


async def test_plain_http_is_for_this_machine_and_for_networks_that_are_secure(
    tmp_path: Path,
) -> None:
    async with node_at(tmp_path / "home") as node, page_of(node, reach=Reach((), False)) as browser:
        for address in ("192.168.1.7", "8.8.8.8", "100.64.0.7", "2001:4860::1"):
            far = await browser.ask("/", client=(address, 1))
            assert (far.status, b"https" in far.body) == (403, True)
            assert (await browser.log_in(client=(address, 1))).status == 403
            assert (await browser.ask("/", client=(address, 1), scheme="https")).status == 200
        for address in ("127.0.0.1", "::1"):
            assert (await browser.ask("/", client=(address, 1))).status == 200


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/page/login", 405),
        ("GET", "/page/logout", 405),
        ("GET", "/page/act/ban", 405),
        ("PUT", "/", 405),
        ("DELETE", "/page/events", 405),
        ("HEAD", "/", 200),
        ("GET", "/page/", 404),
        ("GET", "/page/event/", 404),
        ("GET", "/page/event/%00", 404),
        ("GET", "/page/event/" + "ab" * 16, 404),
        ("GET", "/page/events?before=x&service=nothing&author=%00&text=%ff", 200),
        ("GET", "/page/events?" + "&".join(f"a{at}=1" for at in range(50)), 400),
        ("GET", "/page/events?before=-1", 200),
        ("GET", "/page/events?before=" + "9" * 40, 200),
    ],
)
async def test_what_makes_no_sense_is_refused_in_words(
    browser: Browser, method: str, path: str, status: int
) -> None:
    await browser.log_in()
    answer = await browser.ask(path, method)
    assert answer.status == status
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert (answer.body == b"") is (method == "HEAD")


async def test_a_body_too_large_is_refused(browser: Browser) -> None:
    await browser.log_in()
    assert (await browser.post("/page/act/ban", name="x" * MAX_BODY_BYTES)).status == 413
