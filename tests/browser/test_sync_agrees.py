"""What a page knows that was there all the time, and was cut off again and again, is what a new one
is told by a snapshot."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

from playwright.sync_api import Page

from browser.conftest import Visit
from support.chat_page import PATIENCE_AFTER_OUTAGE_MS, Host, Person
from support.chromium import LOOK_MS
from support.simulate import SeededRandom

T = TypeVar("T")
ROOM, DOINGS, CUTS = "11111111-0000-4000-8000-000000000000", 160, 4

KNOWN = """async () => {
  const { openDevice } = await import('/chat/sync.js')
  const device = await openDevice({ url: location.origin, database: 'postbox-chat' })
  const found = []
  for (const { uuid, name, newest_seq, members } of await device.conversations()) {
    const its = await device.messages(uuid, { limit: 1000 })
    const said = its.map(({ uuid, seq, author, text, is_edited, reactions, reply_to }) =>
      ({ uuid, seq, author, text, is_edited, reactions, reply_to }))
    const people = (await device.members(uuid)).map(({ user, name, display, is_owner }) =>
      ({ user, name, display, is_owner }))
    found.push({ uuid, name, newest_seq, members, said, people })
  }
  device.close()
  return found
}"""


class Doings:
    """What others do in one conversation, by a seed."""

    def __init__(self, seed: int) -> None:
        self._random = SeededRandom(seed)
        self._said: list[str] = []
        self._count = 0

    def event(self) -> dict[str, Any]:
        self._count += 1
        uuid = f"22222222-0000-4000-8000-{self._count:012}"
        often = [self._say] * 8 + [self._edit, self._react] * 4
        seldom = [self._unreact, self._unreact, self._delete, self._rename]
        kind = self._one_of([*often, *seldom]) if self._said else self._say
        return {"uuid": uuid, "conversationUuid": ROOM, **kind(uuid)}

    def _one_of(self, several: Sequence[T]) -> T:
        return several[int(self._random.fraction() * len(several))]

    def _any(self) -> str:
        return self._one_of(self._said[-8:])

    def _say(self, uuid: str) -> dict[str, Any]:
        reply = self._any() if self._said and self._random.fraction() < 0.3 else ""
        self._said.append(uuid)
        said = {"text": f"No. {self._count}", "conversationUuid": ROOM, "replyToUuid": reply}
        return {"sendingNewMessage": {"message": said}}

    def _edit(self, uuid: str) -> dict[str, Any]:
        said = {"text": f"Edited by {self._count}", "conversationUuid": ROOM}
        return {"messageEdited": {"uuid": self._any(), "message": said}}

    def _react(self, uuid: str) -> dict[str, Any]:
        return {"reactionAdded": {"uuid": self._any(), "reaction": self._one_of("+-!")}}

    def _unreact(self, uuid: str) -> dict[str, Any]:
        return {"reactionRemoved": {"uuid": self._any(), "reaction": self._one_of("+-!")}}

    def _delete(self, uuid: str) -> dict[str, Any]:
        gone = self._one_of(self._said)
        self._said.remove(gone)
        return {"messageDeleted": {"uuid": gone}}

    def _rename(self, uuid: str) -> dict[str, Any]:
        return {"conversationNameChanged": {"newName": f"Room {self._count}"}}


def test_a_page_that_was_there_knows_what_a_new_one_is_told(host: Host, visitor: Visit) -> None:
    def come(device: str) -> Person:
        person = Person.by_link(visitor(), host.link("ann", device))
        person.forgive_the_network()
        person.wait_live()
        return person

    ann = come("web")
    members = [{"name": "ann"}]
    host.submit("bob", [{"uuid": ROOM, "conversationCreated": {"name": "R", "members": members}}])
    doings = Doings(seed=20261122)
    for cut in range(CUTS):
        ann.visitor.context.set_offline(cut % 2 == 0)
        for _ in range(DOINGS // CUTS // 10):
            host.submit("bob", [doings.event() for _ in range(10)])
    ann.visitor.context.set_offline(False)
    late = come("new")
    ann.wait_live()
    told = known(late.page)
    assert told[0]["newest_seq"] > DOINGS // 2
    comes_to(ann.page, told)
    assert any(one["is_edited"] for one in told[0]["said"])
    assert any(one["reactions"] for one in told[0]["said"])


def known(page: Page) -> list[dict[str, Any]]:
    return list(page.evaluate(KNOWN))


def comes_to(page: Page, told: list[dict[str, Any]]) -> None:
    """The page knows the same at last, and of messages more: a snapshot has the last 50 alone."""
    for _ in range(PATIENCE_AFTER_OUTAGE_MS // LOOK_MS):
        mine = known(page)
        for one, other in zip(mine, told, strict=False):
            one["said"] = one["said"][-len(other["said"]) :]
        if mine == told:
            return
        page.wait_for_timeout(LOOK_MS)
    assert mine == told
