"""Looks at the plan that PostgreSQL keeps for a statement: whether it goes by its indexes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from postbox.store.contract import Query
from postbox.store.postgres import statements
from postbox.store.postgres.session import Session

SQL_TYPES = {"integer": "bigint", "real": "double precision", "text": "text", "blob": "bytea"}


@dataclass(frozen=True)
class Asked:
    """A statement, the types of its parameters, and the indexes that it may go by."""

    sql: str
    types: tuple[str, ...]
    indexes: frozenset[str]


def asked(sql: str, *types: str, by: str) -> Asked:
    return Asked(sql, types, frozenset(by.split()))


def asked_by_name(query: Query, types: Mapping[str, str], by: str) -> Asked:
    """`types`: of its parameters, by their names."""
    names = re.findall(r"%\((\w+)\)s", statements.named(query))
    return asked(unnamed(query), *[types[name] for name in names], by=by)


def unnamed(query: Query) -> str:
    return re.sub(r"%\(\w+\)s", "%s", statements.named(query))


def unfit(session: Session, each: Asked) -> str:
    """What is wrong with the plan that is kept for all parameters, or nothing."""
    head, *rest = each.sql.split("%s")
    sql = head + "".join(f"${at}{part}" for at, part in enumerate(rest, start=1))
    types = f"({', '.join(each.types)})" if each.types else ""
    session.send(f"prepare asked {types} as {sql}")
    nulls = f"({', '.join(['null'] * len(each.types))})" if each.types else ""
    [plan] = session.send(f"explain (format json) execute asked {nulls}")
    session.send("deallocate asked")
    nodes = list(walk(plan[0]["Plan"]))
    kinds = {str(node["Node Type"]) for node in nodes}
    scans = [node for node in nodes if "Index Name" in node]
    indexes = {str(node["Index Name"]) for node in scans}
    has_keys = all("Index Cond" in node for node in scans) or not each.types
    is_by_key = kinds.isdisjoint({"Seq Scan", "Bitmap Heap Scan", "Hash Join", "Merge Join"})
    return "" if is_by_key and has_keys and indexes == each.indexes else json.dumps(plan, indent=1)


def walk(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for inner in node.get("Plans", []):
        yield from walk(inner)
