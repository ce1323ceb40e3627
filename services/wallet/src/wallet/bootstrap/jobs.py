"""What the wallet's processes do by themselves."""

from dataclasses import dataclass
from typing import Final

import structlog

from servicekit.maintenance import InvariantMetrics, Job, JobRun
from servicekit.relay import halts
from wallet.adapters import (
    forgetting_postgres,
    forgetting_quotes_postgres,
    partitions_postgres,
    system_accounts_postgres,
)
from wallet.adapters.forgetting_postgres import KeyForgetting
from wallet.application.metrics import FoldMetrics, JournalMetrics
from wallet.maintenance.archive_postgres import archivable_partitions
from wallet.maintenance.findings import Findings
from wallet.maintenance.verify_new import ROWS_PER_SHARD, NewRows
from wallet.maintenance.verify_whole import WholeLedger
from wallet.rates.refreshing import RateRefresh
from wallet.sweeping.due_postgres import LOT_MAX
from wallet.sweeping.sweeper import Sweeper

_HALT_S: Final = 1.0
_PARTITIONS_S: Final = 5.0
_MEASURE_S: Final = 15.0
_REMIND_S: Final = 60.0
_FORGET_S: Final = 15.0
_FOLD_S: Final = 2.0
_VERIFY_NEW_S: Final = 10.0
"""What was committed is verified within a minute, also by a process that takes the lease over."""
_VERIFY_ALL_S: Final = 1.0
_SWEEP_DEADLINE_S: Final = 3.0
"""Of one lot. A sweeper that is lost keeps the others waiting for twice as long."""


PARTITION_STATES: Final = ("attached", "archived")

_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Halt:
    """Whether the relay found the topic ahead of the journal: read by the committer, written by a job."""

    is_halted: bool = False


def look_for_halt(halt: Halt) -> Job:
    """Return the job that keeps *halt* up to date."""

    async def look(run: JobRun) -> int:
        halt.is_halted = bool(await halts.active(run.connection))
        return 0

    return Job(name="halt", interval_s=_HALT_S, run=look, may_pause=False)


def make_partitions() -> Job:
    """Return the job that makes the journal's partitions; each instance does it, for none can write without them."""

    async def make(run: JobRun) -> int:
        return await partitions_postgres.make_partitions(run.connection)

    return Job(name="partitions", interval_s=_PARTITIONS_S, run=make, may_pause=False)


def measure_journal(metrics: JournalMetrics) -> Job:
    """Return the job that tells how full the ledger's tables are; each instance does it, for each is asked."""

    async def measure(run: JobRun) -> int:
        found = await partitions_postgres.fullness(run.connection)
        partitions = dict(zip(PARTITION_STATES, (found.attached, found.archived), strict=True))
        metrics.measured(keys=found.keys, headroom=found.headroom, partitions=partitions)
        return 0

    return Job(name="measure_journal", interval_s=_MEASURE_S, run=measure)


def remind_to_archive(metrics: JournalMetrics) -> Job:
    """Return the job that tells how many partitions `archive` would take; each process does it, for each is asked."""
    told = 0

    async def remind(run: JobRun) -> int:
        nonlocal told
        count = await archivable_partitions(run.connection)
        metrics.archivable(count)
        if count > told:
            _log.info("journal.archive_due", partitions=count)
        told = count
        return count

    return Job(name="remind_to_archive", interval_s=_REMIND_S, run=remind)


def verify(metrics: InvariantMetrics, rows_per_s: int) -> list[Job]:
    """Return the jobs that look for breaches of the ledger's invariants: in new rows, and in all of them slowly."""
    findings = Findings(metrics)
    new = NewRows(findings)
    whole = WholeLedger(findings, rows_per_run=int(rows_per_s * _VERIFY_ALL_S))
    return [
        Job(name="verify_new", interval_s=_VERIFY_NEW_S, run=new.run, chunk_rows=ROWS_PER_SHARD, has_leader=True),
        Job(name="verify_all", interval_s=_VERIFY_ALL_S, run=whole.run, has_leader=True),
    ]


def forget_keys(days: int) -> Job:
    """Return the job that deletes idempotency records older than *days*."""
    return Job(
        name="forget_keys",
        interval_s=_FORGET_S,
        run=KeyForgetting(days).forget_chunk,
        chunk_rows=forgetting_postgres.CHUNK_ROWS,
        has_leader=True,
    )


def sweep(sweeper: Sweeper, every_s: float) -> Job:
    """Return the job that does what is due.

    It runs in an API process: a second process with a committer would make every memory of rows wrong.
    """
    return Job(
        name="sweep",
        interval_s=every_s,
        run=sweeper.sweep,
        chunk_rows=LOT_MAX,
        deadline_s=_SWEEP_DEADLINE_S,
        has_leader=True,
    )


def forget_quotes() -> Job:
    """Return the job that deletes quotes that nobody used."""
    return Job(
        name="forget_quotes",
        interval_s=_FORGET_S,
        run=forgetting_quotes_postgres.forget_quotes,
        chunk_rows=forgetting_quotes_postgres.LOT_MAX,
        has_leader=True,
    )


def refresh_rates(refresh: RateRefresh, every_s: float) -> Job:
    """Return the job that fetches exchange rates."""
    return Job(name="refresh_rates", interval_s=every_s, run=refresh.refresh, has_leader=True)


def fold_system_accounts(metrics: FoldMetrics) -> Job:
    """Return the job that folds the journal into the system accounts' totals; instances share the shards."""

    async def fold(run: JobRun) -> int:
        # Looked at first: to fold nothing would lock, and so write, the cursor of every shard.
        lag = await system_accounts_postgres.lag_rows(run.connection)
        folded = await system_accounts_postgres.fold(run.connection) if lag else 0
        metrics.fold_lag(max(0, lag - folded))
        return folded

    return Job(
        name="fold_system_accounts", interval_s=_FOLD_S, run=fold, chunk_rows=system_accounts_postgres.ROWS_PER_SHARD
    )
