"""`postbox trust`."""

from __future__ import annotations

import base64
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from postbox.cli.node import opened
from postbox.cli.options import Common, Usage, run
from postbox.cli.output import print_json, print_rows
from postbox.errors import Fault
from postbox.node import Node
from postbox.rules import Rejected
from postbox.trust.keylist import KeyList, ListedKey, parse_key_list, parse_public_key
from postbox.trust.rules import KeyRules, operator_draft


class BadList(Fault):
    """The file is no list of keys, or cannot be read."""


def add(
    name: str,
    key: str,
    /,
    *,
    voter_id: Annotated[str | None, Parameter(name="--id")] = None,
    common: Common | None = None,
) -> int:
    """Believe that NAME signs with KEY (base64 of 32 bytes, as `postbox keys show` gives it).

    Parameters
    ----------
    voter_id
        What NAME votes under in checkpoints.
    """
    options = common or Common()

    async def verb() -> int:
        try:
            listed = ListedKey(name, parse_public_key(key), voter_id)
        except ValueError as error:
            raise Usage(str(error)) from error
        async with opened(options) as node:
            return _told(await _believe(node, [listed]), 1, 0, options.json)

    return run(verb)


def import_(file: Path, /, *, common: Common | None = None) -> int:
    """Believe a list of keys: a JSON array of {"Name", "PublicKey", "ID"}."""
    options = common or Common()

    async def verb() -> int:
        listed = _read(file)
        for row in listed.bad:
            print(f"postbox: row {row.number} of {file}: {row.text}", file=sys.stderr)
        async with opened(options) as node:
            refused = await _believe(node, listed.keys)
            return _told(refused, len(listed.keys), len(listed.bad), options.json)

    return run(verb)


def list_(*, common: Common | None = None) -> int:
    """Who is known, with which key and from where."""
    options = common or Common()

    async def verb() -> int:
        async with opened(options) as node:
            known = node.directory.all()
        rows = [
            {
                "name": row.name,
                "public_key": base64.b64encode(row.key).decode(),
                "id": row.id,
                "source": str(row.source),
                "old_keys": len(row.old),
            }
            for row in known
        ]
        if options.json:
            print_json({"keys": rows})
        else:
            cells = [[str(row[c] or "-") for c in row if c != "old_keys"] for row in rows]
            print_rows([["name", "public key", "id", "from"], *cells])
        return 0

    return run(verb)


def _read(file: Path) -> KeyList:
    try:
        return parse_key_list(file.read_bytes())
    except OSError as error:
        raise BadList(f"can not read {file}: {error.strerror}") from error
    except ValueError as error:
        raise BadList(f"{file} is no list of keys: {error}") from error


async def _believe(node: Node, listed: Sequence[ListedKey]) -> list[str]:
    """Why some of them were refused. Events that can be checked now are, before this returns."""
    drafts = []
    refused = []
    for key in listed:
        try:
            drafts.append(operator_draft(node.world.new_id(), key.name, key.key, key.id))
        except ValueError as error:
            refused.append(f"{key.name}: {error}")
    outcomes = await node.admission.submit(KeyRules(), drafts)
    for draft, outcome in zip(drafts, outcomes, strict=True):
        if isinstance(outcome, Rejected):
            refused.append(f"{draft.name}: {outcome.reason.text}")
    await node.settle()
    return refused


def _told(refused: Sequence[str], offered: int, bad_rows: int, as_json: bool) -> int:
    for text in refused:
        print(f"postbox: {text}", file=sys.stderr)
    if as_json:
        print_json({"refused": len(refused) + bad_rows})
    else:
        print(f"{offered - len(refused)} believed, {len(refused) + bad_rows} refused")
    return int(bool(refused or bad_rows))
