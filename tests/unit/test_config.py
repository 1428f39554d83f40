"""The configuration file is read as declared, or refused with all that is wrong with it."""

from __future__ import annotations

import json
import subprocess
import sys
from ipaddress import ip_network
from pathlib import Path

import pytest

from postbox.cli.config import config as config_verb
from postbox.cli.options import Common
from postbox.config import Address, BadConfig, Config, load, overridden
from postbox.config.kinds import Memory, Networks, Urls
from postbox.config.reading import declared, value_of
from postbox.mesh.memory import MAX_CAPACITY, capacity_of


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path


def load_text(home: Path, text: str) -> Config:
    (home / "config.toml").write_text(text, encoding="utf-8")
    return load(home)


def refusal(home: Path, text: str) -> list[str]:
    """The lines of the fault, without the first one, which names the file."""
    with pytest.raises(BadConfig) as caught:
        load_text(home, text)
    first, *problems = str(caught.value).split("\n")
    assert first == f"{home / 'config.toml'} cannot be used:"
    return [problem.removeprefix("  ") for problem in problems]


def test_without_a_file_or_a_home_the_defaults_hold(home: Path) -> None:
    assert load(home) == load(home / "nowhere") == Config()
    assert load_text(home, "") == Config()


def test_every_key_is_read_into_its_type(home: Path) -> None:
    read = load_text(
        home,
        """
        [node]
        memory = 50000
        store = "postgresql://ann:secret@db/postbox"
        [serve]
        listen = "[::1]:80"
        tls_cert = "tls/cert.pem"
        tls_key = "/etc/key.pem"
        loopback = true
        max_connections = 7
        max_connections_per_address = 3
        [mesh]
        peers = ["http://100.64.0.7:7433/", "https://ann.example"]
        mqtt = "mqtts://ann:secret@mqtt.example"
        mqtt_ca = "broker.pem"
        url = "https://me.example:7433"
        networks = ["10.0.0.0/8"]
        admit = "ask"
        pull_every = 5
        agreeableness = 81
        sociability = 19
        chill = 86
        cutoff = ["ann:1700000000", "r2d2:1768774453"]
        coordinates = "nara"
        chattiness = 10
        refresh_every = 600
        requests_per_minute = 60
        concurrent_requests = 2
        [hosts]
        name = "Chat.Example.org"
        admit = "open"
        invites = "anyone"
        follow = true
        retain_days = 3
        retain_mib = 9
        requests_per_minute = 90
        ca = "tls/ca.pem"
        [clients]
        issuer = "https://login.example"
        jwks = "keys/jwks.json"
        audience = "chat"
        token_days = 7
        max_devices = 4
        events_per_second = 7
        burst = 700
        origins = ["https://App.example:443", "http://localhost:3000/"]
        [page]
        enabled = false
        actions = true
        [log]
        level = "debug"
        format = "json"
        [metrics]
        networks = []
        """,
    )
    assert read.node.memory == "50000"
    assert read.node.store == "postgresql://ann:secret@db/postbox"
    assert read.serve.listen == Address("::1", 80)
    assert (read.serve.tls_cert, read.serve.tls_key) == (
        home / "tls" / "cert.pem",
        Path("/etc/key.pem"),
    )
    assert read.serve.loopback is True
    assert (read.serve.max_connections, read.serve.max_connections_per_address) == (7, 3)
    assert read.mesh.peers == ("http://100.64.0.7:7433", "https://ann.example")
    assert read.mesh.mqtt == "mqtts://ann:secret@mqtt.example"
    assert read.mesh.mqtt_ca == home / "broker.pem"
    assert read.mesh.url == "https://me.example:7433"
    assert read.mesh.networks == (ip_network("10.0.0.0/8"),)
    assert (read.mesh.admit, read.mesh.pull_every) == ("ask", 5)
    assert (read.mesh.agreeableness, read.mesh.sociability, read.mesh.chill) == (81, 19, 86)
    assert read.mesh.cutoff == (("ann", 1_700_000_000), ("r2d2", 1_768_774_453))
    assert (read.mesh.coordinates, read.mesh.chattiness) == ("nara", 10)
    assert read.mesh.refresh_every == 600
    assert (read.mesh.requests_per_minute, read.mesh.concurrent_requests) == (60, 2)
    assert (read.hosts.name, read.hosts.admit) == ("Chat.Example.org", "open")
    assert (read.hosts.invites, read.hosts.follow) == ("anyone", True)
    assert (read.hosts.retain_days, read.hosts.retain_mib) == (3, 9)
    assert (read.hosts.requests_per_minute, read.hosts.ca) == (90, home / "tls" / "ca.pem")
    assert (read.clients.issuer, read.clients.audience) == ("https://login.example", "chat")
    assert read.clients.jwks == str(home / "keys" / "jwks.json")
    assert (read.clients.token_days, read.clients.max_devices) == (7, 4)
    assert (read.clients.events_per_second, read.clients.burst) == (7, 700)
    assert read.clients.origins == ("https://app.example", "http://localhost:3000")
    assert (read.page.enabled, read.page.actions) == (False, True)
    assert (read.log.level, read.log.format) == ("debug", "json")
    assert read.metrics.networks == ()
    unchanged = [
        one.path for one in declared().values() if value_of(read, one) == value_of(Config(), one)
    ]
    assert unchanged == [], "a key that this test leaves out is a key that it does not test"


