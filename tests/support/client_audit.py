"""What a host's log says of who may see what, and whether devices were sent that and nothing else.

It reads entries alone, and none of the rows and windows by which the host itself knows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from postbox.clients.events.kinds import IS_COPY, Kind
from postbox.clients.ids import author_of, conversation_of, text_of
from postbox.clients.rules.watermarks import MAX_MEMBERS_TOLD
from postbox.rpc.postbox.v1 import clients_pb as pb
from postbox.store.contract import Entry, Lane
from support.client_door import Door, kind_of, value_of
from support.client_fleet import Gadget

NEW = {"ConversationCreated", "SendingNewMessage", "MessageEdited", "InviteDecided", "foreign"}
"""Of other kinds one that changes nothing is a duplicate of what did, and has no entry."""


@dataclass
class Period:
    joined: int
    sees_all: bool
    left: int | None = None

    def has(self, pos: int) -> bool:
        return self.joined <= pos and (self.left is None or pos <= self.left)

    def shows(self, pos: int) -> bool:
        """To who looks back."""
        return self.has(pos) or (self.sees_all and pos <= self.joined)


@dataclass
class Audit:
    entries: Sequence[Entry]
    periods: dict[tuple[str, str], list[Period]] = field(default_factory=dict)  # user, conversation
    by_uuid: dict[str, Entry] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for entry in self.entries:
            self.by_uuid[text_of(entry.id)] = entry
            if entry.body is not None and conversation_of(entry.stream) is not None:
                self._follow(entry, pb.Event.from_binary(entry.body))

    def _follow(self, entry: Entry, event: pb.Event) -> None:
        value: Any = event.content.value if event.content is not None else None
        match entry.kind:
            case Kind.CONVERSATION_CREATED:
                for user in value.members:
                    self._join(user.uuid, entry, sees_all=False)
            case Kind.MEMBER_JOINED:
                self._join(value.user.uuid, entry, sees_all=value.history)
            case Kind.MEMBER_LEFT:
                self._of(value.userUuid, entry)[-1].left = entry.pos
            case _:
                pass

    def _join(self, user: str, entry: Entry, *, sees_all: bool) -> None:
        periods = self._of(user, entry)
        if not periods or periods[-1].left is not None:
            periods.append(Period(entry.pos, sees_all))

    def _of(self, user: str, entry: Entry) -> list[Period]:
        return self.periods.setdefault((user, conversation_in(entry)), [])

    def visible(self, user: str, after: int) -> Iterator[str]:
        """Uuids of what has a number, in the order of the log."""
        for entry in self.entries:
            if entry.seq is not None and entry.pos > after:
                periods = self.periods.get((user, conversation_in(entry)), [])
                if any(period.has(entry.pos) for period in periods):
                    yield text_of(entry.id)

    # -- what must be so --------------------------------------------------------------------------

    def check_numbers(self) -> None:
        """Each conversation's are dense, and each device's events stand in the order of making."""
        seqs: dict[bytes, int] = {}
        newest: dict[bytes, bytes] = {}
        for entry in self.entries:
            if entry.seq is not None:
                seqs[entry.stream] = seqs.get(entry.stream, 0) + 1
                assert entry.seq == seqs[entry.stream], "a number is missing in a conversation"
            author = author_of(entry.author)
            if not entry.flags & IS_COPY and entry.kind != Kind.MEMBERSHIP:
                assert newest.get(author.device, b"") <= author.local, "not in order"
                newest[author.device] = author.local

    def check_watermarks(self) -> None:
        """Where there are too many members, they are for the user's own devices."""
        for entry in self.entries:
            if entry.kind not in (Kind.READ_NEW_MESSAGE, Kind.DELIVERED_UP_TO):
                continue
            conversation = pb.Event.from_binary(entry.body or b"").conversationUuid
            of_all = [each for (_, where), each in self.periods.items() if where == conversation]
            members = sum(any(period.has(entry.pos) for period in each) for each in of_all)
            is_told = conversation_in(entry) == conversation
            assert is_told == (members <= MAX_MEMBERS_TOLD), f"told, of {members}: {is_told}"

    def check_made(self, gadget: Gadget) -> None:
        """What was made was stored or refused, as the device was told."""
        for made in gadget.made:
            entry = self.by_uuid.get(text_of(gadget.stored_id(made)))
            assert made.answer, f"never answered: {made}"
            if made.answer not in ("stored", "duplicate"):
                assert entry is None, f"refused, and stored: {made}"
            elif made.kind in NEW or (made.answer, made.kind) == ("stored", "MessageDeleted"):
                assert entry is not None, f"answered as stored, and lost: {made}"

    def check_sent(self, gadget: Gadget) -> None:
        """Nothing of a conversation from outside of the user's time in it."""
        for event in gadget.seen:
            if kind_of(event) in ("userIsTyping", "userIsConnected"):
                self._check_company(gadget.uuid, value_of(event))
            if not event.conversationUuid:
                continue
            periods = self.periods.get((gadget.uuid, event.conversationUuid))
            assert periods, f"{gadget.user} was never in there: {event}"
            entry = self.by_uuid.get(event.uuid)
            if event.conversationSeq and entry is not None:
                assert any(
                    period.has(entry.pos) or (event.backfill and period.shows(entry.pos))
                    for period in periods
                ), f"{gadget.user} was not there then: {event}"

    def _check_company(self, user: str, said: Any) -> None:
        """Who types or is connected was in a conversation with the user, and types in one."""
        theirs = {conversation for who, conversation in self.periods if who == said.userUuid}
        shared = theirs & {conversation for who, conversation in self.periods if who == user}
        named = getattr(said, "conversationUuid", "")
        is_known = named in shared if named else bool(shared)
        assert is_known, f"{user} is told of a stranger: {said}"

    def check_page(
        self, user: str, conversation: str, before: int, limit: int, page: pb.HistoryPage | None
    ) -> None:
        """What the user finds who looks back, now."""
        periods = self.periods.get((user, conversation), [])
        if not periods or periods[-1].left is not None:
            assert page is None, f"{user} is not in {conversation}, and looks back"
            return
        assert page is not None, f"{user} is in {conversation}, and cannot look back"
        shown = [
            entry
            for entry in self.entries
            if entry.seq is not None and conversation_in(entry) == conversation
            if any(period.shows(entry.pos) for period in periods)
        ]
        wanted = [entry for entry in shown if not before or (entry.seq or 0) < before]
        uuids = [text_of(entry.id) for entry in wanted[-limit:]]
        came = [event.uuid for event in page.events]
        assert came[: len(uuids)] == uuids, f"{user} looks back and finds {came}, not {uuids}"
        later = {text_of(entry.id) for entry in shown[len(wanted) :]}
        assert later.issuperset(came[len(uuids) :]), f"{user} looks back and finds too much"
        assert page.more == (len(wanted) > limit)

    def check_complete(self, gadget: Gadget, began: int) -> None:
        """Since its last snapshot it was sent all that the user sees, once and in order."""
        came: list[str] = []
        for event in gadget.came:
            is_again = came[-1:] == [event.uuid] and kind_of(event) == "memberJoined"
            if event.backfill or is_again or not event.conversationSeq:
                continue
            if self.by_uuid[event.uuid].pos > began:  # by uuid some of a snapshot may come again
                came.append(event.uuid)
        visible = list(self.visible(gadget.uuid, began))
        assert came == visible, f"{gadget.user}'s {gadget.name} was sent {came}, and not {visible}"


def conversation_in(entry: Entry) -> str:
    found = conversation_of(entry.stream)
    return "" if found is None else text_of(found)


async def audit(door: Door) -> Audit:
    page = await door.node.store.read(
        lambda reader: reader.page(Lane.CLIENTS, None, 0, 1_000_000, 2**40)
    )
    return Audit(page.entries)
