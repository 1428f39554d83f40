"""From frames to changes: whether a frame goes on from the one before, which of its events are
news, and what they change.

A device checks two things, so that it knows that it has everything: each frame says which event it
comes behind, and the events of a conversation are numbered without a gap. What a device is told
twice, as behind a connection that broke, has a number that it knows already, or says what is so.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from msgspec import Struct
from msgspec.structs import replace

from postbox.client.core import contents
from postbox.client.core.changes import (
    CaughtUp,
    Change,
    Connected,
    ConversationBegun,
    ConversationForgotten,
    HoleFound,
    KeptAgain,
    Passing,
    Place,
    Reached,
    Settled,
    SnapshotBegan,
    SnapshotDropped,
    SnapshotEnded,
    Typing,
)
from postbox.client.core.inputs import Heard
from postbox.rpc.postbox.v1 import clients_pb as pb

EPOCH_CHANGED = "EPOCH_CHANGED"
PUT_BACK = (EPOCH_CHANGED, "CURSOR_AHEAD")
"""Why a snapshot comes, if the host has lost what it had."""
ANEW = "CURSOR_NONE"
"""And if the device named no place: one that had a place gave it up, since what came did not go on
from there, as where a host was put back unnoticed."""


class Lost(Exception):
    """The device can prove that it has missed something: it connects again, from where it is. The
    text says what."""


class Taken(Struct, frozen=True):
    """Of one frame. `changes` and `place` are one commit; then `heard` is for the machine, but for
    the rows and holes that are left, which the store counts."""

    changes: tuple[Change, ...]
    place: Place
    passing: tuple[Passing, ...]
    heard: Heard


class Reader:
    """Takes in one stream of a device, from the place that was committed last. Whoever cannot
    commit what it gave closes the stream, and makes a new one of what is committed."""

    def __init__(self, user: str, place: Place, heads: Mapping[str, int]) -> None:
        """`user`: whose device it is. `heads`: of the conversations that it is in, the newest
        number that the device has."""
        self._user = user
        self._place = place
        self._heads = dict(heads)  # of the snapshot, in the middle of one
        self._last = place.uuid
        self._previous: str | None = None  # the event that the next frame comes behind
        self._snapshot: SnapshotBegan | None = None
        self._told: list[Settled] = []  # by the snapshot
        self._is_first = True
        self._is_outdated = False  # the device knows another log than the host's

    def take(self, frame: bytes) -> Taken:
        """Raises Lost, and is of no use for this stream from then on."""
        try:
            event = pb.Event.from_binary(frame)
        except (ValueError, RecursionError) as error:
            raise Lost(f"a frame cannot be read: {error}") from error
        self._check_chain(event)
        several = event.events or [event]
        changes = [change for each in several for change in self._one(each)]
        if self._is_outdated:
            return Taken((), self._place, (), Heard(self._place, go_away=EPOCH_CHANGED))
        if self._snapshot is None:
            token = event.resumeToken or self._place.token
            self._place = replace(self._place, token=token, uuid=self._last)
        if self._is_first and not (changes and isinstance(changes[0], SnapshotBegan)):
            changes.insert(0, SnapshotDropped())  # what the stream before this one left
        self._is_first = False
        passing = tuple(each for event in several for each in _passing(event))
        return Taken(tuple(changes), self._place, passing, _heard(several, self._place))

    def _check_chain(self, event: pb.Event) -> None:
        """The first frame of a stream need not say what it comes behind."""
        behind = self._previous
        if behind is None and event.previousUuid:
            behind = self._last
        if event.resumeToken and behind is not None and event.previousUuid != behind:
            raise Lost(
                f"a frame comes behind {event.previousUuid or 'no event'}, and the one before it"
                f" ended with {behind or 'none'}"
            )
        if event.resumeToken and self._previous is None:
            self._previous = event.previousUuid  # none, until the stream has sent an event

    def _one(self, event: pb.Event) -> Iterator[Change]:
        match event.content and event.content.value:
            case pb.SnapshotBegin(epoch=epoch, code=code):
                yield self._begin(SnapshotBegan(epoch.hex(), code))
            case pb.SnapshotEnd():
                yield from self._end(event.uuid)
            case pb.CaughtUp(epoch=epoch):
                yield from self._caught_up(epoch.hex())
            case pb.SendingNewMessage() | pb.SentNewMessage() | pb.EventRefused():
                pass  # no stream has them
            case _ if event.uuid or event.backfill:
                yield from self._stored(event)
            case _:
                pass  # transitory, or a mark that this device is too old for

    # -- marks ------------------------------------------------------------------------------------

    def _begin(self, snapshot: SnapshotBegan) -> Change:
        self._snapshot = snapshot
        self._heads, self._told = {}, []
        self._last = self._previous = ""
        return snapshot

    def _end(self, uuid: str) -> Iterator[Change]:
        """What of its own the device is told by the snapshot need not be sent again."""
        snapshot, self._snapshot = self._snapshot, None
        if snapshot is None:
            raise Lost("a snapshot ends that has not begun")
        before = self._place.epoch
        self._place = Place(epoch=snapshot.epoch)
        self._last = self._previous = uuid
        yield SnapshotEnded()
        is_another = before not in ("", snapshot.epoch)
        if is_another or snapshot.code in PUT_BACK or (before and snapshot.code == ANEW):
            yield KeptAgain()
        yield from self._told

    def _caught_up(self, epoch: str) -> Iterator[Change]:
        """Of another log than that of the last snapshot, which is told to who goes on by a uuid by
        nothing else: what stands before it may be new, so the device begins anew without a place.
        """
        known = self._place.epoch
        if epoch and known not in ("", epoch):
            self._is_outdated = True
            self._place = Place(epoch=known)
            return
        self._place = replace(self._place, epoch=epoch or known)
        yield CaughtUp()

    # -- what is stored ---------------------------------------------------------------------------

    def _stored(self, event: pb.Event) -> Iterator[Change]:
        if not event.backfill:
            if self._is_first and event.uuid == self._last and self._lets_in(event):
                self._heads.pop(event.conversationUuid, None)  # cut off in what belongs to it
            self._last = self._previous = event.uuid
        if event.clientUuid:
            yield from self._settled(Settled(event.clientUuid.lower(), event.uuid))
        conversation = event.conversationUuid
        if not conversation or _is_of_user(event):
            yield from contents.of_event(event)
        elif conversation not in self._heads:
            yield from self._comes_in(event)
        elif self._is_news(event):
            yield from self._numbered(event)
            if self._is_out(event):
                yield from self._forget(event)
            else:
                yield from contents.of_event(event)

    def _comes_in(self, event: pb.Event) -> Iterator[Change]:
        """The user does, or learns that it is in. Whatever else there is of a conversation that it
        is not in is not for it."""
        if self._lets_in(event):
            yield ConversationBegun(event.conversationUuid)
        elif not (event.content and isinstance(event.content.value, pb.ConversationCreated)):
            return
        self._heads[event.conversationUuid] = 0
        yield from self._numbered(event)
        yield from contents.of_event(event)

    def _lets_in(self, event: pb.Event) -> bool:
        """What belongs to it comes behind it, and if that is cut off, it comes once more."""
        match event.content and event.content.value:
            case pb.MemberJoined(user=pb.User(uuid=user)):
                return user == self._user and not event.backfill
            case _:
                return False

    def _is_news(self, event: pb.Event) -> bool:
        """What tells how things are is always, and what has no number only says so."""
        seq = event.conversationSeq
        return event.backfill or not seq or seq > self._heads[event.conversationUuid]

    def _numbered(self, event: pb.Event) -> Iterator[Change]:
        conversation, seq = event.conversationUuid, event.conversationSeq
        head = self._heads[conversation]
        if seq > head:
            self._heads[conversation] = seq
            if head and seq > head + 1 and not event.backfill:
                yield HoleFound(conversation, head, seq)
            yield Reached(conversation, seq)

    def _is_out(self, event: pb.Event) -> bool:
        match event.content and event.content.value:
            case pb.MemberLeft(userUuid=user):
                return user == self._user
            case _:
                return False

    def _forget(self, event: pb.Event) -> Iterator[Change]:
        assert event.content is not None
        assert isinstance(event.content.value, pb.MemberLeft)
        del self._heads[event.conversationUuid]
        yield ConversationForgotten(event.conversationUuid, event.content.value.removedByUuid)

    def _settled(self, settled: Settled) -> Iterator[Change]:
        if self._snapshot is None:
            yield settled
        else:
            self._told.append(settled)


def _is_of_user(event: pb.Event) -> bool:
    """What a member changes of its profile comes in a conversation that is shared with it."""
    value = event.content and event.content.value
    return isinstance(value, pb.DisplayNameChanged | pb.ProfilePictureChanged)


def _passing(event: pb.Event) -> Iterator[Passing]:
    match event.content and event.content.value:
        case pb.UserIsTyping(conversationUuid=conversation, userUuid=user, ttlMs=ttl_ms):
            yield Typing(conversation or event.conversationUuid, user, ttl_ms)
        case pb.UserIsConnected(userUuid=user, ttlMs=ttl_ms):
            yield Connected(user, ttl_ms)
        case _:
            pass


def _heard(events: Iterable[pb.Event], place: Place) -> Heard:
    heard = Heard(place)
    for event in events:
        match event.content and event.content.value:
            case pb.SnapshotBegin():
                heard = replace(heard, snapshot="begun", is_caught_up=False)
            case pb.SnapshotEnd():
                heard = replace(heard, snapshot="ended")
            case pb.CaughtUp():
                heard = replace(heard, is_caught_up=True)
            case pb.GoAway(code=code, reconnectAfterMs=after_ms):
                heard = replace(heard, go_away=code, reconnect_after_ms=after_ms)
            case _:
                pass
    return heard


def heard(several: Sequence[Taken], queued: int | None, holes: int | None) -> Heard:
    """Of frames, at least one, that were committed at once. `queued`, `holes`: as the store counts
    them then."""
    whole = replace(several[-1].heard, queued=queued, holes=holes)
    for each in reversed(several[:-1]):
        whole = _behind(each.heard, whole)
    return whole


def _behind(first: Heard, then: Heard) -> Heard:
    ending = first if first.go_away else then
    return replace(
        then,
        snapshot=then.snapshot or first.snapshot,
        is_caught_up=then.is_caught_up or (first.is_caught_up and then.snapshot != "begun"),
        go_away=ending.go_away,
        reconnect_after_ms=ending.reconnect_after_ms,
    )


class Page(Struct, frozen=True):
    """Of History. `lowest`: the least number in it; 0: it is empty. `has_more`: there is older."""

    changes: tuple[Change, ...]
    lowest: int
    has_more: bool


def page_of(page: bytes) -> Page:
    """Of a HistoryPage: messages and what became of them. What else happened back then, who came
    and how it was called, is not what is so now. Raises Lost if it is no page."""
    try:
        told = pb.HistoryPage.from_binary(page)
    except (ValueError, RecursionError) as error:
        raise Lost(f"a page of History cannot be read: {error}") from error
    changes: list[Change] = []
    for event in told.events:
        if event.clientUuid:
            changes.append(Settled(event.clientUuid.lower(), event.uuid))
        changes += contents.of_message(event)
    lowest = min((event.conversationSeq for event in told.events), default=0)
    return Page(tuple(changes), lowest, told.more)
