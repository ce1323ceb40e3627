"""What workers do for the read model by themselves: partitions ahead of time."""

from datetime import UTC, datetime
from typing import Final

from servicekit.health import Check
from servicekit.maintenance import Job, JobRun
from servicekit.postgres import Pool
from transaction_history.domain.months import month_of, next_months
from transaction_history.projection.read_model_postgres import SCHEMA

MONTHS_AHEAD: Final = 3
"""A poll waits for no partition to be made."""
MONTHS_AHEAD_MIN: Final = 1
_EVERY_S: Final = 3_600.0
_MAKE: Final = f"select {SCHEMA}.make_partitions($1::date[], $1::date[])"
_AHEAD: Final = f"""
    select count(*) from unnest($1::date[]) as m
    where to_regclass('{SCHEMA}.entry' || to_char(m, '_YYYY_MM')) is not null
      and to_regclass('{SCHEMA}.transaction' || to_char(m, '_YYYY_MM')) is not null"""


def ledger_jobs() -> list[Job]:
    """Return the jobs."""

    async def make(run: JobRun) -> int:
        now: datetime = await run.connection.fetchval("select clock_timestamp()")
        async with run.transaction() as tx:
            await tx.connection.execute(_MAKE, next_months(month_of(now), MONTHS_AHEAD))
        return 0

    return [Job(name="make_ledger_partitions", interval_s=_EVERY_S, run=make, may_pause=False)]


async def partitions_check(pool: Pool) -> Check:
    """Return, for a deep look, how many months ahead have their partitions: fewer than one is a warning."""
    async with pool.connection() as connection:
        now: datetime = await connection.fetchval("select clock_timestamp()")
        months = next_months(month_of(now.astimezone(UTC)), MONTHS_AHEAD)[1:]
        ahead: int = await connection.fetchval(_AHEAD, months)
    return Check(ok=ahead >= MONTHS_AHEAD_MIN, detail=f"{ahead} months ahead")
