"""A whole node that is killed: `postbox serve`, started again whenever that was done to it."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from support.command import POSTBOX, environment
from torture.account import Broken

ENDED = "open in another process"  # a verb has the home while its node is down

Nap: TypeAlias = Callable[[float], None]


@dataclass
class Served:
    """At the address that its configuration names."""

    home: Path
    url: str
    nap: Nap
    process: subprocess.Popen[str] | None = None
    is_ready: bool = False  # as far as anybody waited for it

    @property
    def log(self) -> Path:
        return self.home.with_suffix(".log")

    @property
    def runs(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def start(self) -> None:
        with self.log.open("a") as log:
            self.process = subprocess.Popen(
                [POSTBOX, "serve", "--home", self.home],
                stdout=subprocess.PIPE,
                stderr=log,
                stdin=subprocess.DEVNULL,
                text=True,
                env=environment(),
            )

    def wait_ready(self) -> None:
        """It is started again for as long as a verb has the home."""
        while True:
            assert self.process is not None
            assert self.process.stdout is not None
            if self.process.stdout.readline() == f"ready {self.url}\n":
                self.is_ready = True
                return
            code, said = self.process.wait(), self.log.read_text()[-2_000:]
            self.process.stdout.close()
            if code != 1 or ENDED not in said:
                raise Broken(f"{self.url} ended by itself with {code}: {said}")
            self.nap(0.1)
            self.start()

    def kill(self) -> None:
        self.is_ready = False
        if self.process is not None:
            self.process.send_signal(signal.SIGKILL)
            self.process.communicate()
            self.process = None

    def check_log(self) -> None:
        """Raises Broken."""
        said = self.log.read_text()
        if "Traceback" in said:
            raise Broken(f"{self.url} logged: {said[said.index('Traceback') :][:5_000]}")
