"""The verbs: what each is called, where it lives, what it does, as `postbox --help` lists them.

A verb's file is imported when it is called, and the library that reads what was typed when there is
something to read: the list itself answers at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

from postbox.cli.output import HEAD, NAME, Mark, painted, print_text


class Verb(NamedTuple):
    """`at`: its file in `cli/`, and its function there; "" for one that has verbs of its own."""

    name: str
    at: str
    says: str


ABOUT: Final = "Keeps events in sync: between nodes of a mesh, servers, and users' devices."
THEN: Final = """\
postbox VERB --help says what a verb takes, postbox --version what runs here.
Begin with postbox demo."""
VERBS: Final[Mapping[str, tuple[Verb, ...]]] = MappingProxyType(
    {
        "A node": (
            Verb("demo", "demo:demo", "Show it all, on a history made for it."),
            Verb("serve", "serve:serve", "Run a node."),
            Verb("open", "open_page:open_", "A link to the operator's page."),
            Verb("status", "status:status", "What this node holds."),
            Verb("doctor", "doctor:doctor", "Look for the usual mistakes."),
            Verb("config", "config:config", "What the configuration says."),
            Verb("backup", "backup:backup", "Write all that this node has to a file."),
            Verb("restore", "restore:restore", "Make a node of a backup."),
            Verb("completion", "completion:completion", "Let your shell complete what you type."),
            Verb("bench", "bench.command:bench", "Measure this machine on a made history."),
        ),
        "Its events": (
            Verb("import", "import_file:import_", "Take in a file of events."),
            Verb("export", "export:export", "Write all events to a file, one a line."),
            Verb("sync", "sync:sync", "Pull events from a peer, once."),
            Verb("verify", "verify:verify", "Check every stored event again."),
        ),
        "The mesh": (
            Verb("peers", "", "The mesh's nodes, and how well they are thought of."),
            Verb("peers list", "peers:list_", "Whom this node asks, knows, answers."),
            Verb("peers ban", "peers:ban", "Neither ask nor answer a peer."),
            Verb("peers forgive", "peers:forgive", "Hold nothing against a peer any more."),
            Verb("trust", "", "Whose signatures are believed, and with which keys."),
            Verb("trust add", "trust:add", "Believe a key. A former one still counts."),
            Verb("trust refuse", "trust:refuse", "Let a name that waits wait no more."),
            Verb("trust import", "trust:import_", "Believe a list of keys."),
            Verb("trust list", "trust:list_", "Who is known, and who waits."),
            Verb("keys", "", "This node's own keys."),
            Verb("keys show", "keys:show", "Name, public key and id, for the peers' `trust add`."),
            Verb("keys rotate", "keys:rotate", "Change the key that other hosts know this one by."),
        ),
        "Other hosts": (
            Verb("post", "post:post", "Post events to another host."),
            Verb("links", "links:links", "How it stands with each other host."),
            Verb("inbox", "inbox:inbox", "What other hosts have sent."),
            Verb("dead", "dead:dead", "Events that were given up."),
            Verb("retry", "dead:retry", "Try again what was given up, or waits."),
            Verb("hosts", "", "Which hosts may post here, and how they prove who they are."),
            Verb("hosts list", "hosts:list_", "Who may post here, and who did."),
            Verb("hosts allow", "hosts:allow", "Let a host post here."),
            Verb("hosts block", "hosts:block", "Take nothing from a host."),
            Verb("hosts set", "hosts:set_", "How a host proves who it is."),
            Verb("hosts forget", "hosts:forget", "Take back what was said of a host."),
        ),
        "Users": (
            Verb("chat", "chat:chat", "Chat in this terminal."),
            Verb("token", "", "How a user's device signs in here."),
            Verb("token mint", "token:mint", "Make a token for a user's device."),
            Verb("devices", "", "The devices of this host's users."),
            Verb("devices list", "devices:list_", "Who has which, and since when."),
            Verb("devices revoke", "devices:revoke", "Shut out a device, or all of a user's."),
        ),
    }
)
LISTING: Final = ("devices", "peers")
"""What alone, or with options, lists."""


def print_verbs() -> None:
    """Those of one word: the others are on their own pages."""
    print("Usage: postbox VERB ...\n")
    print_text(ABOUT)
    for heading, verbs in VERBS.items():
        print(f"\n{painted(heading, HEAD)}")
        for verb in verbs:
            if " " not in verb.name:
                print_text(verb.says, f"  {verb.name:<12}", " " * 14, Mark(14, NAME))
    print(f"\n{THEN}")
