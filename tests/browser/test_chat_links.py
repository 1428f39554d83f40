"""Who comes in by a link, and what a link can do to whoever opens it."""

from __future__ import annotations

import base64
import json
import re
from typing import Final

from playwright.sync_api import expect

from browser.conftest import Arrive, Visit
from support.chat_page import Host, Person
from support.chromium import (
    LOOK_MS,
    LOOKS,
    PATIENCE_MS,
    barriers,
    comes_true,
    look,
    overflows,
)
from support.command import postbox

OWNER: Final = """() => new Promise((resolve, reject) => {
  const opening = indexedDB.open('postbox-chat')
  opening.onerror = () => reject(opening.error)
  opening.onsuccess = () => {
    const asked = opening.result.transaction('device').objectStore('device').get('owner')
    asked.onsuccess = () => {
      opening.result.close()
      resolve(asked.result)
    }
  }
})"""
"""Who is signed in, as the browser keeps it."""


def test_one_link_in_two_browsers_is_live_in_one_of_them_and_says_so_in_the_other(
    host: Host, visitor: Visit, arrive: Arrive
) -> None:
    first = arrive("ann")
    second = Person.by_link(visitor(), host.link("ann"))
    second.forgive_the_network()
    stopped = first_that_shows("[data-connection=displaced]", first, second)
    expect(stopped.page.locator(".banner")).to_contain_text("open in another browser")
    stopped.page.get_by_role("button", name="Use this one").click()
    stopped.wait_live()


def first_that_shows(selector: str, *people: Person) -> Person:
    """Which of them it is nobody knows before."""
    for _ in range(PATIENCE_MS // LOOK_MS):
        for person in people:
            if person.page.locator(selector).count():
                return person
            person.page.wait_for_timeout(LOOK_MS)
    raise AssertionError(f"none of them shows {selector}")


def test_a_device_that_is_shut_out_keeps_its_queue_until_a_new_link_comes(
    host: Host, arrive: Arrive
) -> None:
    ann = arrive("ann")
    ann.begin("Notes")
    assert "#" not in ann.page.url or "token" not in ann.page.url
    postbox("devices", "revoke", "ann", "web", "--home", host.home)
    banner = ann.page.locator(".banner")
    expect(banner).to_contain_text("Your operator has signed this device out")
    ann.write("Kept")
    ann.page.reload()
    expect(ann.said("Kept").locator(".state")).to_have_text("Sending")
    banner.get_by_role("button", name="Sign in again").click()
    ann.page.get_by_label("The new link").fill(host.link("ann"))
    ann.page.get_by_role("button", name="Sign in", exact=True).click()
    ann.wait_live()
    expect(ann.said("Kept").locator(".state")).to_have_text("Sent")


def test_a_device_is_called_what_its_user_likes(host: Host, visitor: Visit) -> None:
    ann = Person.by_link(visitor(), host.link("ann", "телефон-📱"))
    ann.wait_live()


def test_signing_out_leaves_nothing_in_the_browser(host: Host, arrive: Arrive) -> None:
    ann = arrive("ann")
    ann.begin("Notes")
    ann.page.get_by_label("Write a message").fill("half written")
    ann.page.on("dialog", lambda dialog: dialog.accept())
    ann.page.get_by_role("button", name="You", exact=True).click()
    ann.page.get_by_role("button", name="Sign out").click()
    expect(ann.page.get_by_text("Open the link that the operator")).to_be_visible()
    nothing = "async () => !(await indexedDB.databases()).length && !localStorage.length"
    comes_true(ann.page, nothing)

    ann.page.get_by_label("Or paste it here").fill(host.link("ann"))
    ann.page.get_by_role("button", name="Sign in").click()
    ann.wait_live()
    expect(ann.page.locator(".item", has_text="Notes")).to_be_visible()


def forged(user: str) -> str:
    """What anybody can make: it says whose it is, and no host has signed it."""
    claims = base64.urlsafe_b64encode(json.dumps({"sub": user}).encode()).decode().rstrip("=")
    return f"x.{claims}.z"


def test_a_forged_link_and_one_of_before_cost_nobody_the_token_that_works(
    host: Host, arrive: Arrive
) -> None:
    """As when any site sends somebody there."""
    ann = arrive("ann")
    ann.begin("Notes")
    first = ann.page.evaluate(OWNER)["token"]
    for token in (forged("ann"), "no.token.atall"):
        open_beside(ann, f"{host.url}/chat/#token={token}")
        kept = ann.page.evaluate(OWNER)
        assert (kept["token"], kept["next"]) == (first, "")
    ann.page.evaluate("token => { location.hash = `token=${token}` }", forged("ann"))
    expect(ann.page).not_to_have_url(re.compile("token"))
    ann.choose("Notes")
    ann.write("Still here")
    expect(ann.said("Still here").locator(".state")).to_have_text("Sent")

    open_beside(ann, host.link("ann", days=1))
    assert ann.page.evaluate(OWNER)["token"] == first, "it is good for longer"
    newer = host.link("ann", days=400)
    open_beside(ann, newer)
    assert ann.page.evaluate(OWNER)["token"] == newer.partition("#token=")[2]


def open_beside(person: Person, link: str) -> None:
    """In another tab, which is closed; the first one begins anew with what the browser kept."""
    beside = Person(person.visitor, person.visitor.open(link))
    beside.wait_live()
    expect(beside.page).not_to_have_url(re.compile("token"))
    beside.page.close()
    person.page.reload()
    person.wait_live()


def test_nobody_is_signed_in_by_a_link_without_having_been_asked(
    host: Host, visitor: Visit
) -> None:
    """A stranger's own link would have them write in the stranger's name."""
    at = visitor()
    page = at.open(host.link("mallory"))
    asked = page.get_by_role("heading", name=f"Sign in as mallory at {host.url.split('//')[1]}?")
    expect(asked).to_be_visible()
    expect(page).to_have_url(f"{host.url}/chat/")
    expect(page.get_by_role("button", name="Sign in")).to_be_focused()
    for size, scheme in LOOKS:
        look(page, size, scheme)
        assert barriers(page) == [], (size, scheme)
        assert not overflows(page)
        at.picture(page, f"chat-asked-{size}-{scheme}")
    page.reload()
    expect(page.get_by_text("Open the link that the operator")).to_be_visible()

    ann = Person(at, at.open(host.link("ann")))
    expect(ann.page.get_by_role("button", name="Sign in")).to_be_focused()
    ann.page.keyboard.press("Enter")
    ann.wait_live()


def test_a_link_that_is_opened_in_the_tab_that_shows_the_door_is_asked_about(
    host: Host, visitor: Visit
) -> None:
    """Only what stands behind the "#" changes, so that the browser loads nothing."""
    at = visitor()
    page = at.open(f"{host.url}/chat/")
    expect(page.get_by_text("Open the link that the operator")).to_be_visible()
    for user in ("bob", "ann"):
        page.evaluate("link => { location.href = link }", host.link(user))
        heading = f"Sign in as {user} at {host.url.split('//')[1]}?"
        expect(page.get_by_role("heading", name=heading)).to_be_visible()
        expect(page).to_have_url(f"{host.url}/chat/")
    page.get_by_role("button", name="Sign in").click()
    ann = Person(at, page)
    ann.wait_live()
    page.get_by_role("button", name="You", exact=True).click()
    expect(page.get_by_text("This link is good until")).not_to_contain_text(re.compile(r":\d\d:"))
