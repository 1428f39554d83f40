"""Host names: one spelling each, and nothing that is no name gets through."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postbox.trust.host_names import (
    BadHostName,
    canonical_destination,
    canonical_host,
    canonical_pattern,
    rows_for,
    split_host,
)

SPELLINGS = [
    ("b.example", "b.example:2289"),
    ("b.example.", "b.example:2289"),
    ("B.Example", "b.example:2289"),
    ("b.example:2289", "b.example:2289"),
    ("b.example:02289", "b.example:2289"),
    ("b.example.:8448", "b.example:8448"),
    ("b.example:443", "b.example:443"),
    ("bücher.example", "xn--bcher-kva.example:2289"),
    ("XN--BCHER-KVA.example", "xn--bcher-kva.example:2289"),
    ("r3---sn.example", "r3---sn.example:2289"),
    ("1.2.3.4.example", "1.2.3.4.example:2289"),
    ("0x7f.example", "0x7f.example:2289"),
]
LOCAL = [
    ("127.0.0.1", "127.0.0.1:2289"),
    ("127.0.0.1:7433", "127.0.0.1:7433"),
    ("[::1]", "[::1]:2289"),
    ("[0:0:0:0:0:0:0:1]:80", "[::1]:80"),
    ("[FD00::A]:7433", "[fd00::a]:7433"),
    ("localhost:7433", "localhost:7433"),
    ("b.example:22", "b.example:22"),
]
NO_NAMES = [
    "",
    " ",
    ".",
    "..",
    ":",
    ":2289",
    "b.example:",
    "b.example:0",
    "b.example:65536",
    "b.example:999999",
    "b.example:-1",
    "b.example:+80",
    "b.example:8 0",
    "b.example:２２８９",
    "b.example:2289:1",
    "b.example..",
    ".b.example",
    "b..example",
    "b.example ",
    " b.example",
    "b.example\n",
    "b.example\r\nHost: c.example",
    "b.example\0",
    "b.example\t:80",
    "https://b.example",
    "http://b.example:80",
    "//b.example",
    "b.example/",
    "b.example/path",
    "b.example?x",
    "b.example#x",
    "b.example\\@c.example",
    "user@b.example",
    "user:word@b.example",
    "b.example:80@c.example",
    "%62.example",
    "b%2eexample",
    "b_c.example",
    "-b.example",
    "b-.example",
    "b.exa mple",
    "*.example",
    "b.*",
    "b.example:*",
    "a" * 64 + ".example",
    ".".join(["a" * 60] * 5),
    "xn--" + "9" * 60 + ".example",
    "ü" * 64 + ".example",
    "xn--.example",
    "xn--a.example",
    "xn--bcher-kva1.example",
    "☃.example",
    "ｂ.example",  # full width
    "b。example",  # a dot to some
    "b．example",
    "ＢÜCHER.example",
    "b\u200d.example",
    "b\u00ad.example",
    "\ud800.example",
    "١.example",
    "example.1",
    "127.1",
    "127.0.1",
    "2130706433",
    "0x7f000001",
    "0x7f.0.0.1",
    "0177.0.0.1",
    "127.0.0.1.",
    "127.0.0.01",
    "1.2.3.4.5",
    "256.1.1.1",
    "①②⑦.0.0.1",
    "::1",
    "::1:80",
    "[::1",
    "::1]",
    "[::1]80",
    "[::1]:",
    "[]",
    "[]:80",
    "[b.example]",
    "[127.0.0.1]",
    "[::ffff:127.0.0.1]",
    "[fe80::1%eth0]",
    "[fe80::1%25eth0]",
    "[::1]@b.example",
    "[[::1]]",
]


@pytest.mark.parametrize(("text", "canonical"), SPELLINGS)
@pytest.mark.parametrize("is_local", [False, True])
def test_a_host_has_one_spelling(text: str, canonical: str, is_local: bool) -> None:
    assert canonical_host(text, is_local=is_local) == canonical
    assert canonical_host(canonical, is_local=is_local) == canonical


@pytest.mark.parametrize(("text", "canonical"), LOCAL)
def test_addresses_bare_names_and_other_services_ports_are_for_loopback_alone(
    text: str, canonical: str
) -> None:
    assert canonical_host(text, is_local=True) == canonical
    with pytest.raises(BadHostName, match="names no host: "):
        canonical_host(text, is_local=False)


@pytest.mark.parametrize("text", NO_NAMES)
@pytest.mark.parametrize("is_local", [False, True])
def test_what_names_no_host_is_refused_with_the_reason(text: str, is_local: bool) -> None:
    with pytest.raises(BadHostName) as refused:
        canonical_host(text, is_local=is_local)
    assert "\n" not in str(refused.value)
    assert "\r" not in str(refused.value)


def test_a_name_without_end_is_not_even_looked_at() -> None:
    with pytest.raises(BadHostName, match="it has 20000000 characters") as refused:
        canonical_host("a." * 10_000_000, is_local=True)
    assert len(str(refused.value)) < 200


def test_a_name_is_short_enough_to_name_a_stream() -> None:
    longest = ".".join(["a" * 60] * 4) + ".b"  # 245, and a port
    assert len(canonical_host(longest, is_local=False)) == 250
    with pytest.raises(BadHostName, match="it has 251 characters, and 250 count"):
        canonical_host(longest + "c", is_local=False)


NEARLY_NAMES = st.from_regex(
    r"[a-zA-Z0-9-]{1,6}(\.[a-zA-Z0-9-]{1,6}){0,3}\.?(:[0-9]{1,6})?", fullmatch=True
)


@given(st.text(max_size=320) | NEARLY_NAMES)
def test_any_text_is_a_name_with_one_spelling_or_is_refused(text: str) -> None:
    try:
        host = canonical_host(text, is_local=True)
    except BadHostName:
        return
    assert canonical_host(host, is_local=True) == host
    assert host.isascii()
    assert host == host.lower()


def test_a_node_sends_nothing_to_itself_however_it_is_spelled() -> None:
    for own in ("a.example", "A.Example.:2289", "a.example:02289"):
        with pytest.raises(BadHostName, match=r"a\.example:2289 is this node itself"):
            canonical_destination(own, own="a.example:2289", is_local=False)
    other = canonical_destination("a.example:443", own="a.example:2289", is_local=False)
    assert other == "a.example:443"
    assert canonical_destination("a.example", own=None, is_local=False) == "a.example:2289"


def test_a_name_comes_apart_into_domain_and_port() -> None:
    assert split_host("b.example:2289") == ("b.example", 2289)
    assert split_host("[::1]:80") == ("::1", 80)


PATTERNS = [
    ("b.example", "b.example:2289"),
    ("B.example:443", "b.example:443"),
    ("b.example:*", "b.example:*"),
    ("*.Example.org", "*.example.org"),
    ("*.example.org:*", "*.example.org"),
    ("*.example.org:8448", "*.example.org:8448"),
    ("*.org", "*.org"),
    ("*.bücher.example", "*.xn--bcher-kva.example"),
]


@pytest.mark.parametrize(("text", "canonical"), PATTERNS)
def test_a_pattern_has_one_spelling(text: str, canonical: str) -> None:
    assert canonical_pattern(text, is_local=False) == canonical
    assert canonical_pattern(canonical, is_local=False) == canonical


@pytest.mark.parametrize(
    "text", ["*", "*.", "**.example", "*.*.example", "a.*.example", "*b.example", "*.1", "*:2289"]
)
def test_what_is_no_pattern_is_refused(text: str) -> None:
    with pytest.raises(BadHostName, match="is no name or pattern of hosts") as refused:
        canonical_pattern(text, is_local=False)
    assert "'x." not in str(refused.value), "a name that nobody typed"


def test_a_host_is_meant_by_itself_and_by_every_pattern_above_it() -> None:
    assert list(rows_for("a.b.example:443")) == [
        "a.b.example:443",
        "a.b.example:*",
        "*.b.example:443",
        "*.b.example",
        "*.example:443",
        "*.example",
    ]
    assert list(rows_for("127.0.0.1:7433")) == ["127.0.0.1:7433", "127.0.0.1:*"]
    assert list(rows_for("[::1]:7433")) == ["[::1]:7433", "[::1]:*"]


@pytest.mark.parametrize(("text", "canonical"), PATTERNS[3:])
def test_a_pattern_is_not_about_the_domain_it_is_below(text: str, canonical: str) -> None:
    domain, _, port = canonical.removeprefix("*.").partition(":")
    assert canonical not in rows_for(f"{domain}:{port or 2289}")
    assert canonical in rows_for(f"x.{domain}:{port or 2289}")
    assert canonical in rows_for(f"y.x.{domain}:{port or 2289}")
