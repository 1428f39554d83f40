"""Model tests on a real server: the same machine, with its database there."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TypeVar

from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test

from support.postgres import Server


class OnDatabase(RuleBasedStateMachine):
    """A machine whose node has its log in this database."""

    database: str


M = TypeVar("M", bound=OnDatabase)


def run_on_postgres(machine: type[M], postgres: Server, how: settings) -> None:
    class OnPostgres(machine):  # type: ignore[misc, valid-type]
        def __init__(self) -> None:
            super().__init__()
            self._held = ExitStack()
            self.database = self._held.enter_context(postgres.database())

        def teardown(self) -> None:
            super().teardown()
            self._held.close()

    run_state_machine_as_test(OnPostgres, settings=how)