def test_a_value_that_is_written_is_read_as_it_was() -> None:
    for one in declared().values():
        assert one.kind.read(one.kind.written(one.default), Path()) == one.default


def test_unknown_names_are_refused_with_the_nearest_one_and_the_line(home: Path) -> None:
    assert refusal(
        home,
        'listen = "x"\n'
        "[serve]\n"
        "lisen = 1\n"
        "peers = []\n"
        "zzz = 1\n"
        "'lop back' = 1\n"
        "[ log ]\n"
        "[mehs]\n"
        "networks = []\n",
    ) == [
        "line 1, listen: no key stands outside a section; did you mean `listen` in [serve]?",
        "line 3, [serve] lisen: there is no such key; did you mean `listen`?",
        "line 4, [serve] peers: there is no such key; did you mean `peers` in [mesh]?",
        "line 5, [serve] zzz: there is no such key",
        "line 6, [serve] lop back: there is no such key; did you mean `loopback`?",
        "line 8, mehs: there is no such section; did you mean [mesh]?",
    ]


def test_a_name_that_two_sections_have_is_shown_with_both(home: Path) -> None:
    (told,) = refusal(home, "[serve]\nnetwork = []")
    assert told.endswith("did you mean `networks` in [mesh] or [metrics]?")


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("# a comment\n\n[serve]\n# another\n  'lisen'  = 1", "line 5, [serve] lisen"),
        ("serve.lisen = 1", "line 1, [serve] lisen"),
        ("\nserve . 'lisen' = 1", "line 2, [serve] lisen"),
        ("[log]\nlevel = 'info'\n[serve]\nlisen = 1", "line 4, [serve] lisen"),
        ("\nserve = {lisen = 1}", "line 2, [serve] lisen"),
        ("[mesh]\npeers = [\n'http://lisen=1',\n]\n[serve]\nlisen = 1", "line 6, [serve] lisen"),
        ("[serve.lisen]\nx = 1", "line 1, [serve] lisen"),
        ("\n['serve']\nlisen = 1", "line 3, [serve] lisen"),
        ('["serv\\u0065"]\nlisen = 1', "[serve] lisen"),
    ],
)
def test_a_problem_is_found_wherever_toml_lets_it_stand(home: Path, text: str, place: str) -> None:
    (told,) = refusal(home, text)
    assert told == f"{place}: there is no such key; did you mean `listen`?"


@pytest.mark.parametrize("text", ["serve = 3", "[[serve]]", "serve = [1]"])
def test_what_should_be_a_section_is_told_so(home: Path, text: str) -> None:
    (told,) = refusal(home, text)
    assert told.startswith("line 1, serve: ")
    assert "serve" in told.split(": ", 1)[1]


