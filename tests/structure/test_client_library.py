"""The client library stands beside the server: an app that installs it loads nothing else."""

from __future__ import annotations

import grimp

MAY_IMPORT = (
    "postbox.client",
    "postbox.rpc",
    "postbox.world",
    "postbox.connections",
    "postbox.errors",
)


def test_the_client_imports_rpc_and_what_it_stands_on_only() -> None:
    assert strays(grimp.build_graph("postbox")) == []


def test_an_import_of_the_server_is_seen() -> None:
    graph = grimp.build_graph("postbox")
    graph.add_module("postbox.client.queue")
    graph.add_import(importer="postbox.client.queue", imported="postbox.world")
    graph.add_import(importer="postbox.client.queue", imported="postbox.store.contract")
    assert strays(graph) == ["postbox.client.queue imports postbox.store.contract"]


def strays(graph: grimp.ImportGraph) -> list[str]:
    return sorted(
        f"{importer} imports {imported}"
        for importer in graph.modules
        if is_in(importer, ("postbox.client",))
        for imported in graph.find_modules_directly_imported_by(importer)
        if not is_in(imported, MAY_IMPORT)
    )


def is_in(module: str, packages: tuple[str, ...]) -> bool:
    return any(module == package or module.startswith(f"{package}.") for package in packages)
