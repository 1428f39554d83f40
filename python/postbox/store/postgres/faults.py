"""What went wrong with the database, in the store contract's words."""

from __future__ import annotations

import psycopg

from postbox.errors import Fatal, Fault, Full, Unavailable, Violation

# By SQLSTATE (https://www.postgresql.org/docs/current/errcodes-appendix.html) or by its class. The
# text says what the operator may do, if anything: admission tries again by itself.
_UNAVAILABLE = {
    "08": "the connection failed",
    "25006": "it is read-only, as a standby is or a server without room: make it writable",
    "25P03": "this process stood still inside a transaction, which the server then ended",
    "25P04": "this process stood still inside a transaction, which the server then ended",
    "40": "the transaction met another one",
    "53": "the server has no connection or memory to spare: raise its limits, or use less",
    "55P03": "another process of this node stands still while it writes: its turn ends by itself",
    "57": "the server stops, starts or was told to end this",
}
_NO_ROOM = "53100"
_QUEUE_FULL = ("54000", "PreCommit_Notify")
"""No state of its own says it, but where in the server it is said."""
NO_RESOURCES = "53"  # of the server, for what it was asked: no damage
_VIOLATION = ("22", "23", "54")


def renamed(error: psycopg.Error, where: str) -> Fault:
    code = error.sqlstate or ""
    text = _told(error)
    if code == _NO_ROOM:
        return Full(f"no room for {where} ({text}): make room there; nothing was written")
    if (why := _why_unavailable(error, code)) is not None:
        return Unavailable(
            f"{where} does not answer ({text}): {why}; a node that serves tries again"
        )
    if code.startswith(_VIOLATION) or isinstance(error, psycopg.DataError):
        return Violation(f"{where} refused a change: {text}")
    return Fatal(
        f"{where} failed ({code or type(error).__name__}: {text}): stop, look at the server"
    )


def _why_unavailable(error: psycopg.Error, code: str) -> str | None:
    if error.diag.severity_nonlocalized == "PANIC":
        return "the server gave up, as it does when its disk fails it, and recovers: see its log"
    if (code, error.diag.source_function) == _QUEUE_FULL:
        return "a process of this node, or another program, listens and takes nothing: end that one"
    if not code and isinstance(error, psycopg.OperationalError | psycopg.InterfaceError):
        return "see that the server runs and lets this node in"
    return _UNAVAILABLE.get(code) or _UNAVAILABLE.get(code[:2])


def _told(error: psycopg.Error) -> str:
    """In one line, without what psycopg adds about where in the statement it was."""
    return error.diag.message_primary or " ".join(str(error).split()) or type(error).__name__
