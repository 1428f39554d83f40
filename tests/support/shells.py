"""What real shells complete, each having read the files with which it starts in a home.

Where one is not installed, the tests that need it are skipped (with CI=true they fail). `python -m
support.shells` ends with 0 where all are there.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from support.command import POSTBOX, TIMEOUT_S, environment

SHELLS = ("bash", "zsh", "fish")

BASH = """
. ~/.bashrc
for line in "$@"; do
    COMP_LINE=$line COMP_POINT=${#line} COMPREPLY=()
    read -ra COMP_WORDS <<< "$line"
    [[ $line == *' ' ]] && COMP_WORDS+=("")
    COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
    $(complete -p postbox | sed 's/.*-F \\([^ ]*\\) .*/\\1/')
    echo "${COMPREPLY[*]}"
done
"""
"""Asks the function that `complete` knows for postbox, as readline does at a TAB."""

ZSH = r"""
zmodload zsh/zpty
mkfifo ~/told
exec {told}<> ~/told
cat > ~/spy <<'END'
typeset -ga found
compadd() {
    [[ ${@[1,(i)(-|--)]} == *-(O|A|D)\ * ]] && { builtin compadd "$@"; return }
    local -a these
    builtin compadd -A these "$@"; found+=($these); builtin compadd "$@"
}
tell() { zle complete-word; print -r -- $found > ~/told; found=(); BUFFER= }
zle -N tell
bindkey '^I' tell
zle-line-init() { zle -D zle-line-init; print > ~/told }
zle -N zle-line-init
END
zpty shell zsh -i
zpty -w shell '. ~/spy'
read -r ready <& $told
for line in "$@"; do
    zpty -w -n shell "$line"$'\t'
    read -r words <& $told
    print -r -- $words
done
zpty -d shell
"""
"""Types into another zsh on a terminal of its own, which tells what it would have offered."""

FISH = """
for line in $argv
    complete -C $line | string split -f 1 \\t | string join ' '
end
true
"""


def completed(shell: str, home: Path, *lines: str) -> list[list[str]]:
    """Of each line, what could stand where it ends."""
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed (Debian: apt-get install {shell})")
    start = {
        "bash": ["bash", "--norc", "-c", BASH, "bash"],
        "zsh": ["zsh", "-f", "-c", ZSH, "zsh"],
        "fish": ["fish", "-c", FISH],
    }
    path = f"{POSTBOX.parent}:{os.environ['PATH']}"  # fish completes what it can call
    ran = subprocess.run(
        [*start[shell], *lines],
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
        cwd=home,
        env=environment(HOME=str(home), TERM="xterm", PATH=path),
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    return [line.split() for line in ran.stdout.split("\n")[: len(lines)]]


if __name__ == "__main__":
    sys.exit(not all(map(shutil.which, SHELLS)))
