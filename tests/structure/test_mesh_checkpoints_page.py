"""What voters, callers and operators meet of checkpoints and coordinates is on their pages."""

from __future__ import annotations

from postbox.config import MeshConfig
from postbox.mesh.checkpoints import council, listing
from postbox.mesh.checkpoints.attestations import MAX_BYTES, Proposal, Vote
from postbox.mesh.checkpoints.consensus import (
    CHECK_EVERY_S,
    INTERVAL_S,
    MAX_SIGNATURES,
    ONLINE,
    RESTARTS_OFF,
    START_OFF_S,
    UPTIME_OFF_S,
    VOTERS,
    WINDOW_S,
)
from postbox.mesh.coordinates import measuring
from postbox.mesh.coordinates.coordinates import EVERY_NS, FRESH_NS, RECENT
from postbox.mesh.coordinates.telling import PATH
from postbox.mesh.coordinates.vivaldi import SPAN_MS
from structure.pages import PAGES, unsaid, untold

NUMBERS = {2: "two", 3: "three", 4: "four", 5: "five", 10: "ten"}


def test_every_field_and_topic_of_a_checkpoint_is_told() -> None:
    page = PAGES["mesh-checkpoints"]
    fields = (*Proposal.__struct_encode_fields__, *Vote.__struct_encode_fields__)
    assert unsaid((*fields, council.PROPOSE, council.VOTE, council.FINAL), page) == []


def test_every_limit_of_checkpoints_is_told() -> None:
    assert MAX_SIGNATURES == 10
    assert RESTARTS_OFF == 5
    assert UPTIME_OFF_S == START_OFF_S == 60
    limits = (
        f"at QoS {council.QOS}",
        f"at most {MAX_BYTES >> 10} KiB",
        f"{INTERVAL_S // 3600} hours after the last checkpoint",
        f"every {CHECK_EVERY_S // 60} minutes",
        "a third more or less by chance",
        f"at least {NUMBERS[VOTERS]} different known voters",
        f"at least {ONLINE} peers are online",
        f"{WINDOW_S:g} s, or until {NUMBERS[VOTERS]} agree",
        f"{NUMBERS[MAX_SIGNATURES]} in all",
        f"restarts differ by {RESTARTS_OFF} at most and uptime and start by {UPTIME_OFF_S} s",
        f"within {council.STALE_S} s of its own",
        f"{NUMBERS[council.VOTES_AT_ONCE]} times at once for one subject, and twice a minute",
        f"up to {council.JITTER_S:g} s, by chance",
        f"{listing.PER_MINUTE} a minute an address",
        f"{listing.LIMIT:,} if left out and {listing.MAX_LIMIT:,} at most",
        f"over {listing.MAX_BYTES >> 20} MiB",
        *(f"`{rule}`" for rule in MeshConfig().cutoff),
    )
    assert untold(limits, PAGES["mesh-checkpoints"]) == []
    assert council.VOTES_PER_MINUTE == 2
    assert council.CHECK_JITTER == 1 / 3


def test_every_limit_of_coordinates_is_told() -> None:
    limits = (
        f"GET {PATH}",
        f"Every {measuring.EVERY_S:g} s",
        f"takes longer than {measuring.BOUNDS.deadline_s:g} s",
        f"median of the last {NUMBERS[RECENT]}",
        f"within {SPAN_MS:,.0f} ms of the origin",
        f"once in {EVERY_NS // 10**9} s",
        f"less than {FRESH_NS // 10**9} s old",
    )
    assert untold(limits, PAGES["mesh-coordinates"]) == []
