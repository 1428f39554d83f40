"""Where a peer that the operator did not name may be looked for: pure.

Others say where somebody is, and may say what they like. So plain HTTP is spoken with addresses
that this node's networks allow, never with names that somebody's server resolves; by TLS a name
will do, since its certificate is checked. What comes of a call is `net`'s to refuse once more.
"""

from __future__ import annotations

import ipaddress
from urllib.parse import SplitResult, urlsplit

from postbox.errors import Fault
from postbox.net.addresses import Reach
from postbox.net.client import check_url

NARA_PORT = 7433
"""Where a nara listens for its peers (ports.go); an address without a port means that one."""
MAX_URL = 300
"""Characters: a name of 253, and what stands around it."""


def place_of(mesh_ip: str, reach: Reach) -> str:
    """The URL of a node at an address as nara writes it; "" for none that may be called."""
    address = _address(mesh_ip)
    if address is None or reach.refusal(str(address), is_tls=False) is not None:
        return ""
    return f"http://{f'[{address}]' if address.version == 6 else address}:{NARA_PORT}"


def place_told(url: str, reach: Reach, caller: str | None = None) -> str:
    """A URL that others tell of, as it is kept; "" for one that is not to be called. `caller`: who
    tells it of itself, from this address: by plain HTTP it is there and nowhere else."""
    split = _split(url)
    if split is None:
        return ""
    host = split.hostname or ""
    if split.scheme == "http":
        address = _address(host)
        if address is None or reach.refusal(host, is_tls=False) is not None:
            return ""
        if caller is not None and address != _address(caller):
            return ""
    return url.rstrip("/")


def mesh_ip_of(url: str) -> str:
    """What a nara can call of it: an address where a node listens at nara's port, else ""."""
    split = _split(url)
    if split is None or split.scheme != "http" or split.port != NARA_PORT:
        return ""
    return split.hostname or "" if _address(split.hostname or "") else ""


def host_of(url: str) -> str:
    """The address, or the name, that is called; "" for what is no URL."""
    split = _split(url)
    return "" if split is None else split.hostname or ""


def spot_of(url: str) -> str:
    """Host and port, for what is limited by where a call goes."""
    split = _split(url)
    return "" if split is None else split.netloc.lower()


def _split(url: str) -> SplitResult | None:
    """None for what is longer than any address, no ASCII, or has more than a host and a port."""
    if len(url) > MAX_URL or not url.isascii() or not url.isprintable():
        return None
    try:
        check_url(url)
        split = urlsplit(url)
        is_plain = split.path in ("", "/") and split.port != 0
    except (Fault, ValueError):
        return None
    return split if is_plain else None


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """None for one with a zone, too: that may be any text of any length, and means something on the
    machine alone that says it."""
    try:
        return None if "%" in text else ipaddress.ip_address(text)
    except ValueError:
        return None
