"""What reading costs at the chat page, and that nobody loses the place: however much there is, and
whatever comes meanwhile."""

from __future__ import annotations

from itertools import pairwise
from statistics import median
from typing import Any

from playwright.sync_api import Page, expect

from browser.conftest import Arrive
from support.chat_page import Host, Person
from support.chromium import comes_true

ROOM = "11111111-0000-4000-8000-000000000000"
MOST, MANY = 150, 400  # on the screen, and in the conversation


def submit(host: Host, user: str, events: list[dict[str, Any]]) -> None:
    for begin in range(0, len(events), 100):
        host.submit(user, events[begin : begin + 100])


def room(number: int, *members: str) -> dict[str, Any]:
    named = [{"name": name} for name in members]
    return {
        "uuid": uuid(1, number),
        "conversationCreated": {"name": f"R{number}", "members": named},
    }


def said(number: int, conversation: str, text: str) -> dict[str, Any]:
    message = {"text": text, "conversationUuid": conversation}
    return {"uuid": uuid(2, number), "sendingNewMessage": {"message": message}}


def uuid(kind: int, number: int) -> str:
    return f"{kind:08}-0000-4000-8000-{number:012}"


COUNTS_READS = """() => {
  window.reads = 0
  const methods = [
    [IDBObjectStore, ['get', 'getAll', 'getAllKeys', 'count', 'openCursor']],
    [IDBIndex, ['get', 'getAll', 'count', 'openCursor']],
    [IDBCursor, ['continue']],
  ]
  for (const [kind, names] of methods) {
    for (const name of names) {
      const real = kind.prototype[name]
      kind.prototype[name] = function (...its) {
        window.reads += 1
        return real.apply(this, its)
      }
    }
  }
}"""


def test_what_a_message_costs_does_not_depend_on_how_many_conversations_there_are(
    host: Host, arrive: Arrive
) -> None:
    ann = arrive("ann")
    submit(host, "bob", [room(number, "ann") for number in range(5)])
    expect(ann.page.locator(".item")).to_have_count(5)
    ann.page.evaluate(COUNTS_READS)
    few = reads_of_one(host, ann, 0)
    submit(host, "bob", [room(number, "ann") for number in range(5, 60)])
    expect(ann.page.locator(".item")).to_have_count(60)
    many = reads_of_one(host, ann, 100)
    assert many < 2 * few, (few, many)


def reads_of_one(host: Host, ann: Person, first: int) -> float:
    """Of ten, the one in the middle: now and then something else comes between two. The one before
    them has what is read behind the conversations that had just come."""
    counts: list[int] = []
    for number in range(first, first + 11):
        host.submit("bob", [said(number, uuid(1, 0), f"No. {number}")])
        expect(ann.page.locator(".item", has_text=f"No. {number}")).to_be_visible()
        counts.append(ann.page.evaluate("window.reads"))
    return median(later - earlier for earlier, later in pairwise(counts))


def top(page: Page, text: str) -> float:
    """Where this message begins on the screen. Found and measured in one step of the page, which
    draws a message anew whenever its state changes."""
    where: float = page.evaluate(
        """text => [...document.querySelectorAll('.message')]
          .find((message) => message.querySelector('.text').textContent === text)
          .getBoundingClientRect().top""",
        text,
    )
    return where


def scrolled_up(page: Page) -> float:
    """Where the oldest message is then, before the page has fetched what is older."""
    where: float = page.evaluate(
        """() => {
          document.querySelector('.scroll').scrollTop = 1
          return document.querySelector('.message').getBoundingClientRect().top
        }"""
    )
    return where


GOES_DOWN = """() => {
  document.querySelector('.scroll').scrollTop += 2000
  return document.querySelector('.to-end').hidden
}"""


def scroll(page: Page, by: str) -> None:
    page.evaluate(f"document.querySelector('.scroll').scrollTop {by}")


