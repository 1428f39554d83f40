"""What callers will make of this node's certificate, seen by calling it in memory: the standard
library reads no certificate that it was not shown in a handshake."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime
from pathlib import Path

from postbox.errors import Fault

TURNS = 4
"""Of a handshake, each side's; TLS 1.2 takes three."""


class Unbelievable(Fault):
    """Callers will not believe this certificate."""


def valid_until(server: ssl.SSLContext, chain: Path) -> datetime:
    """The end of the time for which `server`'s certificate, the first of `chain`, is valid. Raises
    Unbelievable if that is over, or not begun, or if it is not one of a server. Which authority
    vouches for it is not looked at."""
    shown = _call(server, _caller(chain))
    return datetime.fromtimestamp(ssl.cert_time_to_seconds(str(shown["notAfter"])), UTC)


def is_for(server: ssl.SSLContext, chain: Path, name: str) -> bool:
    """Do callers of `name`, a domain or an address, believe the certificate? Of one for which
    `valid_until` raises nothing."""
    caller = _caller(chain)
    caller.check_hostname = True
    try:
        _call(server, caller, name)
    except Unbelievable:
        return False
    return True


def _caller(chain: Path) -> ssl.SSLContext:
    """Trusts what is in the file and nothing else."""
    caller = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    caller.check_hostname = False
    caller.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    caller.load_verify_locations(chain)
    return caller


def _call(
    server: ssl.SSLContext, caller: ssl.SSLContext, name: str | None = None
) -> dict[str, object]:
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    asked = server.wrap_bio(there, back, server_side=True)
    asking = caller.wrap_bio(back, there, server_hostname=name)
    for _ in range(TURNS):
        for side in (asking, asked):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                pass
            except ssl.SSLCertVerificationError as error:
                raise Unbelievable(error.verify_message) from error
    return dict(asking.getpeercert() or {})
