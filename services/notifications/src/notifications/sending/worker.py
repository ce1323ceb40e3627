"""The worker: leases due deliveries, attempts them side by side, settles each."""

import asyncio
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from contracts.ids import new_id
from notifications.domain.messages import time_of
from notifications.domain.outcomes import AttemptOutcome, Exhausted, Policy
from notifications.domain.sharing import Held, Slots, share_out
from notifications.sending.attempts import Attempts, failed_within
from notifications.sending.metrics import WorkerMetrics
from notifications.sending.queue_postgres import PostgresQueue
from notifications.sending.rows import AttemptResult, Lease
from notifications.sending.sender_http import Timeouts
from notifications.sending.settling import Settler, Stale, Written
from servicekit.clock import monotonic_s, utc_now
from servicekit.failures import OperationalError
from servicekit.lifecycle import Shutdown
from servicekit.postgres import Pool
from servicekit.telemetry import SpanKind, Tracing, get_logger, mark_failed
from servicekit.telemetry.attributes import (
    HTTP_REQUEST_METHOD,
    HTTP_REQUEST_RESEND_COUNT,
    HTTP_RESPONSE_STATUS_CODE,
    WEBHOOK_DELIVERY_ID,
    WEBHOOK_OUTCOME,
)

POLL_S_MIN: Final = 0.02
POLL_S_MAX: Final = 0.1
GATHER_S: Final = 0.01
"""More attempts end meanwhile: one lease fills all of their places."""
BACKOFF_S_MAX: Final = 5.0
SETTLE_TRIES: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerSettings:
    """How a worker runs. *attempts_max* is for this process, *endpoint_attempts_max* per endpoint over all of them.

    *policy* says how failures are answered. At the end what is under way has *drain_s* seconds.
    """

    attempts_max: int
    endpoint_attempts_max: int
    lease_s: float
    timeouts: Timeouts
    policy: Policy
    drain_s: float


