"""Events for another host, by the operator's word."""

from __future__ import annotations

from msgspec import Struct

from postbox.admin.command import Command, Desk, Tell
from postbox.admin.host_names import destination
from postbox.errors import Fault
from postbox.hosts.links.postings import Posting
from postbox.hosts.links.postings import posted as as_posted
from postbox.hosts.links.rules import HostRules
from postbox.mesh.chunks import chunks
from postbox.rules import Payer, Rejected

OPERATOR = Payer("operator", "post")
DRAFT_EVENTS = 1_000
"""In one decision: a batch of the log has as many drafts, and then it is others' turn."""


class Post(Struct, frozen=True, forbid_unknown_fields=True):
    """`values`: what events of this type carry, as they shall be sent, in order."""

    host: str
    type_url: str
    values: list[bytes]


class Posted(Struct, frozen=True):
    """The fields of `post --json`: durable. `host`: its name in full. The numbers are the link's,
    None where nothing was posted; others may have posted in between."""

    host: str
    posted: int
    first_seq: int | None
    last_seq: int | None

    def then(self, more: Posted) -> Posted:
        first_seq = more.first_seq if self.first_seq is None else self.first_seq
        return Posted(more.host, self.posted + more.posted, first_seq, more.last_seq)


class NotPosted(Fault):
    """No host would take it, or the log did not. Nothing of the request was posted."""


async def _post(desk: Desk, request: Post, tell: Tell) -> Posted:
    host = destination(desk, request.host)
    world, posted = desk.node.world, Posted(host, 0, None, None)
    at_ms = world.clock.now_ns() // 10**6
    ids = world.new_ids(len(request.values))
    try:
        events = [
            as_posted(new_id, request.type_url, value, at_ms)
            for new_id, value in zip(ids, request.values, strict=True)
        ]
    except ValueError as error:
        raise NotPosted(str(error)) from error
    drafts = [Posting(OPERATOR, host, tuple(part)) for part in chunks(events, DRAFT_EVENTS)]
    outcomes = await desk.node.admission.submit(HostRules(), drafts)
    for draft, outcome in zip(drafts, outcomes, strict=True):
        if isinstance(outcome, Rejected):
            raise NotPosted(f"not posted to {host}: {outcome.reason.text}")
        assert outcome.seq is not None
        last_seq = outcome.seq + len(draft.events) - 1
        posted = posted.then(Posted(host, len(draft.events), outcome.seq, last_seq))
    return posted


POST = Command("post", Post, Posted, _post)
