"""Where an MQTT broker is, and who we are there."""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import unquote, urlsplit

PORT, TLS_PORT = 1883, 8883


class Broker(NamedTuple):
    host: str
    port: int
    is_tls: bool
    user: str
    password: str

    def __str__(self) -> str:
        """As it may be shown."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'mqtts' if self.is_tls else 'mqtt'}://{host}:{self.port}"


def broker_of(url: str) -> Broker:
    """`url`: as the configuration allows it, mqtt[s]://[USER:PASSWORD@]HOST[:PORT]."""
    parts = urlsplit(url)
    is_tls = parts.scheme == "mqtts"
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    port = parts.port or (TLS_PORT if is_tls else PORT)
    return Broker(parts.hostname or "", port, is_tls, user, password)
