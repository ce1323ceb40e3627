"""What owners do with their endpoints, each command in a transaction that its caller has opened.

What a command comes to is a value; after every one that is no success nothing is written.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from contracts.ids import new_id
from notifications.domain.endpoints import (
    Endpoint,
    EndpointUnknown,
    Refused,
    TooOften,
    Wanted,
    decide_change,
    decide_create,
    decide_pause,
    decide_resume,
)
from notifications.endpoints.encryption import SecretCipher
from notifications.endpoints.store_postgres import PostgresEndpoints
from servicekit.postgres import Transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointLimits:
    """How many endpoints a tenant has at most, and how long a rotated secret goes on signing."""

    endpoints_max: int
    rotation_overlap: timedelta


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


class EndpointCommands:
    """Commands on endpoints."""

    def __init__(
        self,
        endpoints: PostgresEndpoints,
        cipher: SecretCipher,
        limits: EndpointLimits,
    ) -> None:
        self._endpoints = endpoints
        self._cipher = cipher
        self._limits = limits

    async def create(self, tx: Transaction, tenant_id: UUID, wanted: Wanted) -> Created | Refused:
        count = await self._endpoints.claim_place(tx, tenant_id)
        now = await self._endpoints.clock(tx)
        endpoint = decide_create(
            wanted,
            endpoint_id=new_id(),
            tenant_id=tenant_id,
            count=count,
            count_max=self._limits.endpoints_max,
            now=now,
        )
        if isinstance(endpoint, Refused):
            return endpoint
        await self._endpoints.add(tx, endpoint)
        return Created(endpoint=endpoint, secret=await self._new_secret(tx, endpoint.id, now, now))

    async def change(
        self, tx: Transaction, tenant_id: UUID, endpoint_id: UUID, wanted: Wanted
    ) -> Endpoint | EndpointUnknown:
        """Replace what *wanted* names."""
        endpoint = await self._endpoints.locked(tx, tenant_id, endpoint_id)
        if endpoint is None:
            return EndpointUnknown()
        changed = decide_change(endpoint, wanted, now=await self._endpoints.clock(tx))
        await self._endpoints.update(tx, changed)
        return changed

    async def pause(self, tx: Transaction, tenant_id: UUID, endpoint_id: UUID) -> Endpoint | EndpointUnknown | Refused:
        """Gather deliveries and attempt none."""
        endpoint = await self._endpoints.locked(tx, tenant_id, endpoint_id)
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
        endpoint = await self._endpoints.locked(tx, tenant_id, endpoint_id)
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
        endpoint = await self._endpoints.locked(tx, tenant_id, endpoint_id)
        if endpoint is None:
            return EndpointUnknown()
        await self._endpoints.delete(tx, tenant_id, endpoint.id)
        return None

    async def rotate(self, tx: Transaction, tenant_id: UUID, endpoint_id: UUID) -> Rotated | EndpointUnknown:
        """Make a new secret; those before sign beside it until the overlap ends."""
        endpoint = await self._endpoints.locked(tx, tenant_id, endpoint_id)
        if endpoint is None:
            return EndpointUnknown()
        now = await self._endpoints.clock(tx)
        expires_at = now + self._limits.rotation_overlap
        secret = await self._new_secret(tx, endpoint.id, now, expires_at)
        return Rotated(endpoint_id=endpoint.id, secret=secret, previous_expires_at=expires_at)

    async def _new_secret(self, tx: Transaction, endpoint_id: UUID, now: datetime, expires_others_at: datetime) -> str:
        secret = self._cipher.new_secret()
        encrypted = self._cipher.encrypt(new_id(), secret)
        await self._endpoints.add_secret(tx, endpoint_id, encrypted, now=now, expires_others_at=expires_others_at)
        return secret
