"""Small parts of the bus, as values: packets, names that were heard, URLs of brokers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postbox.mesh.bus import heard as heard_module
from postbox.mesh.bus.heard import HEARD_S, Heard
from postbox.mesh.bus.topics import is_level
from postbox.net.faults import BadAnswer, TooLarge
from postbox.net.mqtt.broker import Broker, broker_of
from postbox.net.mqtt.codec import Packets
from postbox.net.mqtt.connection import is_topic_of
from support.broker import is_match, packet


@given(
    st.lists(st.tuples(st.integers(0, 255), st.binary(max_size=400))),
    st.lists(st.integers(1, 90), min_size=1),
)
def test_packets_come_out_as_they_went_in_however_the_wire_cuts_them(
    said: list[tuple[int, bytes]], cuts: list[int]
) -> None:
    whole = [packet(kind, body) for kind, body in said]
    wire, packets = b"".join(whole), Packets()
    found: list[bytes] = []
    at = 0
    while wire:
        size = cuts[at % len(cuts)]
        part, wire = wire[:size], wire[size:]
        found += packets.add(part)
        at += 1
    assert found == whole


def test_a_packet_is_measured_before_it_is_there() -> None:
    assert list(Packets(100).add(packet(0x30, bytes(98)))) == [packet(0x30, bytes(98))]
    with pytest.raises(TooLarge, match="101 bytes"):
        list(Packets(100).add(packet(0x30, bytes(99))[:2]))
    with pytest.raises(BadAnswer):
        list(Packets().add(b"\x30\x80\x80\x80\x80"))


@pytest.mark.parametrize(
    ("url", "broker", "shown"),
    [
        ("mqtt://a", Broker("a", 1883, False, "", ""), "mqtt://a:1883"),
        ("mqtts://a/", Broker("a", 8883, True, "", ""), "mqtts://a:8883"),
        ("mqtts://ann:p%40%3A@a:1", Broker("a", 1, True, "ann", "p@:"), "mqtts://a:1"),
        ("mqtt://[::1]:5", Broker("::1", 5, False, "", ""), "mqtt://[::1]:5"),
    ],
)
def test_a_url_of_a_broker_has_its_parts(url: str, broker: Broker, shown: str) -> None:
    assert broker_of(url) == broker
    assert str(broker) == shown


@pytest.mark.parametrize("topic", ["nara/plaza/howdy", "nara/ledger/me/request", "nara", "a/b"])
@pytest.mark.parametrize(
    "topic_filter",
    ["nara/plaza/howdy", "nara/+/howdy", "nara/#", "#", "+", "+/+", "nara/ledger/+/+"],
)
def test_the_broker_of_the_tests_and_ours_match_topics_alike(topic_filter: str, topic: str) -> None:
    assert is_topic_of(topic_filter, topic) == is_match(topic_filter, topic)


def test_a_name_with_a_sign_of_topics_in_it_is_no_level() -> None:
    assert is_level("ann")
    assert not any(map(is_level, ("", "a/b", "+", "#", "a:b", "a b")))


class Watch:
    def __init__(self) -> None:
        self.now_s = 0.0

    def now_ns(self) -> int:
        return int(self.now_s * 1e9)

    def elapsed_s(self) -> float:
        return self.now_s


def test_of_many_names_that_are_mentioned_the_last_thousand_are_kept() -> None:
    heard = Heard(Watch())
    heard.mention(f"n{n}" for n in range(200_000))  # a message of 8 MB; bounded work a name
    assert heard.mentioned == [f"n{n}" for n in range(199_000, 200_000)]


def test_who_was_heard_long_ago_is_not_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heard_module, "MAX_NAMES", 3)
    watch = Watch()
    heard = Heard(watch)
    heard.hear("ann")
    watch.now_s = HEARD_S
    heard.hear("bob")
    assert heard.here == ["ann", "bob"]
    watch.now_s += 1
    assert heard.here == ["bob"]
    heard.miss("bob")
    assert heard.here == []
    for name in ("a", "b", "c", "a", "d"):
        heard.hear(name)
    assert heard.here == ["c", "a", "d"]
    heard.mention(["a", "b", "a", "c", "d"])
    assert heard.mentioned == ["b", "c", "d"]
