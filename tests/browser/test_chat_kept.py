"""The copy of the chat page that a browser keeps: it is whole, and no broken one stays for ever."""

from __future__ import annotations

from typing import Final

from playwright.sync_api import Page, expect

from browser.conftest import Visit
from support.chat_page import Host
from support.chromium import PATIENCE_MS, Visitor

KEEPS: Final = "async () => Boolean(await caches.match('/chat/whole'))"
BREAKS: Final = """async (path) => {
  for (const name of await caches.keys()) {
    const headers = { 'content-type': 'text/javascript', etag: '"of before"' }
    const broken = new Response("import { nothing } from './dom.js'", { headers })
    await (await caches.open(name)).put(new URL(path, location.href), broken)
  }
}"""
IS_MENDED: Final = """async (path) => {
  const kept = await caches.match(new URL(path, location.href))
  return Boolean(kept) && kept.headers.get('etag') !== '"of before"'
}"""


def comes_true(page: Page, expression: str, argument: str | None = None) -> None:
    """Playwright's own wait evaluates texts, which the page's policy forbids."""
    for _ in range(PATIENCE_MS // 100):
        if page.evaluate(expression, argument):
            return
        page.wait_for_timeout(100)
    raise AssertionError(f"it never becomes true: {expression}")


def opened(somebody: Visitor, host: Host) -> Page:
    """A page whose files the browser has kept, and which is shown from them."""
    page = somebody.open(f"{host.url}/chat/")
    comes_true(page, "Boolean(navigator.serviceWorker.controller)")
    comes_true(page, KEEPS)
    page.reload()
    expect(page.get_by_text("Open the link that the operator")).to_be_visible()
    return page


def test_a_copy_that_does_not_run_is_replaced_all_the_same(host: Host, visitor: Visit) -> None:
    """As one of files of two versions: a node was updated while they were fetched."""
    somebody = visitor()
    page = opened(somebody, host)
    page.evaluate(BREAKS, "./chat.js")
    page.reload()
    comes_true(page, IS_MENDED, "./chat.js")
    [complaint] = somebody.complaints
    assert "does not provide an export" in complaint, "it could not run"
    somebody.complaints.clear()
    page.get_by_role("button", name="Load it").click()
    expect(page.get_by_text("Open the link that the operator")).to_be_visible()


HOLDS_BACK: Final = """() => navigator.locks.request(
  'postbox-chat copy',
  () => new Promise((resolve) => (window.goOn = resolve)),
) && undefined"""
WAIT: Final = """async () => {
  const { pending } = await navigator.locks.query()
  return pending.filter(({ name }) => name === 'postbox-chat copy').length === 2
}"""


def test_two_that_renew_the_copy_at_once_do_it_one_after_the_other(
    host: Host, visitor: Visit
) -> None:
    """Else each removes the other's, as one that is not its own."""
    page = opened(visitor(), host)
    page.evaluate(HOLDS_BACK)
    comes_true(page, "Boolean(window.goOn)")
    page.evaluate(BREAKS, "./talk.js")
    page.evaluate(
        "for (let i = 0; i < 2; i++) navigator.serviceWorker.controller.postMessage('refresh')"
    )
    comes_true(page, WAIT)
    assert not page.evaluate(IS_MENDED, "./talk.js")
    page.evaluate("window.goOn()")
    comes_true(page, IS_MENDED, "./talk.js")
    comes_true(page, KEEPS)
    expect(page.get_by_role("button", name="Load it")).to_be_visible()
