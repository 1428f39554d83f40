"""What each payer submits: drafts without an end, the same in every life of the process."""

from __future__ import annotations

from support.toy_chat import ChatDraft

PAYERS = 16
ROOMS = 4  # that all write to
CYCLE = 10  # drafts of a payer: most are sent, one renames its own chat, one blanks what it sent
BLANKED, RENAMES, BLANKS = 6, 7, 9


def id_of(payer: int, number: int) -> bytes:
    return payer.to_bytes(4, "big") + number.to_bytes(12, "big")


def named(draft_id: bytes) -> tuple[int, int]:
    """The payer, and the draft's number: 0 for those of the opening."""
    return int.from_bytes(draft_id[:4], "big"), int.from_bytes(draft_id[4:], "big")


def room_of(payer: int) -> bytes:
    return b"room %d" % (payer % ROOMS)


def own_chat(payer: int) -> bytes:
    return b"own %d" % payer


def user_of(payer: int) -> str:
    return f"user{payer}"


def text_of(payer: int, number: int) -> str:
    return f"{payer}/{number} " + "x" * (number * 37 % 500)


def opening() -> list[ChatDraft]:
    """What all else needs: chats, and their members."""
    rooms = [(PAYERS + room, "create", room_of(room), "nobody") for room in range(ROOMS)]
    own = [(payer, "create", own_chat(payer), user_of(payer)) for payer in range(PAYERS)]
    joins = [(2 * PAYERS + at, "join", room_of(at), user_of(at)) for at in range(PAYERS)]
    return [
        ChatDraft(id_of(maker, 0), "join" if verb == "join" else "create", chat, user)
        for maker, verb, chat, user in [*rooms, *own, *joins]
    ]


def draft_of(payer: int, number: int) -> ChatDraft:
    """Numbers begin with 1."""
    draft_id, room, user = id_of(payer, number), room_of(payer), user_of(payer)
    text = text_of(payer, number)
    if number % CYCLE == RENAMES:
        return ChatDraft(draft_id, "rename", own_chat(payer), user, text, renames_upto(number))
    if number % CYCLE == BLANKS:
        blanked = id_of(payer, number - BLANKS + BLANKED)
        return ChatDraft(draft_id, "blank", room, user, target=blanked)
    return ChatDraft(draft_id, "send", room, user, text)


def renames_upto(number: int) -> int:
    """How many of a payer's first so many drafts are renames, which is the version they make."""
    return (number + CYCLE - RENAMES) // CYCLE


def has_entry(number: int) -> bool:
    return number % CYCLE != BLANKS


def blanked_by(number: int) -> int | None:
    """The draft that blanks the entry of this one."""
    return number - BLANKED + BLANKS if number % CYCLE == BLANKED else None