def test_a_long_conversation_is_shown_in_part_and_the_place_is_kept(
    host: Host, arrive: Arrive
) -> None:
    made = {"uuid": ROOM, "conversationCreated": {"name": "Long", "members": [{"name": "bob"}]}}
    bob = arrive("bob")
    submit(host, "ann", [made, *(said(number, ROOM, f"No. {number}") for number in range(MANY))])
    ann = arrive("ann")
    ann.choose("Long")
    expect(ann.said(f"No. {MANY - 1}")).to_be_in_viewport()
    messages = ann.page.locator(".message")
    for _ in range(MANY):
        if ann.said("No. 0").count():
            break
        oldest = messages.first.locator(".text").inner_text()
        before = scrolled_up(ann.page)
        expect(messages.first.locator(".text")).not_to_have_text(oldest)
        assert abs(top(ann.page, oldest) - before) < 2
        assert messages.count() <= MOST
    scroll(ann.page, "= 0")  # before it there is nothing but that it was made
    expect(ann.page.get_by_role("button", name="Earlier messages")).to_have_count(0)

    # Somebody writes meanwhile: nothing moves.
    scroll(ann.page, "= 300")
    seen = messages.nth(10).locator(".text").inner_text()
    before = top(ann.page, seen)
    bob.choose("Long")
    for text in ("Are you there?", "Hello?"):
        bob.write(text)
    button = ann.page.get_by_role("button", name="To the newest message, 2 new")
    expect(button).to_have_text("2 new")
    assert abs(top(ann.page, seen) - before) < 2
    button.click()
    expect(ann.said("Hello?")).to_be_in_viewport()
    expect(button).to_have_count(0)
    expect(ann.page.locator(".badge")).to_have_count(0)

    # And down again by scrolling, page by page.
    scroll(ann.page, "= 1")
    expect(ann.said(f"No. {MANY - 60}")).to_have_count(1)
    comes_true(ann.page, GOES_DOWN)
    expect(ann.said("Hello?")).to_be_in_viewport()


def test_what_is_half_written_stays_with_its_conversation(arrive: Arrive) -> None:
    ann = arrive("ann")
    field = ann.page.get_by_label("Write a message")
    for name in ("Lunch", "Work"):
        ann.begin(name)
        field.press_sequentially(f"For {name}")
        field.press("Shift+Enter")
        field.press_sequentially("two lines")
    ann.page.reload()
    for name in ("Lunch", "Work"):
        ann.choose(name)
        expect(field).to_have_value(f"For {name}\ntwo lines")
    field.press("Enter")
    ann.shows("For Work\ntwo lines")
    expect(field).to_have_value("")
    ann.menu("For Work\ntwo lines").get_by_text("Edit").click()
    expect(field).to_have_value("For Work\ntwo lines")
    field.press("Escape")
    expect(field).to_have_value("")
    ann.choose("Lunch")
    expect(field).to_have_value("For Lunch\ntwo lines")


HEARS = """() => {
  window.heard = []
  const listening = new MutationObserver((several) => {
    const added = several.flatMap((each) => [...each.addedNodes])
    window.heard.push(...added.map((node) => node.textContent))
  })
  listening.observe(document.getElementById('news'), { childList: true })
}"""


def test_what_others_say_is_said_once_to_who_cannot_see_it(host: Host, arrive: Arrive) -> None:
    bob, ann = arrive("bob"), arrive("ann")
    ann.page.evaluate(HEARS)
    bob.begin("Lunch", "ann")
    bob.write("Noodles?")
    ann.choose("Lunch")
    ann.shows("Noodles?")
    bob.write("Yes?")
    ann.shows("Noodles?", "Yes?")
    again(bob, "Yes?")
    ann.shows("Noodles?", "Yes?", "Yes?")
    bob.write("Or rice")
    ann.shows("Noodles?", "Yes?", "Yes?", "Or rice")
    bob.menu("Or rice").get_by_text("Delete for everybody").click()
    expect(ann.page.locator(".message")).to_have_count(3)
    ann.write("I like both")
    bob.write("At last")
    comes_true(ann.page, "() => window.heard.includes('bob: At last')")
    heard = [f"bob: {text}" for text in ("Noodles?", "Yes?", "Yes?", "Or rice", "At last")]
    assert ann.page.evaluate("window.heard") == heard


def again(person: Person, text: str) -> None:
    field = person.page.get_by_label("Write a message")
    field.fill(text)
    field.press("Enter")


FULL = """() => {
  window.isFull = true
  const add = IDBObjectStore.prototype.add
  IDBObjectStore.prototype.add = function (...its) {
    if (window.isFull) throw new DOMException('', 'QuotaExceededError')
    return add.apply(this, its)
  }
}"""


def test_a_disk_that_is_full_is_told_and_nothing_that_was_written_is_lost(arrive: Arrive) -> None:
    ann = arrive("ann")
    ann.begin("Notes")
    ann.page.evaluate(FULL)
    field = ann.page.get_by_label("Write a message")
    field.fill("Kept in the field")
    field.press("Enter")
    expect(ann.page.get_by_role("alert")).to_contain_text("there is no room left")
    expect(field).to_have_value("Kept in the field")
    ann.page.evaluate("window.isFull = false")
    field.press("Enter")
    ann.shows("Kept in the field")
    expect(ann.said("Kept in the field").locator(".state")).to_have_text("Sent")
