"""The connection on which the server says that somebody committed: see `contract.Listening`."""

from __future__ import annotations

from collections.abc import Callable

import psycopg

from postbox.store.postgres.faults import renamed
from postbox.store.postgres.session import Session


class PostgresListening:
    """Closes the session if it cannot be set up."""

    def __init__(self, session: Session, own_backend: Callable[[], int], where: str) -> None:
        """`own_backend`: the number of the one that writes for this process."""
        try:
            session.send(f"listen {session.channel}")
        except BaseException:
            session.close()
            raise
        self._session = session
        self._own_backend = own_backend
        self._where = where

    def fileno(self) -> int:
        return self._session.fileno()

    def drain(self) -> bool:
        """Goes on until nothing is left: TLS may hold what never makes the socket readable."""
        try:
            return any(each != self._own_backend() for each in self._session.take_notifications())
        except psycopg.Error as error:
            raise renamed(error, self._where) from error

    def close(self) -> None:
        self._session.close()
