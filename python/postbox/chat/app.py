"""The chat's screen: panes and keys over a `Desk`. It is drawn anew from what the desk has after
each change; panes and bars see to it that only what became another is written to the terminal."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from typing import ClassVar

from textual import on
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.events import AppFocus

from postbox.chat import drawing
from postbox.chat.bar import Bar, Note
from postbox.chat.composer import Composer
from postbox.chat.desk import Desk
from postbox.chat.dialogs import Field, Listed
from postbox.chat.front import Front
from postbox.chat.invites import Invites
from postbox.chat.lines import Span
from postbox.chat.pane import Pane
from postbox.chat.people import People
from postbox.chat.talk_pane import TalkPane
from postbox.chat.waiting import Waiting
from postbox.chat.writing import Writing
from postbox.client import Change, Changes, Client

PAUSE_S = 0.05
"""Between two looks at what changed: a hundred messages that come at once are drawn once."""

TROUBLE_S = 1.0
"""Before the file that could not be read is looked at again."""

NARROW = 60
"""Columns below which there is place for the conversations or for one of them, not for both."""

_STDIN = 0


class Chat(App[None]):
    ENABLE_COMMAND_PALETTE = False
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (NARROW, "-wide")]  # noqa: RUF012  (as App has it)
    CSS = """
    Bar { height: 1; }
    #top, #keys { text-style: reverse; }
    #list { width: 22; }
    #side { width: 1fr; border-left: solid ansi_bright_black; padding: 0 1; }
    #talk { height: 1fr; }
    #about { display: none; }
    #about.-shown { display: block; }
    #writing, #line { height: auto; }
    #prompt { width: 2; }
    Composer { height: auto; max-height: 6; padding: 0; background: ansi_default; }
    .-narrow #list { width: 1fr; display: none; }
    .-narrow #side { border-left: none; padding: 0; }
    .-narrow.-listing #list { display: block; }
    .-narrow.-listing #side { display: none; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+g,f1", "help", show=False, priority=True),
        Binding("ctrl+n,f2", "begin", show=False, priority=True),
        Binding("ctrl+o,f3", "people", show=False, priority=True),
        Binding("ctrl+t,f4", "queue", show=False, priority=True),
        Binding("ctrl+l,f6", "invites", show=False, priority=True),
        Binding("f5", "connect", show=False, priority=True),
        Binding("ctrl+q", "quit", show=False, priority=True),
        Binding("alt+up,ctrl+up", "next_room(-1)", show=False, priority=True),
        Binding("alt+down,ctrl+down", "next_room(1)", show=False, priority=True),
    ]

    def __init__(self, client: Client, who: str, renew: Callable[[], Awaitable[str]]) -> None:
        """`who`: the user and the host, as the first line says it. `renew`: gets a token, when the
        user asks to sign in again."""
        super().__init__()
        self.theme = "ansi-dark"
        self._client = client
        self._who = who
        self._renew = renew
        self.desk = Desk(client)
        self._changed: set[Change] = set()
        self._moved = asyncio.Event()
        self._is_fetching = False
        self._front = Front(self, self._draw_passing)
        self._people = People(self._front, self.desk)
        self._waiting = Waiting(self._front, self.desk)
        self._invites = Invites(self._front, self.desk)
        self.top = Bar(id="top")
        self.list = Pane(id="list")
        self.title_bar = Bar(id="title")
        self.writing = Writing(self._front, self.desk, id="writing")
        self.talk = TalkPane(self._front, self.desk, self.writing, id="talk")
        self.passing = Note(id="passing", least=1)
        self.keys = Bar(id="keys")

    def compose(self) -> ComposeResult:
        yield self.top
        with Horizontal():
            yield self.list
            with Vertical(id="side"):
                yield self.title_bar
                yield self.talk
                yield self.passing
                yield self.writing
        yield self.keys

    # -- from the library to the screen -----------------------------------------------------------

    async def on_mount(self) -> None:
        changes = self._client.changes()
        await self.desk.load()
        if self.desk.conversations and not self._is_narrow:
            await self._front.do(self.desk.open(self.desk.conversations[0].key))
        await self.draw()
        self.watch(self.screen, "focused", self._draw_keys)
        self.action_write() if self.desk.room else self.action_list()
        self.run_worker(self._hear(changes))
        self.run_worker(self._keep_up())
        self.set_interval(1.0, self._look)

    async def _hear(self, changes: Changes) -> None:
        while not await self._front.do(self._hear_all(changes)):  # noqa: ASYNC110  (no disk tells)
            await asyncio.sleep(TROUBLE_S)

    async def _hear_all(self, changes: Changes) -> None:
        async for change in changes:
            self._changed.add(change)
            self._moved.set()

    async def _keep_up(self) -> None:
        while True:
            await self._moved.wait()
            self._moved.clear()
            changed, self._changed = self._changed, set()
            if not await self._front.do(self.desk.refresh(changed)):
                self._changed |= changed  # with what changes next
            await self.draw()
            await self._saw()
            self._fill()
            await asyncio.sleep(PAUSE_S)

    async def draw(self) -> None:
        self.list.show(drawing.conversations(self.desk))
        self.talk.show(drawing.talk(self.desk))
        self.title_bar.show(*drawing.title(self.desk))
        self._draw_status()
        self._draw_passing()
        self._people.draw()
        await self._waiting.draw()
        self._invites.draw()

    def _look(self) -> None:
        """At what nobody tells: the seconds to the next try, and that the terminal is gone."""
        if not (self.is_headless or os.isatty(_STDIN)):
            self.exit()
        self._draw_status()

    def _draw_status(self) -> None:
        self.top.show((Span(f" {self._who}"),), (*drawing.status(self.desk), Span(" ")))

    def _draw_keys(self) -> None:
        focused = self.focused.id if self.focused else None
        self.keys.show(drawing.keys(focused or ""))

    def _draw_passing(self) -> None:
        self.passing.show(drawing.passing(self.desk, self._front.notice))

    async def _saw(self) -> None:
        """What stands at the end and is looked at was read."""
        looked_at = self.app_focus and not self._front.is_busy
        if looked_at and self.talk.view.is_at_end and not self._is_listing:
            await self._front.do(self.desk.saw_all())

    # -- conversations ----------------------------------------------------------------------------

    @on(Pane.Taken, "#list")
    async def _chose_room(self, event: Pane.Taken) -> None:
        await self._open(event.key)

    async def action_next_room(self, step: int) -> None:
        keys = [each.key for each in self.desk.conversations]
        at = keys.index(self.desk.room.key) + step if self.desk.room else 0
        if 0 <= at < len(keys):
            await self._open(keys[at])

    async def _open(self, key: str) -> None:
        self.writing.leave()
        is_open = await self._front.do(self.desk.open(key))
        self.writing.enter()
        if not is_open:
            return
        self.talk.show_other(drawing.talk(self.desk))
        self.list.choose(key)
        self.action_write()
        await self.draw()
        await self._saw()
        self._fill()

    def action_begin(self) -> None:
        self._front.ask(
            self._begin,
            "New conversation",
            Field("With whom? Names, with commas between them"),
            Field("What is it called? May be left empty"),
        )

    async def _begin(self, members: str, name: str) -> None:
        names = [each.strip() for each in members.split(",") if each.strip()]
        made = await self._client.create(name.strip(), names)
        await self._open(made.key)

    # -- people, what waits, invites, help, signing in --------------------------------------------

    def action_people(self) -> None:
        self._people.show()

    async def action_queue(self) -> None:
        await self._waiting.show()

    def action_invites(self) -> None:
        self._invites.show()

    def action_help(self) -> None:
        self._front.show(Listed("Keys", drawing.help_()))

    async def action_connect(self) -> None:
        match self._client.status.connection:
            case "needs sign-in":
                await self._front.do(self._sign_in())
            case "displaced":
                self._client.take_over()
            case _:
                self._client.network_up()

    async def _sign_in(self) -> None:
        self._client.sign_in(await self._renew())

    # -- messages ---------------------------------------------------------------------------------

    @on(Pane.AtStart, "#talk")
    def _wants_older(self) -> None:
        self._fetch()

    def _fetch(self) -> None:
        if not self._is_fetching:
            self._is_fetching = True
            self.run_worker(self._fetch_older())

    async def _fetch_older(self) -> None:
        try:
            if await self._front.do(self.desk.older()):
                await self.draw()
        finally:
            self._is_fetching = False

    def _fill(self) -> None:
        """Where there is place for older messages, nobody has to scroll for them."""
        room, is_live = self.desk.room, self._client.status.is_live
        if room is not None and room.has_older and is_live and self.talk.has_place:
            self._fetch()

    @on(Pane.AtEnd, "#talk")
    async def _at_end(self) -> None:
        self.desk.forget_older()
        await self.draw()
        await self._saw()

    @on(Pane.AtEnd, "#list")
    async def _wants_more_rooms(self) -> None:
        if await self._front.do(self.desk.more_conversations()):
            await self.draw()

    # -- writing ----------------------------------------------------------------------------------

    @on(Writing.Sent)
    def _sent(self) -> None:
        self.talk.action_end()

    @on(Composer.Left)
    def _up(self) -> None:
        self.talk.focus()

    @on(Composer.Dropped)
    def _dropped(self) -> None:
        self.action_list()

    def action_write(self) -> None:
        self.list.screen.remove_class("-listing")
        self.writing.composer.focus()

    def action_list(self) -> None:
        self.list.screen.add_class("-listing")
        self.list.focus()

    # -- the size and the place of the screen -----------------------------------------------------

    @property
    def _is_narrow(self) -> bool:
        return self.size.width < NARROW

    @property
    def _is_listing(self) -> bool:
        """There is no place for the conversation now."""
        return self._is_narrow and self.list.screen.has_class("-listing")

    async def on_app_focus(self, _: AppFocus) -> None:
        await self._saw()
