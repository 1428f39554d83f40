"""Connections on which the server says that somebody committed, and what the node's processes tell
each other: see `contract.Listening` and `contract.Hearing`."""

from __future__ import annotations

import binascii
from collections.abc import Callable, Sequence

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
            told = self._session.take_notifications()
            return any(sender != self._own_backend() for sender, _ in told)
        except psycopg.Error as error:
            raise renamed(error, self._where) from error

    def close(self) -> None:
        self._session.close()


class PostgresHearing:
    """Closes the session if it cannot be set up."""

    def __init__(self, session: Session, where: str) -> None:
        try:
            session.send(f"listen {session.messages_channel}")
        except BaseException:
            session.close()
            raise
        self._session = session
        self._where = where

    def fileno(self) -> int:
        return self._session.fileno()

    def take(self) -> list[bytes]:
        """What is no message of ours is passed over: whoever may use the database may notify."""
        try:
            told = self._session.take_notifications()
        except psycopg.Error as error:
            raise renamed(error, self._where) from error
        return [message for _, text in told if (message := _message_in(text)) is not None]

    def close(self) -> None:
        self._session.close()


def telling(session: Session, messages: Sequence[bytes]) -> str:
    """In a transaction that reads. Nothing of it is to be durable, so its commit waits for no disk
    and no standby."""
    texts = [binascii.b2a_base64(message, newline=False).decode() for message in messages]
    each = ", ".join([f"pg_notify('{session.messages_channel}', '{text}')" for text in texts])
    return f"set local synchronous_commit = off; select {each}"


def _message_in(text: bytes) -> bytes | None:
    try:
        return binascii.a2b_base64(text, strict_mode=True)
    except binascii.Error:
        return None
