"""A real Mosquitto for the tests, on loopback: plain or with TLS, to be stopped, started again on
its port, and halted. Where it is not installed, tests that need it are skipped (with CI=true they
fail)."""

from __future__ import annotations

import os
import select
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import trustme

from support.ports import free_port

_PLACES = ("/usr/sbin", "/usr/local/sbin")
PASSWORD = "se cret"
START_S = 120.0


def program() -> str | None:
    """On the PATH, or where Debian and others put it, which is not on everybody's."""
    return shutil.which("mosquitto") or shutil.which("mosquitto", path=os.pathsep.join(_PLACES))


@dataclass
class Mosquitto:
    """`authority`: who has certified it, None if it speaks plainly."""

    folder: Path
    port: int
    authority: Path | None
    user: str
    _process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def url(self) -> str:
        who = f"{self.user}:{PASSWORD.replace(' ', '%20')}@" if self.user else ""
        return f"mqtt{'s' if self.authority else ''}://{who}localhost:{self.port}"

    def start(self) -> None:
        found = program()
        assert found is not None
        command = [found, "-c", str(self.folder / "mosquitto.conf")]
        self._process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        self._wait_running()

    def _wait_running(self) -> None:
        assert self._process is not None
        stream, said = self._process.stderr, b""
        assert stream is not None
        while b" running" not in said:
            ready, _, _ = select.select([stream], [], [], START_S)
            part = os.read(stream.fileno(), 4096) if ready else b""
            said += part
            assert part, f"mosquitto did not start: {said.decode(errors='replace')}"

    def stop(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)
            self._process.terminate()
            self._process.communicate()  # what it says would else fill the pipe
            self._process = None

    def halt(self) -> None:
        """It keeps its connections, and says nothing any more."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)


def _configuration(folder: Path, port: int, *, tls: bool, user: str) -> str:
    lines = [f"listener {port} 127.0.0.1", "persistence false"]
    lines += [f"log_type {each}" for each in ("error", "warning", "notice", "information")]
    if os.getuid() == 0:
        lines.append("user root")  # else it becomes a user who may not read this folder
    if tls:
        lines += [f"certfile {folder / 'cert.pem'}", f"keyfile {folder / 'key.pem'}"]
    if user:
        lines.append(f"password_file {folder / 'passwords'}")
    lines.append(f"allow_anonymous {'false' if user else 'true'}")
    return "\n".join(lines) + "\n"


def _certify(folder: Path) -> Path:
    authority = trustme.CA()
    issued = authority.issue_cert("localhost")
    issued.cert_chain_pems[0].write_to_path(folder / "cert.pem")
    issued.private_key_pem.write_to_path(folder / "key.pem")
    authority.cert_pem.write_to_path(folder / "ca.pem")
    return folder / "ca.pem"


def _write_password(folder: Path, user: str) -> None:
    (folder / "passwords").write_text(f"{user}:{PASSWORD}\n")
    found = shutil.which("mosquitto_passwd")
    assert found is not None, "it comes with mosquitto"
    subprocess.run([found, "-U", str(folder / "passwords")], check=True)


@contextmanager
def started(folder: Path, port: int, *, tls: bool = False, user: str = "") -> Iterator[Mosquitto]:
    folder.mkdir(exist_ok=True)
    authority = _certify(folder) if tls else None
    if user:
        _write_password(folder, user)
    text = _configuration(folder, port, tls=tls, user=user)
    (folder / "mosquitto.conf").write_text(text)
    broker = Mosquitto(folder, port, authority, user)
    broker.start()
    try:
        yield broker
    finally:
        broker.stop()


Start = Callable[..., Mosquitto]


@pytest.fixture
def mosquitto(tmp_path: Path) -> Iterator[Start]:
    """Starts one, for the time of the test: `tls=True`, `user="ann"`."""
    if program() is None:
        pytest.skip("Mosquitto is not installed (Debian: apt-get install mosquitto)")
    with ExitStack() as stack:

        def start(*, tls: bool = False, user: str = "") -> Mosquitto:
            broker = started(tmp_path / "mosquitto", free_port(), tls=tls, user=user)
            return stack.enter_context(broker)

        yield start


if __name__ == "__main__":  # for `make mosquitto`: whether it is there
    raise SystemExit(0 if program() else "Mosquitto is not installed")
