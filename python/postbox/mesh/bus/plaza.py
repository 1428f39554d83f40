"""What others say on the plaza: that they are here, that they go, and what they think of others.

Whoever has the broker's address can publish there, so an event counts only as far as it proves
itself: a hey-there by the key in it (and the key that is known for its name, if one is), all else
by the key that is known. What is proved is taken in like a peer's answer. The rest is refused here,
before it costs more than a signature.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from postbox.core import Batch, Keys, verdict_names
from postbox.errors import WireError
from postbox.event import Service, Standing
from postbox.logs import get, limited
from postbox.mesh.bus import topics
from postbox.mesh.bus.bus import Bus
from postbox.mesh.bus.heard import Heard
from postbox.mesh.merging.intake import Intake
from postbox.net.rates import Rate, TooOften
from postbox.rules import Payer
from postbox.trust.directory import Directory
from postbox.world import Clock

PAYER = Payer("peer", "mqtt:")
"""Who publishes cannot be told; all of it is one peer's, whose name no node can have."""
EVENT_BYTES = 16 * 2**10
"""Of one message. An event of 100 bytes a name has under 2,000."""
MESSAGES_PER_MINUTE, MESSAGES_BURST = 1_200, 1_000
"""Of all that is looked at: each costs a signature, a third of a millisecond."""
STRANGERS_PER_MINUTE, STRANGERS_BURST = 10, 100
"""Hey-theres of names that nobody here knew: each may be made up, and be stored for ever. A mesh of
nara has some fifty names."""
EVENTS_PER_MINUTE, EVENTS_BURST = 30, 60
"""By one author, who is known: a nara says hey-there once in five seconds at most."""


class Proof(NamedTuple):
    """Of one event, whose signature was checked."""

    service: Service
    author: str
    is_attested: bool
    presents_itself: bool  # a hey-there by the key in it


class Plaza:
    def __init__(
        self,
        clock: Clock,
        own_name: str,
        bus: Bus,
        directory: Directory,
        intake: Intake,
        heard: Heard,
        require_dealings: Callable[[str], None],
    ) -> None:
        """`require_dealings`: raises WireError for a name that is banned."""
        self._clock = clock
        self._own_name = own_name
        self._directory = directory
        self._intake = intake
        self._heard = heard
        self._require_dealings = require_dealings
        self._greeted: list[Callable[[str], None]] = []
        self._messages = Rate(MESSAGES_PER_MINUTE, MESSAGES_BURST)
        self._strangers = Rate(STRANGERS_PER_MINUTE, STRANGERS_BURST)
        self._authors = Rate(EVENTS_PER_MINUTE, EVENTS_BURST)
        self._log = limited(get("postbox.mesh.bus.plaza"), "own name")
        for topic, service in _SERVICES.items():
            bus.handle(topic, partial(self._hear, service))

    def listen(self, listener: Callable[[str], None]) -> None:
        """Called with each name that says hey-there, when its event is taken in."""
        self._greeted.append(listener)

    async def _hear(self, service: Service, topic: str, payload: bytes) -> None:
        if len(payload) > EVENT_BYTES:
            raise WireError(f"an event of {len(payload)} bytes: at most {EVENT_BYTES}")
        require_seldom(self._messages, self._clock.elapsed_s())
        proof = self._proof(await self._intake.decode([payload]))
        if proof.service is not service:
            raise WireError(f"an event of {proof.service.wire_name} where {topic} has none")
        if proof.author == self._own_name:
            self._hear_ourselves(proof)
            return
        self._require_proved(proof)
        self._require_dealings(proof.author)
        self._require_seldom(proof)
        report = await self._intake.take(await self._intake.decode([payload]), PAYER)
        if report.rejected:
            raise WireError(f"an event is refused: {', '.join(report.rejected)}")
        self._note(proof)

    def _proof(self, batch: Batch) -> Proof:
        """Raises WireError for what is no good event."""
        batch.verify(self._directory.keys)
        for _, _, _, service, standing, author, *_ in batch.accepted():
            names = [name for name, _ in batch.introductions(Keys())]
            is_attested = standing == Standing.ATTESTED
            return Proof(Service(service), author, is_attested, author in names)
        raise WireError(f"this is no good event: {verdict_names[batch.verdicts[0]]}")

    def _hear_ourselves(self, proof: Proof) -> None:
        """The broker tells us nothing that we said; but another may have our key, or our name."""
        if not proof.is_attested:
            self._log.warning("somebody on the MQTT broker has taken this node's name")

    def _require_proved(self, proof: Proof) -> None:
        """A hey-there by another key than the known one was no good event in the first place."""
        if not (proof.is_attested or proof.presents_itself):
            raise WireError(
                f"an event of {proof.author!r} that is not signed by a key of that name"
            )

    def _require_seldom(self, proof: Proof) -> None:
        now_s = self._clock.elapsed_s()
        wait_s = self._authors.wait_s(proof.author, now_s)
        if self._directory.key_of(proof.author) is None:
            wait_s = wait_s or self._strangers.wait_s("all", now_s)
        if wait_s:
            raise TooOften(f"too many events of {proof.author!r}, or of new names", wait_s)

    def _note(self, proof: Proof) -> None:
        if proof.service is Service.CHAU:
            self._heard.miss(proof.author)
            return
        self._heard.hear(proof.author)
        if proof.service is Service.HEY_THERE:
            for listener in self._greeted:
                listener(proof.author)


def require_seldom(messages: Rate, now_s: float) -> None:
    """Before a message is looked at. Raises TooOften."""
    wait_s = messages.wait_s("all", now_s)
    if wait_s:
        raise TooOften("more messages than are looked at", wait_s)


_SERVICES = {
    topics.HEY_THERE: Service.HEY_THERE,
    topics.CHAU: Service.CHAU,
    topics.SOCIAL: Service.SOCIAL,
}
