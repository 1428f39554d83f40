"""`postbox completion`: the script by which a shell completes verbs, options and files.

It is made of the verbs as they are declared, and asks postbox nothing when it is used.
"""

from __future__ import annotations

import os
from pathlib import Path
from shlex import quote
from typing import Annotated, Literal, TypeAlias, get_args

from cyclopts.completion import add_to_rc_file, get_default_completion_path

from postbox.cli.calling import make_app
from postbox.cli.main import FAILED
from postbox.cli.options import FLAG, Common
from postbox.cli.output import complain, note
from postbox.cli.verbs import LISTING

Shell: TypeAlias = Literal["bash", "zsh", "fish"]
NAME = "postbox"
STARTED_BY = {"bash": ".bashrc", "zsh": ".zshrc"}
"""What names the script to the shell. fish finds it by itself."""


def completion(
    shell: Shell | None = None,
    /,
    *,
    install: Annotated[bool, FLAG] = False,
) -> int:
    """Print a script by which SHELL completes what is typed after postbox; or, with --install, put
    it where the shell looks.

    Parameters
    ----------
    shell
        bash, zsh or fish; by default the one that SHELL names, as for a login.
    install
        Write the script into this user's own folder of completions, and name it in the file that
        the shell reads at its start. Say it again after an upgrade.
    """
    chosen = shell or _of_login()
    if chosen is None:
        complain(f"which shell? Say postbox completion {' or '.join(get_args(Shell))}")
        return FAILED
    script = script_for(chosen)
    if not install:
        print(script)
        return 0
    try:
        path = _install(script, chosen)
    except OSError as error:
        complain(f"cannot write {error.filename}: {error.strerror}")
        return FAILED
    named = f", and named in {STARTED_BY[chosen]}" if chosen in STARTED_BY else ""
    note(f"written to {path}{named}: a new {chosen} completes postbox")
    return 0


def script_for(shell: Shell) -> str:
    app = make_app()
    for name in LISTING:  # takes what its `list` takes
        app[name].default(app[name]["list"].default_command)
    app.default(_before_the_verb)
    script = app.generate_completion(shell=shell)
    # fish's own condition takes the DIR of --home for a verb.
    return script.replace("-n __fish_use_subcommand", f"-n __fish_{NAME}_using_command")


def _before_the_verb(*, common: Common | None = None) -> None:
    """What may stand there: what every verb takes."""


def _of_login() -> Shell | None:
    name = Path(os.environ.get("SHELL", "")).name
    return next((shell for shell in get_args(Shell) if shell == name), None)


def _install(script: str, shell: Shell) -> Path:
    path = get_default_completion_path(shell, NAME)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(script, encoding="utf-8")
    if shell == "bash":
        add_to_rc_file(path, NAME, shell)
    elif shell == "zsh":
        _name_to_zsh(path)
    return path


def _name_to_zsh(path: Path) -> None:
    """Whether or not compinit has been run where this comes: it would find the file by itself only
    afterwards."""
    lines = f"""
# postbox completions
(( $+functions[compdef] )) || {{ autoload -Uz compinit && compinit }}
autoload -Uz {quote(str(path))} && compdef {path.name} {NAME}
"""
    rc = Path(os.environ.get("ZDOTDIR") or Path.home()) / ".zshrc"
    if lines not in (rc.read_text(encoding="utf-8") if rc.exists() else ""):
        with rc.open("a", encoding="utf-8") as file:
            file.write(lines)
