"""Direct messages: one event, brought by a peer to this node alone, or by this node to a peer.

Anybody may bring it, but it must be signed by its emitter, whose key must be known.
"""

from __future__ import annotations

import msgspec

from postbox.core import verdict_names
from postbox.errors import WireError
from postbox.mesh.calling.client import Bounds, Peer, PeerFault
from postbox.mesh.merging.intake import Intake
from postbox.mesh.serving.replies import NotAllowed
from postbox.mesh.serving.routes import Call
from postbox.mesh.wire import DM_PATH
from postbox.metrics import Metrics
from postbox.net.asgi import JSON, Reply
from postbox.rules import Payer
from postbox.trust.authoring import go_json
from postbox.trust.directory import Directory

MAX_BYTES = 64 * 2**10
"""Of an event (`too_large`)."""
ANSWER_BOUNDS = Bounds(4096, 5.0)
"""A word and a name, in the time that a nara waits for an answer."""

PER_MINUTE, AT_ONCE = 60, 64
"""Of one name, and of all peers together: each may be a commit."""


class _Envelope(msgspec.Struct):
    emitter: str | None = None
    sig: str | None = None


class _Answer(msgspec.Struct):
    success: bool


class DirectMessages:
    def __init__(self, name: str, directory: Directory, intake: Intake, metrics: Metrics) -> None:
        self._name = name
        self._directory = directory
        self._intake = intake
        self._metrics = metrics

    async def answer(self, call: Call) -> Reply:
        """To `POST /dm`: whether the event was new here, and is kept."""
        try:
            is_new = await self._take(call)
        except WireError:
            self._metrics.direct_message("refused")
            raise
        self._metrics.direct_message("taken" if is_new else "known")
        return Reply(200, go_json({"success": is_new, "from": self._name}) + b"\n", JSON)

    async def bring(self, peer: Peer, event: bytes) -> bool:
        """Whether it was new there. Raises as `Peer.post`."""
        told = await peer.post(DM_PATH, event, ANSWER_BOUNDS)
        self._metrics.direct_message("brought")
        try:
            return msgspec.json.decode(told.answer.body, type=_Answer).success
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            text = f"what {told.peer} answered to a direct message is no answer: {error}"
            raise PeerFault(text) from error

    async def _take(self, call: Call) -> bool:
        batch = await self._intake.decode([call.body])
        [verdict] = batch.verdicts
        if verdict:
            raise WireError(f"the body is no event that can be taken: {verdict_names[verdict]}")
        envelope = msgspec.json.decode(call.body, type=_Envelope)
        if not (envelope.emitter and envelope.sig):
            raise WireError("the event must be signed by its emitter")
        if self._directory.key_of(envelope.emitter) is None:
            raise NotAllowed(f"unknown emitter: {envelope.emitter}")
        report = await self._intake.take(batch, Payer("peer", call.sender))
        for refused in report.rejected:
            raise NotAllowed(f"the event is refused: {refused}")
        return report.imported > 0
