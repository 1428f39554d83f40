"""The way to another host, looked at from where this node runs."""

from __future__ import annotations

from msgspec import Struct

from postbox.admin.command import Command, Desk, Tell
from postbox.hosts.sending.connecting import Step


class ExamineHost(Struct, frozen=True, forbid_unknown_fields=True):
    host: str


class Examined(Struct, frozen=True):
    """`serves`: other hosts can ask this one for its key now."""

    steps: list[Step]
    serves: bool


async def _examine(desk: Desk, request: ExamineHost, tell: Tell) -> Examined:
    from postbox.hosts.sending.examination import Examination  # gRPC: slow to load

    async with desk.hosts() as hosts:
        examination = Examination(hosts.world, hosts.config, hosts.name, hosts.clients)
        return Examined(await examination.of(request.host), desk.serving is not None)


EXAMINE_HOST = Command("examine-host", ExamineHost, Examined, _examine)
