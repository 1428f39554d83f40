"""What a nara asks of a peer without signing: where it is, which checkpoints it has. As strict as
`support.nara`, of which this is a part.
"""

from __future__ import annotations

import math

from postbox.net.client import Answer
from support.nara import Nara, decoded, listed
from support.nara_events import Event

PLACE = ("x", "y", "height", "error")
LISTED = ("server", "total", "count", "checkpoints", "has_more", "offset", "limit")


async def where(nara: Nara, url: str) -> Event | None:
    """Where the peer says that it is."""
    said = _answered(nara, await nara.get(f"{url}/coordinates"), ("name", "coordinates"))
    place: Event | None = said["coordinates"]
    if place is not None and not _is_place(place):
        nara.complaints.append(f"nobody can be at {place}")
    return place


def _is_place(place: Event) -> bool:
    numbers = [place.get(name) for name in PLACE]
    are_numbers = all(isinstance(one, float | int) and math.isfinite(one) for one in numbers)
    return are_numbers and tuple(place) == PLACE


async def timeline(nara: Nara, url: str, limit: int) -> int:
    """Merges all checkpoints of the peer, so many at a time; how many requests it took."""
    offset, requests = 0, 0
    while True:
        requests += 1
        answer = await nara.get(f"{url}/api/checkpoints/all", limit=limit, offset=offset)
        said = _answered(nara, answer, LISTED)
        checkpoints = listed(said["checkpoints"])
        if (said["count"], said["offset"], said["limit"]) != (len(checkpoints), offset, limit):
            nara.complaints.append(f"miscounted: {said}")
        nara.merge(checkpoints)
        offset += len(checkpoints)
        if not said["has_more"]:
            if offset != said["total"]:
                nara.complaints.append(f"{offset} of {said['total']} checkpoints")
            return requests


def _answered(nara: Nara, answer: Answer, keys: tuple[str, ...]) -> Event:
    said = decoded(answer.body)
    if answer.status != 200 or set(said) != set(keys):
        nara.complaints.append(f"{answer.status}: {answer.body[:200]!r}")
    return said
