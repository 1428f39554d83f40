"""A howdy, byte for byte, and what is none."""

from __future__ import annotations

import base64
import json

import pytest

from postbox.errors import WireError
from postbox.mesh.bus.howdy_messages import (
    HOWDY_BYTES,
    MAX_NEIGHBOURS,
    About,
    Howdy,
    Neighbour,
    decode_howdy,
    encode_howdy,
)
from support.mesh import ANN, BOB, CAT

ABOUT = About(ANN.public_key_base64, ANN.id, "100.64.0.1", "http://100.64.0.1:7433", "medium")
BOB_HERE = Neighbour("bob", BOB.public_key_base64, "100.64.0.2", BOB.id)
HOWDY = Howdy("ann", "cat", 3, 1_700_000_000, (BOB_HERE,), ABOUT)


def changed(**fields: object) -> bytes:
    """The howdy with other fields, and its signature as it was."""
    return json.dumps({**json.loads(encode_howdy(ANN, HOWDY)), **fields}).encode()


def test_a_howdy_is_written_with_the_keys_of_nara_in_its_order() -> None:
    signature = base64.b64encode(ANN.sign(b"howdy:ann:cat:3")).decode()
    assert encode_howdy(ANN, HOWDY).decode() == (
        '{"From":"ann","To":"cat","Seq":3,"You":{"start_time":1700000000},"Neighbors":['
        f'{{"Name":"bob","PublicKey":"{BOB.public_key_base64}","MeshIP":"100.64.0.2"'
        f',"ID":"{BOB.id}","Observation":{{}}}}],"Me":{{"PublicKey":"{ANN.public_key_base64}"'
        f',"ID":"{ANN.id}","MeshIP":"100.64.0.1","MeshEnabled":true,"memory_mode":"medium"'
        f',"postbox_url":"http://100.64.0.1:7433"}},"Signature":"{signature}"}}'
    )
    alone = HOWDY._replace(neighbours=(), start_time_s=0)
    assert b'"You":{},"Neighbors":null,' in encode_howdy(ANN, alone)


def test_a_howdy_is_read_as_it_was_written() -> None:
    howdy = decode_howdy(encode_howdy(ANN, HOWDY))
    assert howdy == HOWDY
    assert howdy.key == ANN.public_key


def test_neighbours_whose_names_can_be_none_are_left_out() -> None:
    """They are remembered for a while, and nobody's word is worth more memory than a name."""
    long = BOB_HERE._replace(name="x" * 10_000)
    howdy = decode_howdy(encode_howdy(ANN, HOWDY._replace(neighbours=(long, BOB_HERE))))
    assert howdy.neighbours == (BOB_HERE,)


def test_a_naras_howdy_has_more_in_it_than_is_read() -> None:
    me = {
        "LicensePlate": "x",
        "HostStats": {"Uptime": 5, "LoadAvg": 0.5},
        "Personality": {"Agreeableness": 1, "Sociability": 2, "Chill": 3},
        "PublicKey": ANN.public_key_base64,
        "Observations": {},
        "coordinates": None,
    }
    you = {"restarts": 3, "total_uptime": 5, "start_time": 7, "online": "ONLINE"}
    howdy = decode_howdy(changed(Me=me, You=you, Neighbors=None))
    assert (howdy.start_time_s, howdy.neighbours) == (7, ())
    assert howdy.about == About(ANN.public_key_base64, "", "", "", "")


def test_more_neighbours_than_a_howdy_has_are_not_read() -> None:
    many = [{"Name": f"n{number}"} for number in range(100)]
    assert len(decode_howdy(changed(Neighbors=many)).neighbours) == MAX_NEIGHBOURS


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"{}",
        b"null",
        b"[" * 50_000,
        b'{"From":"ann","To":"cat"}',
        changed(From="bob"),
        changed(To="bob"),
        changed(Seq=4),
        changed(Seq="3"),
        changed(Signature=""),
        changed(Signature="AAAA"),
        changed(Signature="?"),
        changed(Me={"PublicKey": CAT.public_key_base64}),
        changed(Me={"PublicKey": "AAAA"}),
        changed(Me={"PublicKey": base64.b64encode(bytes(32)).decode()}),
        changed(Me=None),
        changed(From="a:b"),
        changed(Neighbors=[{"PublicKey": "x"}]),
        changed(more="x" * HOWDY_BYTES),
    ],
)
def test_what_is_no_howdy_is_refused(payload: bytes) -> None:
    with pytest.raises(WireError):
        decode_howdy(payload)
