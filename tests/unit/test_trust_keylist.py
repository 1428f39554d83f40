"""Lists of keys: every row is taken, or says what is wrong with it."""

import base64
import json
from pathlib import Path

import pytest

from postbox.trust.keylist import KeyList, ListedKey, parse_key_list, parse_public_key
from postbox.trust.keys import identity_of

NARAS = Path(__file__).parents[1] / "data/nara/naras.json"
ALICE = identity_of("alice", b"a" * 32)
KEY = ALICE.public_key_base64


def _row(name: str, key: str, voter_id: str = "") -> str:
    return json.dumps({"Name": name, "PublicKey": key, "ID": voter_id})


def test_the_list_of_a_real_mesh_is_taken_whole() -> None:
    listed = parse_key_list(NARAS.read_bytes())
    assert listed.bad == []
    assert len(listed.keys) == 50
    assert listed.keys[0].name == "amber-otter"
    assert listed.keys[0].id == "8vf4eBk2xQBtKrDMjHNCQYhW6vhFkzJKktQ8tgorDUsU"


@pytest.mark.parametrize("more", [{}, {"ID": ""}, {"ID": None}, {"Extra": 1}])
def test_an_id_may_be_missing(more: dict[str, object]) -> None:
    raw = json.dumps([{"Name": "alice", "PublicKey": KEY, **more}]).encode()
    assert parse_key_list(raw) == KeyList([ListedKey("alice", ALICE.public_key, None)], [])


@pytest.mark.parametrize("raw", [b"", b"{}", b"null", b'"x"', b"[", b"[1,", b"\xff", b"[] []"])
def test_what_is_no_array_is_refused_as_a_whole(raw: bytes) -> None:
    with pytest.raises(ValueError, match="not a JSON array of"):
        parse_key_list(raw)


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("7", "Expected `object`"),
        ("null", "Expected `object`"),
        ("{}", "missing required field `Name`"),
        ('{"Name": "a"}', "missing required field `PublicKey`"),
        ('{"Name": 5, "PublicKey": "x"}', r"Expected `str`.*\$.Name"),
        (_row("a:b", KEY), "'a:b' cannot be a name"),
        (_row("x" * 999, KEY), "cannot be a name"),
        (_row("a", KEY, "b c"), "'b c' cannot be an id"),
        (_row("a", "!!"), "is not base64"),
        (_row("a", "é"), "is not base64"),
        (_row("a", ""), "32 bytes in base64, not 0"),
        (_row("a", "QUJD"), "32 bytes in base64, not 3"),
        (_row("a", base64.b64encode(bytes(32)).decode()), "is weak"),
    ],
)
def test_a_bad_row_is_named_by_number_and_reason_and_the_others_are_taken(
    row: str, reason: str
) -> None:
    good = json.dumps({"Name": "alice", "PublicKey": KEY})
    listed = parse_key_list(f"[{good}, {row}, {good}]".encode())
    assert [one.name for one in listed.keys] == ["alice"]
    (bad,) = listed.bad
    assert bad.number == 2
    with pytest.raises(ValueError, match=reason):
        raise ValueError(bad.text)
    assert len(bad.text) < 200


def test_a_name_that_is_listed_twice_with_two_keys_is_bad_the_second_time() -> None:
    other = identity_of("alice", b"b" * 32).public_key_base64
    rows = [{"Name": "alice", "PublicKey": key} for key in (KEY, other, KEY)]
    listed = parse_key_list(json.dumps(rows).encode())
    assert [one.key for one in listed.keys] == [ALICE.public_key]
    assert [(bad.number, "twice" in bad.text) for bad in listed.bad] == [(2, True)]


def test_a_public_key_is_32_bytes_in_base64() -> None:
    assert parse_public_key(KEY) == ALICE.public_key
