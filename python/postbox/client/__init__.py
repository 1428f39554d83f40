"""The client library: what a device knows and what its user does, kept on it, and in step with a
host. Beside the server: it imports `rpc`, `world` and `errors` alone.

async with open_client("https://chat.example:7433", token, "ann.db") as client:
    room = await client.create("Lunch", ["bob"])
    await client.send(room, "Noodles?")
"""

from postbox.client.client import Client
from postbox.client.credentials import Token
from postbox.client.customs import Customs
from postbox.client.errors import (
    AnotherOwner,
    BrokenDatabase,
    Closed,
    DatabaseInUse,
    Displaced,
    NoDatabase,
    NotByItself,
    SignInNeeded,
    Unknown,
)
from postbox.client.facts import (
    Conversation,
    Custom,
    Guild,
    Invite,
    Member,
    Message,
    Profile,
    Queued,
    Reaction,
    Standing,
    State,
    Waits,
    Why,
)
from postbox.client.incoming import Incoming
from postbox.client.listening import Change, Changes, What
from postbox.client.naming import Named, NamedMessage
from postbox.client.news import Status
from postbox.client.open import open_client
from postbox.client.transport.contract import CallFailed
from postbox.errors import Full, SchemaTooNew

__all__ = [
    "AnotherOwner",
    "BrokenDatabase",
    "CallFailed",
    "Change",
    "Changes",
    "Client",
    "Closed",
    "Conversation",
    "Custom",
    "Customs",
    "DatabaseInUse",
    "Displaced",
    "Full",
    "Guild",
    "Incoming",
    "Invite",
    "Member",
    "Message",
    "Named",
    "NamedMessage",
    "NoDatabase",
    "NotByItself",
    "Profile",
    "Queued",
    "Reaction",
    "SchemaTooNew",
    "SignInNeeded",
    "Standing",
    "State",
    "Status",
    "Token",
    "Unknown",
    "Waits",
    "What",
    "Why",
    "open_client",
]