@pytest.mark.parametrize(
    ("key", "values"),
    {
        "node.memory": ["", "tiny", "0", 0, -1, MAX_CAPACITY + 1, "9" * 5000, True, 1.5, [], "５"],
        "serve.listen": [
            "",
            "7433",
            ":7433",
            "127.0.0.1",
            "127.0.0.1:",
            "127.0.0.1:65536",
            "127.0.0.1:-1",
            "127.0.0.1:٣",
            "[127.0.0.1]:1",
            "::1:7433",
            "[::1]",
            "example.org:7433",
            "127.1:7433",
            "http://127.0.0.1:7433",
            7433,
        ],
        "serve.tls_cert": ["a\0b", 1, True],
        "serve.loopback": [1, 0, "true", "yes", []],
        "serve.max_connections": [0, 100_001, -1, 1.0, "10", True, 10**6000],
        "mesh.peers": [
            "http://a:1",
            [1],
            ["a:1"],
            ["a"],
            [""],
            ["ftp://a"],
            ["http://"],
            ["http://:80"],
            ["http://a:99999"],
            ["http://a:0"],
            ["http://a:x"],
            ["http://[::1"],
            ["http://u@a"],
            ["http://u:p@a"],
            ["http://a?x"],
            ["http://a#x"],
            ["http://a b"],
            ["http://a\r\nb"],
            [["http://a"]],
        ],
        "mesh.mqtt": [
            "a",
            "mqtt://",
            "http://a",
            "tcp://a",
            "mqtt://a:0",
            "mqtt://a:99999",
            "mqtt://a/b",
            "mqtt://a?b",
            "mqtt://a#b",
            "mqtt://a b",
            "mqtt://[::1",
            1,
        ],
        "mesh.url": ["a", "http://", 1],
        "mesh.networks": ["10.0.0.0/8", ["10.0.0.1/8"], ["10/8"], ["x"], [10], ["10.0.0.0/33"]],
        "mesh.cutoff": ["r2d2:1", ["r2d2"], ["r2d2:"], [":1"], ["a:b:1"], ["a b:1"], ["a:-1"], [1]],
        "mesh.admit": ["", "Open", "yes", True, 1, []],
        "mesh.pull_every": [0, 86_401, 0.5, "60"],
        "log.level": ["trace", "INFO", 10],
        "log.format": ["xml", 1],
        "metrics.networks": ["*", ["*"]],
    }.items(),
)
def test_what_is_no_value_of_a_key_is_refused(key: str, values: list[object]) -> None:
    """The same from a file and from the command line; the text has what was expected."""
    for value in values:
        with pytest.raises(BadConfig) as caught:
            overridden(Config(), {key: value})
        one = declared()[key]
        expected = one.key.option_takes or one.expected
        begin = f"{one.key.option or key}: expected {expected}, "
        assert str(caught.value).startswith((f"{begin}not ", f"{begin}without ")), value
        assert str(caught.value).isprintable()
        assert len(str(caught.value)) < 300


def test_all_problems_of_a_file_are_told_at_once_in_its_order(home: Path) -> None:
    told = refusal(
        home,
        "[mesh]\n"
        "networks = ['100.64.0.1/10']\n"
        "pull_every = 0\n"
        "peers = ['http://a', 'ftp://x']\n"
        "[serve]\n"
        "tls_cert = 'c.pem'\n"
        "loopback = 'yes'\n",
    )
    instead = ": the network is 100.64.0.0/10"
    assert told == [
        f"line 2, [mesh] networks: expected {Networks().expected}, not '100.64.0.1/10'{instead}",
        "line 3, [mesh] pull_every: expected a whole number from 1 to 86400 (seconds), not 0",
        f"line 4, [mesh] peers: expected {Urls().expected}, not 'ftp://x'",
        "line 6, [serve] tls_cert: tls_cert and tls_key are given together or not at all",
        "line 7, [serve] loopback: expected true or false, not 'yes'",
    ]


def test_of_a_refused_key_nothing_else_is_said(home: Path) -> None:
    told = refusal(home, "[serve]\ntls_cert = 1\ntls_key = 'k.pem'\n")
    assert told == ['line 2, [serve] tls_cert: expected the path of a file, or "" for none, not 1']


