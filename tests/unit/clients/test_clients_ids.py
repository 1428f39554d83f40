"""What users, devices and events are called: the same everywhere and for ever."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from postbox.clients.ids import (
    NIL,
    Author,
    author_of,
    conversation_of,
    conversation_stream,
    copy_id,
    derived_id,
    device_id,
    event_id,
    text_of,
    user_id,
    user_stream,
    uuid_of,
)

VERSION_8 = re.compile("[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
IDS = st.binary(min_size=16, max_size=16).filter(lambda it: it != NIL)


def test_ids_never_change_since_they_lie_in_databases_and_on_devices() -> None:
    ann = user_id("ann")
    phone = device_id(ann, "phone")
    assert text_of(ann) == "f113bb10-9a60-858a-a7a2-55f970440bef"
    assert text_of(phone) == "e807fc36-1231-8f78-a98d-08160bf8f680"
    assert text_of(event_id(phone, bytes(range(16)))) == "2aa363dd-b327-8d9e-9894-109017addede"
    assert text_of(copy_id(ann, phone)) == "dc1224df-0415-8a81-b3ed-2ab00d04d2fd"
    assert text_of(derived_id("membership", ann, phone)) == "39f6ab94-afb6-8dbf-9f64-5e7cbf8e3345"


@given(IDS, IDS)
def test_whatever_is_made_is_a_uuid_of_version_8(device: bytes, local: bytes) -> None:
    assert VERSION_8.fullmatch(text_of(event_id(device, local)))


@given(IDS)
def test_a_uuid_comes_back_from_its_text_in_either_case(some: bytes) -> None:
    text = text_of(some)
    assert [len(part) for part in text.split("-")] == [8, 4, 4, 4, 12]
    assert uuid_of(text) == uuid_of(text.upper()) == some


@given(st.text(max_size=40))
def test_no_other_text_is_a_uuid(text: str) -> None:
    found = uuid_of(text)
    assert found is None or text_of(found) == text.lower()


def test_spaces_among_the_digits_make_no_uuid() -> None:
    text = text_of(user_id("ann"))
    assert uuid_of(" " + text[1:]) is None
    assert uuid_of(text[:34] + "  ") is None


@given(IDS, IDS, IDS)
def test_who_made_an_event_comes_back_from_its_entry(
    user: bytes, device: bytes, own: bytes
) -> None:
    author = Author(user, device, own)
    assert author_of(author.packed()) == author
    assert author_of(Author(user).packed()) == Author(user, NIL, NIL)


def test_a_stream_is_a_conversations_or_a_users() -> None:
    ann = user_id("ann")
    assert conversation_of(conversation_stream(ann)) == ann
    assert conversation_of(user_stream(ann)) is None
