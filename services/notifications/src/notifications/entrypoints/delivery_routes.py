"""The routes of deliveries."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Final
from uuid import UUID

from fastapi import Query, Response

from contracts import problems, scopes
from notifications.deliveries.commands import DeliveryCommands
from notifications.deliveries.queries import DeliveryQueries
from notifications.deliveries.store_postgres import DeliveryFilter
from notifications.domain.endpoints import DeliveryUnknown
from notifications.domain.messages import SUBSCRIBABLE, TEST_TYPE
from notifications.domain.outcomes import DeliveryStatus
from notifications.entrypoints.answering import DELIVERIES, OF_EVERY_OWNER, OK, answered, delivery_id_of, problem_of
from notifications.entrypoints.bodies import (
    DeliveriesBody,
    DeliveryBody,
    DeliveryWithAttemptsBody,
    delivery_body,
    delivery_with_attempts_body,
)
from servicekit.access.admission import EVERY_OWNER, Access, Cost
from servicekit.http.edge.context import invalid_query
from servicekit.http.problems import FieldError
from servicekit.http.route import Link, Route
from servicekit.http.routes.dependencies import Caller, PathId
from servicekit.http.routes.keyed import KeyedCommands, Sent, answer
from servicekit.http.routes.paging import Page, paged
from servicekit.http.routes.parsing import filtered_id

_TYPES: Final = {"enum": sorted({*SUBSCRIBABLE, TEST_TYPE})}
EndpointIdQuery = Annotated[
    str | None, Query(description="Of this endpoint only.", json_schema_extra={"format": "uuid"})
]
StatusQuery = Annotated[DeliveryStatus | None, Query(description="With this status only.")]
TypeQuery = Annotated[str | None, Query(description="Of this event type only.", json_schema_extra=_TYPES)]

_TO_DELIVERY: Final[Sequence[Link]] = (("get_delivery", {"delivery_id": "$response.body#/id"}),)
_FROM_DELIVERY: Final[Sequence[Link]] = (
    ("resend_delivery", {"delivery_id": "$response.body#/id"}),
    ("get_webhook_endpoint", {"endpoint_id": "$response.body#/endpoint_id"}),
)
_FROM_LIST: Final[Sequence[Link]] = tuple(
    (operation, {"delivery_id": "$response.body#/data/0/id"}) for operation in ("get_delivery", "resend_delivery")
)


def delivery_reads(queries: DeliveryQueries) -> Sequence[Route]:
    """Return the routes that read deliveries."""
    handlers = _ReadHandlers(queries)
    return (
        Route(
            method="GET",
            path=DELIVERIES,
            handler=handlers.list,
            access=Access(scopes.WEBHOOKS_READ, EVERY_OWNER, Cost.READ),
            operation_id="list_deliveries",
            summary="The tenant's deliveries",
            description=OF_EVERY_OWNER,
            tags=["deliveries"],
            response=DeliveriesBody,
            links=_FROM_LIST,
        ),
        Route(
            method="GET",
            path=f"{DELIVERIES}/{{delivery_id}}",
            handler=handlers.get,
            access=Access(scopes.WEBHOOKS_READ, EVERY_OWNER, Cost.READ),
            operation_id="get_delivery",
            summary="A delivery with its attempts",
            description=OF_EVERY_OWNER,
            tags=["deliveries"],
            response=DeliveryWithAttemptsBody,
            problems=[problems.DELIVERY_NOT_FOUND],
            links=_FROM_DELIVERY,
        ),
    )


def delivery_commands(keyed: KeyedCommands, commands: DeliveryCommands) -> Sequence[Route]:
    """Return the routes that need an Idempotency-Key."""
    return (
        Route(
            method="POST",
            path=f"{DELIVERIES}/{{delivery_id}}/resend",
            handler=_CommandHandlers(keyed, commands).resend,
            access=Access(scopes.WEBHOOKS_WRITE, EVERY_OWNER, Cost.COMMAND),
            operation_id="resend_delivery",
            summary="Attempt a delivery again, now, whatever became of it",
            description=OF_EVERY_OWNER,
            tags=["deliveries"],
            response=DeliveryBody,
            problems=[problems.DELIVERY_NOT_FOUND, problems.ENDPOINT_NOT_ACTIVE],
            links=_TO_DELIVERY,
        ),
    )


@dataclass(frozen=True, slots=True)
class _ReadHandlers:
    queries: DeliveryQueries

    async def list(
        self,
        caller: Caller,
        page: Page,
        endpoint_id: EndpointIdQuery = None,
        status: StatusQuery = None,
        event_type: TypeQuery = None,
    ) -> DeliveriesBody:
        wanted = _filter(endpoint_id, status, event_type)
        asked = paged(page, UUID, "deliveries", caller.tenant_id, wanted)
        found = await self.queries.deliveries(caller.tenant_id, wanted, before=asked.position, limit=asked.limit)
        shown = asked.show(found, lambda delivery: delivery.id)
        return DeliveriesBody(data=[delivery_body(delivery) for delivery in shown.rows], next_cursor=shown.next_cursor)

    async def get(self, delivery_id: PathId, caller: Caller) -> DeliveryWithAttemptsBody:
        known = delivery_id_of(delivery_id)
        found = await self.queries.delivery(caller.tenant_id, known)
        if isinstance(found, DeliveryUnknown):
            raise problem_of(found)
        return delivery_with_attempts_body(found.delivery, found.attempts)


@dataclass(frozen=True, slots=True)
class _CommandHandlers:
    keyed: KeyedCommands
    commands: DeliveryCommands

    async def resend(self, delivery_id: PathId, sent: Sent) -> Response:
        known = delivery_id_of(delivery_id)
        return await answered(
            self.keyed,
            sent,
            lambda tx: self.commands.resend(tx, sent.tenant_id, known),
            lambda delivery: answer(OK, delivery_body(delivery)),
        )


def _filter(endpoint_id: str | None, status: DeliveryStatus | None, event_type: str | None) -> DeliveryFilter:
    known = filtered_id(endpoint_id, "endpoint_id", "endpoint_id is not an id.")
    if event_type is not None and event_type not in _TYPES["enum"]:
        raise invalid_query(FieldError("/event_type", "unknown_event_type", "There is no such event type."))
    return DeliveryFilter(endpoint_id=known, status=status, type=event_type)
