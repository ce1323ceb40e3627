"""What owners do with their endpoints and deliveries, each in a transaction that its caller has opened.

What a command comes to is a value; after every one that is no success nothing is written.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from contracts.ids import new_id
from notifications.application.ports import Cipher, Deliveries, Endpoints, Recorder
from notifications.application.rows import Delivery, Message, NewDelivery
from notifications.domain.endpoints import (
    DeliveryUnknown,
    Endpoint,
    EndpointUnknown,
    Refused,
    TooOften,
    Wanted,
    decide_attempts,
    decide_change,
    decide_create,
    decide_pause,
    decide_resend,
    decide_resume,
)
from notifications.domain.messages import TEST_TYPE, test_body
from servicekit.postgres import Transaction

RECOVERED_MAX: Final = 5_000
CANCELLED_MAX: Final = 5_000
"""In the request; the workers' sweep cancels the rest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Created:
    """A new endpoint and its secret."""

    endpoint: Endpoint
    secret: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Rotated:
    """The new secret, and when the one before stops signing."""

    endpoint_id: UUID
    secret: str
    previous_expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovered:
    """How many failed deliveries are attempted again now, and whether there are more."""

    count: int
    has_more: bool


class EndpointCommands:
    """Commands on endpoints and their deliveries."""

    def __init__(
        self,
        endpoints: Endpoints,
        deliveries: Deliveries,
        recorder: Recorder,
        cipher: Cipher,
        *,
        endpoints_max: int,
        rotation_overlap: timedelta,
    ) -> None:
        self._endpoints = endpoints
        self._deliveries = deliveries
        self._recorder = recorder
        self._cipher = cipher
        self._endpoints_max = endpoints_max
        self._rotation_overlap = rotation_overlap

    async def create(self, tx: Transaction, tenant_id: UUID, wanted: Wanted) -> Created | Refused:
        """Create an endpoint."""
        count = await self._endpoints.claim_place(tx, tenant_id)
        now = await self._endpoints.clock(tx)
        endpoint = decide_create(
            wanted, endpoint_id=new_id(), tenant_id=tenant_id, count=count, count_max=self._endpoints_max, now=now
        )
        if isinstance(endpoint, Refused):
            return endpoint
        await self._endpoints.add(tx, endpoint)
        return Created(endpoint=endpoint, secret=await self._new_secret(tx, endpoint.id, now, now))

    async def change(
        self, tx: Transaction, tenant_id: UUID, endpoint_id: UUID, wanted: Wanted
    ) -> Endpoint | EndpointUnknown:
        """Replace what *wanted* names."""
        endpoint = await self._held(tx, tenant_id, endpoint_id)
        if endpoint is None:
            return EndpointUnknown()
        changed = decide_change(endpoint, wanted, now=await self._endpoints.clock(tx))
        await self._endpoints.update(tx, changed)
        return changed

    async def pause(self, tx: Transaction, tenant_id: UUID, endpoint_id: UUID) -> Endpoint | EndpointUnknown | Refused:
        """Gather deliveries and attempt none."""
        endpoint = await self._held(tx, tenant_id, endpoint_id)
        if endpoint is None:
            return EndpointUnknown()
        paused = decide_pause(endpoint, now=await self._endpoints.clock(tx))
        if isinstance(paused, Endpoint):
            await self._endpoints.update(tx, paused)
        return paused

    async def resume(
        self, tx: Transaction, tenant_id: UUID, endpoint_id: UUID
    ) -> Endpoint | EndpointUnknown | TooOften:
        """Attempt again what is due, also where the endpoint was disabled; an active one stays as it is."""
        endpoint = await self._held(tx, tenant_id, endpoint_id)
        if endpoint is None:
            return EndpointUnknown()
        resumed = decide_resume(endpoint, now=await self._endpoints.clock(tx))
        if isinstance(resumed, TooOften):
            return resumed
        await self._endpoints.keep_paid(tx, resumed)
        if resumed.status is not endpoint.status:
            await self._endpoints.update(tx, resumed)
        return resumed

    async def delete(self, tx: Transaction, tenant_id: UUID, endpoint_id: UUID) -> EndpointUnknown | None:
        """Take the endpoint out of use and cancel what it was still to get; its history stays as long as any."""
        endpoint = await self._held(tx, tenant_id, endpoint_id)
        if endpoint is None:
            return EndpointUnknown()
        await self._endpoints.delete(tx, tenant_id, endpoint.id)
        await self._deliveries.cancel(tx, tenant_id, endpoint.id, limit=CANCELLED_MAX)
        return None

    async def rotate(self, tx: Transaction, tenant_id: UUID, endpoint_id: UUID) -> Rotated | EndpointUnknown:
        """Make a new secret; those before sign beside it until the overlap ends."""
        endpoint = await self._held(tx, tenant_id, endpoint_id)
        if endpoint is None:
            return EndpointUnknown()
        now = await self._endpoints.clock(tx)
        expires_at = now + self._rotation_overlap
        secret = await self._new_secret(tx, endpoint.id, now, expires_at)
        return Rotated(endpoint_id=endpoint.id, secret=secret, previous_expires_at=expires_at)

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
        count = await self._deliveries.recover(tx, tenant_id, endpoint.id, since, limit=RECOVERED_MAX)
        return Recovered(count=count, has_more=count == RECOVERED_MAX)

    async def resend(self, tx: Transaction, tenant_id: UUID, delivery_id: UUID) -> Delivery | DeliveryUnknown | Refused:
        """Have a delivery attempted again now, whatever became of it."""
        delivery = await self._delivery(tx, tenant_id, delivery_id)
        if isinstance(delivery, DeliveryUnknown):
            return delivery
        refused = decide_resend(await self._held(tx, tenant_id, delivery.endpoint_id))
        if refused is not None:
            return refused
        await self._deliveries.make_due(tx, tenant_id, delivery.id)
        return await self._delivery(tx, tenant_id, delivery_id)

    async def _held(self, tx: Transaction, tenant_id: UUID, endpoint_id: UUID) -> Endpoint | None:
        return await self._endpoints.get(tx.connection, tenant_id, endpoint_id, lock=True)

    async def _admitted(
        self, tx: Transaction, tenant_id: UUID, endpoint_id: UUID
    ) -> Endpoint | EndpointUnknown | Refused | TooOften:
        """Return the endpoint, whose row is held, once it has paid for a command that has it sent to."""
        endpoint = await self._held(tx, tenant_id, endpoint_id)
        if endpoint is None:
            return EndpointUnknown()
        admitted = decide_attempts(endpoint, now=await self._endpoints.clock(tx))
        if isinstance(admitted, Endpoint):
            await self._endpoints.keep_paid(tx, admitted)
        return admitted

    async def _delivery(self, tx: Transaction, tenant_id: UUID, delivery_id: UUID) -> Delivery | DeliveryUnknown:
        return await self._deliveries.get(tx.connection, tenant_id, delivery_id) or DeliveryUnknown()

    async def _new_secret(self, tx: Transaction, endpoint_id: UUID, now: datetime, expires_others_at: datetime) -> str:
        secret = self._cipher.new_secret()
        encrypted = self._cipher.encrypt(new_id(), secret)
        await self._endpoints.add_secret(tx, endpoint_id, encrypted, now=now, expires_others_at=expires_others_at)
        return secret
