"""What is done with requests about webhook endpoints."""

from dataclasses import dataclass
from typing import Final
from uuid import UUID

from fastapi import Response

from contracts.envelope import rfc3339
from notifications.deliveries.commands import DeliveryCommands, Recovered
from notifications.deliveries.rows import Delivery
from notifications.domain.endpoints import Endpoint, EndpointUnknown
from notifications.endpoints.commands import Created, EndpointCommands, Rotated
from notifications.endpoints.queries import EndpointQueries
from notifications.entrypoints.answering import CREATED, DELIVERIES, ENDPOINTS, OK, answered, endpoint_id_of, problem_of
from notifications.entrypoints.bodies import (
    EndpointBody,
    EndpointsBody,
    RecoveredBody,
    RotatedBody,
    delivery_body,
    endpoint_body,
    new_endpoint_body,
)
from notifications.entrypoints.requests import (
    ChangeEndpoint,
    CreateEndpoint,
    RecoverEndpoint,
    said,
    url_problem,
    wanted_of,
)
from servicekit.http.edge.decoding import invalid_request
from servicekit.http.routes.dependencies import Caller, PathId
from servicekit.http.routes.keyed import KeyedCommands, Sent, answer
from servicekit.http.routes.paging import Page, paged
from servicekit.http.routes.parsing import instant_of
from servicekit.idempotency import Answer
from servicekit.outbound.targets import UrlRefused
from servicekit.outbound.vetting import Vetting
from servicekit.postgres import Pool

NO_CONTENT: Final = 204


@dataclass(frozen=True, slots=True)
class EndpointReadHandlers:
    """Reads of endpoints."""

    queries: EndpointQueries

    async def list(self, caller: Caller, page: Page) -> EndpointsBody:
        asked = paged(page, UUID, "webhook_endpoints", caller.tenant_id)
        found = await self.queries.endpoints(caller.tenant_id, before=asked.position, limit=asked.limit)
        shown = asked.show(found, lambda endpoint: endpoint.id)
        return EndpointsBody(data=[endpoint_body(endpoint) for endpoint in shown.rows], next_cursor=shown.next_cursor)

    async def get(self, endpoint_id: PathId, caller: Caller) -> EndpointBody:
        known = endpoint_id_of(endpoint_id)
        found = await self.queries.endpoint(caller.tenant_id, known)
        if isinstance(found, EndpointUnknown):
            raise problem_of(found)
        return endpoint_body(found)


@dataclass(frozen=True, slots=True)
class EndpointChangeHandlers:
    """Changes that are repeated without harm."""

    pool: Pool
    commands: EndpointCommands
    vetting: Vetting

    async def change(self, endpoint_id: PathId, caller: Caller, body: ChangeEndpoint) -> EndpointBody:
        known, wanted = endpoint_id_of(endpoint_id), wanted_of(body)
        if wanted.url is not None:
            await _vet(self.vetting, wanted.url, caller.tenant_id)
        async with self.pool.transaction() as tx:
            outcome = await self.commands.change(tx, caller.tenant_id, known, wanted)
        if isinstance(outcome, EndpointUnknown):
            raise problem_of(outcome)
        return endpoint_body(outcome)

    async def delete(self, endpoint_id: PathId, caller: Caller) -> Response:
        known = endpoint_id_of(endpoint_id)
        async with self.pool.transaction() as tx:
            outcome = await self.commands.delete(tx, caller.tenant_id, known)
        if outcome is not None:
            raise problem_of(outcome)
        return Response(status_code=NO_CONTENT)


@dataclass(frozen=True, slots=True)
class EndpointCommandHandlers:
    """Commands that need an Idempotency-Key."""

    keyed: KeyedCommands
    commands: EndpointCommands
    deliveries: DeliveryCommands
    vetting: Vetting

    async def create(self, sent: Sent, body: CreateEndpoint) -> Response:
        """Create an endpoint; its URL is vetted unless the command is a repeat."""
        wanted = wanted_of(body)
        replayed = await self.keyed.replay(sent, said(wanted))
        if replayed is not None:
            return replayed
        await _vet(self.vetting, body.url, sent.tenant_id)
        return await answered(
            self.keyed, sent, lambda tx: self.commands.create(tx, sent.tenant_id, wanted), _created, said(wanted)
        )

    async def recover(self, endpoint_id: PathId, sent: Sent, body: RecoverEndpoint) -> Response:
        known, since = endpoint_id_of(endpoint_id), instant_of(body.since, "since", invalid_request)
        return await answered(
            self.keyed, sent, lambda tx: self.deliveries.recover(tx, sent.tenant_id, known, since), _recovered, [since]
        )

    async def pause(self, endpoint_id: PathId, sent: Sent) -> Response:
        known = endpoint_id_of(endpoint_id)
        return await answered(self.keyed, sent, lambda tx: self.commands.pause(tx, sent.tenant_id, known), _changed)

    async def resume(self, endpoint_id: PathId, sent: Sent) -> Response:
        known = endpoint_id_of(endpoint_id)
        return await answered(self.keyed, sent, lambda tx: self.commands.resume(tx, sent.tenant_id, known), _changed)

    async def test(self, endpoint_id: PathId, sent: Sent) -> Response:
        known = endpoint_id_of(endpoint_id)
        return await answered(self.keyed, sent, lambda tx: self.deliveries.test(tx, sent.tenant_id, known), _tested)

    async def rotate(self, endpoint_id: PathId, sent: Sent) -> Response:
        known = endpoint_id_of(endpoint_id)
        return await answered(self.keyed, sent, lambda tx: self.commands.rotate(tx, sent.tenant_id, known), _rotated)


def _created(created: Created) -> Answer:
    shown, stored = (new_endpoint_body(created.endpoint, secret) for secret in (created.secret, None))
    return answer(CREATED, shown, location=f"{ENDPOINTS}/{created.endpoint.id}", stored=stored)


def _changed(endpoint: Endpoint) -> Answer:
    return answer(OK, endpoint_body(endpoint))


def _tested(delivery: Delivery) -> Answer:
    return answer(CREATED, delivery_body(delivery), location=f"{DELIVERIES}/{delivery.id}")


def _rotated(rotated: Rotated) -> Answer:
    shown, stored = (
        RotatedBody(
            endpoint_id=str(rotated.endpoint_id),
            secret=secret,
            previous_expires_at=rfc3339(rotated.previous_expires_at),
        )
        for secret in (rotated.secret, None)
    )
    return answer(OK, shown, stored=stored)


def _recovered(recovered: Recovered) -> Answer:
    return answer(OK, RecoveredBody(recovered=recovered.count, has_more=recovered.has_more))


async def _vet(vetting: Vetting, url: str, tenant_id: UUID) -> None:
    try:
        await vetting.vet(url, tenant_id)
    except UrlRefused as refused:
        raise url_problem(refused) from None
