"""`postbox completion`: what real shells complete with it, and where it is put."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from support.command import TIMEOUT_S, Call, environment
from support.shells import SHELLS, completed

STARTED_BY = {"bash": ".bashrc", "zsh": ".zshrc"}

EVERYWHERE = [
    ("postbox st", {"status"}),
    ("postbox status --m", {"--memory"}),
    ("postbox trust ", {"add", "refuse", "import", "list"}),
    ("postbox peers b", {"ban"}),
    ("postbox devices --u", {"--user"}),
    ("postbox peers --j", {"--json"}),
    ("postbox status --home a-h", {"a-home"}),
    ("postbox sync http://box.example.org --mode s", {"sample"}),
    ("postbox completion ", {*SHELLS}),
    ("postbox --home a-home imp", {"import"}),
    ("postbox --json --home a-home peers b", {"ban"}),
    ("postbox --home a-h", {"a-home"}),
    ("postbox --mem", {"--memory"}),
]


@pytest.fixture
def install(call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Call:
    """`postbox completion --install` of whoever's home this is."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("ZDOTDIR", raising=False)
    return lambda *words: call("completion", "--install", *words)


@pytest.mark.parametrize("shell", SHELLS)
def test_a_shell_completes_verbs_options_values_and_files(
    install: Call, tmp_path: Path, shell: str
) -> None:
    assert install(shell).code == 0
    (tmp_path / "a-home").mkdir()
    found = completed(shell, tmp_path, *(line for line, _ in EVERYWHERE))
    for (line, wanted), words in zip(EVERYWHERE, found, strict=True):
        offered = {word.rstrip("/") for word in words}
        if shell == "fish":  # offers files, too, where there is nothing better
            offered -= {"a-home"} - wanted
        assert offered == wanted, line


def test_zsh_completes_where_compinit_was_run_before(install: Call, tmp_path: Path) -> None:
    (tmp_path / ".zshrc").write_text("autoload -Uz compinit && compinit\n")
    assert install("zsh").code == 0
    assert completed("zsh", tmp_path, "postbox st") == [["status"]]


@pytest.mark.parametrize("shell", SHELLS)
def test_a_script_is_printed_for_each_shell(call: Call, shell: str) -> None:
    done = call("completion", shell)
    assert (done.code, done.err) == (0, "")
    assert all(word in done.out for word in ("postbox", "doctor", "tls-cert"))


@pytest.mark.parametrize("shell", STARTED_BY)
def test_it_is_put_where_the_login_shell_looks_and_named_once(
    install: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shell: str
) -> None:
    monkeypatch.setenv("SHELL", f"/bin/{shell}")
    (tmp_path / STARTED_BY[shell]).write_text("# mine\n")
    named = set()
    for _ in range(2):
        done = install()
        assert (done.code, done.out) == (0, "")
        assert f"named in {STARTED_BY[shell]}: a new {shell} completes postbox" in done.err
        named.add((tmp_path / STARTED_BY[shell]).read_text())
    (once,) = named
    assert once.startswith("# mine\n")


def test_a_new_bash_knows_it(install: Call, tmp_path: Path) -> None:
    install("bash")
    ran = subprocess.run(
        ["bash", "--rcfile", tmp_path / ".bashrc", "-ic", "complete -p postbox"],
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
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
