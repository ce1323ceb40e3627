"""What the committer tells of itself, as Prometheus metrics."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from servicekit.failures import Failure
from servicekit.telemetry.metrics import begin_at_zero
from servicekit.telemetry.tracing import trace_id_of
from wallet.application.commit_spans import CommitSpans
from wallet.application.units import (
    AheadOfClock,
    Deferred,
    Forbidden,
    KeyReused,
    NotFound,
    Outcome,
    Refused,
    Stored,
    Unit,
)

_BATCH_SIZES: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1_024)
_COMMIT_SECONDS: Final = (0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128, 0.256, 0.512, 1, 2, 5, 15)


REFUSALS: Final = ("queue_full", "queue_old", "outcome_unknown", "deadline")


class BatchPath(StrEnum):
    """How a batch came to its outcome."""

    AHEAD = "ahead"
    LOCKED = "locked"
    NONE = "none"
    """All of it was a repeat: nothing was written."""


class BatchWhy(StrEnum):
    """Why a batch took its path."""

    KNOWN = "known"
    READ = "read"
    """Rows or the clock were read ahead."""
    REPEATS = "repeats"
    STAMP = "stamp"
    """A row was not as it was read."""
    KEY = "key"
    """A key was taken."""
    BACKOFF = "backoff"
    CLOCK = "clock"
    """A wallet is ahead of the database's clock."""
    FAILURE = "failure"
    OFF = "off"
    """Pipelining is turned off."""


class BatchOutcome(StrEnum):
    """What the database made of an attempt at a batch."""

    AHEAD = "ahead"
    """It was decided ahead, and committed."""
    LOCKED = "locked"
    """It was decided on locked rows, and committed."""
    ROLLED_BACK = "rolled_back"


_OUTCOMES: Final = {BatchPath.AHEAD: BatchOutcome.AHEAD, BatchPath.LOCKED: BatchOutcome.LOCKED}


class CommitterMetrics:
    """Commands by type and outcome, batch sizes, commit times, refusals and failures; labels are closed sets."""

    def __init__(self, registry: CollectorRegistry, spans: CommitSpans | None = None) -> None:
        """Count in *registry*, and show committed batches as *spans* where somebody traces."""
        self._spans = spans
        self._commands = Counter(
            "wallet_commands_total", "Commands answered, by type and outcome.", ("type", "outcome"), registry=registry
        )
        self._batch = Histogram(
            "wallet_batch_commands", "Commands per committed batch.", buckets=_BATCH_SIZES, registry=registry
        )
        self._batches = Counter(
            "wallet_batches_total",
            "Batches brought to an outcome, by path and why they took it.",
            ("path", "why"),
            registry=registry,
        )
        self._outcomes = Counter(
            "wallet_batch_outcomes_total",
            "Attempts at a batch, by what the database made of them.",
            ("outcome",),
            registry=registry,
        )
        begin_at_zero(self._outcomes, BatchOutcome)
        self._commit = Histogram(
            "wallet_commit_seconds",
            "Time of one batch from lock to commit.",
            buckets=_COMMIT_SECONDS,
            registry=registry,
        )
        self._refused = Counter(
            "wallet_refused_total", "Commands refused for load or time, by reason.", ("reason",), registry=registry
        )
        self._failures = Counter(
            "wallet_batch_failures_total", "Failed attempts at a batch, by kind.", ("failure",), registry=registry
        )
        begin_at_zero(self._refused, REFUSALS)
        begin_at_zero(self._failures, (failure.name.lower() for failure in Failure))
        self._depth = Gauge("wallet_queue_commands", "Commands waiting for a batch.", registry=registry)
        self._depth_max = Gauge(
            "wallet_queue_commands_max", "Commands that may wait; one more is refused.", registry=registry
        )
        self._age = Gauge("wallet_queue_age_seconds", "Age of the oldest waiting command.", registry=registry)
        self._halted = Gauge("relay_halted", "1 while the topic is ahead of the journal.", registry=registry)
        # A child looked up once is several times cheaper than `labels` per command.
        self._children: dict[tuple[str, str], Counter] = {}

    def watch_queue(self, depth: Callable[[], float], age_s: Callable[[], float], *, depth_max: int) -> None:
        """Read the queue's depth, which may be *depth_max*, and its age when metrics are scraped."""
        self._depth_max.set(depth_max)
        self._depth.set_function(depth)
        self._age.set_function(age_s)

    def committed(self, units: Sequence[Unit], seconds: float) -> None:
        """Count one committed batch, with the trace of one of its commands that is traced."""
        commands, traceparent = 0, None
        for unit in units:
            commands += unit.weight
            traceparent = traceparent or unit.traceparent
        self._batch.observe(commands)
        self._commit.observe(seconds, None if traceparent is None else {"trace_id": trace_id_of(traceparent)})
        if traceparent is not None and self._spans is not None:
            self._spans.committed(units, commands, seconds)

    def batch(self, path: BatchPath, why: BatchWhy) -> None:
        """Count one batch that was brought to its outcome."""
        self._batches.labels(path, why).inc()
        outcome = _OUTCOMES.get(path)
        if outcome is not None:
            self._outcomes.labels(outcome).inc()

    def answered(self, unit: Unit, outcome: Outcome) -> None:
        """Count one answered unit."""
        label = ("batch" if unit.is_atomic_batch else unit.commands[0].kind, _outcome_label(outcome))
        child = self._children.get(label)
        if child is None:
            child = self._children[label] = self._commands.labels(*label)
        child.inc()

    def refused(self, reason: str) -> None:
        """Count one command refused for load or time."""
        self._refused.labels(reason).inc()

    def failed(self, failure: Failure) -> None:
        """Count one failed attempt at a batch."""
        self._failures.labels(failure.name.lower()).inc()
        self._outcomes.labels(BatchOutcome.ROLLED_BACK).inc()

    def watch_halt(self, is_halted: Callable[[], bool]) -> None:
        """Read whether no command is taken when metrics are scraped: the relay that found out has ended."""
        self._halted.set_function(is_halted)


