"""The chat page in real browsers, before a real node: people talk, are cut off, and come back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import get_args

import pytest
from playwright.sync_api import expect

from browser.conftest import Visit
from support.chat_page import PATIENCE_AFTER_OUTAGE_MS, Host, Person
from support.chromium import LOOKS, Size, barriers, look, overflows
from support.command import postbox

Arrive = Callable[..., Person]


@pytest.fixture
def arrive(host: Host, visitor: Visit) -> Iterator[Arrive]:
    """`arrive("ann")`: somebody opens the operator's link in a browser of their own."""
    people: list[Person] = []

    def come(user: str, *, is_live: bool = True) -> Person:
        at = visitor()
        people.append(Person(at, at.open(host.link(user))))
        if is_live:
            people[-1].wait_live()
        return people[-1]

    yield come
    for person in people:
        person.forgive_the_network()


def test_two_people_talk_and_neither_an_outage_nor_a_killed_host_loses_or_doubles_a_word(
    host: Host, arrive: Arrive
) -> None:
    bob, ann = arrive("bob"), arrive("ann")
    ann.begin("Lunch", "bob")
    ann.write("Noodles?")
    bob.choose("Lunch")
    bob.write("Yes!")
    ann.shows("Noodles?", "Yes!")
    expect(ann.said("Noodles?").locator(".state")).to_have_text("Read")

    # Bob goes into a tunnel, writes, and his browser is closed and opened there.
    bob.visitor.context.set_offline(True)
    bob.write("In a tunnel")
    bob.page.reload()
    expect(bob.said("In a tunnel")).to_be_visible()
    bob.write("Still in it")
    ann.write("Where are you?")
    expect(ann.said("Where are you?").locator(".state")).to_have_text("Sent")

    # The host dies meanwhile, and Ann writes too.
    host.kill()
    expect(ann.page.locator("[data-connection=offline]")).to_be_visible()
    expect(ann.page.locator(".about")).to_have_text("Offline")  # who else is here, nobody knows
    ann.write("Hello?")
    expect(ann.said("Hello?").locator(".state")).to_have_text("Sending")
    ann.page.reload()
    expect(ann.said("Hello?").locator(".state")).to_have_text("Sending")
    bob.visitor.context.set_offline(False)

    host.start()
    bob.wait_live()
    ann.wait_live()
    expect(ann.page.locator(".message")).to_have_count(6, timeout=PATIENCE_AFTER_OUTAGE_MS)
    expect(ann.page.locator(".sending")).to_have_count(0)
    expect(bob.page.locator(".message")).to_have_count(6, timeout=PATIENCE_AFTER_OUTAGE_MS)
    expect(bob.page.locator(".sending")).to_have_count(0)
    expect(ann.page.locator(".about")).to_have_text("here now")
    together = ann.texts()
    assert together[:3] == ["Noodles?", "Yes!", "Where are you?"]
    assert together.index("In a tunnel") < together.index("Still in it")
    bob.shows(*together)
    for person in (ann, bob):
        person.page.reload()
        person.shows(*together)


LOSES_AN_ANSWER = """() => {
  const send = window.fetch
  window.lost = 0
  window.fetch = async (url, request) => {
    const answer = await send(url, request)
    if (!String(request?.body).includes('Once') || window.lost) return answer
    window.lost += 1
    throw new TypeError('the connection broke')
  }
}"""


def test_an_answer_that_is_lost_behind_the_host_doubles_nothing(arrive: Arrive) -> None:
    bob, ann = arrive("bob"), arrive("ann")
    ann.begin("Lunch", "bob")
    ann.write("Before")
    expect(ann.said("Before").locator(".state")).not_to_have_text("Sending")
    ann.page.evaluate(LOSES_AN_ANSWER)
    ann.write("Once")
    bob.choose("Lunch")
    bob.shows("Before", "Once")
    expect(ann.page.locator(".sending")).to_have_count(0, timeout=PATIENCE_AFTER_OUTAGE_MS)
    ann.shows("Before", "Once")
    assert ann.page.evaluate("window.lost") == 1


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


def test_one_link_in_two_browsers_is_live_in_one_of_them_and_says_so_in_the_other(
    host: Host, visitor: Visit, arrive: Arrive
) -> None:
    first = arrive("ann")
    at = visitor()
    second = Person(at, at.open(host.link("ann")))
    stopped = first_that_shows("[data-connection=displaced]", first, second)
    expect(stopped.page.locator(".banner")).to_contain_text("open in another browser")
    stopped.page.get_by_role("button", name="Use this one").click()
    stopped.wait_live()
    second.forgive_the_network()


def first_that_shows(selector: str, *people: Person) -> Person:
    """Which of them it is nobody knows before."""
    for _ in range(40):
        for person in people:
            if person.page.locator(selector).count():
                return person
            person.page.wait_for_timeout(500)
    raise AssertionError(f"none of them shows {selector}")


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
        inside = person.page.locator(".messages").locator("img, script, b, u, a")
        assert inside.count() == 0
        assert person.page.evaluate("window.pwned") is None
        assert not overflows(person.page)
        assert person.texts()[0] == HOSTILE[0]
        assert person.texts()[3] == "left right isolated"


