"""What a node stands on, looked at without calling anybody: its home, its certificate, what the
system allows it, its own database. What is doubtful about it is for `admin/findings.py` to say."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from postbox.admin import open_files
from postbox.config import Config
from postbox.errors import Fault
from postbox.home import DATABASE, database_of
from postbox.net.certificate import Unbelievable, is_for, valid_until
from postbox.net.tls import server_tls
from postbox.store.open import is_url
from postbox.trust.host_names import canonical_host, split_host
from postbox.trust.keyfile import FILE_NAME as KEY_FILE
from postbox.world import Pool, World

if TYPE_CHECKING:
    from postbox.store.postgres.examination import Examined


@dataclass(frozen=True)
class HomeSeen:
    """`mode`, `key_mode`: who may look in; None of a key that is not there. `free_bytes`: that its
    disk has left, None where it may not be written. `ahead_ns`: how far what was written here is
    ahead of the clock."""

    path: Path
    mode: int
    key_mode: int | None
    has_log: bool
    free_bytes: int | None
    ahead_ns: int

    @property
    def key(self) -> Path:
        return self.path / KEY_FILE


@dataclass(frozen=True)
class CertificateSeen:
    """`until`: None if `unread` says why it cannot be used, or `refused` why callers refuse it.
    `others`: names by which others call this node and that it is not for, each behind the key of
    the configuration that says so. `open_key`: the file of its key, if everybody may read that."""

    path: Path
    until: datetime | None = None
    unread: str = ""
    refused: str = ""
    others: Sequence[tuple[str, str]] = ()
    open_key: Path | None = None


@dataclass(frozen=True)
class Surroundings:
    """`certificate`: None of a node without TLS; `database`: None of one with a file of its own,
    `unreached`: why one on a server could not be looked at."""

    certificate: CertificateSeen | None
    files_allowed: int
    files_needed: int
    database: Examined | None = None
    unreached: str = ""


async def look_around(home: Path, config: Config, world: World) -> Surroundings:
    """In a thread, since a disk is read, and the database asked."""
    certificate = await world.threads.run(Pool.READER, partial(_certificate, config))
    database, unreached = None, ""
    try:
        database = await _database(home, config, world)
    except Fault as fault:
        unreached = str(fault)
    return Surroundings(
        certificate=certificate,
        files_allowed=open_files.most(),
        files_needed=open_files.needed(config),
        database=database,
        unreached=unreached,
    )


def look_at_home(home: Path, now_ns: int) -> HomeSeen:
    """Raises OSError for one that is not there."""
    mode = stat.S_IMODE(home.stat().st_mode)
    key, log = home / KEY_FILE, home / DATABASE
    written_ns = max((path.stat().st_mtime_ns for path in (log, key) if path.exists()), default=0)
    return HomeSeen(
        path=home,
        mode=mode,
        key_mode=stat.S_IMODE(key.stat().st_mode) if key.exists() else None,
        has_log=log.exists(),
        free_bytes=shutil.disk_usage(home).free if os.access(home, os.W_OK) else None,
        ahead_ns=max(0, written_ns - now_ns),
    )


def _certificate(config: Config) -> CertificateSeen | None:
    cert, key = config.serve.tls_cert, config.serve.tls_key
    if cert is None or key is None:
        return None
    try:
        server = server_tls(cert, key)
        until = valid_until(server)
    except Unbelievable as fault:
        return CertificateSeen(cert, refused=str(fault))
    except Fault as fault:
        return CertificateSeen(cert, unread=str(fault))
    others = [(said, name) for said, name in _called(config).items() if not is_for(server, name)]
    open_key = key if key.stat().st_mode & 0o007 else None
    return CertificateSeen(cert, until, others=others, open_key=open_key)


def _called(config: Config) -> dict[str, str]:
    """By which names others call this node over TLS, each under the key that says so."""
    names = {}
    if config.mesh.url.startswith("https://"):
        names["mesh.url"] = urlsplit(config.mesh.url).hostname or ""
    if config.hosts.name:
        host = canonical_host(config.hosts.name, is_local=config.serve.loopback)
        names["hosts.name"] = split_host(host)[0]
    return names


async def _database(home: Path, config: Config, world: World) -> Examined | None:
    database = database_of(home, config.node.store)
    if not is_url(database):
        return None
    from postbox.store.postgres.examination import examine  # psycopg: slow to load

    return await world.threads.run(Pool.READER, partial(examine, world.disk, database))
