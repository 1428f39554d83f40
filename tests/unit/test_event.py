"""Words about events: names, services, standings."""

import pytest

from postbox.core import service_names
from postbox.event import Service, Standing, is_name


@pytest.mark.parametrize("name", ["a", "amber-otter", "é", "日本語", "x" * 64, "𝄞" * 64, "a.b@c/d"])
def test_a_name_is_up_to_64_characters_of_any_script(name: str) -> None:
    assert is_name(name)


@pytest.mark.parametrize(
    "text",
    [
        "", "x" * 65, "a:b", ":", "a b", "a\tb", "a\nb", "a\x00", "\x7f", "\x85", "\xa0",
        "\u2003", "\u2028", "\u3000", "a\x1f", "\x9f", "\ud800",
    ],
)  # fmt: skip
def test_colons_white_space_and_control_characters_are_in_no_name(text: str) -> None:
    assert not is_name(text)


def test_services_and_their_wire_names_are_those_of_the_core() -> None:
    assert tuple(service.wire_name for service in Service) == service_names
    assert [service.value for service in Service] == list(range(7))


def test_a_better_proof_is_a_greater_standing() -> None:
    assert Standing.HEARSAY < Standing.UNPROVEN < Standing.ATTESTED
    assert [standing.value for standing in Standing] == [0, 1, 2]
