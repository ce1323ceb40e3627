"""The one place where the service's parts are joined, by hand, from arguments."""

from transaction_history.bootstrap.api import open_api, serve_api
from transaction_history.bootstrap.background import open_worker, run_indexer, run_projector, run_worker
from transaction_history.bootstrap.drifting import drift, drifts, repair
from transaction_history.bootstrap.parts import (
    SERVICE,
    history_source,
    make_index_projection,
    make_projection,
    migration_sources,
    refuse_outdated_model,
)
from transaction_history.bootstrap.rebuilding import Rebuilt, drop_old, rebuild, rebuildable, switch_back

__all__ = [
    "SERVICE",
    "Rebuilt",
    "drift",
    "drifts",
    "drop_old",
    "history_source",
    "make_index_projection",
    "make_projection",
    "migration_sources",
    "open_api",
    "open_worker",
    "rebuild",
    "rebuildable",
    "refuse_outdated_model",
    "repair",
    "run_indexer",
    "run_projector",
    "run_worker",
    "serve_api",
    "switch_back",
]
