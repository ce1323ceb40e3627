"""Which metrics the processes of a service have, and what may stand in their labels: registered without any I/O.

What registers a metric in a process is named here and registers it for the catalogue: there is no second list of what
exists. A test compares what real processes show with it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from prometheus_client import CollectorRegistry

from contracts.ids import SHARDS
from contracts.problems import PROBLEM_CODES
from servicekit.access.metrics import OUTCOMES as VERIFIED
from servicekit.access.metrics import AccessMetrics
from servicekit.consumer.metrics import ConsumerFamilies
from servicekit.consumer.sequencing import Stop
from servicekit.dependencies import Dependencies, Dependency
from servicekit.expiry import Expiry, ExpiryKind
from servicekit.http.edge.observe import METHODS, STATUSES, RequestMetrics
from servicekit.lifecycle import delay_histogram
from servicekit.limits import Limits, Settler
from servicekit.limits.rates import Limit
from servicekit.maintenance.metrics import OUTCOMES as RUNS
from servicekit.maintenance.metrics import MaintenanceMetrics
from servicekit.postgres import NotLent
from servicekit.relay.metrics import RelayMetrics
from servicekit.service import Service
from servicekit.telemetry.metrics import Pools, open_registry


@dataclass(frozen=True, slots=True)
class Bounded:
    """What a label's values are where they are not listed: *what*, of which there are *at_most* so many."""

    what: str
    at_most: int


Values = tuple[str, ...] | Bounded
Labels = Mapping[str, Values]
"""The labels of a metric, each with its closed set of values."""
Registers = Callable[[CollectorRegistry], object]
"""Registers metrics, as a process does when it is joined."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceMetrics:
    """What registers the metrics of each of a service's *processes*, and the labels of those that are its own."""

    service: Service
    processes: Mapping[str, Sequence[Registers]]
    labels: Mapping[str, Labels]

    def registries(self) -> dict[str, CollectorRegistry]:
        """Return a registry for each process, by its name, with all the metrics that it has."""
        return {process: self._registry(process, parts) for process, parts in self.processes.items()}

    def _registry(self, process: str, parts: Sequence[Registers]) -> CollectorRegistry:
        registry = open_registry(self.service.name, process, self.service.version)
        for register in (*_EVERY, *parts):
            register(registry)
        return registry


def _limits(registry: CollectorRegistry) -> None:
    Settler(Limits(), dsn="", application="", instance=UUID(int=0), registry=registry)


_EVERY: Final[Sequence[Registers]] = (delay_histogram, Pools, Dependencies, Expiry, RequestMetrics)
API: Final[Sequence[Registers]] = (AccessMetrics, _limits)
CONSUMER: Final[Sequence[Registers]] = (ConsumerFamilies,)
RELAY: Final[Sequence[Registers]] = (RelayMetrics,)
MAINTENANCE: Final[Sequence[Registers]] = (MaintenanceMetrics,)

ERROR: Final = Bounded("the class of an error: of the driver, of Kafka's client or of the kit, never its text", 60)
_ROUTE: Final = Bounded("the routes of the API's document, the process's pages, and `unmatched`", 64)
_POOL: Final = {"pool": Bounded("the process's pools", 8)}
_JOB: Final = {"job": Bounded("the process's jobs", 24)}
_PROJECTION: Final = {"projection": Bounded("what the process projects: its own, and identities", 2)}
_LIMIT: Final = {"limit": tuple(limit.label for limit in Limit)}
_GENERATION: Final = {"generation": ("0", "1", "2")}
_INVARIANT: Final = {"invariant": Bounded("what must always hold", 16)}
_ONE: Final = Bounded("one of each process", 1)

KIT_LABELS: Final[Mapping[str, Labels]] = {
    "build_info": {"service": _ONE, "process": _ONE, "version": _ONE},
    "python_info": dict.fromkeys(("implementation", "major", "minor", "patchlevel", "version"), _ONE),
    "python_gc_objects_collected_total": _GENERATION,
    "python_gc_objects_uncollectable_total": _GENERATION,
    "python_gc_collections_total": _GENERATION,
    "http_request_duration_seconds": {"method": METHODS, "route": _ROUTE, "status": STATUSES},
    "http_problems_total": {"route": _ROUTE, "code": Bounded("the codes of [errors](errors.md)", len(PROBLEM_CODES))},
    "dependency_up": {"dependency": tuple(Dependency)},
    "db_pool_connections": _POOL,
    "db_pool_connections_busy": _POOL,
    "db_pool_connections_max": _POOL,
    "db_pool_acquire_seconds": _POOL,
    "db_pool_acquire_failures_total": {**_POOL, "reason": tuple(NotLent)},
    "not_after_timestamp_seconds": {"kind": tuple(ExpiryKind), "name": ("api", "kafka")},
    "access_verifications_total": {"outcome": VERIFIED},
    "rate_limited_total": _LIMIT,
    "rate_buckets": _LIMIT,
    "consumer_applied_total": _PROJECTION,
    "consumer_skipped_total": _PROJECTION,
    "consumer_unreadable_total": _PROJECTION,
    "consumer_poll_seconds": _PROJECTION,
    "consumer_poll_failures_total": {**_PROJECTION, "error": ERROR},
    "consumer_gaps_total": _PROJECTION,
    "consumer_shards_stopped": {**_PROJECTION, "reason": tuple(Stop)},
    "consumer_parked_subjects": _PROJECTION,
    "consumer_lag_records": _PROJECTION,
    "consumer_lag_seconds": _PROJECTION,
    "consumer_last_applied_timestamp_seconds": _PROJECTION,
    "consumer_visible_seconds": _PROJECTION,
    "consumer_complete_until_timestamp_seconds": _PROJECTION,
    "consumer_checkpoint": {**_PROJECTION, "shard": Bounded("the shards, from 0 on", SHARDS)},
    "relay_publish_failures_total": {"error": ERROR},
    "relay_watermark_failures_total": {"error": ERROR},
    "maintenance_runs_total": {**_JOB, "outcome": RUNS},
    "maintenance_rows_total": _JOB,
    "maintenance_seconds": _JOB,
    "maintenance_interval_seconds": _JOB,
    "maintenance_is_leader": _JOB,
    "maintenance_paused": _JOB,
    "maintenance_last_success_timestamp_seconds": _JOB,
    "invariant_violations": _INVARIANT,
    "invariant_checked_timestamp_seconds": _INVARIANT,
    "invariant_checked_rows_total": _INVARIANT,
}
"""The labels of the metrics of the kit; what is not here has none."""