def test_where_keys_are_published_is_asked_for_as_it_is_written(home: Path) -> None:
    for url in ("https://a.example/keys/", "https://a.example:8443/keys.json"):
        read = load_text(home, f'[clients]\nissuer = "a"\njwks = "{url}"\n')
        assert read.clients.jwks == url


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("issuer = 'https://a.example'", "[clients] issuer: issuer and jwks are given together"),
        ("jwks = 'keys.json'", "[clients] jwks: issuer and jwks are given together"),
        ("jwks = 'http://a.example/keys'", "[clients] jwks: expected an https URL"),
        ("jwks = 'https://ann@a.example/keys'", "[clients] jwks: expected an https URL"),
        ("jwks = 'file:///etc/keys'", "[clients] jwks: expected an https URL"),
        ("jwks = 7", "[clients] jwks: expected an https URL"),
        ("issuer = 'two words'", "[clients] issuer: expected the `iss` of its tokens"),
        ("audience = ''", "[clients] audience: expected 1 to 200 characters"),
        ("audience = 'a\\u0007'", "[clients] audience: expected 1 to 200 characters"),
        ("origins = 'https://a.example'", "[clients] origins: expected a list of origins"),
        ("origins = ['a.example']", "[clients] origins: expected a list of origins"),
        ("origins = ['https://a.example/app']", "[clients] origins: expected a list of origins"),
        ("origins = ['https://ä.example']", "[clients] origins: expected a list of origins"),
        ("origins = ['null']", "[clients] origins: expected a list of origins"),
    ],
)
def test_an_issuer_of_clients_tokens_and_whose_pages_call_are_named_safely(
    home: Path, text: str, told: str
) -> None:
    (one,) = refusal(home, "[clients]\n" + text.replace("'", '"'))
    assert one.startswith(f"line 2, {told}")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"[serve]\nlisten = 'a' b\n", "no TOML: .*line 2, column 14"),
        (b"[serve]\n[serve]\n", "no TOML: .*line 2, column 7"),
        (b"[serve", "no TOML: "),
        (b"a = " + b"[" * 100_000, "no TOML: "),
        (b"a = " + b"9" * 5_000, "no TOML: "),
        (b"a = '\xff'", "not UTF-8 text: see its byte 5"),
    ],
)
def test_a_file_that_is_no_toml_is_refused_with_the_place(
    home: Path, content: bytes, says: str
) -> None:
    (home / "config.toml").write_bytes(content)
    with pytest.raises(BadConfig, match=says) as caught:
        load(home)
    assert str(home / "config.toml") in str(caught.value)


def test_a_file_that_can_not_be_read_is_no_missing_file(home: Path) -> None:
    (home / "config.toml").mkdir()
    with pytest.raises(BadConfig, match=r"cannot read .*directory"):
        load(home)


def test_a_link_to_a_file_that_is_not_there_is_no_missing_file(home: Path) -> None:
    """The defaults might let in whom the file would not."""
    (home / "config.toml").symlink_to(home / "elsewhere.toml")
    with pytest.raises(BadConfig, match=r"cannot read .*config.toml: it is a link"):
        load(home)
    (home / "elsewhere.toml").touch()
    assert load(home) == Config()


def test_options_override_the_file_and_those_not_given_do_not(home: Path) -> None:
    read = load_text(home, "[serve]\nlisten = '127.0.0.1:1'\nmax_connections = 5\n")
    options = {"serve.listen": "127.0.0.1:0", "mesh.peers": ["http://a:1"], "node.memory": None}
    changed = overridden(read, {**options, "serve.tls_cert": "c.pem", "serve.tls_key": "k.pem"})
    assert changed.serve.listen == Address("127.0.0.1", 0)
    assert (changed.serve.max_connections, changed.mesh.peers) == (5, ("http://a:1",))
    assert changed.serve.tls_cert == Path("c.pem")  # of the folder where the command was given
    assert changed.node == read.node
    assert read.serve.listen == Address("127.0.0.1", 1)


def test_all_wrong_options_are_named_at_once() -> None:
    wrong = {"serve.listen": "x", "node.memory": "tiny", "mesh.peers": ["a"]}
    with pytest.raises(BadConfig) as caught:
        overridden(Config(), wrong)
    assert [part.split(":")[0] for part in str(caught.value).split("; ")] == [
        "--listen",
        "--memory",
        "--peer",
    ]


def test_an_option_that_is_given_again_for_each_asks_for_one() -> None:
    with pytest.raises(BadConfig, match=r"^--peer: expected http:// or https:// with .*, not 'a'$"):
        overridden(Config(), {"mesh.peers": ["a"]})


def test_a_key_without_its_certificate_is_refused_as_an_option_too() -> None:
    with pytest.raises(BadConfig, match="given together"):
        overridden(Config(), {"serve.tls_key": "k.pem"})


