"""`sync.js` by itself, in a page that has nothing else: what a stranger copies."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import expect

from browser.conftest import Visit
from support.chat_page import NO_NETWORK, Host
from support.chromium import LOOK_MS, PATIENCE_MS, comes_true
from support.command import postbox
from support.sync_alone import LIVE, NOTES, OPEN, TEXTS, beside, nowhere, signs_in, token

DOCS = Path(__file__).parents[2] / "docs" / "chat-page.md"

FAILS = """async (its) => {
  const { openDevice } = await import('/chat/sync.js')
  const asked = openDevice({ url: location.origin, ...its })
  return asked.then(() => '', (error) => error.constructor.name)
}"""


READY = """() => {
  const add = EventTarget.prototype.addEventListener
  EventTarget.prototype.addEventListener = function (type, ...its) {
    add.call(this, type, ...its)
    if (type === 'submit') window.isReady = true
  }
}"""


def test_the_page_that_the_documentation_has_is_a_chat(host: Host, visitor: Visit) -> None:
    text = DOCS.read_text(encoding="utf-8")
    written = re.findall(r"```html\n(.*?)```", text, re.DOTALL)[0]
    page = visitor().open(f"{host.url}/assets/icon.svg")
    page.route(
        "**/mine.html",
        lambda route: route.fulfill(
            body=written.replace("./sync.js", "/chat/sync.js"), content_type="text/html"
        ),
    )
    page.add_init_script(f"({READY})()")
    page.goto(f"{host.url}/mine.html#{token(host.link('ann'))}")
    comes_true(page, "() => window.isReady")
    for said in ("Noodles?", "Yes!"):
        page.get_by_role("textbox").fill(said)
        page.get_by_role("textbox").press("Enter")
        expect(page.get_by_text(f"ann: {said}")).to_be_visible()
    page.reload()
    expect(page.get_by_text("ann: Yes!")).to_be_visible()


def test_nothing_is_made_where_nobody_signs_in(host: Host, visitor: Visit) -> None:
    page = nowhere(visitor(), host)
    for given in ({}, {"token": "no token"}):
        assert page.evaluate(FAILS, given) == "SignInNeeded"
    assert page.evaluate("async () => (await indexedDB.databases()).length") == 0


@pytest.mark.parametrize("way", ["throws", "fails"])
def test_a_browser_that_keeps_nothing_is_told_so(host: Host, visitor: Visit, way: str) -> None:
    """As some do in a private window: at once, or by the request."""
    page = nowhere(visitor(), host)
    page.evaluate(
        """(way) => {
          const error = new DOMException('not in a private window', 'InvalidStateError')
          const failing = () => {
            const request = { error }
            setTimeout(() => request.onerror())
            return request
          }
          IDBFactory.prototype.open = way === 'fails' ? failing : () => { throw error }
        }""",
        way,
    )
    assert page.evaluate(FAILS, {"token": token(host.link("ann"))}) == "StoreFailed"


KEEPS_CONNECTIONS = """() => {
  window.connections = []
  const open = IDBFactory.prototype.open
  IDBFactory.prototype.open = function (...its) {
    const request = open.apply(this, its)
    request.addEventListener('success', () => connections.push(request.result))
    return request
  }
}"""
DROPS_CONNECTIONS = """() => {
  for (const each of connections.splice(0)) {
    each.close()
    each.dispatchEvent(new Event('close'))
  }
}"""


def test_a_database_that_the_browser_has_closed_is_opened_again(host: Host, visitor: Visit) -> None:
    """As Safari does to pages in the background, without an error and with everything kept."""
    page = nowhere(visitor(), host)
    page.evaluate(KEEPS_CONNECTIONS)
    signs_in(page, host)
    comes_true(page, LIVE)
    page.evaluate(NOTES, "Before")
    for text in ("Behind it", "And again"):
        page.evaluate(DROPS_CONNECTIONS)
        page.evaluate(NOTES, text)
    comes_true(page, "async () => (await device.queue()).length === 0")
    said = [["Before", "sent"], ["Behind it", "sent"], ["And again", "sent"]]
    assert page.evaluate(TEXTS, "Notes") == said


def test_signing_out_does_not_wait_for_a_tab_that_does_not_move(host: Host, visitor: Visit) -> None:
    page = nowhere(visitor(), host)
    signs_in(page, host)
    page.evaluate(NOTES, "Secret")
    frozen = beside(page)
    frozen.evaluate(
        """() => new Promise((resolve) => {
          const opening = indexedDB.open('postbox')
          opening.onsuccess = () => resolve(void (window.kept = opening.result))
        })"""
    )
    page.evaluate("() => device.signOut()")
    left = frozen.evaluate(
        """async () => {
          const tx = kept.transaction(['device', 'base', 'outbox'])
          const counts = ['device', 'base', 'outbox'].map((name) => new Promise((resolve) => {
            const counting = tx.objectStore(name).count()
            counting.onsuccess = () => resolve(counting.result)
          }))
          return await Promise.all(counts)
        }"""
    )
    assert left == [0, 0, 0]


def test_a_device_that_is_revoked_again_and_again_asks_for_a_new_token_each_time(
    host: Host, visitor: Visit
) -> None:
    """Each is good for less long than the first, which stays beside it, and is of no use."""
    visited = visitor()
    page = visited.open(f"{host.url}/assets/icon.svg")
    asked: list[str] = []

    def renew() -> str:
        asked.append(token(host.link("ann", days=1)))
        return asked[-1]

    page.expose_function("renewed", renew)
    page.evaluate(
        """async (token) => {
          const sync = await import('/chat/sync.js')
          const its = { url: location.origin, token, renew: () => renewed() }
          window.device = await sync.openDevice(its)
        }""",
        token(host.link("ann")),
    )
    comes_true(page, LIVE)
    visited.forgiven.extend(NO_NETWORK)  # that the host refuses the revoked ones
    for count in (1, 2):
        postbox("devices", "revoke", "ann", "web", "--home", host.home)
        for _ in range(PATIENCE_MS // LOOK_MS):
            if len(asked) == count:
                break
            page.wait_for_timeout(LOOK_MS)
        comes_true(page, LIVE)
        assert len(asked) == count


STALLS = """() => {
  const send = window.fetch
  window.stalled = 0
  window.fetch = (url, request) => {
    if (!String(url).endsWith('SyncFromServer') || window.stalled) return send(url, request)
    window.stalled += 1
    const start = (body) => request.signal.addEventListener('abort', () => body.error('aborted'))
    const headers = { 'content-type': 'text/event-stream' }
    return Promise.resolve(new Response(new ReadableStream({ start }), { headers }))
  }
}"""


def test_a_stream_that_says_nothing_without_an_error_is_given_up(
    host: Host, visitor: Visit
) -> None:
    page = nowhere(visitor(), host)
    page.clock.install()
    page.evaluate(STALLS)
    signs_in(page, host)
    comes_true(page, "() => window.stalled")
    page.evaluate(NOTES, "Waits")
    assert not page.evaluate(LIVE)
    page.clock.fast_forward(61_000)
    comes_true(page, LIVE)
    comes_true(page, "async () => (await device.queue()).length === 0")


AGES_THE_QUEUE = """() => new Promise((resolve) => {
  const opening = indexedDB.open('postbox')
  opening.onsuccess = () => {
    const tx = opening.result.transaction('outbox', 'readwrite')
    const asked = tx.objectStore('outbox').openCursor()
    asked.onsuccess = () => {
      const cursor = asked.result
      if (!cursor) return
      cursor.update({ ...cursor.value, kept_ms: Date.now() - 40 * 86_400_000 })
      cursor.continue()
    }
    tx.oncomplete = () => resolve(opening.result.close())
  }
})"""
KEPT = """() => new Promise((resolve) => {
  const opening = indexedDB.open('postbox')
  opening.onsuccess = () => {
    const asked = opening.result.transaction('outbox').objectStore('outbox').getAll()
    asked.onsuccess = () => {
      opening.result.close()
      resolve(asked.result.map(({ kind, standing }) => `${kind} ${standing}`).sort().join(', '))
    }
  }
})"""
SENT_AND_TOLD = "conversationCreated 3, sendingNewMessage 3, sendingNewMessage 3"


def test_what_was_kept_for_long_enough_goes_also_where_no_page_is_open_for_long(
    host: Host, visitor: Visit
) -> None:
    page = nowhere(visitor(), host)
    signs_in(page, host)
    for text in ("One", "Two"):
        page.evaluate(NOTES, text)
    comes_true(page, f"async () => (await ({KEPT})()) === '{SENT_AND_TOLD}'")
    page.evaluate(AGES_THE_QUEUE)
    page.reload()
    page.evaluate(OPEN, {})
    comes_true(page, f"async () => (await ({KEPT})()) === 'conversationCreated 3'")
    assert page.evaluate(TEXTS, "Notes") == [["One", "sent"], ["Two", "sent"]]


def test_a_page_can_be_read_from_any_message_on(host: Host, visitor: Visit) -> None:
    visited = visitor()
    page = visited.open(f"{host.url}/assets/icon.svg")
    signs_in(page, host)
    comes_true(page, LIVE)
    for number in range(7):
        page.evaluate(NOTES, str(number))
    comes_true(page, "async () => (await device.queue()).length === 0")
    visited.forgiven.extend(NO_NETWORK)
    page.context.set_offline(True)
    for number in range(7, 10):
        page.evaluate(NOTES, str(number))
    pages = page.evaluate(
        """async () => {
          const [{ key }] = await device.conversations()
          const all = await device.messages(key)
          const said = (several) => several.map(({ text }) => text).join(' ')
          const texts = async (its) => said(await device.messages(key, its))
          const [third, ninth] = [all[2].key, all[8].key]
          await device.act({ type: 'DeleteMessage', conversation: key, message: all[4].key })
          return [
            await texts({ from: third, limit: 4 }),
            await texts({ from: third }),
            await texts({ from: ninth }),
            await texts({ before: ninth, limit: 3 }),
            await texts({ from: 'nobody knows it' }),
          ]
        }"""
    )
    assert pages == ["2 3 5 6", "2 3 5 6 7 8 9", "8 9", "5 6 7", ""]
