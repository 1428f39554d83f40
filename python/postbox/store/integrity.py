"""What `Store.check` says on both engines alike: is the schema as the migrations make it?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TypeAlias

from postbox.store.schema import Database, Engine, Migrations, load_steps

MAX_FINDINGS = 100
"""Of one kind. A damaged page has thousands of rows, and all of them say the same."""

Described: TypeAlias = Mapping[str, str]  # "index entry_id_2" -> how it is defined


def differences(expected: Described, actual: Described) -> Iterator[str]:
    """Whatever else lies in the database, as an operator's own table, is none of our business."""
    for name, definition in expected.items():
        if name not in actual:
            yield f"the {name} is missing"
        elif actual[name] != definition:
            yield f"the {name} is `{actual[name]}` and has to be `{definition}`"


def is_as_new(database: Database, sets: Sequence[Migrations]) -> bool:
    """Whether a newer postbox has left it as this one would make it."""
    versions = database.versions()
    return all(
        versions[each.name].number == len(load_steps(each, database.engine)) for each in sets
    )


def all_sql(sets: Sequence[Migrations], engine: Engine) -> str:
    return "\n".join(step.sql for each in sets for step in load_steps(each, engine))
