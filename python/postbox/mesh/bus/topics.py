"""nara's topics. Whoever may publish on a broker may publish on all of them, in anybody's name."""

from __future__ import annotations

from postbox.event import is_name

HEY_THERE = "nara/plaza/hey_there"
HOWDY = "nara/plaza/howdy"
CHAU = "nara/plaza/chau"
SOCIAL = "nara/plaza/social"


def ledger_request(name: str) -> str:
    """Where the node of that name is asked for what it remembers of others."""
    return f"nara/ledger/{name}/request"


def ledger_response(name: str) -> str:
    return f"nara/ledger/{name}/response"


def is_level(name: str) -> bool:
    """Can this name stand in a topic? A broker reads / + and # in it."""
    return is_name(name) and not set(name) & set("/+#")
