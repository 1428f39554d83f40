"""What people do at the chat page, each at a real browser, before a real node."""

from __future__ import annotations

from typing import get_args

import pytest
from playwright.sync_api import expect

from browser.conftest import Arrive, Visit
from support.chat_page import Host
from support.chromium import LOOKS, Size, barriers, look, overflows


def test_typing_replies_edits_reactions_and_deletions_are_seen_by_the_other(
    arrive: Arrive,
) -> None:
    bob, ann = arrive("bob"), arrive("ann")
    ann.begin("Lunch", "bob")
    ann.write("Noodels?")
    bob.choose("Lunch")
    bob.page.get_by_label("Write a message").press_sequentially("Mm")
    expect(ann.page.locator(".room > .typing")).to_have_text("bob is typing…")
    bob.page.get_by_label("Write a message").fill("")
    expect(ann.page.locator(".room > .typing")).to_have_text("")

    bob.menu("Noodels?").get_by_label("React 👍").click()
    expect(ann.page.get_by_role("button", name="👍: bob")).to_be_visible()
    ann.page.get_by_role("button", name="👍: bob").click()
    expect(bob.page.get_by_role("button", name="👍: You, ann")).to_be_visible()
    bob.page.get_by_role("button", name="👍: You, ann").click()
    expect(ann.page.get_by_role("button", name="👍: You", exact=True)).to_be_visible()

    bob.menu("Noodels?").get_by_text("Reply").click()
    bob.write("With tofu")
    expect(ann.said("With tofu").locator("blockquote")).to_have_text("You Noodels?")
    ann.menu("Noodels?").get_by_text("Edit").click()
    ann.write("Noodles?")
    bob.shows("Noodles?", "With tofu")
    expect(bob.said("Noodles?").locator(".meta")).to_contain_text("edited")
    ann.menu("Noodles?").get_by_text("Delete for everybody").click()
    bob.shows("With tofu")
    ann.shows("With tofu")


def test_who_comes_and_goes_is_told_and_unread_messages_are_counted(arrive: Arrive) -> None:
    bob, cid, ann = arrive("bob"), arrive("cid"), arrive("ann")
    ann.begin("Lunch", "bob")
    bob.choose("Lunch")
    ann.write("One")
    bob.shows("One")
    ann.page.get_by_role("button", name="People").click()
    ann.page.get_by_label("Add somebody").fill("cid")
    ann.page.get_by_label("who sees what was said before").check()
    ann.page.get_by_role("button", name="Add", exact=True).click()
    expect(bob.page.locator(".note")).to_have_text("cid joined")
    expect(cid.page.locator(".badge")).to_have_text("1 unread")
    cid.choose("Lunch")
    cid.shows("One")
    expect(cid.page.locator(".badge")).to_have_count(0)

    cid.page.on("dialog", lambda dialog: dialog.accept())
    cid.page.get_by_role("button", name="People").click()
    cid.page.get_by_role("button", name="Leave this conversation").click()
    expect(cid.page.locator(".item")).to_have_count(0)
    expect(bob.page.locator(".note").last).to_have_text("cid left")


def test_a_picture_that_somebody_chooses_is_seen_by_the_others(arrive: Arrive) -> None:
    bob, ann = arrive("bob"), arrive("ann")
    ann.begin("Lunch", "bob")
    bob.choose("Lunch")
    expect(bob.page.locator(".item canvas")).to_have_count(0)
    ann.page.get_by_role("button", name="You", exact=True).click()
    picture = {"name": "ann.png", "mimeType": "image/png", "buffer": ann.page.screenshot()}
    ann.page.get_by_label("Your picture").set_input_files(picture)  # type: ignore[arg-type]
    expect(bob.page.locator(".item canvas")).to_have_count(1)
    expect(ann.page.locator(".own-face canvas")).to_have_count(1)


def test_what_was_said_long_ago_is_fetched_when_somebody_goes_up(
    host: Host, arrive: Arrive
) -> None:
    room = "11111111-0000-4000-8000-000000000000"
    made = {"uuid": room, "conversationCreated": {"name": "Long"}}
    said = [
        {
            "uuid": f"22222222-0000-4000-8000-{number:012}",
            "sendingNewMessage": {"message": {"text": f"{number}", "conversationUuid": room}},
        }
        for number in range(70)
    ]
    host.submit("ann", [made, *said])
    ann = arrive("ann")
    ann.choose("Long")
    ann.shows(*map(str, range(20, 70)))
    ann.page.get_by_role("button", name="Earlier messages").click()
    ann.shows(*map(str, range(70)))
    expect(ann.page.get_by_role("button", name="Earlier messages")).to_have_count(0)


