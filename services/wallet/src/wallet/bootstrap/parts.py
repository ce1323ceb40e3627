"""What a process that takes commands is joined from, where a test or a fault puts another in its place."""

from dataclasses import dataclass, field

from wallet.application.committer import Committer
from wallet.application.ports import Ledger
from wallet.bootstrap.catalog import CATALOG
from wallet.entrypoints.slices import Catalog


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """The commands that there are, where they are committed (None: in PostgreSQL), and by what."""

    catalog: Catalog = field(default_factory=lambda: CATALOG)
    ledger: Ledger | None = None
    committer_class: type[Committer] = Committer
