"""Where the wire is secure, by default."""

from __future__ import annotations

from typing import Final

from postbox.config import MeshConfig

DEFAULT_NETWORKS: Final = MeshConfig().networks
