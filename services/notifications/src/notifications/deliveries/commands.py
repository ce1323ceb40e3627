"""What owners do to have deliveries attempted, each command in a transaction that its caller has opened.

What a command comes to is a value; after every one that is no success nothing is written.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from contracts.ids import new_id
from notifications.deliveries import store_postgres
from notifications.deliveries.recording_postgres import PostgresRecorder
from notifications.deliveries.rows import Delivery, Message, NewDelivery
from notifications.domain.endpoints import (
    DeliveryUnknown,
    Endpoint,
    EndpointUnknown,
    Refused,
    TooOften,
    decide_attempts,
    decide_resend,
)
from notifications.domain.messages import TEST_TYPE, test_body
from notifications.endpoints.store_postgres import PostgresEndpoints
from servicekit.postgres import Transaction

RECOVERED_MAX: Final = 5_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovered:
    """How many failed deliveries are attempted again now, and whether there are more."""

    count: int
    has_more: bool


class DeliveryCommands:
    """Commands that have deliveries made, or attempted again."""

    def __init__(self, endpoints: PostgresEndpoints, recorder: PostgresRecorder) -> None:
        self._endpoints = endpoints
        self._recorder = recorder

    async def test(
        self, tx: Transaction, tenant_id: UUID, endpoint_id: UUID
    ) -> Delivery | EndpointUnknown | Refused | TooOften:
        """Make the delivery of a test message, due now."""
        endpoint = await self._admitted(tx, tenant_id, endpoint_id)
        if not isinstance(endpoint, Endpoint):
            return endpoint
        now = await self._endpoints.clock(tx)
        message = Message(
            id=new_id(),
            tenant_id=tenant_id,
            type=TEST_TYPE,
            wallet_id=None,
            body=test_body(endpoint.id, now),
            traceparent=None,
            occurred_at=now,
        )
        delivery = NewDelivery(
            id=new_id(), tenant_id=tenant_id, endpoint_id=endpoint.id, message_id=message.id, type=TEST_TYPE
        )
        await self._recorder.add(tx, [message], [delivery])
        made = await self._delivery(tx, tenant_id, delivery.id)
        assert isinstance(made, Delivery), "it was made just now"
        return made

    async def recover(
        self, tx: Transaction, tenant_id: UUID, endpoint_id: UUID, since: datetime
    ) -> Recovered | EndpointUnknown | Refused | TooOften:
        """Have failed deliveries that were recorded since then attempted again now."""
        endpoint = await self._admitted(tx, tenant_id, endpoint_id)
        if not isinstance(endpoint, Endpoint):
            return endpoint
        count = await store_postgres.recover(tx, tenant_id, endpoint.id, since, limit=RECOVERED_MAX)
        return Recovered(count=count, has_more=count == RECOVERED_MAX)

    async def resend(self, tx: Transaction, tenant_id: UUID, delivery_id: UUID) -> Delivery | DeliveryUnknown | Refused:
        """Have a delivery attempted again now, whatever became of it."""
        delivery = await self._delivery(tx, tenant_id, delivery_id)
        if isinstance(delivery, DeliveryUnknown):
            return delivery
        refused = decide_resend(await self._endpoints.locked(tx, tenant_id, delivery.endpoint_id))
        if refused is not None:
            return refused
        await store_postgres.make_due(tx, tenant_id, delivery.id)
        return await self._delivery(tx, tenant_id, delivery_id)

    async def _admitted(
        self, tx: Transaction, tenant_id: UUID, endpoint_id: UUID
    ) -> Endpoint | EndpointUnknown | Refused | TooOften:
        """Return the endpoint, whose row is held, once it has paid for a command that has it sent to."""
        endpoint = await self._endpoints.locked(tx, tenant_id, endpoint_id)
        if endpoint is None:
            return EndpointUnknown()
        admitted = decide_attempts(endpoint, now=await self._endpoints.clock(tx))
        if isinstance(admitted, Endpoint):
            await self._endpoints.keep_paid(tx, admitted)
        return admitted

    async def _delivery(self, tx: Transaction, tenant_id: UUID, delivery_id: UUID) -> Delivery | DeliveryUnknown:
        return await store_postgres.find_delivery(tx.connection, tenant_id, delivery_id) or DeliveryUnknown()
