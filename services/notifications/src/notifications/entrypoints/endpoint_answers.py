"""What commands on endpoints and deliveries answer, told in the transaction that does them."""

from datetime import datetime
from typing import Final
from uuid import UUID

from contracts.envelope import rfc3339
from notifications.application.commands import EndpointCommands, Rotated, Wanted
from notifications.application.idempotency import Answer
from notifications.entrypoints.answering import answer
from notifications.entrypoints.bodies import (
    RecoveredBody,
    RotatedBody,
    delivery_body,
    endpoint_body,
    new_endpoint_body,
)
from servicekit.postgres import Transaction

ENDPOINTS: Final = "/v1/webhook-endpoints"
DELIVERIES: Final = "/v1/deliveries"
OK: Final = 200
CREATED: Final = 201


class EndpointAnswers:
    """Does commands and renders their answers; what is stored has no secret."""

    def __init__(self, commands: EndpointCommands) -> None:
        self._commands = commands

    async def create(self, tx: Transaction, tenant_id: UUID, wanted: Wanted) -> Answer:
        """Create an endpoint."""
        endpoint, secret = await self._commands.create(tx, tenant_id, wanted)
        return answer(
            CREATED,
            new_endpoint_body(endpoint, secret),
            location=f"{ENDPOINTS}/{endpoint.id}",
            stored=new_endpoint_body(endpoint, None),
        )

    async def pause(self, tx: Transaction, tenant_id: UUID, endpoint_id: UUID) -> Answer:
        """Pause an endpoint."""
        return answer(OK, endpoint_body(await self._commands.pause(tx, tenant_id, endpoint_id)))

    async def resume(self, tx: Transaction, tenant_id: UUID, endpoint_id: UUID) -> Answer:
        """Resume an endpoint."""
        return answer(OK, endpoint_body(await self._commands.resume(tx, tenant_id, endpoint_id)))

    async def test(self, tx: Transaction, tenant_id: UUID, endpoint_id: UUID) -> Answer:
        """Send a test message."""
        delivery = await self._commands.test(tx, tenant_id, endpoint_id)
        return answer(CREATED, delivery_body(delivery), location=f"{DELIVERIES}/{delivery.id}")

    async def rotate(self, tx: Transaction, tenant_id: UUID, endpoint_id: UUID) -> Answer:
        """Make a new secret."""
        rotated = await self._commands.rotate(tx, tenant_id, endpoint_id)
        shown, stored = (_rotated_body(endpoint_id, rotated, secret) for secret in (rotated.secret, None))
        return answer(OK, shown, stored=stored)

    async def recover(self, tx: Transaction, tenant_id: UUID, endpoint_id: UUID, since: datetime) -> Answer:
        """Attempt failed deliveries again."""
        recovered, has_more = await self._commands.recover(tx, tenant_id, endpoint_id, since)
        return answer(OK, RecoveredBody(recovered=recovered, has_more=has_more))

    async def resend(self, tx: Transaction, tenant_id: UUID, delivery_id: UUID) -> Answer:
        """Attempt a delivery again."""
        return answer(OK, delivery_body(await self._commands.resend(tx, tenant_id, delivery_id)))


def _rotated_body(endpoint_id: UUID, rotated: Rotated, secret: str | None) -> RotatedBody:
    expires_at = rfc3339(rotated.previous_expires_at)
    return RotatedBody(endpoint_id=str(endpoint_id), secret=secret, previous_expires_at=expires_at)