def test_two_tabs_are_one_device(arrive: Arrive) -> None:
    bob, first = arrive("bob"), arrive("ann")
    first.begin("Lunch", "bob")
    second = Person(first.visitor, first.visitor.open(first.page.url.split("#")[0]))
    second.wait_live()
    second.choose("Lunch")
    first.write("From the first")
    second.write("From the second")
    second.shows("From the first", "From the second")
    first.shows("From the first", "From the second")
    expect(first.page.locator(".sending")).to_have_count(0)

    first.page.close()  # it was the one that talked to the host
    second.write("From the one that is left")
    expect(second.page.locator(".sending")).to_have_count(0, timeout=PATIENCE_AFTER_OUTAGE_MS)
    bob.choose("Lunch")
    bob.write("I see")
    bob.shows("From the first", "From the second", "From the one that is left", "I see")
    second.shows("From the first", "From the second", "From the one that is left", "I see")


def test_a_tab_that_a_browser_has_frozen_is_replaced_by_one_that_is_looked_at(
    host: Host, arrive: Arrive
) -> None:
    """Of a frozen tab the lock is all that one sees: here somebody has it who does nothing."""
    ann = arrive("ann")
    ann.begin("Notes")
    frozen = ann.visitor.open(f"{host.url}/assets/icon.svg")
    frozen.evaluate(
        "void navigator.locks.request('postbox postbox-chat', {steal: true},"
        " () => new Promise(() => {})).catch(() => {})"
    )
    ann.write("Kept")
    expect(ann.said("Kept").locator(".state")).to_have_text("Sending")
    ann.page.reload()
    ann.wait_live()
    expect(ann.said("Kept").locator(".state")).to_have_text("Sent")


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


def test_a_device_is_called_what_its_user_likes(host: Host, visitor: Visit) -> None:
    at = visitor()
    ann = Person(at, at.open(host.link("ann", "телефон-📱")))
    ann.wait_live()


def test_who_clears_the_data_of_the_site_is_told_that_nothing_is_kept(arrive: Arrive) -> None:
    ann = arrive("ann")
    ann.begin("Notes")
    browser = ann.visitor.context.new_cdp_session(ann.page)
    origin = ann.page.evaluate("location.origin")
    what = {"origin": origin, "storageTypes": "indexeddb"}
    browser.send("Storage.clearDataForOrigin", what)
    expect(ann.page.locator("[data-connection=stopped]")).to_be_visible()
    expect(ann.page.locator(".banner")).to_contain_text("the browser took away what was kept")


def test_signing_out_leaves_nothing_in_the_browser(host: Host, arrive: Arrive) -> None:
    ann = arrive("ann")
    ann.begin("Notes")
    ann.page.get_by_label("Write a message").fill("half written")
    ann.page.on("dialog", lambda dialog: dialog.accept())
    ann.page.get_by_role("button", name="You", exact=True).click()
    ann.page.get_by_role("button", name="Sign out").click()
    expect(ann.page.get_by_text("Open the link that the operator")).to_be_visible()
    kept = "async () => [(await indexedDB.databases()).length, localStorage.length]"
    assert ann.page.evaluate(kept) == [0, 0]

    ann.page.get_by_label("Or paste it here").fill(host.link("ann"))
    ann.page.get_by_role("button", name="Sign in").click()
    ann.wait_live()
    expect(ann.page.locator(".item", has_text="Notes")).to_be_visible()


def test_a_host_that_was_put_back_is_told_again_what_it_lost(
    host: Host, arrive: Arrive, tmp_path: Path
) -> None:
    bob, ann = arrive("bob"), arrive("ann")
    ann.begin("Lunch", "bob")
    ann.write("Before the backup")
    bob.choose("Lunch")
    bob.shows("Before the backup")
    backup = tmp_path / "backup.sqlite"
    assert postbox("backup", backup, "--home", host.home).code == 0
    ann.write("After it")
    bob.write("After it, too")
    ann.shows("Before the backup", "After it", "After it, too")
    bob.shows("Before the backup", "After it", "After it, too")

    host.stop()
    host.home = tmp_path / "restored"
    assert postbox("restore", backup, "--home", host.home).code == 0
    host.start()
    ann.wait_live()
    bob.wait_live()
    for person in (ann, bob):
        expect(person.page.locator(".message")).to_have_count(3, timeout=PATIENCE_AFTER_OUTAGE_MS)
        expect(person.page.locator(".sending")).to_have_count(0, timeout=PATIENCE_AFTER_OUTAGE_MS)
    assert sorted(ann.texts()) == ["After it", "After it, too", "Before the backup"]
    bob.shows(*ann.texts())


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
