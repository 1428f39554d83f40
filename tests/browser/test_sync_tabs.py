"""Several tabs with one database of `sync.js`: one talks to the host, whatever becomes of it."""

from __future__ import annotations

from browser.conftest import Visit
from support.chat_page import ROBS, STAND_IN_LINE, Host, freeze_the_leader
from support.chromium import comes_true, stop_the_clock
from support.sync_alone import LIVE, NOTES, OPEN, TEXTS, beside, nowhere, signs_in

HOLDS_ANSWERS = """() => {
  const send = window.fetch
  window.held = 0
  window.fetch = async (url, request) => {
    const answer = await send(url, request)
    if (!String(request?.body).includes('Once')) return answer
    window.held += 1
    return new Promise(() => {})
  }
}"""


def test_a_tab_that_is_closed_while_a_batch_is_under_way_doubles_nothing(
    host: Host, visitor: Visit
) -> None:
    first = nowhere(visitor(), host)
    signs_in(first, host)
    comes_true(first, LIVE)
    first.evaluate(NOTES, "Before")
    second = beside(first)
    stop_the_clock(second)  # and it does not take the first one, which is slow, for frozen
    second.evaluate(OPEN, {})
    comes_true(second, LIVE)
    first.evaluate(HOLDS_ANSWERS)
    second.evaluate(NOTES, "Once")  # the first tab is the one that talks to the host
    comes_true(first, "() => window.held")
    first.close()
    second.clock.resume()
    comes_true(second, "async () => (await device.queue()).length === 0")
    comes_true(second, LIVE)
    assert second.evaluate(TEXTS, "Notes") == [["Before", "sent"], ["Once", "sent"]]


def test_a_second_tab_knows_at_once_who_is_there(host: Host, visitor: Visit) -> None:
    pages = {}
    for user in ("bob", "ann"):
        pages[user] = nowhere(visitor(), host)
        signs_in(pages[user], host, user)
        comes_true(pages[user], LIVE)
    pages["ann"].evaluate(
        "() => device.act({ type: 'CreateConversation', name: 'Lunch', members: ['bob'] })"
    )
    both = "() => device.connected().length === 1"
    comes_true(pages["ann"], both)
    second = beside(pages["ann"])
    second.evaluate(OPEN, {})
    comes_true(second, both)


def test_a_tab_that_freezes_is_noticed_by_one_that_was_looked_at_all_the_time(
    host: Host, visitor: Visit
) -> None:
    page = nowhere(visitor(), host)
    page.clock.install()
    signs_in(page, host)
    comes_true(page, LIVE)
    freeze_the_leader(page, "postbox", page.url)
    page.evaluate(NOTES, "Waits")
    for _ in range(2):  # it asks, and then it is not answered
        page.clock.fast_forward(31_000)
    comes_true(page, "async () => (await device.queue()).length === 0")
    comes_true(page, LIVE)


STANDS_STILL = """() => {
  window.post = BroadcastChannel.prototype.postMessage
  BroadcastChannel.prototype.postMessage = () => {}
}"""
MOVES = "() => { BroadcastChannel.prototype.postMessage = window.post }"
NOTES_CONNECTIONS = """() => {
  window.seen = []
  device.addEventListener('change', () => seen.push(device.status.connection))
}"""


def test_a_tab_that_was_robbed_while_it_stood_still_stands_in_line_again(
    host: Host, visitor: Visit
) -> None:
    first = nowhere(visitor(), host)
    signs_in(first, host)
    comes_true(first, LIVE)
    robber, third = beside(first), beside(first)
    robber.clock.install()
    for page in (robber, third):
        page.evaluate(OPEN, {})
        comes_true(page, LIVE)
    comes_true(first, STAND_IN_LINE, ["postbox postbox", 2])
    for page in (first, third):
        page.evaluate(NOTES_CONNECTIONS)
    first.evaluate(STANDS_STILL)
    for _ in range(2):  # it asks, and then it is not answered
        robber.clock.fast_forward(31_000)
    comes_true(first, STAND_IN_LINE, ["postbox postbox", 3])
    first.evaluate(MOVES)
    first.evaluate(NOTES, "Of the robbed one")
    for page in (first, robber, third):
        comes_true(page, "async () => (await device.queue()).length === 0")
        comes_true(page, LIVE)
    for page in (first, third):
        assert "stopped" not in page.evaluate("window.seen")

    robber.close()
    third.close()
    first.evaluate(NOTES, "Once more")
    comes_true(first, "async () => (await device.queue()).length === 0")
    comes_true(first, LIVE)
    assert first.evaluate(TEXTS, "Notes") == [["Of the robbed one", "sent"], ["Once more", "sent"]]


ANSWERS_WHO_ASKS = """() => {
  const channel = new BroadcastChannel('postbox postbox')
  const status = { connection: 'catching up', why: '', text: '', next_ms: null }
  channel.onmessage = ({ data }) => {
    if (data.kind === 'who') channel.postMessage({ kind: 'status', status })
  }
}"""


def test_a_tab_that_was_robbed_asks_at_once_how_things_are(host: Host, visitor: Visit) -> None:
    """What the new one said meanwhile was not listened to."""
    page = nowhere(visitor(), host)
    stop_the_clock(page)
    signs_in(page, host)
    comes_true(page, LIVE)
    robber = beside(page)
    robber.evaluate(ANSWERS_WHO_ASKS)
    robber.evaluate(ROBS, "postbox postbox")
    comes_true(page, "() => device.status.connection === 'catching up'")


FAILS_TO_BEGIN = """() => {
  window.failed = 0
  window.isFull = true
  const put = IDBObjectStore.prototype.put
  IDBObjectStore.prototype.put = function (value, key) {
    if (!window.isFull || key !== 'state' || !value.term) return put.call(this, value, key)
    window.failed += 1
    throw new DOMException('', 'QuotaExceededError')
  }
}"""


def test_who_could_not_begin_to_talk_tries_it_again_a_minute_later(
    host: Host, visitor: Visit
) -> None:
    page = nowhere(visitor(), host)
    stop_the_clock(page)
    page.evaluate(FAILS_TO_BEGIN)
    signs_in(page, host)
    comes_true(page, "() => device.status.connection === 'stopped'")
    assert page.evaluate("device.status.why") == "STORE"
    page.clock.fast_forward(11_000)  # nobody answers: it takes the lock, and fails likewise
    comes_true(page, "() => window.failed === 2")
    page.evaluate(NOTES, "Waits")
    page.evaluate("window.isFull = false")
    assert page.evaluate("device.status.connection") == "stopped"
    page.clock.fast_forward(61_000)
    page.clock.resume()
    comes_true(page, LIVE)
    comes_true(page, "async () => (await device.queue()).length === 0")
