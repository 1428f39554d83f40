"""`postbox` without the start of a Python: a server that has loaded its modules forks a process for
each call. That process has its own environment, folder and streams, and ends as any other does.

Whoever calls starts the server at the first call, and it ends with it. A call is a line to it:
words, environment, folder, and another folder with a pipe, in which come back the process's id and
its exit code, a line each. What it wrote is in files beside that.
"""

from __future__ import annotations

import atexit
import gc
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import IO, NamedTuple

VERBS = (
    *("backup", "config", "dead", "devices", "doctor", "export", "hosts", "import_file", "inbox"),
    *("keys", "links", "peers", "post", "restore", "status", "sync", "token", "trust", "verify"),
)
"""Files in `cli/` that are called often, and what they load."""
LATER = ("postbox.node", "postbox.store.postgres.driver", "postbox.net.client")
TESTS = Path(__file__).parent.parent


class Ended(NamedTuple):
    code: int
    out: str
    err: str


def forked(words: Sequence[str], environ: Mapping[str, str], timeout_s: float) -> Ended:
    """Run to its end. Raises TimeoutError, and the process is killed."""
    with tempfile.TemporaryDirectory(prefix="postbox-fork-") as name:
        folder = Path(name)
        os.mkfifo(folder / "ended")
        calls = _calls()
        calls.write(json.dumps([[*words], {**environ}, os.getcwd(), name]).encode() + b"\n")
        calls.flush()
        code = _code(folder / "ended", timeout_s)
        return Ended(code, (folder / "out").read_text(), (folder / "err").read_text())


def _code(pipe: Path, timeout_s: float) -> int:
    heard, end = b"", os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        while heard.count(b"\n") < 2:
            if not select.select([end], [], [], timeout_s)[0]:
                for pid in heard.split():
                    os.kill(int(pid), signal.SIGKILL)
                raise TimeoutError(f"no end within {timeout_s:g} s")
            said = os.read(end, 100)
            if not said:
                raise RuntimeError(f"who watched the call was killed; it had told {heard!r}")
            heard += said
        return int(heard.split()[1])
    finally:
        os.close(end)


@cache
def _calls() -> IO[bytes]:
    """Where the server reads them."""
    server = subprocess.Popen(
        [sys.executable, "-m", "support.forked"],
        stdin=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(TESTS)},
    )
    atexit.register(server.kill)
    assert server.stdin is not None
    return server.stdin


def wait_for_calls() -> list[str]:
    """Returns in each process that is to run the verb, with its words; never in the server."""
    for name in VERBS:
        import_module(f"postbox.cli.{name}")
    for name in LATER:
        import_module(name)
    gc.collect()
    gc.freeze()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody here waits for who watches
    with open(0, "rb", buffering=0, closefd=False) as calls:  # the next call is not the verb's
        for line in calls:
            if not os.fork():
                return _watched(line)
    os._exit(0)  # whoever called is gone


def _watched(line: bytes) -> list[str]:
    """One process tells how the other, in which this returns, has ended."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    words: list[str]
    words, environ, folder, answers = json.loads(line)
    if pid := os.fork():
        with open(f"{answers}/ended", "w") as ended:
            print(pid, file=ended, flush=True)
            _, status = os.waitpid(pid, 0)
            print(os.waitstatus_to_exitcode(status), file=ended, flush=True)
        os._exit(0)
    for number, path in enumerate((os.devnull, f"{answers}/out", f"{answers}/err")):
        stream = os.open(path, os.O_RDWR | os.O_CREAT)
        os.dup2(stream, number)
        os.close(stream)
    os.environ.clear()
    os.environ.update(environ)
    os.chdir(folder)
    return words


if __name__ == "__main__":
    from postbox.cli.main import main

    main(wait_for_calls())
