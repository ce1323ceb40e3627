"""What a worker tells of key sets: what came of its fetches, and how old the oldest set of all issuers is."""

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge

from access.identities.issuer_rows import find_fetching
from servicekit.access.key_sets import KeySetRefusal
from servicekit.maintenance import Job, JobRun
from servicekit.outbound.fetching import FetchFault
from servicekit.telemetry.metrics import begin_at_zero

LOOK_S: Final = 5.0
FETCHED: Final = "fetched"
NOT_MODIFIED: Final = "not_modified"
OUTCOMES: Final = (FETCHED, NOT_MODIFIED, *FetchFault, *KeySetRefusal)


class KeySetMetrics:
    """Counts this worker's fetches by outcome, and measures over all issuers, whoever fetches for them.

    An outcome is `fetched`, `not_modified` or the code of a failure, of which there are some twenty. No metric names an
    issuer: tenants register them, and `GET /v1/issuers/{id}` tells of one.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._fetches = Counter(
            "access_key_set_fetches_total", "Fetches of issuers' key sets.", ["outcome"], registry=registry
        )
        begin_at_zero(self._fetches, OUTCOMES)
        self._age = Gauge(
            "access_key_set_age_seconds",
            "Since the last fetch that succeeded, of the issuer whose is longest ago.",
            registry=registry,
        )
        self._failing = Gauge(
            "access_key_sets_failing", "Issuers whose last fetch of their key set failed.", registry=registry
        )

    def count(self, outcome: str) -> None:
        """Count a fetch."""
        self._fetches.labels(outcome).inc()

    def job(self) -> Job:
        """Return the job that measures; every worker does it, since each is asked."""
        return Job(name="measure_key_sets", interval_s=LOOK_S, run=self._measure)

    async def _measure(self, run: JobRun) -> int:
        age_s, failing = await find_fetching(run.connection)
        self._age.set(age_s)
        self._failing.set(failing)
        return 0
