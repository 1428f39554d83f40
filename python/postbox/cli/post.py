"""`postbox post HOST --type NAME --data FILE`."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from msgspec.structs import replace

from postbox.admin.command import NodeGone, Operator
from postbox.admin.posting import POST, Post, Posted
from postbox.cli.documents import BadDocument, Document, Documents, batches
from postbox.cli.node import operated
from postbox.cli.options import FLAG, Common, Usage, run
from postbox.cli.output import events, print_json
from postbox.cli.progress import Show, progress
from postbox.cli.stdin import readable
from postbox.errors import Fault
from postbox.hosts.applications.events import MAX_VALUE_BYTES, BadEvent, from_json, type_url_of
from postbox.world import Pool, World, system_world

BATCH_EVENTS = 4_000
BATCH_BYTES = 2 * 2**20
"""In base64 well below what a request may hold (`net.limits`)."""


class PostedInPart(Fault):
    """It ended before the end of the file."""


def post(
    host: str,
    /,
    *,
    type_: Annotated[str, Parameter(name="--type", metavar="NAME")],
    data: Annotated[Path, Parameter(metavar="FILE", allow_leading_hyphen=True)],
    loopback: Annotated[bool, FLAG] = False,
    common: Common | None = None,
) -> int:
    """Post events to HOST. They are on disk when this ends, whether HOST is up or down: a node that
    serves sends them, in order, as soon as it reaches HOST.

    Parameters
    ----------
    host
        A domain, with a port or without (then 2289).
    type_
        What the events are, as org.example.Note. Of a type that postbox knows, as
        postbox.v1.GuildJoined, the documents are the fields; of any other they travel as they are.
    data
        A JSON document, or one a line in a file whose name ends in .jsonl. Stdin if it is a dash.
        Nothing is posted if one of them cannot be.
    loopback
        Of a stopped node that is served with --loopback: HOST may be an address, or have no dot.
    """
    options = common or Common()
    world = system_world()

    async def verb() -> int:
        try:
            type_url = type_url_of(type_)
        except BadEvent as error:
            raise Usage(f"--type: {error}") from error
        with readable(data) as path:
            documents = Documents(data, path, MAX_VALUE_BYTES)
            await _check(world, documents, type_url)
            async with operated(options, loopback=loopback) as operator:
                with progress(f"posting to {host}", world.clock) as show:
                    request = Post(host, type_url, [])
                    posted = await _post(world, operator, request, documents, show)
        _print(posted, options.json)
        return 0

    return run(verb, as_json=options.json)


async def _check(world: World, documents: Documents, type_url: str) -> None:
    """Raises BadDocument for the first that cannot be posted, before any other is."""
    with closing(_events(documents, type_url)) as checked:
        while await world.threads.run(Pool.READER, lambda: next(checked, None)):
            pass


async def _post(
    world: World, operator: Operator, request: Post, documents: Documents, show: Show
) -> Posted:
    posted = Posted(request.host, 0, None, None)
    with closing(_events(documents, request.type_url)) as rest:
        while batch := await world.threads.run(Pool.READER, lambda: next(rest, None)):
            try:
                more = await operator.call(
                    POST, replace(request, values=[one.raw for one in batch])
                )
            except Fault as fault:
                raise PostedInPart(in_part(fault, posted.posted, batch)) from fault
            posted = posted.then(more)
            show(posted.posted, batch[-1].share)
    if not posted.posted:  # HOST is looked at in any case
        return await operator.call(POST, request)
    return posted


def _events(documents: Documents, type_url: str) -> Generator[list[Document], None, None]:
    """Batches of what the documents become; each whole before the next is read."""
    return batches((_event(one, type_url) for one in documents), BATCH_EVENTS, BATCH_BYTES)


def _event(document: Document, type_url: str) -> Document:
    try:
        return document._replace(raw=from_json(type_url, document.raw))
    except BadEvent as error:
        raise BadDocument(f"{document.where}: {error}") from error


def in_part(fault: Fault, count: int, batch: Sequence[Document]) -> str:
    """What to do when a file ended with `fault`, in the portion after the `count` that are posted.
    Whatever is posted twice is there twice, so nothing here says to run it again."""
    if not count and not isinstance(fault, NodeGone):
        return str(fault)
    what = fault.what if isinstance(fault, NodeGone) else str(fault)
    said = f"{events(count)} posted, and not to be posted again. " if count else ""
    first, last = batch[0].where, batch[-1].where
    portion = first if first == last else f"{first} to {last}"
    return (
        f"{what}. {said}Of {portion} all, some from the beginning or none may be posted:"
        " `postbox links` shows how many (acknowledged and queued together). Post only the rest"
    )


def _print(posted: Posted, as_json: bool) -> None:
    if as_json:
        print_json(posted)
        return
    print(f"{events(posted.posted)} posted to {posted.host}{_numbers(posted)}")


def _numbers(posted: Posted) -> str:
    match posted:
        case Posted(first_seq=int(first), last_seq=int(last)) if first == last:
            return f", number {first:,}"
        case Posted(first_seq=int(first), last_seq=int(last)):
            return f", numbers {first:,} to {last:,}"
        case _:
            return ""
