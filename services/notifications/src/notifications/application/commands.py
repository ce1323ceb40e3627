"""What owners do with their endpoints and deliveries, each in a transaction that its caller has opened."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from contracts.ids import new_id
from notifications.application.ports import Deliveries, Endpoints, Recorder, Sealer
from notifications.application.rows import Delivery, Endpoint, Message, NewDelivery
from notifications.domain.messages import TEST_TYPE, test_body
from notifications.domain.outcomes import EndpointStatus, RefusalCode
from notifications.domain.pacing import pay
from servicekit.postgres import Transaction

RECOVERED_MAX: Final = 5_000
CANCELLED_MAX: Final = 5_000
"""In the request; the workers' sweep cancels the rest."""


class EndpointUnknown(Exception):  # noqa: N818  it names what happened
    """The tenant has no such endpoint."""


class DeliveryUnknown(Exception):  # noqa: N818  it names what happened
    """The tenant has no such delivery, or it is no longer kept."""


class Refused(Exception):  # noqa: N818  it names what happened
    """A rule says no; *facts* are what a client needs to act."""

    def __init__(self, code: RefusalCode, detail: str, **facts: Any) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.facts = facts


class TooOften(Exception):  # noqa: N818  it names what happened
    """The endpoint had as many such commands as it may have for now."""

    def __init__(self, wait: timedelta) -> None:
        super().__init__(f"again in {wait}")
        self.wait = wait


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What an endpoint's owner says of it; None leaves a field as it is. An empty description is none."""

    url: str | None = None
    description: str | None = None
    event_types: tuple[str, ...] | None = None
    wallet_ids: tuple[UUID, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rotated:
    """The new secret, and when the one before stops signing."""

    secret: str
    previous_expires_at: datetime


class EndpointCommands:
    """Commands on endpoints; every one raises EndpointUnknown for what is not the tenant's."""

    def __init__(
        self,
        endpoints: Endpoints,
        deliveries: Deliveries,
        recorder: Recorder,
        sealer: Sealer,
        *,
        endpoints_max: int,
        rotation_overlap: timedelta,
    ) -> None:
        self._endpoints = endpoints
        self._deliveries = deliveries
        self._recorder = recorder
        self._sealer = sealer
        self._endpoints_max = endpoints_max
        self._rotation_overlap = rotation_overlap

    async def create(self, tx: Transaction, tenant_id: UUID, wanted: Wanted) -> tuple[Endpoint, str]:
        """Return a new endpoint and its secret; raise Refused where the tenant has as many as it may."""
        assert wanted.url is not None
        if await self._endpoints.claim_place(tx, tenant_id) >= self._endpoints_max:
            detail = f"A tenant has at most {self._endpoints_max} endpoints."
            raise Refused(RefusalCode.ENDPOINT_LIMIT_REACHED, detail, limit=self._endpoints_max)
        now = await self._endpoints.clock(tx)
        endpoint = Endpoint(
            id=new_id(),
            tenant_id=tenant_id,
            url=wanted.url,
            description=wanted.description or None,
            event_types=wanted.event_types or (),
            wallet_ids=wanted.wallet_ids or (),
            status=EndpointStatus.ACTIVE,
            disabled_reason=None,
            failing_since=None,
            created_at=now,
            updated_at=now,
        )
        await self._endpoints.add(tx, endpoint)
        return endpoint, await self._new_secret(tx, endpoint.id, now, now)

    async def change(self, tx: Transaction, tenant_id: UUID, endpoint_id: UUID, wanted: Wanted) -> Endpoint:
        """Return the endpoint with what *wanted* names replaced."""
        endpoint = await self._held(tx, tenant_id, endpoint_id)
        description = endpoint.description if wanted.description is None else wanted.description or None
        changed = replace(
            endpoint,
            url=wanted.url or endpoint.url,
            description=description,
            event_types=endpoint.event_types if wanted.event_types is None else wanted.event_types,
            wallet_ids=endpoint.wallet_ids if wanted.wallet_ids is None else wanted.wallet_ids,
        )
        return await self._write(tx, changed)

    async def pause(self, tx: Transaction, tenant_id: UUID, endpoint_id: UUID) -> Endpoint:
        """Gather deliveries and attempt none; raise Refused for a disabled endpoint."""
        endpoint = await self._held(tx, tenant_id, endpoint_id)
        if endpoint.status == EndpointStatus.DISABLED:
            raise Refused(RefusalCode.ENDPOINT_NOT_ACTIVE, "The endpoint is disabled.")
        return await self._write(tx, replace(endpoint, status=EndpointStatus.PAUSED))

    async def resume(self, tx: Transaction, tenant_id: UUID, endpoint_id: UUID) -> Endpoint:
        """Attempt again what is due, also where the endpoint was disabled; an active one stays as it is.

        Of a disabled one the record is clean then; a paused one that failed fails from now on, until a success.
        Raises TooOften.
        """
        endpoint = await self._paid(tx, await self._held(tx, tenant_id, endpoint_id))
        if endpoint.status == EndpointStatus.ACTIVE:
            return endpoint
        is_failing = endpoint.status == EndpointStatus.PAUSED and endpoint.failing_since is not None
        failing_since = await self._endpoints.clock(tx) if is_failing else None
        return await self._write(
            tx, replace(endpoint, status=EndpointStatus.ACTIVE, disabled_reason=None, failing_since=failing_since)
        )

    async def delete(self, tx: Transaction, tenant_id: UUID, endpoint_id: UUID) -> None:
        """Take the endpoint out of use and cancel what it was still to get; its history stays as long as any."""
        endpoint = await self._held(tx, tenant_id, endpoint_id)
        await self._endpoints.delete(tx, tenant_id, endpoint.id)
        await self._deliveries.cancel(tx, tenant_id, endpoint.id, limit=CANCELLED_MAX)

    async def rotate(self, tx: Transaction, tenant_id: UUID, endpoint_id: UUID) -> Rotated:
        """Return a new secret; those before sign beside it until the overlap ends."""
        endpoint = await self._held(tx, tenant_id, endpoint_id)
        now = await self._endpoints.clock(tx)
        expires_at = now + self._rotation_overlap
        return Rotated(secret=await self._new_secret(tx, endpoint.id, now, expires_at), previous_expires_at=expires_at)

    async def test(self, tx: Transaction, tenant_id: UUID, endpoint_id: UUID) -> Delivery:
        """Return the delivery of a test message, due now; raise Refused unless the endpoint is active, and TooOften."""
        endpoint = await self._paid(tx, await self._active(tx, tenant_id, endpoint_id))
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
        return await self._delivery(tx, tenant_id, delivery.id)

    async def recover(self, tx: Transaction, tenant_id: UUID, endpoint_id: UUID, since: datetime) -> tuple[int, bool]:
        """Return how many failed deliveries are attempted again now, and whether there are more; raises as `test`."""
        endpoint = await self._paid(tx, await self._active(tx, tenant_id, endpoint_id))
        recovered = await self._deliveries.recover(tx, tenant_id, endpoint.id, since, limit=RECOVERED_MAX)
        return recovered, recovered == RECOVERED_MAX

    async def resend(self, tx: Transaction, tenant_id: UUID, delivery_id: UUID) -> Delivery:
        """Return a delivery that is attempted again now, whatever became of it; raises DeliveryUnknown, Refused."""
        delivery = await self._delivery(tx, tenant_id, delivery_id)
        try:
            await self._active(tx, tenant_id, delivery.endpoint_id)
        except EndpointUnknown:
            raise Refused(RefusalCode.ENDPOINT_NOT_ACTIVE, "The delivery's endpoint is deleted.") from None
        await self._deliveries.make_due(tx, tenant_id, delivery.id)
        return await self._delivery(tx, tenant_id, delivery_id)

    async def _held(self, tx: Transaction, tenant_id: UUID, endpoint_id: UUID) -> Endpoint:
        endpoint = await self._endpoints.get(tx.connection, tenant_id, endpoint_id, lock=True)
        if endpoint is None:
            raise EndpointUnknown
        return endpoint

    async def _active(self, tx: Transaction, tenant_id: UUID, endpoint_id: UUID) -> Endpoint:
        endpoint = await self._held(tx, tenant_id, endpoint_id)
        if endpoint.status != EndpointStatus.ACTIVE:
            raise Refused(RefusalCode.ENDPOINT_NOT_ACTIVE, f"The endpoint is {endpoint.status}.")
        return endpoint

    async def _paid(self, tx: Transaction, endpoint: Endpoint) -> Endpoint:
        """Return *endpoint*, whose row is held, once it has paid for a command."""
        paid = pay(endpoint.paid_until, now=await self._endpoints.clock(tx))
        if isinstance(paid, timedelta):
            raise TooOften(paid)
        await self._endpoints.keep_paid(tx, endpoint.id, paid)
        return endpoint

    async def _delivery(self, tx: Transaction, tenant_id: UUID, delivery_id: UUID) -> Delivery:
        delivery = await self._deliveries.get(tx.connection, tenant_id, delivery_id)
        if delivery is None:
            raise DeliveryUnknown
        return delivery

    async def _write(self, tx: Transaction, endpoint: Endpoint) -> Endpoint:
        changed = replace(endpoint, updated_at=await self._endpoints.clock(tx))
        await self._endpoints.update(tx, changed)
        return changed

    async def _new_secret(self, tx: Transaction, endpoint_id: UUID, now: datetime, expires_others_at: datetime) -> str:
        secret = self._sealer.new_secret()
        sealed = self._sealer.seal(new_id(), secret)
        await self._endpoints.add_secret(tx, endpoint_id, sealed, now=now, expires_others_at=expires_others_at)
        return secret
