"""What every verb takes, and how a verb becomes a run of the node."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import trio
from cyclopts import Group, Parameter

from postbox.cli.main import FAILED, INTERRUPTED, USAGE
from postbox.cli.output import complain, print_json
from postbox.errors import Fault, in_one_line, leaves
from postbox.home import home_at

if TYPE_CHECKING:
    from postbox.config import Config

Verb: TypeAlias = Callable[[], Coroutine[Any, Any, int]]
HOME_VARIABLE = "POSTBOX_HOME"
FLAG = Parameter(negative="", show_default=False)
EVERY_VERB = Group("Of every verb", sort_key=1)  # below what is the verb's own


@Parameter(name="*", group=EVERY_VERB)
@dataclass(frozen=True)
class Common:
    home: Annotated[str | Path | None, Parameter(env_var=HOME_VARIABLE, metavar="DIR")] = None
    """The node's folder: key and database. Made if it is not there."""
    # Read as a str, which may be empty; a Path besides, so that shells complete it.

    memory: Annotated[str | None, Parameter(metavar="EVENTS")] = None
    """Events that are kept: short (20,000), medium (80,000), hog (320,000), a number, or auto (by
    this machine's memory); by default as the configuration says. serve, import and sync forget the
    rest for good, other verbs nothing. A node that serves already keeps its own."""

    store: Annotated[str | None, Parameter(metavar="URL")] = None
    """The node's database: postgresql://USER@HOST/NAME. A file in the home if it was never said;
    the home remembers it."""

    json: Annotated[bool, FLAG] = False
    """Results as JSON, in the last line."""

    traceback: Annotated[bool, FLAG] = False
    """Of an error that nobody expected, which is a bug of postbox, show where it arose. Likewise
    POSTBOX_TRACEBACK=1."""

    def home_folder(self) -> Path:
        if not self.home:  # an empty one is a variable that was not set, not the current folder
            raise Usage(f"which home? Say --home DIR, or set {HOME_VARIABLE}")
        return home_at(str(self.home))

    def config(self, options: Mapping[str, object] | None = None) -> Config:
        """The home's configuration, with what this call overrides; None in `options` stands for
        one that was not given."""
        from postbox.config import BadConfig, load, overridden

        config = load(self.home_folder())
        try:
            own = {"node.memory": self.memory, "node.store": self.store}
            return overridden(config, {**own, **(options or {})})
        except BadConfig as error:
            raise Usage(str(error)) from error


class Usage(Exception):
    """The verb was called wrongly; exits 2."""


def require_no_option(file: Path, verb: str) -> None:
    """Of a file that may begin with a dash: cyclopts takes a mistyped option for one."""
    if str(file).startswith("-"):
        raise Usage(f"{file} is no option of {verb}; for a file of that name say ./{file}")


def run(verb: Verb, *, as_json: bool = False, by: Callable[[Verb], int] = trio.run) -> int:
    """The verb's exit code. `by`: what runs it. A fault is told in one line, `as_json` on stdout,
    too; anything else is a bug, for `main` to tell."""
    try:
        return by(verb)
    except Usage as usage:
        return _fail(str(usage), USAGE, as_json)
    except Fault as fault:
        return _fail(str(fault), FAILED, as_json)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BaseExceptionGroup as group:
        return _explain(group, as_json)


def is_bug(error: Exception) -> bool:
    """Is it, or one of those that came together, none that is expected?"""
    if isinstance(error, ExceptionGroup):
        return error.split((Fault, Usage))[1] is not None
    return not isinstance(error, (Fault, Usage))


def _explain(group: BaseExceptionGroup[BaseException], as_json: bool) -> int:
    """Faults come out of nurseries in groups."""
    _, rest = group.split(KeyboardInterrupt)
    if rest is None:
        return INTERRUPTED
    expected, bugs = rest.split((Fault, Usage))
    if bugs is not None or expected is None:
        raise group
    errors = leaves(expected)
    code = USAGE if isinstance(errors[0], Usage) else FAILED
    return _fail(in_one_line(errors), code, as_json)


def _fail(text: str, code: int, as_json: bool) -> int:
    complain(text)
    if as_json and code == FAILED:  # who calls wrongly is no script that reads results
        print_json({"error": text})
    return code
