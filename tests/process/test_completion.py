"""`postbox completion`: what a real bash completes with it, and where it is put."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from postbox.cli.main import app
from support.command import Call, environment

SHELLS = ("bash", "zsh", "fish")

TYPED = """
. "$1"
for line in "${@:2}"; do
    COMP_LINE=$line COMP_POINT=${#line} COMPREPLY=()
    read -ra COMP_WORDS <<< "$line"
    [[ $line == *' ' ]] && COMP_WORDS+=("")
    COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
    $(complete -p postbox | sed 's/.*-F \\([^ ]*\\) .*/\\1/')
    echo "${COMPREPLY[*]}"
done
"""
"""Asks the function that `complete` knows for postbox, as readline does at a TAB."""


@pytest.fixture(scope="module")
def script() -> str:
    return app.generate_completion(shell="bash")


def completed(script: Path, *lines: str) -> list[list[str]]:
    ran = subprocess.run(
        ["bash", "--norc", "-c", TYPED, "bash", script, *lines],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    return [line.split() for line in ran.stdout.splitlines()]


def test_bash_completes_verbs_options_values_and_files(script: str, tmp_path: Path) -> None:
    (tmp_path / "script").write_text(script)
    (tmp_path / "a-home").mkdir()
    home = f"{tmp_path}/a-home"
    assert completed(
        tmp_path / "script",
        "postbox st",
        "postbox status --m",
        "postbox trust ",
        "postbox peers b",
        f"postbox --home {tmp_path} imp",
        f"postbox status --home {tmp_path}/a-h",
        "postbox sync http://box.example.org --mode s",
        "postbox completion ",
    ) == [
        ["status"],
        ["--memory"],
        ["add", "refuse", "import", "list"],
        ["ban"],
        ["import"],
        [home],
        ["sample"],
        list(SHELLS),
    ]


@pytest.mark.parametrize("shell", SHELLS)
def test_a_script_is_printed_for_each_shell(call: Call, shell: str) -> None:
    done = call("completion", shell)
    assert (done.code, done.err) == (0, "")
    assert all(word in done.out for word in ("postbox", "doctor", "tls-cert"))


def test_it_is_put_where_bash_looks_and_named_once(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("SHELL", "/bin/bash")
    for _ in range(2):
        done = call("completion", "--install")
        assert (done.code, done.out) == (0, "")
        assert "a new bash completes postbox" in done.err
    rc = (tmp_path / ".bashrc").read_text()
    assert rc.count("completions/postbox") == 2, "one line, which tests for the file and reads it"
    ran = subprocess.run(
        ["bash", "--rcfile", tmp_path / ".bashrc", "-ic", "complete -p postbox"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=environment(HOME=str(tmp_path)),
        stdin=subprocess.DEVNULL,
    )
    assert ran.stdout == "complete -F _postbox postbox\n"


def test_a_shell_that_is_not_known_is_asked_for(
    call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHELL", "/bin/tcsh")
    done = call("completion")
    assert (done.code, done.out) == (1, "")
    assert "which shell? Say postbox completion bash or zsh or fish" in done.err
