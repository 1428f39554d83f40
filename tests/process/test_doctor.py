"""`postbox doctor`: each of the usual mistakes is found, and the cure is said."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from postbox.home import DATABASE
from postbox.trust.keyfile import FILE_NAME as KEY_FILE
from postbox.world import SystemClock
from support.certificates import certificate_in
from support.command import POSTBOX, TIMEOUT_S, Call, served, told
from support.mesh import small_history
from support.mosquitto import PASSWORD, Start

TODAY = datetime.fromtimestamp(SystemClock().now_ns() / 1e9, UTC)


@pytest.fixture
def home(tmp_path: Path, call: Call) -> Path:
    call("status", "--home", tmp_path / "home")
    configure(tmp_path / "home", "")
    return tmp_path / "home"


def configure(home: Path, text: str) -> None:
    """A free port, whatever else runs on this machine, where a proxy on it gets in."""
    listen = 'serve.listen = "127.0.0.1:0"\n'
    networks = 'mesh.networks = ["127.0.0.1/32"]\n'
    (home / "config.toml").write_text(f"{listen}{networks}{text}")


def found(call: Call, home: Path, code: int) -> dict[str, Any]:
    done = call("doctor", "--home", home, "--json")
    assert done.code == code, done
    return {finding["what"]: finding for finding in done.json["findings"]}


def certificate(home: Path, end: datetime) -> None:
    """In the home's configuration: one that is valid from a year ago until `end`."""
    certificate_in(home, end)
    configure(home, 'serve.tls_cert = "cert.pem"\nserve.tls_key = "key.pem"\n')


def test_a_home_that_is_well_is_told_so(call: Call, home: Path) -> None:
    for is_served in (False, True):
        if is_served:
            with served(home):
                findings = found(call, home, 0)
        else:
            findings = found(call, home, 0)
        assert {finding["state"] for finding in findings.values()} == {"ok"}
        what = ["hypercorn", "home", "key", "disk", "configuration", "limits", "node"]
        assert list(findings) == (what if is_served else [*what, "port"])
        assert ("serving at http" in findings["node"]["text"]) is is_served


def test_what_is_found_is_a_line_and_its_cure_another(call: Call, home: Path) -> None:
    home.chmod(0o755)
    done = call("doctor", "--home", home)
    assert (done.code, done.err) == (0, "")
    lines = done.out.splitlines()
    assert [line.split()[0] for line in lines[:8]] == ["ok", "warning", *["ok"] * 6]
    assert lines[8:] == ["", "What to do", f"  home: chmod 700 {home}"]


def test_what_heals_several_is_said_once_and_a_node_that_is_to_be_made_lacks_no_key(
    call: Call, tmp_path: Path
) -> None:
    home = tmp_path / "new"
    home.mkdir(mode=0o700)
    configure(home, 'serve.loopback = true\nmesh.peers = ["http://127.0.0.1:9", "http://[::1]:9"]')
    done = call("doctor", "--home", home)
    (cure,) = [
        line for line in done.out.splitlines() if "is it running, and its URL right?" in line
    ]
    assert cure.startswith("  peer http://127.0.0.1:9, peer http://[::1]:9: ")
    assert "none yet: it is made with the node" in done.out


def test_a_peer_that_must_not_be_called_is_not_asked_whether_it_runs(
    call: Call, home: Path
) -> None:
    configure(home, 'mesh.peers = ["http://192.0.2.1", "http://10.0.0.1"]')
    out = call("doctor", "--home", home).out
    assert "is it running" not in out
    assert "  peer http://192.0.2.1, peer http://10.0.0.1: nobody was asked there: allow it" in out


def test_of_somebody_elses_home_it_says_who_may_look(tmp_path: Path) -> None:
    home = tmp_path / "theirs"
    home.mkdir()
    words = [str(POSTBOX), "doctor", "--json", "--home", str(home)]
    if os.getuid() == 0:  # then nothing is closed, but to a process without the right to pass
        os.chown(home, 65534, 65534)
        words = ["setpriv", "--bounding-set=-dac_override,-dac_read_search", *words]
    home.chmod(0o700 if os.getuid() == 0 else 0)
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    home.chmod(0o700)
    assert (done.returncode, done.stderr) == (1, "")
    (finding,) = json.loads(done.stdout)["findings"]
    assert finding["what"] == "home"
    assert finding["text"].startswith(str(home))
    assert finding["text"].endswith("Permission denied")
    assert "user that the home belongs to" in finding["cure"]


