"""The routes of deliveries."""

from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated, Final
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Response

from contracts import problems
from notifications.application.commands import DeliveryUnknown
from notifications.application.idempotency import Once
from notifications.application.ports import Deliveries, DeliveryFilter
from notifications.domain.messages import SUBSCRIBABLE, TEST_TYPE
from notifications.entrypoints.answering import (
    Command,
    NoBody,
    command_of,
    delivery_id_of,
    told,
)
from notifications.entrypoints.bodies import (
    DeliveriesBody,
    DeliveryBody,
    DeliveryWithAttemptsBody,
    delivery_body,
    delivery_with_attempts_body,
)
from notifications.entrypoints.endpoint_answers import DELIVERIES, EndpointAnswers
from servicekit.http.edge.context import invalid_query
from servicekit.http.openapi.answers import Link, declared
from servicekit.http.problems import FieldError
from servicekit.http.routes.dependencies import Caller, PathId
from servicekit.http.routes.paging import Page, paged
from servicekit.http.routes.parsing import filtered_id
from servicekit.postgres import Pool


class DeliveryStatus(StrEnum):
    """How far a delivery has come."""

    PENDING = "pending"
    DELIVERED = "delivered"
    EXHAUSTED = "exhausted"
    CANCELLED = "cancelled"


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


def delivery_reads(pool: Pool, deliveries: Deliveries) -> APIRouter:
    """Return the routes that read deliveries."""
    router = APIRouter(prefix=DELIVERIES, tags=["deliveries"])

    @router.get(
        "", operation_id="list_deliveries", summary="The tenant's deliveries", responses=declared(links=_FROM_LIST)
    )
    async def list_deliveries(
        caller: Caller,
        page: Page,
        endpoint_id: EndpointIdQuery = None,
        status: StatusQuery = None,
        event_type: TypeQuery = None,
    ) -> DeliveriesBody:
        wanted = _filter(endpoint_id, status, event_type)
        asked = paged(page, UUID, "deliveries", caller.tenant_id, wanted)
        async with pool.connection() as connection:
            found = await deliveries.page(
                connection, caller.tenant_id, wanted, before=asked.position, limit=asked.limit
            )
        shown = asked.show(found, lambda delivery: delivery.id)
        return DeliveriesBody(data=[delivery_body(delivery) for delivery in shown.rows], next_cursor=shown.next_cursor)

    @router.get(
        "/{delivery_id}",
        operation_id="get_delivery",
        summary="A delivery with its attempts",
        responses=declared(problems.DELIVERY_NOT_FOUND, links=_FROM_DELIVERY),
    )
    async def get_delivery(delivery_id: PathId, caller: Caller) -> DeliveryWithAttemptsBody:
        known = delivery_id_of(delivery_id)
        with told():
            async with pool.connection() as connection:
                found = await deliveries.get(connection, caller.tenant_id, known)
                if found is None:
                    raise DeliveryUnknown
                return delivery_with_attempts_body(
                    found, await deliveries.attempts(connection, caller.tenant_id, found.id)
                )

    return router


def delivery_commands(once: Once, answers: EndpointAnswers) -> APIRouter:
    """Return the routes that need an Idempotency-Key."""
    router = APIRouter(prefix=DELIVERIES, tags=["deliveries"])
    Sent = Annotated[Command, Depends(command_of(once))]  # noqa: N806  it is a type

    @router.post(
        "/{delivery_id}/resend",
        operation_id="resend_delivery",
        summary="Attempt a delivery again, now, whatever became of it",
        response_model=DeliveryBody,
        responses=declared(problems.DELIVERY_NOT_FOUND, problems.ENDPOINT_NOT_ACTIVE, links=_TO_DELIVERY),
    )
    async def resend(delivery_id: PathId, sent: Sent, _nothing: NoBody) -> Response:
        known = delivery_id_of(delivery_id)
        return await sent.run(lambda tx: answers.resend(tx, sent.tenant_id, known))

    return router


def _filter(endpoint_id: str | None, status: DeliveryStatus | None, event_type: str | None) -> DeliveryFilter:
    known = filtered_id(endpoint_id, "endpoint_id", "endpoint_id is not an id.")
    if event_type is not None and event_type not in _TYPES["enum"]:
        raise invalid_query(FieldError("/event_type", "unknown_event_type", "There is no such event type."))
    return DeliveryFilter(endpoint_id=known, status=None if status is None else status.value, type=event_type)
