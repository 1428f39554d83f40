"""Guilds and invites for another door of the node, by which users look at them and answer.

An answer is what `rules` makes of it; only the entry that tells of it is the other door's, since it
is the user's own event.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import Protocol

from msgspec import Struct

from postbox.hosts.guilds.guilds import read_guilds, read_invites_to
from postbox.hosts.guilds.rules import GuildDraft, GuildRules, Reply
from postbox.hosts.guilds.tables import Answer
from postbox.hosts.guilds.telling import News
from postbox.hosts.guilds.users import User
from postbox.rpc.postbox.v1.clients_pb import GuildEntered, InviteReceived
from postbox.rules import Decision, EntryKey, Reason, RowKey, State, StreamKey
from postbox.store.contract import Reader, Table

_CODES = {"no_such_invite": "UNKNOWN_TARGET", "answered_before": "SUPERSEDED"}
"""Of refusals, in docs/protocol/clients.md."""

_ID_DOMAIN = b"postbox: answer of a device to an invite\0"


class Answered(Protocol):
    """A user's answer."""

    @property
    def host(self) -> str: ...
    @property
    def invite(self) -> str: ...
    @property
    def is_accepted(self) -> bool: ...


class Answering(Struct, frozen=True):
    """`own_host`: canonical; empty: the node has no name, and nobody has invited its users."""

    own_host: str

    @property
    def tables(self) -> tuple[Table, ...]:
        return self._rules.tables

    @property
    def _rules(self) -> GuildRules:
        return GuildRules(self.own_host)

    def needs_of_answer(
        self, user: str, answer: Answered, state: State
    ) -> Iterable[RowKey | EntryKey | StreamKey]:
        return self._rules.needs(self._draft(user, b"", answer), state)

    def answered(
        self, user: str, event: bytes, answer: Answered, state: State, at_ms: int
    ) -> Decision:
        """The same answer again changes nothing."""
        decision = self._rules.decide(self._draft(user, event, answer), state, at_ms)
        if decision.refuse is None:
            return decision
        code, text = decision.refuse.code, decision.refuse.text
        return Decision(refuse=Reason(_CODES.get(code, code), text))

    def _draft(self, user: str, event: bytes, answer: Answered) -> GuildDraft:
        said = Answer.ACCEPTED if answer.is_accepted else Answer.DECLINED
        reply = Reply(User(user, self.own_host), answer.host, answer.invite, said)
        return GuildDraft(sha256(_ID_DOMAIN + event).digest()[:16], reply)

    def news(self, reader: Reader, user: str) -> Sequence[News]:
        """All that the user has now: the guild list, and the invites that wait for an answer."""
        who = str(User(user, self.own_host))
        entered = [
            GuildEntered(host=guild.host, guild=guild.guild, name=guild.name)
            for guild in read_guilds(who, reader)
        ]
        received = [
            InviteReceived(
                host=invite.host,
                invite=invite.invite,
                inviter=invite.inviter,
                conversation=invite.conversation,
                name=invite.name,
            )
            for invite in read_invites_to(who, reader)
        ]
        return [*entered, *received]
