"""Invites that wait for an answer, and the guilds that the user is in: both live on other hosts."""

from __future__ import annotations

from postbox.chat import drawing
from postbox.chat.desk import Desk
from postbox.chat.dialogs import Act, Answer, Listed
from postbox.chat.front import Front

ACTS = (Act("a", "accept", is_of_one=True), Act("d", "decline", is_of_one=True))


class Invites:
    def __init__(self, front: Front, desk: Desk) -> None:
        self._front = front
        self._desk = desk
        self._screen: Listed | None = None

    def show(self) -> None:
        made = drawing.invites(self._desk)
        self._screen = Listed("Invites and guilds", made, ACTS, self._do)
        self._front.show(self._screen)

    def draw(self) -> None:
        if self._screen is not None and self._screen.is_current:
            self._screen.show(drawing.invites(self._desk))

    async def _do(self, answer: Answer) -> str:
        invite = self._desk.invite(answer.key)
        if invite is None:
            return "That is no invite that waits for an answer."
        accepts = answer.act == "accept"
        return await self._front.why_not(self._desk.client.answer_invite(invite, accept=accepts))