def test_memory_takes_what_the_ledger_takes_and_no_more() -> None:
    kind = Memory()
    accepted = [*kind.modes, 1, "1", "0050", kind.most]
    assert all(capacity_of(str(kind.read(value, Path()))) >= 1 for value in accepted)
    for value in ("small", 0, kind.most + 1):
        with pytest.raises(ValueError):
            kind.read(value, Path())
        with pytest.raises(ValueError):
            capacity_of(str(value))


def test_the_verb_shows_every_key_of_a_home_and_what_it_is_by_itself(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    load_text(home, "[serve]\nmax_connections = 5\n")
    assert config_verb(common=Common(home=str(home), json=True)) == 0
    told = {row["key"]: row for row in json.loads(capsys.readouterr().out)}
    assert list(told) == list(declared())
    row = told["serve.max_connections"]
    assert (row["value"], row["default"], row["unit"]) == (5, 1000, "connections")
    assert (row["needs_restart"], row["option"]) == (True, "")
    assert told["serve.listen"]["value"] == "127.0.0.1:7433"
    assert config_verb(common=Common(home=str(home))) == 0
    (line,) = [one for one in capsys.readouterr().out.split("\n") if "max_connections " in one]
    assert line.split()[:5] == ["max_connections", "5", "1000", "connections", "yes"]


def test_the_verb_refuses_what_a_node_would_refuse_and_makes_nothing(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    nowhere = home / "nowhere"
    assert config_verb(common=Common(home=str(nowhere))) == 0
    assert not nowhere.exists()
    (home / "config.toml").write_text("[serve]\nlisen = 1\n")
    capsys.readouterr()
    assert config_verb(common=Common(home=str(home))) == 1
    told = capsys.readouterr()
    assert told.out == ""
    assert "did you mean `listen`?" in told.err


def test_to_read_the_configuration_loads_nothing_heavy() -> None:
    code = "import sys, postbox.config; print(*sys.modules)"
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    loaded = {name.split(".")[0] for name in ran.stdout.split()}
    assert "msgspec" in loaded, "the test has lost its way"
    assert loaded.isdisjoint({"trio", "structlog", "prometheus_client", "rich", "cyclopts"})


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://ann:se%40cret@db:5433/postbox", "postgresql://ann:***@db:5433/postbox"),
        ("postgres://ann@/postbox?host=/run", "postgres://ann@/postbox?host=/run"),
        ("postgresql:///postbox", "postgresql:///postbox"),
    ],
)
def test_the_url_of_a_database_is_shown_without_its_password(url: str, shown: str) -> None:
    kind = declared()["node.store"].kind
    assert kind.read(url, Path()) == url
    assert kind.written(url) == shown


@pytest.mark.parametrize("bad", ["mysql://db/postbox", "postbox.db", "postgresql://a b", 7, None])
def test_what_is_no_url_of_a_database_is_refused_and_not_repeated(bad: object) -> None:
    with pytest.raises(ValueError, match="not what was given"):
        declared()["node.store"].kind.read(bad, Path())


@pytest.mark.parametrize("bad", ["ann:se/cret@db/log", "ann:se@cret@db/log", "a/b@db/log"])
def test_a_password_that_would_be_taken_for_a_host_is_refused_with_what_to_write(bad: str) -> None:
    kind = declared()["node.store"].kind
    with pytest.raises(ValueError, match="%2F and %40") as refused:
        kind.read(f"postgresql://{bad}", Path())
    assert "cret" not in str(refused.value)
    assert kind.read("postgresql://ann@db/log?options=a@b/c", Path())


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("mqtt://broker:1883", "mqtt://broker:1883"),
        ("mqtts://ann@broker", "mqtts://ann@broker"),
        ("mqtts://ann:secret@broker", "mqtts://ann:***@broker"),
        ("mqtts://ann:se@cr:et@broker", "mqtts://ann:***@broker"),
        ("mqtts://:secret@broker", "mqtts://:***@broker"),
    ],
)
def test_the_url_of_a_broker_is_shown_without_its_password(url: str, shown: str) -> None:
    config = overridden(Config(), {"mesh.mqtt": url})
    assert declared()["mesh.mqtt"].kind.written(config.mesh.mqtt) == shown
    with pytest.raises(BadConfig) as caught:
        overridden(Config(), {"mesh.mqtt": f"{url}/secret"})
    assert "secret" not in str(caught.value)
