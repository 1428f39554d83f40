"""The copy of the chat page that a browser keeps: it is whole, and no broken one stays for ever."""

from __future__ import annotations

from typing import Final

from playwright.sync_api import Page, expect

from browser.conftest import Visit
from support.chat_page import Host
from support.chromium import Visitor, comes_true

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


REFRESHES_LATER: Final = """() => {
  window.tell = ServiceWorker.prototype.postMessage
  if (!sessionStorage.refreshes) ServiceWorker.prototype.postMessage = () => {}
}"""
"""Each load asks for a newer copy, which is there at some time or other."""


def opened(somebody: Visitor, host: Host) -> Page:
    """A page whose files the browser has kept, and which is shown from them. It asks for a newer
    copy when its session says that it `refreshes`, and not before."""
    somebody.context.add_init_script(f"({REFRESHES_LATER})()")
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
    page.evaluate("sessionStorage.refreshes = 'yes'")
    page.reload()
    somebody.complains_of(page, "does not provide an export")  # it could not run
    comes_true(page, IS_MENDED, "./chat.js")
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
        "for (let i = 0; i < 2; i++) tell.call(navigator.serviceWorker.controller, 'refresh')"
    )
    comes_true(page, WAIT)
    assert not page.evaluate(IS_MENDED, "./talk.js")
    page.evaluate("window.goOn()")
    comes_true(page, IS_MENDED, "./talk.js")
    comes_true(page, KEEPS)
    expect(page.get_by_role("button", name="Load it")).to_be_visible()
