"""What is written when an attempt has ended: the delivery's next state, the endpoint's health, what is published."""

import random
from dataclasses import dataclass
from datetime import datetime

from contracts.ids import new_id
from contracts.notices import DELIVERY_EXHAUSTED, ENDPOINT_DISABLED, DeliveryExhausted, EndpointDisabled
from notifications.domain.messages import TEST_TYPE
from notifications.domain.outcomes import (
    AttemptOutcome,
    DisabledReason,
    Exhausted,
    Policy,
    Step,
    disabled_because,
    next_step,
)
from notifications.domain.schedule import DRAW_MAX
from notifications.sending.queue_postgres import PostgresQueue
from notifications.sending.rows import AttemptResult, Lease, Settlement
from servicekit.postgres import Pool
from servicekit.relay import outbox
from servicekit.relay.outbox import OutboxEvent


@dataclass(frozen=True, slots=True)
class Stale:
    """Nothing was written: the delivery is another worker's."""


@dataclass(frozen=True, slots=True)
class Written:
    """What became of the delivery, and why its endpoint was disabled, None where it was not."""

    step: Step
    disabled: DisabledReason | None = None


class Settler:
    """Settles attempts, each in one transaction with what it publishes; of a delivered one nothing is."""

    def __init__(self, pool: Pool, queue: PostgresQueue, *, policy: Policy, jitter: random.Random) -> None:
        self._pool = pool
        self._queue = queue
        self._policy = policy
        self._jitter = jitter

    async def settle(self, lease: Lease, result: AttemptResult) -> Stale | Written:
        """Write how the attempt went, unless its lease has passed on."""
        settlement = self._settlement(lease, result)
        if result.outcome is AttemptOutcome.DELIVERED:
            async with self._pool.connection() as connection:
                settled = await self._queue.settle(connection, lease, result, settlement)
            return Stale() if settled is None else Written(settlement.step)
        async with self._pool.transaction() as tx:
            settled = await self._queue.settle(tx.connection, lease, result, settlement)
            if settled is None:
                return Stale()
            events = []
            if isinstance(settlement.step, Exhausted):
                events.append(_exhausted(lease, result, settled.at))
            reason = disabled_because(
                result.outcome, failing_since=settled.failing_since, now=settled.at, policy=self._policy
            )
            if reason is not None and await self._queue.disable(tx, lease.endpoint_id, reason):
                events.append(_disabled(lease, reason, settled.at))
            await outbox.append(tx, events)
        return Written(settlement.step, reason)

    def _settlement(self, lease: Lease, result: AttemptResult) -> Settlement:
        failures = 0 if result.outcome is AttemptOutcome.DELIVERED else lease.failures + 1
        step = next_step(
            result.outcome,
            failures=failures,
            policy=self._policy,
            draw=self._jitter.randint(0, DRAW_MAX),
            retry_after_ms=result.retry_after_ms,
        )
        return Settlement(step=step, failures=failures)


def _exhausted(lease: Lease, result: AttemptResult, at: datetime) -> OutboxEvent:
    body = DeliveryExhausted(
        endpoint_id=str(lease.endpoint_id),
        delivery_id=str(lease.delivery_id),
        event_type=lease.type,
        wallet_id=None if lease.wallet_id is None else str(lease.wallet_id),
        attempts=lease.attempt,
        last_status=result.status_code,
    )
    return OutboxEvent(
        event_id=new_id(),
        tenant_id=lease.tenant_id,
        subject=lease.endpoint_id,
        type=DELIVERY_EXHAUSTED,
        data=body,
        occurred_at=at,
        causation_id=None if lease.type == TEST_TYPE else lease.message_id,
        traceparent=lease.traceparent,
    )


def _disabled(lease: Lease, reason: DisabledReason, at: datetime) -> OutboxEvent:
    return OutboxEvent(
        event_id=new_id(),
        tenant_id=lease.tenant_id,
        subject=lease.endpoint_id,
        type=ENDPOINT_DISABLED,
        data=EndpointDisabled(endpoint_id=str(lease.endpoint_id), reason=reason.value),
        occurred_at=at,
    )
