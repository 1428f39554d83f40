"""A certificate of a server's, in files."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import trustme

NAME = "box.example.org"


def certificate_in(folder: Path, end: datetime | None = None) -> tuple[Path, Path]:
    """A new one for NAME, and its key; from a year before `end`."""
    begin = None if end is None else end - timedelta(days=395)
    issued = trustme.CA().issue_cert(NAME, not_before=begin, not_after=end)
    cert, key = folder / "cert.pem", folder / "key.pem"
    issued.private_key_pem.write_to_path(key)
    cert.write_bytes(b"".join(part.bytes() for part in issued.cert_chain_pems))
    return cert, key
