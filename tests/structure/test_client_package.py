"""The distribution `postbox-client` has what the client library and the chat import, of the server
nothing, and asks for what they need as the server does."""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path
from typing import Any

import grimp
from packaging.requirements import Requirement

from structure.tree import ROOT

HERE = ROOT / "packages" / "postbox-client"
OURS = ("postbox.client", "postbox.chat")


def read(path: Path) -> dict[str, Any]:
    return tomllib.loads(path.read_text(encoding="utf-8"))


def included() -> dict[Path, str]:
    """From a file or folder of the tree to its place in the wheel."""
    build = read(HERE / "pyproject.toml")["tool"]["hatch"]["build"]["targets"]["wheel"]
    return {(HERE / path).resolve(): place for path, place in build["force-include"].items()}


def imported() -> set[str]:
    """Every module of ours that the library and the chat lead to, and themselves."""
    graph = grimp.build_graph("postbox")
    found = {own for top in OURS for own in (top, *graph.find_descendants(top))}
    return found | {name for own in found for name in graph.find_upstream_modules(own)}


def path_of(module: str) -> Path:
    path = ROOT.joinpath("python", *module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def test_the_wheel_has_every_module_that_the_library_leads_to_and_no_other() -> None:
    wanted = {path_of(module) for module in imported()}
    packages = {folder / "__init__.py" for path in wanted for folder in path.parents}
    package = ROOT / "python" / "postbox"
    wanted |= {path for path in packages if path.is_file() and path.is_relative_to(package)}
    root = package / "__init__.py"  # the client's own is another
    has = {
        path
        for listed in included()
        for path in ([listed] if listed.is_file() else listed.rglob("*.py"))
        if path.is_relative_to(package) and path.suffix == ".py"
    }
    assert has == wanted - {root}


def test_what_is_included_lies_in_the_wheel_as_it_does_in_the_tree() -> None:
    for path, place in included().items():
        assert path.exists(), path
        if path != HERE / "package.py":
            assert path == ROOT / "python" / place


def test_it_asks_for_what_the_server_asks_for_in_the_same_versions() -> None:
    server, client = (read(folder / "pyproject.toml")["project"] for folder in (ROOT, HERE))
    asked = {Requirement(line).name: Requirement(line) for line in server["dependencies"]}
    for line in client["dependencies"]:
        assert Requirement(line) == asked[Requirement(line).name]
    assert client["optional-dependencies"] == server["optional-dependencies"]


def test_it_asks_for_what_the_library_imports() -> None:
    graph = grimp.build_graph("postbox", include_external_packages=True)
    direct = {
        name for module in imported() for name in graph.find_modules_directly_imported_by(module)
    }
    outside = {name for name in direct if graph.is_module_squashed(name)}
    lines = read(HERE / "pyproject.toml")["project"]["dependencies"]
    asked = {Requirement(line).name.replace("protobuf-py", "protobuf") for line in lines}
    # A server's disk, what type checkers alone import, the extra and what that stands on.
    elsewhere = {"psycopg", "typing_extensions", "textual", "rich"}
    assert asked == outside - elsewhere - sys.stdlib_module_names
