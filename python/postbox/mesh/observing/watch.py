"""What this node sees of others first hand, and what there is to say of it.

In memory alone, and bounded: the hellos and goodbyes that were taken in since the start, who was in
contact by the roster, and of whom the log was asked when.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, Protocol

from postbox.core import Ledger
from postbox.mesh.merging.news import Hello, News
from postbox.mesh.observing.observing_rules import (
    GONE,
    HERE_NS,
    MISSES,
    SETTLE_S,
    Fact,
    Sight,
    State,
    said_ns,
    state_of,
)
from postbox.mesh.peers.known import Caller, Known
from postbox.mesh.projections.presence import Presence, presences
from postbox.world import Clock

AGAIN_S = 1800.0
"""So often what is said of a name is compared with what is seen of it: somebody may have said that
it is gone. That is the answer to a liar."""
NAMES_A_LOOK = 50
"""Of which the log is asked at once: a node that starts knows a thousand."""
MOST_NAMES, MOST_HELLOS = 2_000, 1_000
"""That are noted: as many names as a roster has. Beyond, the oldest word goes, or the new hello."""
RECENT_NS = 3600 * 10**9
"""An older hello was news to others, or says nothing any more."""


class Contacts(Protocol):
    """`mesh/peers/roster.py`."""

    def named(self) -> list[Known]: ...

    @property
    def callers(self) -> list[Caller]: ...


class Views(Protocol):
    def presences(self, names: Sequence[str]) -> list[Presence]: ...


class _Word(NamedTuple):
    """The last hello or goodbye of a name: `at_ns` by its clock, `said_ns` by ours."""

    at_ns: int
    said_ns: int
    is_goodbye: bool


class _Span(NamedTuple):
    """`since_ns`: 0 for before this node began."""

    since_ns: int = 0
    until_ns: int = 0


class Watch:
    def __init__(
        self,
        clock: Clock,
        own_name: str,
        ledger: Ledger,
        views: Views,
        contacts: Contacts,
        is_settled: Callable[[], bool],
        hears: Callable[[], bool],
    ) -> None:
        """`is_settled`: whether this node's memory is back. What comes before is no news. `hears`:
        whether it hears those who are on its broker, if it has one."""
        self._clock = clock
        self._own_name = own_name
        self._ledger = ledger
        self._views = views
        self._contacts = contacts
        self._is_settled = is_settled
        self._hears = hears
        self._heard_ns = 0  # at the last look that found it so
        self._deaf = _Span()
        self._words: dict[str, _Word] = {}
        self._hellos: list[Hello] = []  # not looked at yet
        self._seen: dict[str, tuple[State, float]] = {}  # since when
        self._sights: Mapping[str, Sight] = {}

    def heard(self, news: News) -> None:
        """The newsroom's call: of each commit."""
        room = MOST_HELLOS - len(self._hellos) if self._is_settled() else 0
        self._hellos += [one for one in news.hellos if self._is_news(one)][:room]
        for hello in news.hellos:
            self._note(hello.name, hello.at_ns, is_goodbye=False)
        for chau in news.chaus:
            self._note(chau.name, chau.at_ns, is_goodbye=True)

    def look(self) -> list[Fact]:
        """What there is to say, as far as this node knows, whoever said it."""
        self._note_deafness()
        self._sights = self._look_around()
        self._seen = {name: seen for name, seen in self._seen.items() if name in self._sights}
        return [*self._restarts(), *self._changes()]

    def holds(self, fact: Fact) -> bool:
        """As of the last look: is it so, and has it been for a while? That a name was met or began
        anew tells others that it is here, so it is said only while it is."""
        now_ns = self._clock.now_ns()
        sight = self._sights.get(fact.subject, Sight())
        if now_ns - sight.word_ns < SETTLE_S * 1e9:
            return False
        state = state_of(sight, now_ns)
        if fact.state in GONE:
            return state in GONE
        is_here = state == "ONLINE" or (state is None and self._is_online(fact.subject))
        return is_here and (fact.kind != "restart" or self._was_gone(fact.subject, fact.start_s))

    def _is_online(self, name: str) -> bool:
        return self._views.presences([name]) == ["online"]

    def is_by_word(self, fact: Fact) -> bool:
        """Whether the name said it itself, to all of the mesh, and not to this node alone."""
        if fact.kind == "restart" or fact.state == "OFFLINE":
            return True
        sight = self._sights.get(fact.subject, Sight())
        return self._clock.now_ns() - sight.word_ns <= HERE_NS

    def _is_news(self, hello: Hello) -> bool:
        is_recent = self._clock.now_ns() - hello.at_ns <= RECENT_NS
        return is_recent and hello.name != self._own_name

    def _note(self, name: str, at_ns: int, *, is_goodbye: bool) -> None:
        before = self._words.get(name)
        if before is not None and at_ns < before.at_ns:
            return
        self._words.pop(name, None)  # the newest word is the last
        self._words[name] = _Word(at_ns, said_ns(at_ns, self._clock.now_ns()), is_goodbye)
        self._seen.pop(name, None)
        if len(self._words) > MOST_NAMES:
            del self._words[next(iter(self._words))]

    def _look_around(self) -> Mapping[str, Sight]:
        """At all who ever gave a sign of life."""
        asked = {one.name: one.last_asked_ns for one in self._contacts.callers}
        known = {one.name: one for one in self._contacts.named()}
        names = sorted({*asked, *known, *self._words} - {self._own_name, ""})
        failing = [name for name in names if name in known and known[name].failures >= MISSES]
        presence = dict(zip(failing, self._views.presences(failing), strict=True))
        return {
            name: _sight(
                known.get(name, Known()),
                asked.get(name, 0),
                self._words.get(name),
                presence.get(name, "unknown"),
            )
            for name in names
        }

    def _restarts(self) -> list[Fact]:
        """Of those who said hello and had been gone. Who says hello again has not begun anew: many
        say it at each new connection to a broker."""
        hellos, self._hellos = self._hellos, []
        return [
            Fact(one.name, "restart", one.at_ns // 10**9)
            for one in hellos
            if self._was_gone(one.name, one.at_ns // 10**9)
        ]

    def _note_deafness(self) -> None:
        """Spells with less than five minutes between them are one."""
        now_ns = self._clock.now_ns()
        if self._hears():
            self._heard_ns = now_ns
        elif now_ns - self._deaf.until_ns <= HERE_NS:
            self._deaf = self._deaf._replace(until_ns=now_ns)
        else:
            self._deaf = _Span(self._heard_ns, now_ns)

    def _was_gone(self, name: str, start_s: int) -> bool:
        """By what is held of the time before, which may come later than the hello. Whom this node
        could not have heard is as it was when that began."""
        before_ns = start_s * 10**9 - 1
        presence = self._presence(name, before_ns)
        if presence == "missing" and before_ns - self._deaf.until_ns <= HERE_NS:
            presence = self._presence(name, self._deaf.since_ns)
        return presence in ("offline", "missing")

    def _presence(self, name: str, at_ns: int) -> Presence:
        (presence,) = presences(self._ledger, [name], at_ns, HERE_NS)
        return presence

    def _changes(self) -> list[Fact]:
        """First sights, and who came or went; of so many names at once."""
        now_ns, now_s = self._clock.now_ns(), self._clock.elapsed_s()
        facts: list[Fact] = []
        for name, sight in self._sights.items():
            state = state_of(sight, now_ns)
            seen, since_s = self._seen.get(name, (None, 0.0))
            if state is None or (state == seen and now_s - since_s < AGAIN_S):
                continue
            self._seen[name] = state, now_s
            facts.append(Fact(name, "status-change", state=state))
            facts.append(Fact(name, "first-seen", self._start_s(name, sight)))
            if len(facts) >= 2 * NAMES_A_LOOK:
                break
        return facts

    def _start_s(self, name: str, sight: Sight) -> int:
        """By the name's own word, on which all observers agree, or when it was in contact."""
        word = self._words.get(name)
        return (sight.contact_ns if word is None else word.at_ns) // 10**9


def _sight(known: Known, asked_ns: int, word: _Word | None, presence: Presence) -> Sight:
    return Sight(
        contact_ns=max(asked_ns, known.last_contact_ns),
        answered_ns=known.met_ns,
        word_ns=0 if word is None else word.said_ns,
        is_goodbye=word is not None and word.is_goodbye,
        failures=known.failures,
        presence=presence,
    )
