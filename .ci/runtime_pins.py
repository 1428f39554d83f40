"""Prints the part of constraints.txt that postbox needs to run: what its metadata asks for, and
what that asks for in turn, without the tools of a checkout. Run by the .venv's Python."""

from __future__ import annotations

import re
import sys
from importlib.metadata import requires
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name


def needed(requirement: Requirement, seen: set[tuple[str, str]]) -> set[str]:
    """The names that `requirement` leads to on this machine, its own among them."""
    name = canonicalize_name(requirement.name)
    names: set[str] = {name}
    for extra in ("", *requirement.extras):
        if (name, extra) in seen:
            continue
        seen.add((name, extra))
        for line in requires(name) or ():
            inner = Requirement(line)
            if inner.marker is None or inner.marker.evaluate({"extra": extra}):
                names |= needed(inner, seen)
    return names


def main() -> None:
    names = needed(Requirement("postbox"), set()) - {"postbox"}
    pins = Path(__file__).resolve().parents[1].joinpath("constraints.txt").read_text("utf-8")
    for block in re.split(r"\n(?=\S)", pins.rstrip("\n")):
        if canonicalize_name(block.split("==")[0]) in names:
            sys.stdout.write(f"{block}\n")


if __name__ == "__main__":
    main()
