"""What peers meet when they gossip is on the protocol's page, word for word."""

from __future__ import annotations

from postbox.config import MeshConfig
from postbox.mesh.background import refreshing
from postbox.mesh.calling.client import MAX_CLOCK_DIFFERENCE_S
from postbox.mesh.gossip import direct, exchange, farewell, presence, rhythm_rules, zine
from postbox.mesh.wire import DM_PATH, MAX_EVENTS, ZINE_PATH
from structure.pages import PAGES, unsaid, untold

PAGE = PAGES["mesh-gossip"]


def test_the_paths_and_every_field_of_a_zine_are_explained() -> None:
    assert unsaid(("from", "created_at", "events", "signature", "success"), PAGE) == []
    assert [path for path in (ZINE_PATH, DM_PATH) if f"`POST {path}`" not in PAGE] == []


def test_every_number_is_told() -> None:
    lately_s = zine.LATELY_NS // 10**9
    numbers = (
        f"at most {zine.MAX_BYTES >> 20} MiB",
        f"within {MAX_CLOCK_DIFFERENCE_S} s of the receiver's time",
        f"at most {MAX_EVENTS:,} events, or null",
        f"{exchange.ZINES_PER_MINUTE} a minute, one at a time; or {exchange.ZINES_AT_ONCE} of all",
        f"at most {direct.MAX_BYTES >> 10} KiB",
        f"more than {direct.PER_MINUTE} a minute, or {direct.AT_ONCE} of all peers",
        f"The first is {rhythm_rules.FIRST_S:g} s after the start",
        f"{rhythm_rules.SHORTEST_S:g} + {rhythm_rules.LONGEST_S - rhythm_rules.SHORTEST_S:g} ·",
        f"never more than {rhythm_rules.LONGEST_S:g} s: 165 s",
        f"at the default of {MeshConfig().chattiness}.",
        f"{rhythm_rules.FEWEST} to {rhythm_rules.MOST} peers (drawn)",
        f"memory to {rhythm_rules.FEWEST_SHORT} or {rhythm_rules.MOST_SHORT}.",
        f"an exchange may last {exchange.EXCHANGE_S:g} s",
        f"within the last {lately_s} s",
        f"the newest {zine.OWN_EVENTS:,}, and of these",
        f"no more than {zine.OWN_EVENTS_EACH} of one author",
        f"at most the newest {zine.OWN_BYTES >> 20} MiB",
        f"a hey-there of the last {presence.AGAIN_NS // 10**9} s",
        f"in {farewell.FAREWELL_S:g} s at most",
        f"({MeshConfig().refresh_every:,} s), {refreshing.JITTER_S:g} s sooner",
        f"within {refreshing.FIRST_S:g} s of the start",
        f'"mode":"recent","limit":{refreshing.RECENT}',
        f"last {refreshing.DAY_MS // 3_600_000} hours",
        "for ten minutes at most",
    )
    assert untold(numbers, PAGE) == []
    assert refreshing.WALK_S == 600
