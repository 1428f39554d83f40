"""All that the user of a device sees, to be compared with what another device of the same user
shows: what was told bit by bit must come to what a snapshot says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from postbox.client import Client, Conversation, Message

EVERYTHING = 10_000


async def seen(client: Client) -> dict[str, Any]:
    """By names that every device has. Of what is the device's own (its queue) nothing."""
    rooms = await client.conversations(EVERYTHING)
    return {
        "rooms": {room.uuid: await _room(client, room) for room in rooms},
        "self": _profile(await client.profile()),
        "guilds": sorted((each.host, each.guild, each.name) for each in await client.guilds()),
        "invites": sorted(
            (each.host, each.invite, each.inviter) for each in await client.invites()
        ),
    }


async def _room(client: Client, room: Conversation) -> dict[str, Any]:
    messages = await client.messages(room, limit=EVERYTHING)
    members = await client.members(room)
    known, uuids = {each.user for each in members}, {each.key: each.uuid for each in messages}
    return {
        "name": room.name,
        "is_owner": room.is_owner,
        "read_seq": room.read_seq,
        "newest_seq": room.newest_seq,
        "unread": room.unread,
        "newest": room.newest and room.newest.uuid,
        "change": room.change,
        "members": {each.user: (each.name, each.shown, each.is_owner) for each in members},
        "read": {each.user: each.read_seq for each in members},
        "profiles": {each.user: _profile(await client.profile(each.user)) for each in members},
        "messages": {each.seq: _message(each, known, uuids) for each in messages},
        "floor": room.oldest_seq,
    }


def _message(message: Message, known: set[str], uuids: Mapping[str, str]) -> Any:
    """`known`: who is there. How the others were called only those devices know that met them.
    `uuids`: of messages, by their keys, which are each device's own."""
    return (
        message.uuid,
        message.author,
        message.author_name if message.author in known else "",
        message.text,
        uuids.get(message.reply_to, message.reply_to),
        message.is_edited,
        message.at_ms,
        message.change,
        message.extra,
        sorted((each.reaction, tuple(each.users)) for each in message.reactions),
    )


def _profile(profile: Any) -> Any:
    return profile and (profile.name, profile.shown, profile.picture_sha256, profile.picture)


def differences(one: dict[str, Any], other: dict[str, Any]) -> list[str]:
    """In words. Of messages, what both know all of."""
    found = [
        f"{name}: {one[name]} / {other[name]}"
        for name in one
        if name != "rooms" and one[name] != other[name]
    ]
    found += [f"only one has {uuid}" for uuid in one["rooms"].keys() ^ other["rooms"].keys()]
    for uuid in one["rooms"].keys() & other["rooms"].keys():
        found += _of_room(uuid, one["rooms"][uuid], other["rooms"][uuid])
    return found


def _of_room(uuid: str, one: dict[str, Any], other: dict[str, Any]) -> list[str]:
    floor = max(one["floor"], other["floor"])
    found = []
    counted = {"floor"} if one["floor"] == other["floor"] else {"floor", "unread"}
    for name in one.keys() - counted:  # what is unread is counted of what is there
        a, b = one[name], other[name]
        if name == "messages":
            a, b = ({seq: m for seq, m in each.items() if seq >= floor} for each in (a, b))
        if isinstance(a, dict):  # of many only those
            a, b = ({n: m for n, m in x.items() if y.get(n) != m} for x, y in ((a, b), (b, a)))
        if a != b:
            found.append(f"{name} of {uuid}: {a} / {b}")
    return found
