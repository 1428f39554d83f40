"""The client library stands beside the server: an app that installs it loads nothing else."""

from __future__ import annotations

import grimp

CHAT_MAY_IMPORT = ("postbox.chat", "postbox.client", "postbox.errors")
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


def test_the_chat_imports_the_client_only() -> None:
    graph = grimp.build_graph("postbox")
    assert strays(graph, "postbox.chat", CHAT_MAY_IMPORT) == []


def strays(
    graph: grimp.ImportGraph, package: str = "postbox.client", may: tuple[str, ...] = MAY_IMPORT
) -> list[str]:
    return sorted(
        f"{importer} imports {imported}"
        for importer in graph.modules
        if is_in(importer, (package,))
        for imported in graph.find_modules_directly_imported_by(importer)
        if not is_in(imported, may)
    )


def is_in(module: str, packages: tuple[str, ...]) -> bool:
    return any(module == package or module.startswith(f"{package}.") for package in packages)