class Worker:
    """Carries deliveries out until it is told to stop."""

    def __init__(
        self,
        settings: WorkerSettings,
        *,
        pool: Pool,
        queue: PostgresQueue,
        attempts: Attempts,
        settler: Settler,
        metrics: WorkerMetrics,
        tracing: Tracing,
    ) -> None:
        self._settings = settings
        self._pool = pool
        self._queue = queue
        self._attempts = attempts
        self._settler = settler
        self._metrics = metrics
        self._tracing = tracing
        self._under_way: dict[asyncio.Task[None], Lease] = {}

    async def run(self, shutdown: Shutdown) -> None:
        """Work until the end is requested, then let what is under way finish, within a bound."""
        pause_s = POLL_S_MIN
        try:
            while not shutdown.is_requested:
                try:
                    begun = await self._begin()
                except OperationalError as error:
                    self._metrics.failed(type(error).__name__)
                    get_logger().warning("webhook.lease_failed", error=type(error).__name__)
                    pause_s = min(BACKOFF_S_MAX, pause_s * 2)
                    await shutdown.sleep(pause_s)
                    continue
                pause_s = POLL_S_MIN if begun else min(POLL_S_MAX, pause_s * 2)
                await self._rest(shutdown, pause_s)
            if self._under_way:
                await asyncio.wait(self._under_way, timeout=self._settings.drain_s)
        finally:
            left = list(self._under_way)
            for task in left:
                task.cancel()  # its lease ends, and it is attempted again under the same id
            await asyncio.gather(*left, return_exceptions=True)

    async def _begin(self) -> int:
        """Lease what there is room for and begin the attempts; return how many."""
        settings = self._settings
        if len(self._under_way) >= settings.attempts_max:
            return 0
        async with self._pool.connection() as connection:
            candidates = await self._queue.candidates(connection, per_endpoint=settings.endpoint_attempts_max)
            grants = share_out(candidates, self._slots())
            if not grants:
                return 0
            leased_s = monotonic_s()
            leases = await self._queue.lease(connection, new_id(), grants, lease_s=settings.lease_s)
        for lease in leases:
            task = asyncio.create_task(self._carry_out(lease, leased_s + settings.lease_s))
            self._under_way[task] = lease
            task.add_done_callback(self._ended)
        self._metrics.in_flight(len(self._under_way))
        return len(leases)

    def _slots(self) -> Slots:
        """Return who holds this process's slots."""
        slots: Counter[UUID] = Counter(lease.tenant_id for lease in self._under_way.values())
        lagging: Counter[UUID] = Counter(lease.tenant_id for lease in self._under_way.values() if lease.is_lagging)
        return Slots(
            capacity=self._settings.attempts_max,
            per_endpoint=self._settings.endpoint_attempts_max,
            held={tenant: Held(slots=number, lagging=lagging[tenant]) for tenant, number in slots.items()},
        )

    def _ended(self, task: "asyncio.Task[None]") -> None:
        del self._under_way[task]
        self._metrics.in_flight(len(self._under_way))
        if not task.cancelled() and (error := task.exception()) is not None:
            get_logger().error("webhook.attempt_crashed", exc_info=error)

    async def _rest(self, shutdown: Shutdown, pause_s: float) -> None:
        """Wait for a moment, or until an attempt has ended: its place may be what another delivery waits for."""
        if self._under_way:
            await asyncio.wait(self._under_way, return_when=asyncio.FIRST_COMPLETED, timeout=pause_s)
            await shutdown.sleep(GATHER_S)
        else:
            await shutdown.sleep(pause_s)

    # -- one delivery

    async def _carry_out(self, lease: Lease, lease_ends_s: float) -> None:
        with ExitStack() as stack:
            span = stack.enter_context(
                self._tracing.start_span_from(
                    lease.traceparent,
                    f"deliver {lease.type}",
                    SpanKind.CLIENT,
                    # Where it goes is the receiver's secret: no `url.full`, no `server.address`.
                    {
                        HTTP_REQUEST_METHOD: "POST",
                        WEBHOOK_DELIVERY_ID: str(lease.delivery_id),
                        **({HTTP_REQUEST_RESEND_COUNT: lease.attempt - 1} if lease.attempt > 1 else {}),
                    },
                )
            )
            if monotonic_s() + self._settings.timeouts.attempt_s > lease_ends_s:
                self._metrics.stale()  # this process stood still: another has the delivery by now, or will
                return
            if lease.attempt == 1:
                self._metrics.begun_first(_age_s(lease))
            result = await self._attempts.make(lease)
            if span is not None:
                span.set_attribute(WEBHOOK_OUTCOME, result.outcome.value)
                if result.status_code is not None:
                    span.set_attribute(HTTP_RESPONSE_STATUS_CODE, result.status_code)
            settled = await self._settle(lease, result, lease_ends_s)
            if settled is None and span is not None:
                mark_failed(span, "not_settled")
            self._report(lease, result, settled)

    async def _settle(self, lease: Lease, result: AttemptResult, lease_ends_s: float) -> Stale | Written | None:
        """Settle, again where the database is away for a moment; None where it stays away: the lease will end.

        What cannot be written as it is, is written as a failure of ours.
        """
        for attempt in range(SETTLE_TRIES):
            try:
                return await self._settler.settle(lease, result)
            except OperationalError as error:
                self._metrics.failed(type(error).__name__)
                get_logger().warning("webhook.settle_failed", error=type(error).__name__)
                pause_s = POLL_S_MAX * 2.0**attempt
                if monotonic_s() + pause_s > lease_ends_s:
                    break
                await asyncio.sleep(pause_s)
            except Exception:
                if result.outcome is AttemptOutcome.INTERNAL_ERROR:
                    raise
                get_logger().exception("webhook.settling_crashed", delivery_id=str(lease.delivery_id))
                result = failed_within(result)
        return None

    def _report(self, lease: Lease, result: AttemptResult, settled: Stale | Written | None) -> None:
        """Count the attempt and write its line: whose it is, never where it went or what it said."""
        is_exhausted, disabled = False, None
        if isinstance(settled, Written):
            is_exhausted, disabled = isinstance(settled.step, Exhausted), settled.disabled
            self._metrics.attempted(result.outcome, result.duration_ms / 1_000)
            if result.outcome is AttemptOutcome.DELIVERED and lease.attempt == lease.failures + 1:
                self._metrics.delivered(_age_s(lease))
        else:
            self._metrics.stale()
        if is_exhausted:
            self._metrics.exhausted()
        get_logger().info(
            "webhook.attempt",
            delivery_id=str(lease.delivery_id),
            endpoint_id=str(lease.endpoint_id),
            type=lease.type,
            attempt=lease.attempt,
            outcome=result.outcome.value,
            status_code=result.status_code,
            error=result.error,
            duration_ms=result.duration_ms,
            is_settled=isinstance(settled, Written),
            is_exhausted=is_exhausted,
            disabled=None if disabled is None else disabled.value,
        )


def _age_s(lease: Lease) -> float:
    """Return how long ago it happened, what *lease* is to tell of; a clock that is behind has no say."""
    return max(0.0, (utc_now() - time_of(lease.body)).total_seconds())