@pytest.mark.parametrize(
    ("text", "what", "says"),
    [
        ("serve.lissten = 1\n", "configuration", "did you mean `listen`"),
        ("serve.max_connections = 100000\n", "limits", "open files"),
        ("serve.loopback = true\n", "loopback", "private addresses are allowed"),
        (
            'serve.tls_cert = "no.pem"\nserve.tls_key = "no.pem"\n',
            "tls",
            "cannot read the certificate",
        ),
        ('mesh.peers = ["http://10.0.0.1"]\n', "peer http://10.0.0.1", "--loopback"),
        ('mesh.peers = ["http://192.0.2.1"]\n', "peer http://192.0.2.1", "will not call 192.0"),
    ],
)
def test_a_mistake_in_the_configuration_is_found(
    call: Call, home: Path, text: str, what: str, says: str
) -> None:
    configure(home, text)
    code = int(what not in ("limits", "loopback"))
    finding = found(call, home, code)[what]
    assert finding["state"] == ("wrong" if code else "warning")
    assert says in finding["text"]
    assert finding["cure"]


def test_where_nobody_gets_in_is_found_and_a_serving_node_knows_it_better(
    call: Call, home: Path
) -> None:
    (home / "config.toml").write_text('serve.listen = "127.0.0.1:0"\n')
    finding = found(call, home, 0)["callers"]
    assert finding["state"] == "warning"
    assert "nobody on this network can get in (127.0.0.1:0): 127.0.0.1" in finding["text"]
    assert "mesh.networks" in finding["cure"]
    with served(home):  # which says --loopback
        assert "callers" not in found(call, home, 0)


@pytest.mark.parametrize(
    ("free_mib", "state", "text"),
    [(1, "wrong", "1 MiB free"), (50, "warning", "50 MiB free"), (3072, "ok", "3.0 GiB free")],
)
def test_a_disk_that_is_full_is_wrong_and_one_that_is_nearly_so_is_told(
    call: Call, home: Path, monkeypatch: pytest.MonkeyPatch, free_mib: int, state: str, text: str
) -> None:
    free = free_mib * 2**20
    monkeypatch.setattr("shutil.disk_usage", lambda _: shutil._ntuple_diskusage(free, 0, free))
    finding = found(call, home, int(state == "wrong"))["disk"]
    assert (finding["state"], finding["text"]) == (state, text)


def test_a_port_that_is_taken_is_found(call: Call, home: Path, tmp_path: Path) -> None:
    with served(tmp_path / "other") as url:
        address = url.removeprefix("http://")
        (home / "config.toml").write_text(f'[serve]\nlisten = "{address}"\n')
        assert address in found(call, home, 1)["port"]["text"]


@pytest.mark.parametrize(
    ("days", "state", "says"),
    [
        (-1, "wrong", "certificate has expired"),
        (3, "warning", "valid until {:%F}"),
        (30, "ok", "valid until {:%F}"),
    ],
)
def test_the_end_of_a_certificate_is_seen(
    call: Call, home: Path, days: int, state: str, says: str
) -> None:
    end = TODAY + timedelta(days=days)
    certificate(home, end)
    finding = found(call, home, int(days < 0))["tls"]
    assert finding["state"] == state
    assert says.format(end) in finding["text"]
    assert ("renew" in finding["cure"]) is (days < 7)


def test_a_certificate_s_key_that_everybody_may_read_is_found(call: Call, home: Path) -> None:
    certificate(home, TODAY + timedelta(days=30))
    key = home / "key.pem"
    for mode, is_open in ((0o644, True), (0o640, False)):
        key.chmod(mode)
        finding = found(call, home, 0).get("tls key")
        assert (finding is not None) is is_open
        assert finding is None or f"chmod o= {key}" in finding["cure"]


@pytest.mark.parametrize("key", ['mesh.url = "https://{}:7433"', 'hosts.name = "{}"'])
def test_a_certificate_for_another_name_than_others_call_is_found(
    call: Call, home: Path, key: str
) -> None:
    certificate(home, TODAY + timedelta(days=30))
    path = home / "config.toml"
    text = path.read_text()
    for name, is_named in (("box.example.org", True), ("chat.example.org", False)):
        path.write_text(text + key.format(name) + "\n")
        finding = found(call, home, 0).get("certificate")
        assert (finding is None) is is_named
    assert finding is not None
    assert f"is not for chat.example.org, as {key.split(' ')[0]} says" in finding["text"]
    assert "have one made for chat.example.org" in finding["cure"]


def test_a_clock_that_went_back_is_found(call: Call, home: Path) -> None:
    later_s = SystemClock().now_ns() / 1e9 + 3_600
    os.utime(home / DATABASE, (later_s, later_s))
    finding = found(call, home, 1)["clock"]
    assert "behind what was written here by it" in finding["text"]
    assert "timedatectl" in finding["cure"]


