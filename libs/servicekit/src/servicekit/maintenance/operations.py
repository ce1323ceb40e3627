"""What operators see and order of a service's jobs."""

import asyncio
from collections.abc import Sequence
from typing import Final, NamedTuple

import asyncpg

from servicekit.clock import monotonic_s
from servicekit.maintenance.orders import CHANNEL
from servicekit.postgres import Connection

_POLL_S: Final = 0.1
_COLUMNS: Final = """
    j.name, j.interval_s, j.may_pause,
    case when j.has_leader then coalesce(split_part(l.owner, '#', 1), '') end as leader,
    j.ran_at, j.outcome, j.rows, j.error, split_part(j.instance, '#', 1) as instance, j.succeeded_at,
    extract(epoch from clock_timestamp() - j.succeeded_at)::float8 as age_s, j.paused_by, j.paused_at,
    j.asked_by, j.asked_at"""
_STATUS: Final = f"""
    select {_COLUMNS} from servicekit.maintenance_job j
      left join servicekit.lease l on l.name = j.name and l.expires_at > clock_timestamp()
     order by j.name limit $1"""
_FIND: Final = "select may_pause, paused_by from servicekit.maintenance_job where name = $1"
_NAMES: Final = "select string_agg(name, ', ' order by name) from servicekit.maintenance_job"
_PAUSE: Final = """
    update servicekit.maintenance_job set paused_at = clock_timestamp(), paused_by = $2
     where name = $1 and may_pause and paused_at is null"""
_RESUME: Final = """
    update servicekit.maintenance_job set paused_at = null, paused_by = null
     where name = $1 and paused_at is not null"""
_ASK: Final = """
    update servicekit.maintenance_job set asked = asked + 1, asked_at = clock_timestamp(), asked_by = $2
     where name = $1 and paused_at is null returning asked"""
_RAN: Final = "select ran >= $2 as is_done, outcome, rows, error from servicekit.maintenance_job where name = $1"
_TELL: Final = "select pg_notify($1, $2)"
JOBS_MAX: Final = 200
"""No service has nearly so many."""


class JobError(Exception):
    """The order is not carried out, and nothing was changed; the message says what to do."""


class JobStatus(NamedTuple):
    """A job as operators see it. *leader* is None where each instance does it, empty where nobody leads now.

    *outcome*, *rows*, *error* and *instance* are those of the run that was last written down.
    """

    name: str
    interval_s: float
    may_pause: bool
    leader: str | None
    ran_at: object
    outcome: str | None
    rows: int | None
    error: str | None
    instance: str | None
    succeeded_at: object
    age_s: float | None
    paused_by: str | None
    paused_at: object
    asked_by: str | None
    asked_at: object


class Ran(NamedTuple):
    """How a run that was asked for has ended."""

    outcome: str
    rows: int
    error: str | None


async def status(connection: Connection) -> Sequence[JobStatus]:
    """Return the jobs, by name."""
    return [JobStatus(*row) for row in await connection.fetch(_STATUS, JOBS_MAX)]


async def pause(connection: Connection, job: str, operator: str) -> None:
    """Have *job* rest until it is resumed; raises JobError where that may not be, or it rests already."""
    found = await _find(connection, job)
    if not found["may_pause"]:
        raise JobError(f"The job {job} may not be paused: the service cannot be without it.")
    if await connection.execute(_PAUSE, job, operator) != "UPDATE 1":
        raise JobError(
            f"The job {job} is paused by {found['paused_by']} already: `maintenance resume {job}` ends that."
        )
    await connection.execute(_TELL, CHANNEL, job)


async def resume(connection: Connection, job: str) -> None:
    """Have *job* run again; raises JobError where it is not paused."""
    await _find(connection, job)
    if await connection.execute(_RESUME, job) != "UPDATE 1":
        raise JobError(f"The job {job} is not paused: there is nothing to resume.")
    await connection.execute(_TELL, CHANNEL, job)


async def run(connection: Connection, job: str, operator: str, *, within_s: float) -> Ran:
    """Have *job* run now, and return how that ended.

    Raises JobError where there is no such job, it is paused, or no run has ended within *within_s* seconds.
    """
    found = await _find(connection, job)
    asked: int | None = await connection.fetchval(_ASK, job, operator)
    if asked is None:
        raise JobError(f"The job {job} is paused by {found['paused_by']}: `maintenance resume {job}` first.")
    await connection.execute(_TELL, CHANNEL, job)
    until_s = monotonic_s() + within_s
    while monotonic_s() < until_s:
        ran = await connection.fetchrow(_RAN, job, asked)
        if ran is not None and ran["is_done"]:
            return Ran(ran["outcome"], ran["rows"], ran["error"])
        await asyncio.sleep(_POLL_S)
    raise JobError(
        f"The job {job} has not run within {within_s:g} s: see with `maintenance status` whether a process does it; "
        "it stays asked for."
    )


async def _find(connection: Connection, job: str) -> asyncpg.Record:
    found = await connection.fetchrow(_FIND, job)
    if found is None:
        names = await connection.fetchval(_NAMES)
        there = f"there are {names}" if names else "none has run yet on this database"
        raise JobError(f"There is no job {job!r}: {there}.")
    return found
