"""`postbox`: the list of verbs. Each lives in a file of its own, imported when it is called, so
that help answers at once."""

from __future__ import annotations

import errno
import os
import sys

from cyclopts import App, CycloptsError, Group, UnusedCliTokensError

app = App(
    name="postbox",
    help="Keeps events in sync: between peers of a mesh, hosts of a federation, and clients.",
    version_flags=["--version"],
    help_epilogue="postbox VERB --help says what a verb takes. Begin with postbox demo.",
    result_action="return_value",
    help_format="plaintext",  # of the list of verbs: Markdown is loaded for a verb's own page alone
)
NODE = Group.create_ordered("A node")
EVENTS = Group.create_ordered("Its events")
MESH = Group.create_ordered("The mesh")
HOSTS = Group.create_ordered("Other hosts")
USERS = Group.create_ordered("Users")
OPTIONS = Group.create_ordered("Options")

peers = App(name="peers", group=MESH, help="The mesh's nodes, and how well they are thought of.")
trust = App(name="trust", group=MESH, help="Whose signatures are believed, and with which keys.")
keys = App(name="keys", group=MESH, help="This node's own keys.")
hosts = App(
    name="hosts", group=HOSTS, help="Which hosts may post here, and how they prove who they are."
)
token = App(name="token", group=USERS, help="How a user's device signs in here.")
devices = App(name="devices", group=USERS, help="The devices of this host's users.")
LISTED = (["devices"], ["peers"])
"""What alone, or with options, lists."""

app.command("postbox.cli.demo:demo", group=NODE, help="Show it all, on a history made for it.")
app.command("postbox.cli.serve:serve", group=NODE, help="Run a node.")
app.command(
    "postbox.cli.open_page:open_", name="open", group=NODE, help="A link to the operator's page."
)
app.command("postbox.cli.status:status", group=NODE, help="What this node holds.")
app.command("postbox.cli.doctor:doctor", group=NODE, help="Look for the usual mistakes.")
app.command("postbox.cli.config:config", group=NODE, help="What the configuration says.")
app.command("postbox.cli.backup:backup", group=NODE, help="Write all that this node has to a file.")
app.command("postbox.cli.restore:restore", group=NODE, help="Make a node of a backup.")
app.command(
    "postbox.cli.completion:completion", group=NODE, help="Let your shell complete what you type."
)
app.command(
    "postbox.cli.bench.command:bench", group=NODE, help="Measure this machine on a made history."
)

app.command(
    "postbox.cli.import_file:import_", name="import", group=EVENTS, help="Take in a file of events."
)
app.command(
    "postbox.cli.export:export", group=EVENTS, help="Write all events to a file, one a line."
)
app.command("postbox.cli.sync:sync", group=EVENTS, help="Pull events from a peer, once.")
app.command("postbox.cli.verify:verify", group=EVENTS, help="Check every stored event again.")

app.command(peers)
peers.command("postbox.cli.peers:list_", name="list", help="Whom this node asks, knows, answers.")
peers.command("postbox.cli.peers:ban", help="Neither ask nor answer a peer.")
peers.command("postbox.cli.peers:forgive", help="Hold nothing against a peer any more.")
app.command(trust)
trust.command("postbox.cli.trust:add", help="Believe a key. A former one still counts.")
trust.command("postbox.cli.trust:refuse", help="Let a name that waits wait no more.")
trust.command("postbox.cli.trust:import_", name="import", help="Believe a list of keys.")
trust.command("postbox.cli.trust:list_", name="list", help="Who is known, and who waits.")
app.command(keys)
keys.command("postbox.cli.keys:show", help="Name, public key and id, for the peers' `trust add`.")
keys.command("postbox.cli.keys:rotate", help="Change the key by which other hosts know this one.")

