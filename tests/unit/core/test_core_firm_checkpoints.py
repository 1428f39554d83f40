"""Two known voters attest a checkpoint about whomever they like: what five agreed on outlasts any
number of those."""

from __future__ import annotations

from collections.abc import Sequence

from postbox.core import Batch, Keys, Ledger
from postbox.trust.authoring import Checkpoint, Observation, Tally, make_event, with_voters
from postbox.trust.keys import Identity, identity_of
from support.mesh import NOW_NS

CAPACITY = 160
"""So an author has ten places."""
NARAS = [identity_of(f"n{at}", f"n{at}".encode().ljust(32, b".")) for at in range(7)]
IDS = {one.name: one.id for one in NARAS}
LIARS = NARAS[5:]


def about(subject: str, voters: Sequence[Identity], ago_s: int) -> bytes:
    said = Checkpoint(
        version=2,
        subject=subject,
        subject_id=IDS.get(subject, f"id-of-{subject}"),
        observation=Tally(restarts=ago_s, total_uptime=1, start_time=1_700_000_000),
        as_of_time=NOW_NS // 10**9 - ago_s,
        round=1,
    )
    return make_event(with_voters(said, voters), NOW_NS - ago_s * 10**9, None).body


class Log:
    """A ledger, and the positions of what it was given."""

    def __init__(self, voters: Sequence[Identity]) -> None:
        self.keys = Keys()
        self.index = Ledger(CAPACITY, b"k" * 16)
        self.index.learn([one.name for one in NARAS])
        self._pos = 0
        self.know(voters)

    def know(self, voters: Sequence[Identity]) -> None:
        for one in voters:
            self.keys.put(one.name, [one.public_key], one.id)
        self.index.count_votes_of(self.keys)

    def add(self, bodies: Sequence[bytes]) -> int:
        """How many of them are held then."""
        batch = Batch.decode(bodies, NOW_NS)
        batch.verify(self.keys)
        for _, _, _, _, standing, _, _, body, _ in batch.accepted():
            self._pos += 1
            self.index.apply([], [(self._pos, body, standing)])
        return len(self.held(bodies))

    def held(self, bodies: Sequence[bytes]) -> list[bytes]:
        page = self.index.page(None, 1_000, [], [])
        kept = set(page.bodies())
        return [body for body in bodies if body in kept]


HONEST = [about(f"n{at}", NARAS[:5], 1_000 + at) for at in range(7)]


def test_two_liars_do_not_use_up_the_places_of_a_name() -> None:
    log = Log(NARAS)
    assert log.add(HONEST) == 7
    lies = [about("n0", LIARS, ago_s) for ago_s in range(500, 400, -1)]
    assert log.add(lies) == 9
    assert log.held(HONEST) == HONEST
    assert log.add(HONEST[:1]) == 1


def test_two_liars_do_not_fill_the_ledger_with_names_of_their_own() -> None:
    log = Log(NARAS)
    seen = Observation(
        observer="n0", subject="n1", type="first-seen", importance=3, start_time=1_700_000_000
    )
    sighting = make_event(seen, NOW_NS - 9_000 * 10**9, NARAS[0]).body
    assert log.add([*HONEST, sighting]) == 8
    lies = [about(f"made{at}", LIARS, 400 - of) for at in range(40) for of in range(10)]
    log.add(lies)
    assert len(log.index) == CAPACITY
    assert log.held([*HONEST, sighting]) == [*HONEST, sighting]
    older = [about(f"n{at}", NARAS[:5], 2_000 + at) for at in range(7)]
    assert log.add(older) == 7, "those make room for what is firm, however old it is"


def test_what_is_firm_follows_from_who_is_known() -> None:
    """The order of learning makes no difference to what stays."""
    log = Log(NARAS[3:])
    assert log.add(HONEST) == 7
    log.know(NARAS)
    log.add([about("n0", LIARS, ago_s) for ago_s in range(500, 400, -1)])
    assert log.held(HONEST) == HONEST