def test_what_the_host_refuses_is_shown_and_is_tried_again_or_dropped(arrive: Arrive) -> None:
    ann = arrive("ann")
    ann.begin("Too early", "cid")
    ann.write("Are you there?")
    expect(ann.page.locator(".item .problem")).to_contain_text("Not made")
    expect(ann.said("Are you there?").locator(".state")).to_contain_text("Not sent")
    cid = arrive("cid")
    waits = ann.page.locator(".queue li")
    ann.page.get_by_role("button", name="What waits").click()
    waits.filter(has_text="Too early").get_by_role("button", name="Try again").click()
    expect(waits).to_have_count(0)
    ann.page.get_by_role("button", name="Close").click()
    cid.choose("Too early")
    cid.shows("Are you there?")
    ann.shows("Are you there?")

    ann.begin("Ghosts", "nobody-here")
    expect(ann.page.locator(".item .problem")).to_contain_text("Not made")
    ann.page.get_by_role("button", name="What waits").click()
    waits.filter(has_text="Ghosts").get_by_role("button", name="Drop it").click()
    expect(waits).to_have_count(0)
    expect(ann.page.locator(".item")).to_have_count(1)


HOSTILE = (
    '<img src=x onerror="window.pwned=1">',
    "<script>window.pwned=1</script>",
    "javascript:window.pwned=1 https://user:password@example.org/",
    "left \u202eright\u202c \u2066isolated",
    "Z\u0351\u036b\u0343\u036a\u0302\u036b\u033d\u034f\u0334\u0319 piled",
    "A" * 3_000,
)


def test_texts_of_strangers_are_texts(arrive: Arrive) -> None:
    bob, ann = arrive("bob"), arrive("ann")
    ann.begin("<b>Bold</b>", "bob")
    for text in HOSTILE:
        field = ann.page.get_by_label("Write a message")
        field.fill(text)
        field.press("Enter")
    ann.page.get_by_role("button", name="You", exact=True).click()
    ann.page.get_by_label("Your name, as others see it").fill('"><u>ann</u>')
    ann.page.get_by_role("button", name="Change").click()
    ann.page.get_by_role("button", name="Close").click()
    bob.choose("<b>Bold</b>")
    expect(bob.page.locator(".message")).to_have_count(len(HOSTILE))
    expect(bob.page.locator(".who")).to_have_text('"><u>ann</u>')
    for person in (ann, bob):
        look(person.page, "phone", "light")
        expect(person.page.locator(".message")).to_have_count(len(HOSTILE))
        inside = person.page.locator(".messages").locator("img, script, b, u, a")
        assert inside.count() == 0
        assert person.page.evaluate("window.pwned") is None
        assert not overflows(person.page)
        assert person.texts()[0] == HOSTILE[0]
        assert person.texts()[3] == "left right isolated"


@pytest.mark.parametrize("size", get_args(Size))
def test_who_has_no_conversation_yet_is_told_how_to_begin(arrive: Arrive, size: Size) -> None:
    ann = arrive("ann")
    look(ann.page, size, "light")
    ann.page.get_by_role("button", name="Begin one").click()
    expect(ann.page.get_by_role("heading", name="New conversation")).to_be_visible()


def test_enter_that_is_held_down_sends_once(arrive: Arrive) -> None:
    """It comes again and again, sooner than a disk has kept the first."""
    ann = arrive("ann")
    ann.begin("Notes")
    ann.page.get_by_label("Write a message").fill("Once")
    ann.page.evaluate(
        "for (let i = 0; i < 3; i++) document.querySelector('.compose').requestSubmit()"
    )
    ann.write("Twice")
    ann.shows("Once", "Twice")


def test_the_page_is_open_to_everybody_and_looks_right_everywhere(
    host: Host, arrive: Arrive, visitor: Visit
) -> None:
    bob, ann = arrive("bob"), arrive("ann")
    ann.begin("Lunch", "bob")
    ann.write("Noodles? At https://example.org/menu")
    bob.choose("Lunch")
    bob.write("Yes!\nAt half past twelve.")
    bob.menu("Noodles? At https://example.org/menu").get_by_label("React 🎉").click()
    expect(ann.page.locator(".reactions button")).to_be_visible()
    stranger = visitor()
    at_the_door = stranger.open(f"{host.url}/chat/")
    expect(at_the_door.get_by_text("Open the link that the operator")).to_be_visible()
    for size, scheme in LOOKS:
        for name, page in (("room", ann.page), ("door", at_the_door)):
            look(page, size, scheme)
            assert barriers(page) == [], (name, size, scheme)
            assert not overflows(page)
            ann.visitor.picture(page, f"chat-{name}-{size}-{scheme}")
        ann.page.get_by_role("button", name="People").click()
        expect(ann.page.locator(".people li")).to_have_count(2)
        assert barriers(ann.page) == [], ("people", size, scheme)
        ann.visitor.picture(ann.page, f"chat-people-{size}-{scheme}")
        ann.page.keyboard.press("Escape")
