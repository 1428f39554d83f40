"""`postbox keys`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from postbox.admin.command import Nothing
from postbox.admin.keys import ROTATE_KEYS, SHOW_KEY, OwnHostKey, OwnKey, RotateKeys
from postbox.cli.asking import ask
from postbox.cli.options import FLAG, Common
from postbox.cli.output import print_pairs
from postbox.trust.keys import public_key_text


def show(*, common: Common | None = None) -> int:
    """This node's name, public key and id. A peer's operator runs: postbox trust add NAME KEY. And
    what other hosts call it, with the key by which they know it."""
    return ask(SHOW_KEY, Nothing(), _print, common)


def rotate(*, now: Annotated[bool, FLAG] = False, common: Common | None = None) -> int:
    """Change the key by which other hosts know this one. The next key is made known at once and
    used some days later, when all who can ask have heard of it; the former one stays known for as
    long. The node's own name, key and id stay.

    Parameters
    ----------
    now
        Use the next key at once, and withdraw the former one, which somebody else may have. Hosts
        that have not heard of the next one ask for it.
    """
    return ask(ROTATE_KEYS, RotateKeys(now), lambda new: print_pairs(_keys(new.keys)), common)


def _print(shown: OwnKey) -> None:
    own = {"name": shown.name, "public_key": public_key_text(shown.public_key), "id": shown.id}
    print_pairs({**own, "host": shown.host or "not named", **_keys(shown.host_keys)})


def _keys(keys: Sequence[OwnHostKey]) -> dict[str, object]:
    return {f"host_key ({key.use})": _key(key) for key in keys}


def _key(key: OwnHostKey) -> str:
    text = f"{public_key_text(key.public_key)} ({key.kid}"
    if key.use == "next" and key.begins is not None:
        text += f", used from {key.begins:%F %R} UTC"
    if key.ends is not None:
        text += f", known until {key.ends:%F %R} UTC"
    return f"{text})"
