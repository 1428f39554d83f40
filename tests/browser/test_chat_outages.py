"""What the chat page does while networks, hosts and tabs fail: nothing is lost, nothing doubled."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import expect

from browser.conftest import Arrive
from support.chat_page import PATIENCE_AFTER_OUTAGE_MS, Host, Person, freeze_the_leader
from support.chromium import stop_the_clock
from support.command import postbox


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
    for person in (ann, bob):
        person.wait_kept()
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
    together = settled(ann, bob)
    assert together[:3] == ["Noodles?", "Yes!", "Where are you?"]
    assert together.index("In a tunnel") < together.index("Still in it")
    for person in (ann, bob):
        person.page.reload()
        person.shows(*together)


def settled(one: Person, other: Person) -> list[str]:
    """What both show at last. Until the stream has brought what one has sent, it stands at the end:
    so each says one thing more, and when the other has that, all that was before it has come."""
    for said, by, to in (("Is that all?", one, other), ("It is", other, one)):
        by.write(said)
        expect(to.said(said)).to_be_visible(timeout=PATIENCE_AFTER_OUTAGE_MS)
    together = other.texts()
    one.shows(*together)
    return together


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
    ann = arrive("ann")
    ann.begin("Notes")
    stop_the_clock(ann.page)
    freeze_the_leader(ann.page, "postbox-chat", f"{host.url}/assets/icon.svg")
    ann.write("Kept")
    expect(ann.said("Kept").locator(".state")).to_have_text("Sending")
    ann.page.clock.resume()
    ann.page.reload()
    ann.wait_live()
    expect(ann.said("Kept").locator(".state")).to_have_text("Sent")


def test_who_clears_the_data_of_the_site_is_told_that_nothing_is_kept(arrive: Arrive) -> None:
    ann = arrive("ann")
    ann.begin("Notes")
    browser = ann.visitor.context.new_cdp_session(ann.page)
    origin = ann.page.evaluate("location.origin")
    what = {"origin": origin, "storageTypes": "indexeddb"}
    browser.send("Storage.clearDataForOrigin", what)
    expect(ann.page.locator("[data-connection=stopped]")).to_be_visible()
    expect(ann.page.locator(".banner")).to_contain_text("the browser took away what was kept")


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
    for person in (ann, bob):
        expect(person.page.locator("[data-connection=offline]")).to_be_visible()
    host.home = tmp_path / "restored"
    assert postbox("restore", backup, "--home", host.home).code == 0
    host.start()
    ann.wait_live()
    bob.wait_live()
    for person in (ann, bob):
        expect(person.page.locator(".message")).to_have_count(3, timeout=PATIENCE_AFTER_OUTAGE_MS)
        expect(person.page.locator(".sending")).to_have_count(0, timeout=PATIENCE_AFTER_OUTAGE_MS)
    together = settled(ann, bob)
    assert sorted(together[:3]) == ["After it", "After it, too", "Before the backup"]
    assert len(together) == 5
