"""The list of commands, by name."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from postbox.admin.command import Command
from postbox.admin.devices import LIST_DEVICES, MINT_TOKEN, REVOKE_DEVICES
from postbox.admin.events import EVENTS, SETTLE, TAKE
from postbox.admin.examining import EXAMINE_HOST
from postbox.admin.hosts import LIST_HOSTS, SET_HOST
from postbox.admin.inbox import INBOX
from postbox.admin.issuer import EXAMINE_ISSUER
from postbox.admin.keys import ROTATE_KEYS, SHOW_KEY
from postbox.admin.letters import LETTERS, SETTLE_LETTERS
from postbox.admin.links import LINKS
from postbox.admin.listening import LISTENING
from postbox.admin.page import OPEN_PAGE
from postbox.admin.peers import PEERS, SENTENCE
from postbox.admin.posting import POST
from postbox.admin.status import STATUS
from postbox.admin.sync import SYNC
from postbox.admin.trust import ANSWER, BELIEVE, LIST_KEYS
from postbox.admin.verify import VERIFY

_ALL: tuple[Command[Any, Any], ...] = (
    STATUS,
    SHOW_KEY,
    BELIEVE,
    ANSWER,
    LIST_KEYS,
    TAKE,
    SETTLE,
    EVENTS,
    VERIFY,
    SYNC,
    PEERS,
    SENTENCE,
    LISTENING,
    POST,
    LINKS,
    INBOX,
    LETTERS,
    SETTLE_LETTERS,
    LIST_HOSTS,
    SET_HOST,
    ROTATE_KEYS,
    EXAMINE_HOST,
    MINT_TOKEN,
    LIST_DEVICES,
    REVOKE_DEVICES,
    EXAMINE_ISSUER,
    OPEN_PAGE,
)

COMMANDS: Mapping[str, Command[Any, Any]] = MappingProxyType(
    {command.name: command for command in _ALL}
)
