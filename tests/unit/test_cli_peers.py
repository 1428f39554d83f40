"""What `postbox peers` and `doctor` say of a peer in trouble, and of one that is well."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from postbox.admin.peers import Other, Peers, Trust
from postbox.admin.words import distrust, trouble
from postbox.cli.peers import print_peers, row
from support.peers_seen import NOW_NS, URL, WELL


@pytest.mark.parametrize(
    ("contact", "ago_s", "next_s", "says"),
    [
        ("failed", 60, 20, "failed 60 s ago, next try in 20 s: why"),
        ("failed", 7_000, 600, "failed 117 min ago, next try in 10 min: why"),
        ("failed", 8_000, -1, "failed 2 h ago, next try now: why"),
        ("waiting", 0.2, 60, "asked 0 s ago, next try in 60 s: why"),
        ("reached", 60, 20, "why"),
        ("pulling", 60, 0, "why"),
    ],
)
def test_a_failure_has_its_time_and_that_of_the_next_try(
    contact: str, ago_s: float, next_s: float, says: str
) -> None:
    failed_ns, next_ns = (NOW_NS + int(seconds * 1e9) for seconds in (-ago_s, next_s))
    peer = replace(WELL, error="why", contact=contact, failed_ns=failed_ns, next_ns=next_ns)
    assert trouble(peer, NOW_NS) == says


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (f"GET {URL}/ping: all attempts failed", "all attempts failed"),
        (f"POST {URL}/api/sync: no complete answer", "no complete answer"),
        (f"GET {URL}/ping: [Errno -2] Name or service not known", "Name or service not known"),
        (f"{URL} answered 401: 'unknown sender'", "it answered 401: 'unknown sender'"),
        (
            f"the node at {URL} is odd: {URL}/ping answered 404",
            "the node is odd: /ping answered 404",
        ),
    ],
)
def test_the_url_is_not_said_twice(error: str, says: str) -> None:
    assert trouble(replace(WELL, error=error), NOW_NS) == says


@pytest.mark.parametrize(
    ("off_ms", "says"),
    [(0.0, "+0.0 s"), (-40.0, "+0.0 s"), (-60.0, "-0.1 s"), (9_990, "+10.0 s")],
)
def test_a_clock_that_agrees_is_not_off_by_minus_nothing(off_ms: float, says: str) -> None:
    assert says in row(replace(WELL, clock_off_ms=off_ms))


SHOWN = """\
url                 name  is a       answers  round trip  clock   memory  trust    key from    pulls        new events
http://127.0.0.1:9  bob   postbox 1  yes      1 ms        +0.0 s  short   demoted  configured  1 (reached)  1

Who else is in the mesh
name  url                     is a  state    round trip  memory  last contact  trust  key from
cat   http://100.64.0.3:7433  nara  missing  12 ms       -       90 s ago      good   answer
dan   http://x                -     unknown  -           -       -             good   unknown
  dan: away

Known by name, and not where they are: 1,000 (postbox peers --json)
  bob is demoted, for 60 s more: stalled: slow (postbox peers forgive bob ends it)
"""  # noqa: E501  (as it is printed)
BANNED = Trust("banned", "lied: \x1b[2Jit lied", NOW_NS + 7_000 * 10**9)
FOUND = Other(
    name="cat",
    url="http://100.64.0.3:7433",
    origin="met",
    kind="nara",
    version="",
    memory_mode="",
    uptime_s=0,
    state="missing",
    rtt_ms=12.3,
    last_contact_ns=NOW_NS - 90 * 10**9,
    known=True,
    error="",
    trust=Trust("good"),
    key_from="answer",
)


def test_why_a_peer_is_not_trusted_and_for_how_long_and_what_ends_it() -> None:
    assert distrust("bob", BANNED, NOW_NS) == (
        "bob is banned, for 117 min more: lied: \N{REPLACEMENT CHARACTER}[2Jit lied"
    )
    for_good = Trust("banned", "spam", by_operator=True)
    assert distrust("bob", for_good, NOW_NS) == "bob is banned: spam"


def test_all_that_is_known_of_the_mesh_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    new = replace(
        FOUND, name="dan", kind="", rtt_ms=None, last_contact_ns=0, known=False, key_from=""
    )
    lost = [replace(new, name=f"name{number}", url="") for number in range(1_000)]
    others = [
        FOUND,
        replace(new, url="http://x", state="unknown", error="GET http://x/ping: away"),
        *lost,
    ]
    bad = replace(WELL, trust=Trust("demoted", "stalled: slow", NOW_NS + 60 * 10**9))
    print_peers(Peers([bad], others, [], 0), NOW_NS)
    assert capsys.readouterr().out == SHOWN
