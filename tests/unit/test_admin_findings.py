"""What is a warning and what is wrong, for a terminal and for the page alike."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace

from postbox.admin import findings
from postbox.admin.findings import FEW, QUIET
from postbox.admin.links import LinkSeen
from postbox.admin.listening import crowded, outdated
from postbox.admin.peers import Other, Peers, Trust
from postbox.admin.surroundings import CertificateSeen, HomeSeen, Surroundings
from postbox.config import Config
from postbox.config.declaration import ServeConfig
from postbox.net.tls import server_tls
from support.certificates import certificate_in
from support.peers_seen import NOW_NS, WELL

NOW = datetime.fromtimestamp(NOW_NS / 1e9, UTC)
LINK = LinkSeen(
    host="b.example:2289",
    queued=3,
    acknowledged=0,
    next_attempt=None,
    attempts=2,
    error="nobody is there",
    received=0,
    unhandled=0,
    dead=1,
    last_contact=NOW,
    theirs=None,
)
OTHER = Other("", "", "", "", "", "", 0, "missing", None, 0, True, "", Trust("banned", "lied"))
SECOND = timedelta(seconds=1)


@pytest.mark.parametrize(
    ("last_contact", "state"),
    [(NOW, "warning"), (NOW - QUIET + SECOND, "warning"), (NOW - QUIET, "wrong"), (None, "wrong")],
)
def test_a_peer_and_a_host_that_fail_are_measured_alike(
    last_contact: datetime | None, state: str
) -> None:
    link = replace(LINK, last_contact=last_contact)
    at_ns = 0 if last_contact is None else int(last_contact.timestamp()) * 10**9
    peer = replace(WELL, answers=False, error="no", contact="failed", last_contact_ns=at_ns)
    [of_link] = findings.of_links([link], NOW_NS)
    [of_peer] = findings.of_peers(Peers([peer], [], [], 0), NOW_NS)
    assert (of_link.state, of_peer.state) == (state, state)
    assert of_link.text == "failed (2 attempts): nobody is there", "what was given up is another"


def test_of_many_of_a_kind_there_is_one_finding() -> None:
    for count, said in ((FEW, FEW), (FEW + 1, 1), (1_000, 1)):
        links = [replace(LINK, host=f"host{at}.example:2289") for at in range(count)]
        others = [replace(OTHER, name=f"peer{at}") for at in range(count)]
        assert len(list(findings.of_links(links, NOW_NS))) == said
        assert len(list(findings.of_peers(Peers([], others, [], 0), NOW_NS))) == said
    [one] = findings.of_links([replace(LINK, last_contact=None), *links[1:]], NOW_NS)
    assert (one.what, one.state, one.text) == ("hosts", "wrong", "failing: 1,000 of 1,000")


def test_what_a_node_stands_on_is_doubted() -> None:
    home = HomeSeen(Path("/h"), 0o755, 0o640, has_log=True, free_bytes=None, ahead_ns=0)
    states = {one.what: one.state for one in findings.of_home(home)}
    assert states == {"home": "warning", "key": "wrong", "disk": "wrong"}
    soon = NOW + timedelta(days=6)
    certificate = CertificateSeen(Path("c.pem"), soon, others=[("mesh.url", "a.example")])
    around = Surroundings(certificate, files_allowed=300, files_needed=1_100)
    found = {one.what: one for one in findings.of_surroundings(around, NOW_NS)}
    assert {one.state for one in found.values()} == {"warning"}
    limits = findings.of_limits(around)
    assert limits.state == "warning"
    assert limits.text == "300 open files allowed, 1,100 needed at most"
    assert "a.example" in found["certificate"].text
    refused = Surroundings(CertificateSeen(Path("c.pem"), refused="expired"), 2_000, 1_100)
    [tls] = findings.of_surroundings(refused, NOW_NS)
    assert (tls.state, findings.of_limits(refused).state) == ("wrong", "ok")


def test_a_certificate_that_was_renewed_under_a_serving_node_is_noticed(tmp_path: Path) -> None:
    cert, key = certificate_in(tmp_path)
    config = Config(serve=ServeConfig(tls_cert=cert, tls_key=key))
    served = server_tls(cert, key)
    assert outdated(config, served) is None
    certificate_in(tmp_path)
    doubt = outdated(config, served)
    assert doubt is not None
    assert "since the node started" in doubt.why
    cert.unlink()
    assert outdated(config, served) is None, "that is another finding's"
    assert outdated(Config(), None) is None


def test_a_process_that_may_have_too_few_open_files_says_how_many_it_takes() -> None:
    assert crowded(Config(serve=ServeConfig(max_connections=10))) is None
    doubt = crowded(Config(serve=ServeConfig(max_connections=2**40)))
    assert doubt is not None
    assert "LimitNOFILE" in doubt.cure
