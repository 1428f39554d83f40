"""`postbox trust`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from postbox.admin.command import Nothing, Operator
from postbox.admin.trust import ANSWER, BELIEVE, LIST_KEYS, Answer, Believe, Directory, Key, Waits
from postbox.cli.node import operated
from postbox.cli.options import FLAG, Common, Usage, run
from postbox.cli.output import complain, print_json, print_rows, print_text
from postbox.errors import Fault
from postbox.mesh.chunks import chunks
from postbox.trust.keylist import KeyList, ListedKey, parse_key_list, parse_public_key
from postbox.trust.keys import public_key_text

KEYS_AT_ONCE = 4_096
"""In one request, below what one may hold however long their names are."""


class BadList(Fault):
    """The file is no list of keys, or cannot be read."""


def add(
    name: str,
    key: str | None = None,
    /,
    *,
    voter_id: Annotated[str | None, Parameter(name="--id", metavar="ID")] = None,
    common: Common | None = None,
) -> int:
    """Believe that NAME signs with KEY (base64 of 32 bytes, as `postbox keys show` gives it).
    Without KEY: with the one that NAME waits with in `postbox trust list`.

    Parameters
    ----------
    name
        Of the node whose signatures are believed.
    key
        Its public key, base64 of 32 bytes, as postbox keys show gives it there. Left out for a name
        that waits (trust list --waiting): then the key that it came with.
    voter_id
        With KEY: what NAME votes under in checkpoints.
    """
    options = common or Common()

    async def verb() -> int:
        listed = None if key is None else _listed(name, key, voter_id)
        if listed is None and voter_id is not None:
            raise Usage("--id goes with a KEY: who waits has said its id")
        async with operated(options) as operator:
            if listed is None:
                refused = (await operator.call(ANSWER, Answer(name, admits=True))).refused
            else:
                refused = await _believe(operator, [listed])
        return _told(refused, 1, 0, options.json)

    return run(verb, as_json=options.json)


def refuse(name: str, /, *, common: Common | None = None) -> int:
    """Let NAME, which introduced itself, wait no more. It may introduce itself again.

    Parameters
    ----------
    name
        One that waits (trust list --waiting). It may introduce itself again.
    """
    options = common or Common()

    async def verb() -> int:
        async with operated(options) as operator:
            refused = (await operator.call(ANSWER, Answer(name, admits=False))).refused
        for text in refused:
            complain(text)
        if options.json:
            print_json({"dropped": int(not refused), "refused": len(refused)})
        elif not refused:
            print(f"{name} waits no more")
        return int(bool(refused))

    return run(verb, as_json=options.json)


def import_(file: Path, /, *, common: Common | None = None) -> int:
    """Believe a list of keys: a JSON array of {"Name", "PublicKey", "ID"}.

    Parameters
    ----------
    file
        A JSON array of {"Name": …, "PublicKey": …, "ID": …}; an empty ID is none.
    """
    options = common or Common()

    async def verb() -> int:
        listed = _read(file)
        for row in listed.bad:
            complain(f"row {row.number} of {file}: {row.text}")
        async with operated(options) as operator:
            refused = await _believe(operator, listed.keys)
            return _told(refused, len(listed.keys), len(listed.bad), options.json)

    return run(verb, as_json=options.json)


def list_(
    *,
    waiting: Annotated[bool, FLAG] = False,
    common: Common | None = None,
) -> int:
    """Who introduced itself and waits; and who is known, with which key and from where.

    Parameters
    ----------
    waiting
        Only who waits.
    """
    options = common or Common()

    async def verb() -> int:
        async with operated(options) as operator:
            directory = await operator.call(LIST_KEYS, Nothing())
        if options.json:
            print_json({"waiting": directory.waiting} if waiting else directory)
        elif waiting and not directory.waiting:
            print("nobody waits")
        else:
            _print_waiting(directory.waiting)
            if not waiting:
                _print_known(directory)
        return 0

    return run(verb, as_json=options.json)


def _print_waiting(waiting: Sequence[Waits]) -> None:
    if waiting:
        lead = "Who waits: postbox trust add NAME lets it in, postbox trust refuse NAME does not"
        print_text(lead)
        rows = [
            (
                row.name,
                public_key_text(row.public_key),
                row.id or "-",
                row.address,
                f"{row.since:%F %T} UTC",
            )
            for row in waiting
        ]
        print_rows([("name", "public key", "id", "at", "since"), *rows])


def _print_known(directory: Directory) -> None:
    if directory.waiting:
        print("\nWho is known")
    known = [
        (row.name, public_key_text(row.public_key), row.id or "-", row.source)
        for row in directory.keys
    ]
    print_rows([("name", "public key", "id", "from"), *known], cut=(1, 2))


def _listed(name: str, key: str, voter_id: str | None) -> ListedKey:
    try:
        return ListedKey(name, parse_public_key(key), voter_id)
    except ValueError as error:
        raise Usage(str(error)) from error


def _read(file: Path) -> KeyList:
    try:
        return parse_key_list(file.read_bytes())
    except OSError as error:
        raise BadList(f"cannot read {file}: {error.strerror}") from error
    except ValueError as error:
        raise BadList(f"{file} is no list of keys: {error}") from error


async def _believe(operator: Operator, listed: Sequence[ListedKey]) -> list[str]:
    """Why some of them were refused."""
    refused: list[str] = []
    for part in chunks([Key(*key) for key in listed], KEYS_AT_ONCE):
        refused += (await operator.call(BELIEVE, Believe(part))).refused
    return refused


def _told(refused: Sequence[str], offered: int, bad_rows: int, as_json: bool) -> int:
    for text in refused:
        complain(text)
    numbers = {"believed": offered - len(refused), "refused": len(refused) + bad_rows}
    if as_json:
        print_json(numbers)
    else:
        print(f"{numbers['believed']:,} believed, {numbers['refused']:,} refused")
    return int(bool(refused or bad_rows))
