"""What the mesh's door is opened upon: the log, and what a node has of the mesh in memory, which is
rebuilt from it at every start."""

from __future__ import annotations

from dataclasses import dataclass

from postbox.log.admission import Admission
from postbox.log.tail import Tail
from postbox.mesh.ledger import MeshLedger
from postbox.mesh.merging.intake import Intake
from postbox.mesh.merging.news import Newsroom
from postbox.mesh.peers.records import Records
from postbox.mesh.projections.projections import Projections
from postbox.store.runner import StoreRunner
from postbox.trust.directory import Directory
from postbox.trust.keys import Identity
from postbox.trust.waiting import Waiting


@dataclass(frozen=True)
class Log:
    """The node's, as far as this door needs it."""

    store: StoreRunner
    tail: Tail
    admission: Admission


@dataclass(frozen=True)
class Knowledge:
    """Who the node is, whom it knows, what it holds, and what follows from that."""

    identity: Identity
    directory: Directory
    waiting: Waiting
    records: Records
    ledger: MeshLedger
    intake: Intake
    news: Newsroom
    projections: Projections
