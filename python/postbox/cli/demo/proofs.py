"""What the demo has proved, door by door, and the table that says so in the end."""

from __future__ import annotations

import textwrap
from typing import NamedTuple

from postbox.cli.demo.commands import COLUMNS, say
from postbox.cli.output import STATES, painted

RULE = "-"
"""ASCII: a table that is read in a file is read anywhere."""
INDENT = " " * len("  yes  ")
DOORS = ("The mesh", "Host to host", "Clients", "All of it")


class Proof(NamedTuple):
    door: str
    holds: bool
    what: str


class Proofs:
    def __init__(self) -> None:
        self._proofs: list[Proof] = []

    def add(self, door: str, holds: bool, what: str) -> None:
        """`what`: a sentence that holds, or does not."""
        self._proofs.append(Proof(door, holds, what))

    def conclude(self) -> int:
        """The exit code: 0 if all held."""
        say("\nWhat was proved")
        for door in DOORS:
            proofs = [one for one in self._proofs if one.door == door]
            if proofs:
                say(f"  {painted(f'{door} '.ljust(COLUMNS - 2, RULE), 'dim')}")
            for _, holds, what in proofs:
                word = "yes" if holds else "NO"
                [first, *rest] = textwrap.wrap(what, COLUMNS - len(INDENT))
                say(f"  {painted(f'{word:<3}', STATES[word])}  {first}")
                for line in rest:
                    say(f"{INDENT}{line}")
        return int(not all(one.holds for one in self._proofs))