def _outcome_label(outcome: Outcome) -> str:
    if not isinstance(outcome, Stored):
        return _UNDONE_LABELS[type(outcome)]
    if outcome.is_replayed:
        return "replayed"
    return "refused" if isinstance(outcome.result, Refused) else "accepted"


_UNDONE_LABELS: Final[Mapping[type, str]] = {
    KeyReused: "key_reused",
    NotFound: "not_found",
    Forbidden: "forbidden",
    Deferred: "not_now",
    AheadOfClock: "ahead_of_clock",
}
OUTCOMES: Final = ("accepted", "refused", "replayed", *_UNDONE_LABELS.values())


class FraudDecisionMetrics:
    """Counts the decisions of the fraud service by disposition."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._decisions = Counter(
            "wallet_fraud_decisions_total",
            "Decisions of the fraud service that were settled, by disposition.",
            ("disposition",),
            registry=registry,
        )

    def settled(self, dispositions: Iterable[str]) -> None:
        """Count settled decisions."""
        for disposition in dispositions:
            self._decisions.labels(disposition).inc()


class SweepMetrics:
    """How late what is due is done."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._due_lag = Gauge(
            "wallet_due_lag_seconds",
            "For how long the row of a kind that is due the longest has been.",
            ("kind",),
            registry=registry,
        )

    def due_lag(self, kind: str, seconds: float) -> None:
        """Tell for how long something of *kind* has been due, 0 if nothing is."""
        self._due_lag.labels(kind).set(seconds)


class FoldMetrics:
    """How far behind the system accounts' totals are."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._fold_lag = Gauge(
            "wallet_system_account_fold_lag_rows",
            "Journal rows that the system accounts' totals are behind.",
            registry=registry,
        )

    def fold_lag(self, rows: int) -> None:
        """Tell how many journal rows the system accounts' totals are behind."""
        self._fold_lag.set(rows)


class JournalMetrics:
    """How full the ledger's tables are."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._keys = Gauge(
            "wallet_idempotency_rows", "Idempotency records, as PostgreSQL's statistics estimate.", registry=registry
        )
        self._headroom = Gauge(
            "wallet_journal_headroom_sequences",
            "Sequence numbers that the fullest shard has room for in partitions that are there.",
            registry=registry,
        )
        self._partitions = Gauge(
            "wallet_journal_partitions", "Partitions of the journal, by state.", ("state",), registry=registry
        )
        self._archivable = Gauge(
            "wallet_journal_archivable_partitions", "Partitions that `archive` would take now.", registry=registry
        )

    def archivable(self, partitions: int) -> None:
        """Tell how many partitions could be archived."""
        self._archivable.set(partitions)

    def measured(self, *, keys: int, headroom: int, partitions: Mapping[str, int]) -> None:
        """Tell how many keys there are, how much room the fullest shard has, and how many partitions by state."""
        self._keys.set(keys)
        self._headroom.set(headroom)
        for state, count in partitions.items():
            self._partitions.labels(state).set(count)


class RateMetrics:
    """How fetching exchange rates goes; labels are closed sets."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._fetches = Counter(
            "wallet_rates_fetches_total",
            "Documents of exchange rates that were asked for, by what came of it.",
            ("outcome",),
            registry=registry,
        )
        self._jumps = Counter(
            "wallet_rates_jumps_total",
            "Exchange rates that were refused because they moved too far from those before.",
            registry=registry,
        )
        self._as_of = Gauge(
            "wallet_rates_as_of_timestamp_seconds",
            "Of when the newest document of exchange rates is that was believed.",
            registry=registry,
        )

    def fetched(self, outcome: str) -> None:
        """Count one document, or what stood in its way."""
        self._fetches.labels(outcome).inc()

    def jumped(self, rates: int) -> None:
        """Count refused rates."""
        self._jumps.inc(rates)

    def as_of(self, at: datetime) -> None:
        """Tell of when the document is."""
        self._as_of.set(at.timestamp())
