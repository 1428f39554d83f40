"""What an app holds: what its user does, what its user sees, and what changes.

Whatever the user does is on the device for good when the call returns, and is seen at once; it goes
to the host by itself, in order, now or when there is a network. No call waits for the network but
`older`, `caught_up` and `drained`.

Conversations and messages are named by what these calls return, by `key` or by uuid; users by the
name that they sign in with, or by uuid. Every call raises the faults of the device's file (`Full`),
and TypeError for what it does not take: nothing was done then. Times are milliseconds since 1970,
numbers count from 1.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import partial
from typing import TypeVar

import anyio

from postbox.client.arguments import MOST, PAGE, checks_arguments
from postbox.client.changed import named
from postbox.client.clock import now_ms
from postbox.client.core import acts, inputs
from postbox.client.core.ids import text_of
from postbox.client.core.outgoing import outgoing
from postbox.client.credentials import Credentials, once_uuid
from postbox.client.customs import Customs
from postbox.client.errors import Unknown
from postbox.client.facts import (
    Conversation,
    Guild,
    Invite,
    Member,
    Message,
    Profile,
    Queued,
    Standing,
    Why,
)
from postbox.client.incoming import Incoming
from postbox.client.listening import Changes
from postbox.client.naming import Named, NamedMessage, answered_key, key_of, uuid_of
from postbox.client.news import News, Status
from postbox.client.running import Running
from postbox.client.shelf import Shelf
from postbox.client.store.store import Store
from postbox.client.typing import OwnTyping
from postbox.world import World

T = TypeVar("T")


@checks_arguments
class Client:
    """Made by `open_client`."""

    def __init__(
        self,
        world: World,
        shelf: Shelf,
        news: News,
        credentials: Credentials,
        running: Running,
        typing: OwnTyping,
    ) -> None:
        self._world = world
        self._shelf = shelf
        self._see = shelf.read
        self._news = news
        self._credentials = credentials
        self._running = running
        self._typing = typing
        self.customs = Customs(self.user, shelf, self._do, self._conversation)

    @property
    def user(self) -> str:
        """Whose device it is, by uuid: the `author` of its own messages."""
        return self._credentials.owner.user

    @property
    def device(self) -> str:
        """What the host calls it."""
        return self._credentials.owner.device

    # -- conversations ----------------------------------------------------------------------------

    async def create(self, name: str, members: Collection[str] = ()) -> Conversation:
        """With the user as its owner, and these. `name`: at most 256 characters, or none. A name
        among the members that the host does not know makes it FAILED. Raises ValueError."""
        if isinstance(members, str):  # it would be read as one member a letter
            raise ValueError(f"members is a list of names: write [{members!r}]")
        queued = await self._do(acts.CreateConversation(name, tuple(members)))
        return _there(await self.conversation(queued.local))

    async def rename(self, conversation: Named, name: str, based_on: str = "") -> None:
        """`based_on`: the `change` of the conversation that the user has seen: if somebody renames
        it meanwhile, this is refused (SUPERSEDED) instead of winning. Raises ValueError."""
        found = await self._conversation(conversation)
        await self._do(acts.RenameConversation(found.key, name, based_on))

    async def add(
        self, conversation: Named, user: str, *, is_owner: bool = False, history: bool = False
    ) -> None:
        """Or changes the role of who is in. `history`: what was said before is visible, too."""
        found = await self._conversation(conversation)
        await self._do(acts.AddMember(found.key, user, is_owner, history))

    async def remove(self, conversation: Named, user: str) -> None:
        found = await self._conversation(conversation)
        await self._do(acts.RemoveMember(found.key, uuid_of(user)))

    async def leave(self, conversation: Named) -> None:
        found = await self._conversation(conversation)
        await self._do(acts.RemoveMember(found.key))

    async def conversations(self, limit: int = PAGE, before: Named = "") -> list[Conversation]:
        """Those in which something was said last come first. `before`: the last one of the page
        before."""
        return await self._see(lambda store: store.conversations(limit, key_of(before)))

    async def conversation(self, conversation: Named) -> Conversation | None:
        """None: this device knows of none such, or the user is out."""
        return await self._see(lambda store: store.conversation(key_of(conversation)))

    async def members(self, conversation: Named) -> list[Member]:
        return await self._see(lambda store: store.members(key_of(conversation)))

    async def unread(self) -> dict[str, int]:
        """Of each conversation that has some: messages of others that the user has not read."""
        return await self._see(lambda store: store.unread())

    # -- messages ---------------------------------------------------------------------------------

    async def send(
        self,
        conversation: Named,
        text: str,
        reply_to: NamedMessage = "",
        *,
        once: str = "",
        extra: bytes = b"",
    ) -> Message:
        """`once`: any text: what was sent under it already is returned, and not sent again, also
        after a crash and after years. A bot answers each message once with `once=message.uuid`.
        `extra`: fields of its protobuf `Message` from 64 on, which are the app's. Raises
        ValueError: more than 64 KiB."""
        found = await self._conversation(conversation)
        local = once_uuid(once) if once else ""
        answered = await answered_key(self._shelf, reply_to)
        queued = await self._do(acts.SendMessage(found.key, text, answered, extra), local)
        self._typing.sent(found.key, found.uuid)
        return _there(await self._see(lambda store: store.sent(queued.local)))

    async def edit(
        self, message: NamedMessage, text: str, based_on: str = "", *, extra: bytes | None = None
    ) -> None:
        """A message of the user's own. `based_on`: as in `rename`. `extra`: None leaves it."""
        found = await self._message(message)
        kept = found.extra if extra is None else extra
        await self._do(acts.EditMessage(found.conversation, found.key, text, based_on, kept))

    async def delete(self, message: NamedMessage) -> None:
        """A message of the user's own: for everybody, for good."""
        found = await self._message(message)
        await self._do(acts.DeleteMessage(found.conversation, found.key))

    async def react(self, message: NamedMessage, reaction: str) -> None:
        """`reaction`: 1 to 64 bytes of any text. Raises ValueError."""
        found = await self._message(message)
        await self._do(acts.AddReaction(found.conversation, found.key, reaction))

    async def unreact(self, message: NamedMessage, reaction: str) -> None:
        found = await self._message(message)
        await self._do(acts.RemoveReaction(found.conversation, found.key, reaction))

    async def read(self, message: NamedMessage) -> None:
        """It, and all before it in its conversation. What was read already changes nothing."""
        found = await self._message(message)
        if not await self._see(lambda store: store.is_read(found.key)):
            await self._do(acts.Read(found.conversation, found.key))

    async def messages(
        self, conversation: Named, before: NamedMessage = "", limit: int = PAGE
    ) -> list[Message]:
        """That are on this device, oldest first, the newest `limit` of them; `before`: of those
        before that one. What is older than these, the host may have: `older`."""
        return await self._see(
            lambda store: store.messages(key_of(conversation), key_of(before), limit)
        )

    async def message(self, message: NamedMessage) -> Message | None:
        """As it is now; None: it is not on this device, or was deleted."""
        return await self._see(lambda store: store.message(key_of(message)))

    async def older(self, conversation: Named, limit: int = PAGE) -> bool:
        """Gets older messages from the host; whether it has even older ones. They are in
        `messages` then. Raises CallFailed: the host cannot be reached now, or said no."""
        found = await self._conversation(key_of(conversation))  # as it is now
        if not found.has_older or not found.uuid:
            return False
        return await self._running.older(found.uuid, found.oldest_seq, limit)

    # -- people -----------------------------------------------------------------------------------

    async def users(self) -> list[Profile]:
        """All that this device knows, without their pictures."""
        return await self._see(lambda store: store.users())

    async def profile(self, user: str = "") -> Profile | None:
        """Of the user itself, or of another one."""
        uuid = uuid_of(user) if user else self.user
        return await self._see(lambda store: store.user(uuid))

    async def set_name(self, name: str, based_on: str = "") -> None:
        """That others are shown; at most 256 characters. `based_on`: `Profile.name_change`."""
        await self._do(acts.SetDisplayName(name, based_on))

    async def set_picture(self, png: bytes, based_on: str = "") -> None:
        """At most 64 KiB; empty: none. Raises ValueError."""
        await self._do(acts.SetPicture(png, based_on))

    # -- guilds and invites -----------------------------------------------------------------------

    async def guilds(self) -> list[Guild]:
        return await self._see(lambda store: store.guilds())

    async def invites(self) -> list[Invite]:
        """That wait for an answer."""
        return await self._see(lambda store: store.invites())

    async def answer_invite(self, invite: Invite, *, accept: bool) -> None:
        """The first answer counts, of whichever device."""
        await self._do(acts.AnswerInvite(invite.host, invite.invite, accept))

    # -- what passes ------------------------------------------------------------------------------

    def typing(self, conversation: Named) -> None:
        """The user types there: call it at each key. It is told at most every 4 s, and over 10 s
        after the last one. It is forgotten if there is no connection."""
        self._typing.tell(key_of(conversation), is_over=False)

    def stopped_typing(self, conversation: Named) -> None:
        """A message sent says so by itself."""
        self._typing.tell(key_of(conversation), is_over=True)

    async def typists(self, conversation: Named) -> list[str]:
        """Who else types there now, by uuid."""
        found = await self.conversation(conversation)
        return self._news.nearby.typists(found.uuid) if found else []

    def connected(self) -> list[str]:
        """Who is connected now, by uuid, of those whom the user shares a conversation with."""
        return self._news.nearby.connected()

    # -- what changes -----------------------------------------------------------------------------

    def changes(self) -> Changes:
        """Names of what changes from now on: ask anew for what you show of it. Begin to listen
        before you ask for the first time, so that nothing is missed in between. Who reads slowly
        is told once of what changed twice."""
        return Changes(self._news.listeners.listen(), partial(named, self._shelf))

    def incoming(self, name: str = "default", *, only_new: bool = False) -> Incoming:
        """Each message of others, once, in the order in which they came to this device: over
        restarts, too. It counts as handled when the next one is asked for; one that was being
        handled in a crash comes again, and then `send(..., once=message.uuid)` answers it once.

        `name`: under which it is remembered what was handled; whoever uses two gets each message
        twice. `only_new`: the first time, what is there already counts as handled; on a new device,
        what the host has when it is asked first. Where there is nothing to give, it raises as
        `drained` does."""
        return Incoming(self._shelf, self._news, name, only_new)

    # -- the queue --------------------------------------------------------------------------------

    async def queue(self, limit: int = 1_000) -> list[Queued]:
        """What is on its way or was refused, in order of making."""
        return await self._see(lambda store: store.queue(limit))

    async def why(self, key: str) -> Why | None:
        """Why it is still here. `key`: of a Message, a Conversation, or `local` of a Queued; None:
        it is nothing that this device made lately."""
        return await self._see(lambda store: store.why(key))

    async def dismiss(self, key: str, *, whole: bool = False) -> None:
        """Something that was refused: it is gone from this device, and what was done to it with it.
        A conversation with messages in it goes if `whole` says so. Raises Unknown, and NotByItself
        for such a conversation."""
        await self._drop(lambda store: store.dismiss(key, whole=whole))

    async def dismiss_refused(self, older_than_s: float = 0.0) -> int:
        """All that was refused and was made longer ago than that, each as a whole; how many. For
        what runs with nobody there who looks. Raises ValueError."""
        before_ms = now_ms(self._world.clock) - round(min(older_than_s, MOST) * 1_000)
        return await self._drop(lambda store: store.dismiss_refused(before_ms))

    async def again(self, key: str) -> Queued:
        """Something that was refused is sent again, whatever others changed meanwhile, and with it
        what was written in it or done to it. Its key stays. Raises Unknown, and NotByItself: what
        it belongs to was refused, and has to be tried again itself."""
        several = await self._put(lambda store: store.again(key))
        return next(queued for queued in several if queued.local == key)

    async def drained(self) -> None:
        """Until everything that the user did was answered. Raises SignInNeeded and Displaced,
        since then it does not go on by itself."""
        listener = self._news.listeners.listen()
        while await self._see(lambda store: store.queued()):
            self._news.check_that_it_goes_on()
            await listener.changed()

    # -- the connection ---------------------------------------------------------------------------

    @property
    def status(self) -> Status:
        return self._news.status

    async def caught_up(self) -> None:
        """Until this device has what the host has now. Raises as `drained` does."""
        listener = self._news.listeners.listen()
        while not self.status.is_live:
            self._news.check_that_it_goes_on()
            await listener.changed()

    def network_up(self) -> None:
        """There is a network, or another one: what is waited for is tried at once."""
        self._running.tell(inputs.NetworkUp())

    def take_over(self) -> None:
        """After being displaced: the stream is this client's again, and the other one's is not."""
        self.network_up()

    def set_active(self, is_active: bool) -> None:
        """Whether somebody looks: else nobody is told that the user is connected, and the user is
        not told who types. It begins active."""
        self._running.tell(inputs.Activity(is_active))

    def sign_in(self, token: str) -> None:
        """Goes on with a new token of the same user and device. Raises ValueError (it is none) and
        AnotherOwner. Displaced by another stream of this device: this takes it back."""
        self._credentials.put(token)
        self._running.signed_in()

    def now_s(self) -> float:
        """The clock of `Status.next_s`."""
        return self._world.clock.elapsed_s()

    # -- how it is done ---------------------------------------------------------------------------

    async def _do(self, act: acts.Act, local: str = "") -> Queued:
        """In the queue for good when it returns, and offered. Raises ValueError."""
        at_ms = now_ms(self._world.clock)
        made = outgoing(act, local or self._new_local(), at_ms)
        [queued] = await self._put(lambda store: [store.make(made, at_ms)])
        return queued

    async def _put(self, work: Callable[[Store], list[Queued]]) -> list[Queued]:
        several = await self._write(work)
        waiting = [queued for queued in several if queued.standing is Standing.QUEUED]
        self._running.tell(inputs.Made(len(waiting)))
        return several

    async def _drop(self, work: Callable[[Store], list[Queued]]) -> int:
        return len(await self._write(work))

    async def _write(self, work: Callable[[Store], list[Queued]]) -> list[Queued]:
        try:
            several = await self._shelf.write(work)
        except anyio.get_cancelled_exc_class():  # by asyncio itself: it may be there all the same
            self._running.given_up()
            raise
        self._news.moved(several)
        return several

    def _new_local(self) -> str:
        return text_of(self._world.new_id())

    async def _conversation(self, named: Named) -> Conversation:
        if isinstance(named, Conversation):
            return named
        found = await self.conversation(named)
        if found is None:
            raise Unknown(f"there is no conversation {named!r} on this device, or the user is out")
        return found

    async def _message(self, named: NamedMessage) -> Message:
        if isinstance(named, Message):
            return named
        found = await self.message(named)
        if found is None:
            raise Unknown(f"there is no message {named!r} on this device, or it was deleted")
        return found


def _there(made: T | None) -> T:
    """What was just made here."""
    assert made is not None
    return made
