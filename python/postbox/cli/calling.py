"""What was typed, read by cyclopts: the verbs as its commands, each imported when it is called."""

from __future__ import annotations

from cyclopts import App, CycloptsError

from postbox.cli.verbs import ABOUT, LISTING, VERBS, print_verbs

WITH_VALUE = ("--home", "--memory", "--store")
ASKS = frozenset(("-h", "--help"))
ANYWHERE = ASKS | {"--version"}
OF_EVERY_VERB = (*WITH_VALUE, "--json", "--traceback")


def make_app() -> App:
    app = App(
        name="postbox",
        help=ABOUT,
        version_flags=["--version"],
        result_action="return_value",
    )
    for verb in (verb for verbs in VERBS.values() for verb in verbs):
        *family, name = verb.name.split()
        above = app[family[0]] if family else app
        if verb.at:
            above.command(f"postbox.cli.{verb.at}", name=name, help=verb.says)
        else:
            above.command(App(name=name, help=verb.says))
    return app


def call(words: list[str]) -> object:
    """What the verb returned. Raises CycloptsError of a wrong call."""
    app, ordered = make_app(), _in_order(words)
    if ordered[0] in ASKS and len(ordered) == 1 + _leading(ordered[1:]):
        print_verbs()
        return 0
    if ordered[0].partition("=")[0] in OF_EVERY_VERB:
        raise CycloptsError(msg="which verb?")
    _require_own_verb(ordered)
    if not ASKS.isdisjoint(ordered):
        _let_verb_speak(app, ordered)
    return app(ordered, exit_on_error=False, print_error=False)


def _require_own_verb(words: list[str]) -> None:
    """`postbox keys --home DIR`: an option is none of a family's verbs."""
    family, then = words[0], words[1:2]
    names = [verb.name for verbs in VERBS.values() for verb in verbs]
    own = [name.removeprefix(f"{family} ") for name in names if name.startswith(f"{family} ")]
    if own and any(word.startswith("-") and word not in ANYWHERE for word in then):
        raise CycloptsError(msg=f"which of its verbs: {', '.join(own)}?", command_chain=[family])


def _let_verb_speak(app: App, words: list[str]) -> None:
    """On its own page a verb says all that its docstring does; in a list it has one line."""
    for one in app.parse_commands(words)[1]:
        if getattr(one.default_command, "__module__", "").startswith("postbox."):
            one.help = None


def _in_order(words: list[str]) -> list[str]:
    """As cyclopts reads them: a verb first, and its options behind it."""
    return _listing(_verb_first(words))


def _listing(words: list[str]) -> list[str]:
    """`postbox devices` alone, or with options, lists them; `postbox peers` likewise."""
    if not words or words[0] not in LISTING or not all(w.startswith("-") for w in words[1:2]):
        return words
    return words if ANYWHERE & set(words[1:2]) else [words[0], "list", *words[1:]]


def _leading(words: list[str]) -> int:
    """How many of them, from the first on, are options of every verb and their values."""
    at = 0
    while at < len(words) and words[at].partition("=")[0] in OF_EVERY_VERB:
        at += 2 if words[at] in WITH_VALUE else 1
    return min(at, len(words))


def _verb_first(words: list[str]) -> list[str]:
    """What every verb takes may stand before it, too: `postbox --home DIR status`."""
    at = _leading(words)
    verb, options = words[at:], words[:at]
    if not verb or not options:
        return words
    end = verb.index("--") if "--" in verb else len(verb)
    return [*verb[:end], *options, *verb[end:]]
