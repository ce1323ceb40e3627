"""Ten times a second, one statement settles the buckets of this instance with those of the others.

Where there is nothing to settle, twice a second tells that the instance lives.

No request waits for it. Where the database is away, `Buckets.refill` goes on by this instance's own clock meanwhile.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Final
from uuid import UUID

import structlog
from prometheus_client import CollectorRegistry, Counter

from servicekit.clock import monotonic_us
from servicekit.failures import Failure, classify
from servicekit.limits.admission import Limits
from servicekit.limits.buckets import Answer, Report
from servicekit.limits.metrics import LimitsCollector
from servicekit.postgres import DRIVER_ERRORS, connect, given_up_after

if TYPE_CHECKING:
    import asyncpg

PERIOD_S: Final = 0.1
QUIET_US: Final = 500_000
"""How long an instance with nothing to settle tells nothing: a fourth of the time after which it counts as gone."""
DEADLINE_S: Final = 1.0
"""A settlement that takes longer is given up with its connection; ten more refills pass meanwhile."""
LOCK_TIMEOUT: Final = "500ms"
FORGET_EVERY: Final = 100
"""Statements between two looks for rows that are worth as much as none: ten seconds, or 50 of an idle instance."""
FORGOTTEN_MAX: Final = 5_000
"""Rows deleted in one look, more than an instance can fill between two with buckets that are worth a row each."""
FIRST_TIMEOUT_S: Final = 1.0
"""How long a process waits to hear how many instances there are, before it goes on as one of INSTANCES_UNKNOWN."""

_NOW_US: Final = "(extract(epoch from clock_timestamp()) * 1000000)::bigint"
_SETTLE: Final = f"select * from servicekit.settle_rates({_NOW_US}, $1, $2, $3, $4, $5, $6, $7, $8) order by ordinal"
_FORGET: Final = f"select servicekit.forget_rates({_NOW_US}, $1)"
_LEAVE: Final = "delete from servicekit.rate_instance where id = $1"

_log = structlog.get_logger(__name__)


class Settler:
    """Settles *limits* over the database at *dsn*. *application* begins its session's name.

    *instance* is this process's, unique among all that ever ran. *clock* is that of *limits*.
    """

    def __init__(
        self,
        limits: Limits,
        *,
        dsn: str,
        application: str,
        instance: UUID,
        registry: CollectorRegistry,
        clock: Callable[[], int] = monotonic_us,
    ) -> None:
        self._buckets = limits.buckets
        self._dsn = dsn
        self._name = f"{application}-limits"
        self._instance = instance
        self._clock = clock
        self._connection: asyncpg.Connection[asyncpg.Record] | None = None
        self._is_away = False
        self._told_us: int | None = None
        """When it was last settled with the others, on *clock*; None before, and while the database is away."""
        self._until_forgetting = FORGET_EVERY
        self._failures = Counter(
            "rate_settle_failures_total", "Settlements of limits that failed or came too late.", registry=registry
        )
        registry.register(LimitsCollector(limits))

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Settle while the body runs, which begins when the first settlement has ended, or failed, or takes long.

        Raises nothing of the database's: without it, the limits go on by themselves.
        """
        first = asyncio.create_task(self.settle(), name=f"{self._name}-first")
        await asyncio.wait([first], timeout=FIRST_TIMEOUT_S)
        task = asyncio.create_task(self._run(first), name=self._name)
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await self._end()

    async def _run(self, settling: "asyncio.Task[None]") -> None:
        try:
            while True:
                self._buckets.refill(self._clock())
                if settling.done():
                    settling = asyncio.create_task(self.settle(), name=f"{self._name}-settling")
                await asyncio.sleep(PERIOD_S)
        finally:
            settling.cancel()
            await asyncio.gather(settling, return_exceptions=True)

    async def settle(self) -> None:
        """Settle once. One at a time; a failure is counted, and what was to be settled is told again the next time."""
        reports = self._buckets.reports(self._clock())
        if not reports and self._told_us is not None and self._clock() - self._told_us < QUIET_US:
            self._buckets.settled([], [], self._buckets.instances, self._clock())
            return
        try:
            answers, instances = await self._asked(reports)
        except Exception as error:  # noqa: BLE001 - whatever failed, requests go on and the next settlement follows
            self._buckets.lost(reports, self._clock())
            self._failed(error)
        except asyncio.CancelledError:
            self._buckets.lost(reports, self._clock())
            raise
        else:
            self._told_us = self._clock()
            self._buckets.settled(reports, answers, instances, self._told_us)
            if self._is_away:
                self._is_away = False
                _log.info("limits.settling_again", instances=instances)

    async def _asked(self, reports: list[Report]) -> tuple[list[Answer | None], int]:
        """Return an answer per report, None for a row that was deleted meanwhile, and the number of live instances."""
        async with asyncio.timeout(DEADLINE_S):
            connection = await self._connected()
            with given_up_after(connection, DEADLINE_S):
                rows = await connection.fetch(
                    _SETTLE,
                    self._instance,
                    [int(report.bucket.limit) for report in reports],
                    [report.bucket.id for report in reports],
                    [report.bucket.share.rate.emission_us for report in reports],
                    [report.bucket.share.rate.burst for report in reports],
                    [report.debit for report in reports],
                    [report.room for report in reports],
                    [report.short for report in reports],
                )
                await self._forget(connection)
        answers: list[Answer | None] = [None] * len(reports)
        for row in rows:
            if row["ordinal"] is not None:
                answers[row["ordinal"] - 1] = Answer(row["granted"], row["units_left"])
        return answers, rows[0]["instances"] if rows else self._buckets.instances

    async def _forget(self, connection: "asyncpg.Connection[asyncpg.Record]") -> None:
        self._until_forgetting -= 1
        if self._until_forgetting <= 0:
            self._until_forgetting = FORGET_EVERY
            await connection.execute(_FORGET, FORGOTTEN_MAX)

    async def _connected(self) -> "asyncpg.Connection[asyncpg.Record]":
        if self._connection is None or self._connection.is_closed():
            self._connection = await connect(
                self._dsn,
                application_name=self._name,
                # Nothing here is worth a wait for the disk or for a standby.
                session={
                    "transaction_timeout": f"{DEADLINE_S}s",
                    "lock_timeout": LOCK_TIMEOUT,
                    "synchronous_commit": "off",
                },
            )
        return self._connection

    def _failed(self, error: Exception) -> None:
        self._failures.inc()
        self._told_us = None
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None
        if classify(error) in {Failure.OTHER, Failure.DATA}:
            _log.error("limits.bug", exc_info=error)
        elif not self._is_away:
            _log.warning("limits.not_settling", error=repr(error))
        self._is_away = True

    async def _end(self) -> None:
        """Give back what is reserved and tell the others that there is one less, where that takes no time."""
        if self._connection is None:
            return
        with suppress(*DRIVER_ERRORS, OSError):
            async with asyncio.timeout(DEADLINE_S):
                await self._asked(self._buckets.last_reports())
                await self._connection.execute(_LEAVE, self._instance)
                await self._connection.close()
        self._connection.terminate()
