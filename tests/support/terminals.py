"""Commands before a terminal of their own, on which a test types and reads."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import termios
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Timer

from support.command import POSTBOX, TIMEOUT_S, environment

CONTROL = re.compile(rb"\x1b(\[[0-9;:?<>=]*[A-Za-z]|\][^\x07\x1b]*(\x07|\x1b\\)|.)")
"""What a terminal obeys: without it, what it shows is left, line by line."""


@dataclass
class Terminal:
    """`written`: all that the command wrote."""

    process: subprocess.Popen[bytes]
    end: int
    written: bytes = b""
    _read_to: int = field(default=0)

    @property
    def text(self) -> str:
        """Written since `forget`."""
        return CONTROL.sub(b" ", self.written[self._read_to :]).decode(errors="replace")

    def forget(self) -> None:
        self._read_to = len(self.written)

    def type(self, keys: str) -> None:
        os.write(self.end, keys.encode())

    def take(self, wait_s: float) -> bool:
        """What is written within that time; whether something was."""
        if not select.select([self.end], [], [], wait_s)[0]:
            return False
        try:
            self.written += os.read(self.end, 1 << 16)
        except OSError:  # its side is closed
            return False
        return True

    def sees(self, *parts: str) -> None:
        """Reads until all of them were written since `forget`."""
        while not all(part in self.text for part in parts):
            assert self.take(TIMEOUT_S), f"{parts} is not there: {self.text[-3_000:]}"

    def hang_up(self) -> None:
        """The terminal is closed, as when its window is or a connection to it ends."""
        nothing = os.open(os.devnull, os.O_RDWR)
        os.dup2(nothing, self.end)
        os.close(nothing)

    def resize(self, columns: int, rows: int) -> None:
        fcntl.ioctl(self.end, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


@contextmanager
def on_terminal(
    *words: str | Path, columns: int = 80, rows: int = 24, **env: str
) -> Iterator[Terminal]:
    """`postbox`, started, and killed at the end, or when there is nothing to hope for: one that
    draws for ever is not waited for."""
    ours, its = pty.openpty()
    fcntl.ioctl(ours, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    size = {"COLUMNS": str(columns), "LINES": str(rows)}
    process = subprocess.Popen(
        [POSTBOX, *map(str, words)],
        stdin=its,
        stdout=its,
        stderr=its,
        env=environment(**{"TERM": "xterm-256color", **size, **env}),
        start_new_session=True,
    )
    os.close(its)
    patience = Timer(TIMEOUT_S, process.kill)
    patience.start()
    with process:
        try:
            yield Terminal(process, ours)
        finally:
            patience.cancel()
            process.kill()
            os.close(ours)
