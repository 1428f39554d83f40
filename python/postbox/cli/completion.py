"""`postbox completion`: the script by which a shell completes verbs, options and files.

It is made of the verbs as they are declared, and asks postbox nothing when it is used.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal, TypeAlias, get_args

from cyclopts.completion import add_to_rc_file, get_default_completion_path

from postbox.cli.main import FAILED, app
from postbox.cli.options import FLAG
from postbox.cli.output import complain, note

Shell: TypeAlias = Literal["bash", "zsh", "fish"]
STARTED_BY = {"bash": "~/.bashrc", "zsh": "~/.zshrc"}
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
    script = app.generate_completion(shell=chosen)
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


def _of_login() -> Shell | None:
    name = Path(os.environ.get("SHELL", "")).name
    return next((shell for shell in get_args(Shell) if shell == name), None)


def _install(script: str, shell: Shell) -> Path:
    path = get_default_completion_path(shell, app.name[0])
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(script, encoding="utf-8")
    if shell != "fish":
        add_to_rc_file(path, app.name[0], shell)
    return path
