"""The real `postbox` command, as a process of its own."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import IO, Any, NamedTuple, Protocol

from support.forked import forked

POSTBOX = Path(sys.executable).parent / "postbox"
TIMEOUT_S = 120  # for a machine that is busy with everything else


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
    process = subprocess.Popen(
        [POSTBOX, *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=log,
        stdin=subprocess.DEVNULL,
        text=True,
        env=environment(),
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def ready_url(process: subprocess.Popen[str]) -> str:
    """What `serve` says first, once it answers."""
    assert process.stdout is not None
    line = process.stdout.readline()
    match = re.fullmatch(r"ready (http://127\.0\.0\.1:[0-9]+)\n", line)
    assert match, (line, process.stderr and process.poll() and process.stderr.read())
    return match[1]


@contextmanager
def served(home: Path, *words: str | Path, port: int = 0) -> Iterator[str]:
    """`postbox serve` on a free port, or on this one, stopped at the end; yields its URL."""
    listen = ("--listen", f"127.0.0.1:{port}", "--loopback")
    with running("serve", "--home", home, *listen, *words) as process:
        yield ready_url(process)
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=60)
        assert (process.returncode, out) == (0, ""), err
        assert '"level": "error"' not in err
        assert "Traceback" not in err


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
    """Started, killed with SIGKILL when its n-th line of progress is there. How many events the
    last line that it had written counted."""
    with running(*words) as process:
        assert process.stderr is not None
        count = counted_at_line(number, process)
        process.send_signal(signal.SIGKILL)
        rest = process.stderr.readlines()  # written before the kill, read after it
    assert process.returncode == -signal.SIGKILL, f"it had ended before it was killed: {rest}"
    return max([count, *counts(rest)])
