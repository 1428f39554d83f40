"""What a host is called: `domain:port`, in one spelling only.

Two spellings of one host would be two links, two cached keys, two rows in a block list. So a name
is brought into its canonical form where it comes in, and nothing else is stored or compared: IDNA
A-labels (RFC 5891), lower case, no dot at the end, the port in decimal and never left out.

The grammar is that of Matrix's server names: a domain, an IPv4 address or an IPv6 address in
brackets, and a port. Nothing else gets through: no scheme, user, path, escape or space, and
no number that only some resolvers take for an address (`0x7f.1`, `2130706433`).
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator

import idna

DEFAULT_PORT = 2289
"""Where a host listens that names no port (the specification's default)."""

MAX_CHARACTERS = 250
"""Of a canonical name: with a prefix it names a stream of the log, which has 255 bytes. The DNS has
253 for a domain, and nobody has used them."""

MAX_WRITTEN = 300
"""Of another spelling, in letters beyond ASCII (fewer than in ASCII) or with zeros. Looked at
before all else."""

MAX_LABEL = 63
"""Of a part of a domain (RFC 1035). IDNA takes its time with longer ones."""

_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_PORT = re.compile(r":([0-9]{1,5})")
_LOWER = {code: code + 32 for code in range(ord("A"), ord("Z") + 1)}


class BadHostName(ValueError):
    """This names no host; the text says why. `why`: the reason alone."""

    def __init__(self, text: str, why: str = "") -> None:
        super().__init__(text)
        self.why = why or text


def canonical_host(text: str, *, is_local: bool) -> str:
    """The one spelling of a host's name. `is_local`: addresses, and names of one label, which mean
    something in one network alone, are names too (`--loopback`). Raises BadHostName."""
    named, port = _parts(text)
    domain = _address6(named, text) if named.startswith("[") else _domain(named, text)
    if not is_local:
        _check_public(domain, port, text)
    host = f"{domain}:{port}"
    if len(host) > MAX_CHARACTERS:
        raise _bad(text, f"with its port it has {len(host)} characters, and {MAX_CHARACTERS} count")
    return host


def canonical_destination(text: str, *, own: str | None, is_local: bool) -> str:
    """As `canonical_host`, for a host that is to be spoken to: never this node itself, which is
    called `own`. Raises BadHostName."""
    host = canonical_host(text, is_local=is_local)
    if host == own:
        raise BadHostName(f"{host} is this node itself: it sends nothing to itself")
    return host


def canonical_pattern(text: str, *, is_local: bool) -> str:
    """What a row of an allow or block list says: a host's name; `example.org:*`, the same at any
    port; `*.example.org`, whatever is below it at any port; `*.example.org:PORT`. Raises
    BadHostName."""
    is_below, is_any_port = text.startswith("*."), text.endswith(":*")
    named = ("x." if is_below else "") + text.removeprefix("*.").removesuffix(":*")
    try:
        domain, _, port = canonical_host(named, is_local=is_local).rpartition(":")
    except BadHostName as error:
        raise BadHostName(f"{text[:80]!r} is no name or pattern of hosts: {error.why}") from error
    if not is_below:
        return f"{domain}:*" if is_any_port else f"{domain}:{port}"
    below = "*" + domain.removeprefix("x")
    return f"{below}:{port}" if _PORT.search(named) else below


def rows_for(host: str) -> Iterator[str]:
    """The patterns that a canonical name is meant by, the most specific first: rows are looked up
    by these, whatever their number."""
    domain, _, port = host.rpartition(":")
    yield host
    yield f"{domain}:*"
    if domain.startswith("[") or _is_address4(domain):
        return
    while "." in domain:
        domain = domain.partition(".")[2]
        yield f"*.{domain}:{port}"
        yield f"*.{domain}"


def split_host(host: str) -> tuple[str, int]:
    """Domain or address, without brackets, and port, of a canonical name."""
    domain, _, port = host.rpartition(":")
    return domain.strip("[]"), int(port)


def _parts(text: str) -> tuple[str, int]:
    if len(text) > MAX_WRITTEN:
        raise _bad(text, f"it has {len(text)} characters")
    end = text.find("]") + 1 if text.startswith("[") else text.find(":")
    if end <= 0:
        domain, rest = (text, "") if not text.startswith("[") else ("", "")
    else:
        domain, rest = text[:end], text[end:]
    if not domain:
        raise _bad(text, "a host is DOMAIN or DOMAIN:PORT")
    return domain, _port(rest, text) if rest else DEFAULT_PORT


def _port(rest: str, text: str) -> int:
    found = _PORT.fullmatch(rest)
    if found is None:
        raise _bad(
            text,
            "after the domain comes :PORT in digits or nothing; a scheme, a path or a user are no"
            " part of it, and an IPv6 address stands in brackets",
        )
    port = int(found[1])
    if not 0 < port < 2**16:
        raise _bad(text, "a port is 1 to 65535")
    return port


def _domain(domain: str, text: str) -> str:
    if _is_address4(domain):
        return domain
    labels = [_label(label, text) for label in domain.removesuffix(".").split(".")]
    # by the URL standard, so a name that some resolver reads as an address never is a name here
    if not labels[-1][0].isalpha():
        raise _bad(text, "the last part of a domain begins with a letter")
    return ".".join(labels)


def _label(label: str, text: str) -> str:
    lowered = label.translate(_LOWER)
    if _LABEL.fullmatch(lowered) and not lowered.startswith("xn--"):
        return lowered
    try:
        if len(label) > MAX_LABEL:
            raise idna.IDNAError(f"a part has {len(label)} characters, and {MAX_LABEL} are allowed")
        return idna.alabel(lowered).decode("ascii")
    except (idna.IDNAError, UnicodeError) as error:
        said = str(error) or "a part of a domain is empty"
        raise _bad(text, f"not a domain (IDNA 2008): {said[:160]}") from error


def _is_address4(domain: str) -> bool:
    try:
        return str(ipaddress.IPv4Address(domain)) == domain
    except ValueError:
        return False


def _address6(bracketed: str, text: str) -> str:
    try:
        address = ipaddress.IPv6Address(bracketed[1:-1])
    except ValueError as error:
        raise _bad(text, "in the brackets is no IPv6 address") from error
    if address.scope_id is not None:
        raise _bad(text, "an address with a zone means something on one machine alone")
    if address.ipv4_mapped is not None:
        raise _bad(text, f"that is the IPv4 address {address.ipv4_mapped}: write it so")
    return f"[{address.compressed}]"


def _check_public(domain: str, port: int, text: str) -> None:
    if domain.startswith("[") or _is_address4(domain):
        raise _bad(text, "hosts are called by name: addresses count with --loopback alone")
    if "." not in domain:
        raise _bad(text, "a name without a dot means something in one network alone (--loopback)")
    if port < 1024 and port != 443:
        raise _bad(
            text, "hosts listen on 443 or on a port from 1024 on: below are other services' ports"
        )


def _bad(text: str, why: str) -> BadHostName:
    return BadHostName(f"{text[:80]!r} names no host: {why}", why)
