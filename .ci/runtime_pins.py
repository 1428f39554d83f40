"""Prints the part of constraints.txt that a wheel needs to run: what its metadata asks for, and
what that asks for in turn, without the tools of a checkout. Run by the .venv's Python:
WHEEL [EXTRA]."""

from __future__ import annotations

import re
import sys
from email import message_from_bytes
from importlib.metadata import requires
from pathlib import Path
from zipfile import ZipFile

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name


def asked(wheel: Path, extra: str) -> list[Requirement]:
    """What the wheel itself asks for on this machine."""
    with ZipFile(wheel) as files:
        [metadata] = [name for name in files.namelist() if name.endswith(".dist-info/METADATA")]
        lines = message_from_bytes(files.read(metadata)).get_all("Requires-Dist") or []
    return [found for found in map(Requirement, lines) if applies(found, extra)]


def applies(requirement: Requirement, extra: str) -> bool:
    return requirement.marker is None or requirement.marker.evaluate({"extra": extra})


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
            if applies(inner, extra):
                names |= needed(inner, seen)
    return names


def main(wheel: str, extra: str = "") -> None:
    names: set[str] = set()
    for requirement in asked(Path(wheel), extra):
        names |= needed(requirement, set())
    pins = Path(__file__).resolve().parents[1].joinpath("constraints.txt").read_text("utf-8")
    for block in re.split(r"\n(?=\S)", pins.rstrip("\n")):
        if canonicalize_name(re.split("[=;\\[]", block)[0].strip()) in names:
            sys.stdout.write(f"{block}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
