"""The configuration of a home: `config.toml`, read once and passed down.

Promises: a missing file is the defaults; whatever is wrong with a file is told in one `BadConfig`,
all of it; a `Config` that `load` or `overridden` gave is valid.
"""

from postbox.config.declaration import (
    ClientsConfig,
    Config,
    HostsConfig,
    LogConfig,
    MeshConfig,
    MetricsConfig,
    NodeConfig,
    ServeConfig,
)
from postbox.config.kinds import Address, Network
from postbox.config.reading import BadConfig, load, overridden

__all__ = [
    "Address",
    "BadConfig",
    "ClientsConfig",
    "Config",
    "HostsConfig",
    "LogConfig",
    "MeshConfig",
    "MetricsConfig",
    "Network",
    "NodeConfig",
    "ServeConfig",
    "load",
    "overridden",
]