app.command("postbox.cli.post:post", group=HOSTS, help="Post events to another host.")
app.command("postbox.cli.links:links", group=HOSTS, help="How it stands with each other host.")
app.command("postbox.cli.inbox:inbox", group=HOSTS, help="What other hosts have sent.")
app.command("postbox.cli.dead:dead", group=HOSTS, help="Events that were given up.")
app.command("postbox.cli.dead:retry", group=HOSTS, help="Try again what was given up, or waits.")
app.command(hosts)
hosts.command("postbox.cli.hosts:list_", name="list", help="Who may post here, and who did.")
hosts.command("postbox.cli.hosts:allow", help="Let a host post here.")
hosts.command("postbox.cli.hosts:block", help="Take nothing from a host.")
hosts.command("postbox.cli.hosts:set_", name="set", help="How a host proves who it is.")
hosts.command("postbox.cli.hosts:forget", help="Take back what was said of a host.")

app.command("postbox.cli.chat:chat", group=USERS, help="Chat in this terminal.")
app.command(token)
token.command("postbox.cli.token:mint", help="Make a token for a user's device.")
app.command(devices)
devices.command("postbox.cli.devices:list_", name="list", help="Who has which, and since when.")
devices.command("postbox.cli.devices:revoke", help="Shut out a device, or all of a user's.")
app["--help"].group = app["--version"].group = (OPTIONS,)

WITH_VALUE = ("--home", "--memory", "--store")
OF_EVERY_VERB = (*WITH_VALUE, "--json", "--traceback")
FAILED = 1
USAGE = 2
INTERRUPTED = 130  # what a shell calls a process that Ctrl-C ended
OF_STDOUT = (errno.EPIPE, errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF)
"""Of a write. Whatever else a verb does with files is a fault of its own by then."""


def main(arguments: list[str] | None = None) -> None:
    """Exits 0 when it is done, 1 when it was refused or failed, 2 when it was called wrongly."""
    _open_closed_streams()
    given = sys.argv[1:] if arguments is None else arguments
    if any(not word.startswith("-") for word in given):
        app.help_format, app.help_epilogue = "markdown", ""
    try:
        code = app(listing(verb_first(given)), exit_on_error=False, print_error=False)
        sys.stdout.flush()
    except CycloptsError as error:
        _tell_wrong_call(error)
        sys.exit(USAGE)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except Exception as bug:
        if isinstance(bug, OSError) and bug.errno in OF_STDOUT:
            _give_up_stdout(bug)
        else:
            from postbox.cli.unexpected import tell

            tell(bug, given)
        sys.exit(FAILED)
    sys.exit(code if isinstance(code, int) else 0)


def _tell_wrong_call(error: CycloptsError) -> None:
    from postbox.cli.output import complain

    verb = " ".join(("postbox", *(error.command_chain or ())))
    text = " ".join(str(error).split())
    if isinstance(error, UnusedCliTokensError):
        text = f"{verb} takes no {' '.join(map(repr, error.unused_tokens or ()))}"
    complain(f"{text} ({verb} --help)")


def _give_up_stdout(error: OSError) -> None:
    """Nothing more can be written there, not even what is left in its buffer."""
    if not isinstance(error, BrokenPipeError):  # `postbox status | head` has read enough
        from postbox.cli.output import complain

        complain(f"cannot write the result: {error.strerror}")
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _open_closed_streams() -> None:
    """Those that a caller closed, as daemons are started by some: on nothing, before a file of the
    node's gets their numbers."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115  (for good)


def listing(words: list[str]) -> list[str]:
    """`postbox devices` alone, or with options, lists them; `postbox peers` likewise."""
    if words[:1] not in LISTED or not all(word.startswith("-") for word in words[1:2]):
        return words
    asks = {"-h", "--help", "--version"} & set(words[1:2])
    return words if asks else [words[0], "list", *words[1:]]


def verb_first(words: list[str]) -> list[str]:
    """What every verb takes may stand before it, too: `postbox --home DIR status`."""
    at = 0
    while at < len(words) and words[at].partition("=")[0] in OF_EVERY_VERB:
        at += 2 if words[at] in WITH_VALUE else 1
    verb, options = words[at:], words[:at]
    if not verb or not options:
        return words
    end = verb.index("--") if "--" in verb else len(verb)
    return [*verb[:end], *options, *verb[end:]]
