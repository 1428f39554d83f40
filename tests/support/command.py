"""The real `postbox` command, as a process of its own."""

from __future__ import annotations

import fcntl
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any, NamedTuple, Protocol

from support.forked import forked

POSTBOX = Path(sys.executable).parent / "postbox"
TIMEOUT_S = 300  # for a slow machine that is busy with everything else

STEPWISE = """
import sys
from postbox.cli import main, progress
progress.LINE_EVERY_S = 0
main.main(sys.argv[1:])
"""
"""The command, with a line of progress for each step that is done."""


class Done(NamedTuple):
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The last line of stdout, which is what scripts read."""
        return json.loads(self.out.splitlines()[-1])


class Call(Protocol):
    """`postbox`, or the same in this process."""

    def __call__(self, *words: object) -> Done: ...


def environment(**more: str) -> dict[str, str]:
    """This one's, less what would change what the command does."""
    kept = {key: text for key, text in os.environ.items() if not key.startswith("POSTBOX_")}
    return kept | {"COLUMNS": "100", "TERM": "dumb"} | more


def postbox(*words: str | Path, **env: str) -> Done:
    """Run to its end: forked from a process that has loaded it, or with `env` from the start."""
    if not env:
        return Done(*forked([*map(str, words)], environment(), TIMEOUT_S))
    ran = subprocess.run(
        [POSTBOX, *map(str, words)],
        capture_output=True,
        text=True,
        env=environment(**env),
        timeout=TIMEOUT_S,
        stdin=subprocess.DEVNULL,
        check=False,
    )
    return Done(ran.returncode, ran.stdout, ran.stderr)


def told(*words: str | Path) -> Any:
    """What it says with --json, when all went well."""
    done = postbox(*words, "--json")
    assert done.code == 0, done
    return done.json


@contextmanager
def running(
    *words: str | Path, log: IO[str] | int = subprocess.PIPE
) -> Iterator[subprocess.Popen[str]]:
    """Started, and killed at the end if it still runs. `log`: where its stderr goes, for one that
    says more than a pipe holds."""
    process = _start([POSTBOX, *map(str, words)], log)
    with _killed_at_the_end(process):
        yield process


@contextmanager
def stepwise(*words: str | Path) -> Iterator[subprocess.Popen[str]]:
    """As `running`, but it can never be far ahead of who reads its stderr, however slow that is: it
    says there each step that it has done, and what it says next waits until that was read."""
    ours, its = os.pipe2(os.O_DIRECT | os.O_CLOEXEC)  # what one call writes is one packet
    fcntl.fcntl(its, fcntl.F_SETPIPE_SZ, 1)  # as little as there may be: one packet
    with os.fdopen(ours) as said:
        with os.fdopen(its, "w") as log:
            process = _start([sys.executable, "-c", STEPWISE, *map(str, words)], log)
        process.stderr = said
        with _killed_at_the_end(process):
            yield process


def _start(command: Sequence[str | Path], log: IO[str] | int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=log,
        stdin=subprocess.DEVNULL,
        text=True,
        env=environment(),
    )


@contextmanager
def _killed_at_the_end(process: subprocess.Popen[str]) -> Iterator[None]:
    with process:
        try:
            yield
        finally:
            process.kill()


def ready_url(process: subprocess.Popen[str]) -> str:
    """What `serve` says first, once it answers."""
    assert process.stdout is not None
    line = process.stdout.readline()
    match = re.fullmatch(r"ready (http://127\.0\.0\.1:[0-9]+)\n", line)
    if match is None:
        process.kill()  # it has ended, or says what it should not
        raise AssertionError((line, *process.communicate()))
    return match[1]


@contextmanager
def served(home: Path, *words: str | Path, port: int = 0) -> Iterator[str]:
    """`postbox serve` on a free port, or on this one, stopped at the end; yields its URL."""
    listen = ("--listen", f"127.0.0.1:{port}", "--loopback")
    with TemporaryFile("w+") as log:
        try:
            with running("serve", "--home", home, *listen, *words, log=log) as process:
                yield ready_url(process)
                process.send_signal(signal.SIGTERM)
                out, _ = process.communicate(timeout=TIMEOUT_S)
                assert (process.returncode, out) == (0, "")
            said = _said(log)
            assert '"level": "error"' not in said
            assert "Traceback" not in said
        except BaseException:
            print(f"the node of {home} said:\n{_said(log)}")
            raise


def _said(log: IO[str]) -> str:
    log.seek(0)
    return log.read()


def counts(lines: Iterable[str]) -> Iterator[int]:
    """What lines of progress count; others are passed over."""
    found = (re.search(r": (\d+) events", line) for line in lines)
    return (int(match[1]) for match in found if match)


def counted_at_line(number: int, process: subprocess.Popen[str]) -> int:
    """How many events its n-th line of progress counts, once it is there."""
    assert process.stderr is not None
    *before, count = islice(counts(process.stderr), number)
    assert len(before) == number - 1, "it had ended before that line"
    return count


def killed_at_line(number: int, *words: str | Path) -> int:
    """Started, killed with SIGKILL when its n-th step is done. How many events the last line that
    it had written counted."""
    with stepwise(*words) as process:
        assert process.stderr is not None
        count = counted_at_line(number, process)
        process.send_signal(signal.SIGKILL)
        rest = process.stderr.readlines()  # written before the kill, read after it
    assert process.returncode == -signal.SIGKILL, f"it had ended before it was killed: {rest}"
    return max([count, *counts(rest)])
