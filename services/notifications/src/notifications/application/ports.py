"""What the service needs of its database and of the world."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from contracts.envelope import Envelope
from notifications.application.rows import (
    Attempt,
    Delivery,
    EncryptedSecret,
    Lease,
    Message,
    NewDelivery,
    Result,
)
from notifications.domain.addresses import Address
from notifications.domain.endpoints import Endpoint
from notifications.domain.outcomes import DeliveryStatus, DisabledReason, Step
from notifications.domain.sharing import Candidate, Grant
from notifications.domain.targets import Target
from notifications.domain.versions import Newest
from servicekit.postgres import Connection, Transaction


class Resolver(Protocol):
    """DNS."""

    async def resolve(self, host: str, port: int) -> Sequence[Address]:
        """Return every address of *host*; raise UrlRefused where it has none. The caller may give up at any time."""
        ...


class Sender(Protocol):
    """HTTP to a receiver."""

    async def send(
        self, target: Target, addresses: Sequence[Address], *, headers: Mapping[str, str], body: bytes
    ) -> Result:
        """Post *body* to *target* at one of the vetted *addresses*; any failure is a Result too."""
        ...


class Cipher(Protocol):
    """Makes, encrypts and decrypts secrets."""

    def new_secret(self) -> str:
        """Return a new secret, as its owner is shown it."""
        ...

    def encrypt(self, secret_id: UUID, secret: str) -> EncryptedSecret:
        """Return *secret* as it may be stored."""
        ...

    def decrypt(self, encrypted: EncryptedSecret) -> str:
        """Return the secret again; raise where it was encrypted for another row or under an unknown key."""
        ...


class Recorder(Protocol):
    """Where the projection writes."""

    async def versions(self, tx: Transaction, wallet_ids: Sequence[UUID]) -> dict[UUID, Newest]:
        """Return the newest versions of the known ones of *wallet_ids*."""
        ...

    async def keep_versions(self, tx: Transaction, versions: Mapping[UUID, Newest]) -> None:
        """Write the newest versions."""
        ...

    async def matches(self, tx: Transaction, events: Sequence[Envelope]) -> list[tuple[int, UUID]]:
        """Return (index into *events*, endpoint) for every endpoint that wants an event."""
        ...

    async def add(self, tx: Transaction, messages: Sequence[Message], deliveries: Sequence[NewDelivery]) -> None:
        """Add what is not there yet; an endpoint and a message have one delivery."""
        ...


class Endpoints(Protocol):
    """Endpoints, always of one tenant. *status* `deleted` is not found."""

    async def clock(self, tx: Transaction) -> datetime:
        """Return the database's time of *tx*."""
        ...

    async def claim_place(self, tx: Transaction, tenant_id: UUID) -> int:
        """Return how many endpoints the tenant has; until *tx* ends nobody else adds one."""
        ...

    async def add(self, tx: Transaction, endpoint: Endpoint) -> None:
        """Add an endpoint that wants what is projected from now on."""
        ...

    async def get(
        self, connection: Connection, tenant_id: UUID, endpoint_id: UUID, *, lock: bool = False
    ) -> Endpoint | None:
        """Return an endpoint; *lock* keeps its row until the transaction ends."""
        ...

    async def page(self, connection: Connection, tenant_id: UUID, *, before: UUID | None, limit: int) -> list[Endpoint]:
        """Return endpoints, newest first."""
        ...

    async def update(self, tx: Transaction, endpoint: Endpoint) -> None:
        """Write what commands can change; the caller holds the row."""
        ...

    async def keep_paid(self, tx: Transaction, endpoint: Endpoint) -> None:
        """Write until when its paced commands are paid for; the caller holds the row."""
        ...

    async def delete(self, tx: Transaction, tenant_id: UUID, endpoint_id: UUID) -> None:
        """Take the endpoint out of use, with its secrets and its wallets."""
        ...

    async def add_secret(
        self, tx: Transaction, endpoint_id: UUID, secret: EncryptedSecret, *, now: datetime, expires_others_at: datetime
    ) -> None:
        """Add the secret that signs first from now on; the others sign until *expires_others_at* at most."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryFilter:
    """Which deliveries are asked for; None means any."""

    endpoint_id: UUID | None
    status: DeliveryStatus | None
    type: str | None


class Deliveries(Protocol):
    """Deliveries as their owners see them."""

    async def get(self, connection: Connection, tenant_id: UUID, delivery_id: UUID) -> Delivery | None:
        """Return a delivery."""
        ...

    async def attempts(self, connection: Connection, tenant_id: UUID, delivery_id: UUID) -> list[Attempt]:
        """Return its attempts that are kept, newest first."""
        ...

    async def page(
        self, connection: Connection, tenant_id: UUID, wanted: DeliveryFilter, *, before: UUID | None, limit: int
    ) -> list[Delivery]:
        """Return deliveries, newest first."""
        ...

    async def make_due(self, tx: Transaction, tenant_id: UUID, delivery_id: UUID) -> None:
        """Have a delivery attempted now, whatever became of it, unless that is under way."""
        ...

    async def recover(self, tx: Transaction, tenant_id: UUID, endpoint_id: UUID, since: datetime, *, limit: int) -> int:
        """Have up to *limit* failed or exhausted deliveries made since then attempted now; return how many."""
        ...

    async def cancel(self, tx: Transaction, tenant_id: UUID, endpoint_id: UUID, *, limit: int) -> int:
        """Cancel up to *limit* pending deliveries; return how many."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Settlement:
    """What is written of an attempt: what becomes of its delivery, which has failed so often in a row by now."""

    step: Step
    failures: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """That it was written, when (by the database's clock), and since when the endpoint fails, this attempt counted."""

    at: datetime
    failing_since: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Backlog:
    """What is due and not attempted yet, counted up to a bound; the oldest's age in seconds; endpoints by status."""

    due: int
    oldest_s: float
    endpoints: Mapping[str, int]


class DeliveryQueue(Protocol):
    """Deliveries as a worker takes and settles them."""

    async def candidates(self, connection: Connection, *, per_endpoint: int) -> list[Candidate]:
        """Return endpoints that have something due (counted up to *per_endpoint*), a random choice of each tenant's."""
        ...

    async def lease(
        self, connection: Connection, token: UUID, grants: Sequence[Grant], *, lease_s: float
    ) -> list[Lease]:
        """Take the oldest due deliveries of *grants* for *lease_s* seconds, none that another worker is about to take.

        No endpoint gets more over all workers than its grant says.
        """
        ...

    async def settle(
        self, connection: Connection, lease: Lease, result: Result, settlement: Settlement
    ) -> Settled | None:
        """Write how the attempt went in one statement, or nothing at all (None) where the lease is another's by now."""
        ...

    async def disable(self, tx: Transaction, endpoint_id: UUID, reason: DisabledReason) -> bool:
        """Disable an active endpoint; tell whether it was one."""
        ...

    async def backlog(self, connection: Connection) -> Backlog:
        """Measure what waits."""
        ...
