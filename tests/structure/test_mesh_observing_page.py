"""What a node tells of others, and when, is on the protocol's page, number by number."""

from __future__ import annotations

from postbox.mesh.observing import observer, watch
from postbox.mesh.observing import observing_rules as rules
from structure.pages import PAGES, unsaid, untold

PAGE = PAGES["mesh-observing"]


def test_every_kind_is_explained_with_its_importance() -> None:
    rows = [f"| `{kind}` | {importance} |" for kind, importance in rules.IMPORTANCE.items()]
    assert untold(rows, PAGE) == []
    assert unsaid(("ONLINE", *rules.GONE, "start_time", "restart_num", "last_restart"), PAGE) == []


def test_every_number_is_told() -> None:
    numbers = (
        f"Every {observer.LOOK_S:g} s, a quarter more or less",
        f"said hello, within the last {rules.HERE_NS // 10**9} s",
        f"{rules.SKEW_NS // 10**9} s after its `ts`",
        f"silent for {rules.HERE_NS // 10**9} s",
        f"the newest {observer.MOST_TOLD}, when",
        f"another one less than {rules.RESTARTS_APART_S} s before or after",
        f"n is {rules.NEIGHBOURS} at most",
        f"t = x · n / {rules.VOICES}",
        f"it speaks after {rules.SETTLE_S:g} s. Others wait for {rules.SPREAD_S:g} · t s more",
        f"{observer.SUBJECT_BURST} things in five minutes about one name".replace("10", "ten"),
        f"{observer.PER_MINUTE:g} a minute ({observer.BURST} at once) in all",
    )
    assert untold(numbers, PAGE) == []
    assert (observer.JITTER, rules.MISSES, rules.LONGEST_S) == (0.25, 3, 3600)
    assert (watch.AGAIN_S, watch.RECENT_NS) == (1800, 3600 * 10**9)
    assert observer.PER_SUBJECT * 5 == observer.SUBJECT_BURST
