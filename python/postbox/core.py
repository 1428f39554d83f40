"""The one door to the Rust core: nothing else imports `postbox._core`."""

from postbox._core import (
    Batch,
    Keys,
    Ledger,
    Rebuild,
    Selection,
    base58_decode,
    base58_encode,
    build_profile,
    is_weak_key,
    service_names,
    verdict_names,
)

__all__ = [
    "Batch",
    "Keys",
    "Ledger",
    "Rebuild",
    "Selection",
    "base58_decode",
    "base58_encode",
    "build_profile",
    "is_weak_key",
    "service_names",
    "verdict_names",
]
