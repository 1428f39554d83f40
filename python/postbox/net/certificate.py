"""What callers will make of a server's certificate, seen by calling it in memory: the standard
library reads no certificate that it was not shown in a handshake."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime

from postbox.errors import Fault

TURNS = 4
"""Of a handshake, each side's; TLS 1.2 takes three."""


class Unbelievable(Fault):
    """Callers will not believe this certificate."""


def shown(server: ssl.SSLContext) -> bytes:
    """The certificate itself, in DER."""
    caller = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    caller.check_hostname = False
    caller.verify_mode = ssl.CERT_NONE
    return _call(server, caller).getpeercert(binary_form=True) or b""


def valid_until(server: ssl.SSLContext) -> datetime:
    """The end of the time for which its certificate is valid. Raises Unbelievable if that is over,
    or not begun, or if it is not one of a server. Which authority vouches for it is not looked
    at."""
    seen = _call(server, _believer(server)).getpeercert() or {}
    return datetime.fromtimestamp(ssl.cert_time_to_seconds(str(seen["notAfter"])), UTC)


def is_for(server: ssl.SSLContext, name: str) -> bool:
    """Do callers of `name`, a domain or an address, believe the certificate? Of one for which
    `valid_until` raises nothing."""
    caller = _believer(server)
    caller.check_hostname = True
    try:
        _call(server, caller, name)
    except Unbelievable:
        return False
    return True


def _believer(server: ssl.SSLContext) -> ssl.SSLContext:
    """Trusts this very certificate and nothing else."""
    caller = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    caller.check_hostname = False
    caller.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    caller.load_verify_locations(cadata=shown(server))
    return caller


def _call(server: ssl.SSLContext, caller: ssl.SSLContext, name: str | None = None) -> ssl.SSLObject:
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
    return asking
