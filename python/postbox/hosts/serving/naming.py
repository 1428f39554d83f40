"""What this host is called among hosts, when it serves."""

from __future__ import annotations

from urllib.parse import urlsplit

from msgspec.structs import replace

from postbox.config import BadConfig, Config
from postbox.trust.host_names import BadHostName, canonical_host


def named(config: Config, url: str) -> Config:
    """The configuration with `hosts.name` in its one spelling. `url`: where the node listens, which
    under --loopback is a name too. Raises BadConfig."""
    is_local = config.serve.loopback
    name = config.hosts.name or (urlsplit(url).netloc if is_local else "")
    if name:
        try:
            name = canonical_host(name, is_local=is_local)
        except BadHostName as error:
            raise BadConfig(f"hosts.name (--host): {error}") from error
    return replace(config, hosts=replace(config.hosts, name=name))