def test_a_file_without_the_certificate_s_key_is_found(call: Call, home: Path) -> None:
    certificate(home, TODAY + timedelta(days=30))
    for text in ("garbage", "", (home / "cert.pem").read_text()):
        (home / "key.pem").write_text(text)
        finding = found(call, home, 1)["tls"]
        assert f"{home}/key.pem has no key that can be used" in finding["text"]
        assert "None" not in finding["text"]


def test_a_key_that_is_lost_or_open_to_others_is_found(call: Call, home: Path) -> None:
    (home / KEY_FILE).chmod(0o640)
    assert "read or changed by others" in found(call, home, 1)["key"]["text"]
    (home / KEY_FILE).unlink()
    findings = found(call, home, 1)
    assert "put back" in findings["key"]["cure"]
    assert findings["node"]["state"] == "wrong"
    assert not (home / KEY_FILE).exists()


def test_a_database_that_is_none_is_found(call: Call, home: Path) -> None:
    (home / DATABASE).write_bytes(b"garbage" * 1000)
    assert "file is not a database" in found(call, home, 1)["node"]["text"]


def test_a_home_that_is_not_there_is_not_made(call: Call, tmp_path: Path) -> None:
    findings = found(call, tmp_path / "home", 0)
    assert [finding["state"] for finding in findings.values()] == ["warning"]
    way = call("doctor", "b.example", "--home", tmp_path / "home")
    assert (way.code, way.out.split()[:2]) == (1, ["wrong", "home"])
    assert os.listdir(tmp_path) == []


def test_events_whose_signers_are_not_known_are_found(
    call: Call, home: Path, tmp_path: Path
) -> None:
    events = [raw for raw in small_history(500) if json.loads(raw)["svc"] != "hey-there"]
    (tmp_path / "events").write_bytes(b"\n".join(events))
    told("import", tmp_path / "events", "--home", home)
    finding = found(call, home, 0)["keys"]
    assert finding["state"] == "warning"
    assert "postbox trust import" in finding["cure"]


def test_names_that_wait_and_a_peer_that_lets_nobody_in_are_found(
    call: Call, home: Path, tmp_path: Path
) -> None:
    host = tmp_path / "host"
    host.mkdir()
    (host / "config.toml").write_text('[mesh]\nadmit = "ask"\n')
    with served(host) as url:
        configure(home, f'serve.loopback = true\nmesh.peers = ["{url}"]\n')
        with served(home):
            name = told("keys", "show", "--home", home)["name"]
            clock = SystemClock()
            until_s = clock.elapsed_s() + TIMEOUT_S
            while (finding := found(call, home, 0)[f"peer {url}"])["state"] != "warning":
                assert clock.elapsed_s() < until_s, finding  # it asks when it begins to serve
        assert "has not let this node in" in finding["text"]
        assert "let in: 1" in found(call, host, 0)["introductions"]["text"]
        assert name in call("trust", "list", "--home", host).out


# -- the broker -----------------------------------------------------------------------------------


def broker_found(call: Call, home: Path, code: int, url: str, ca: Path | None = None) -> Any:
    authority = f'mesh.mqtt_ca = "{ca}"\n' if ca else ""
    configure(home, f'serve.loopback = true\nmesh.mqtt = "{url}"\n{authority}')
    finding = found(call, home, code)["broker"]
    assert PASSWORD not in json.dumps(finding)
    return finding


def test_a_broker_that_lets_the_node_in_is_told_with_how_long_it_took(
    call: Call, home: Path, mosquitto: Start
) -> None:
    broker = mosquitto(tls=True, user="ann")
    text = broker_found(call, home, 0, broker.url, broker.authority)["text"]
    how = "lets this node in, over TLS, its certificate verified, in"
    assert re.fullmatch(rf"mqtts://localhost:{broker.port} {how} \d+ ms", text)


def test_what_keeps_the_node_from_its_broker_is_told_with_its_cure(
    call: Call, home: Path, mosquitto: Start, tmp_path: Path
) -> None:
    broker = mosquitto(tls=True, user="ann")

    def said(url: str, ca: Path | None, text: str, cure: str) -> None:
        finding = broker_found(call, home, 1, url, ca)
        assert finding["state"] == "wrong"
        assert text in finding["text"]
        assert cure in finding["cure"]

    wrong = broker.url.replace(PASSWORD[-2:], "xx")
    said(broker.url, None, "certificate verify failed", "mesh.mqtt_ca")
    said(broker.url, tmp_path / "missing.pem", "missing.pem", "a PEM file")
    said(wrong, broker.authority, "Not authorized", "the user and the password")
    broker.stop()
    said(broker.url, broker.authority, "failed", "is it running")


def test_a_plain_broker_is_said_to_be_one(call: Call, home: Path, mosquitto: Start) -> None:
    broker = mosquitto()
    assert "without TLS" in broker_found(call, home, 0, broker.url)["text"]
