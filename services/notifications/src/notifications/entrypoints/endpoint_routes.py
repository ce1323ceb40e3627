"""The routes of webhook endpoints."""

from collections.abc import Sequence
from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import APIRouter, Depends, Response
from pydantic import BaseModel

from contracts import problems
from contracts.problems import ProblemCode
from notifications.application.commands import EndpointCommands, EndpointUnknown
from notifications.application.idempotency import Once
from notifications.application.ports import Endpoints
from notifications.application.vetting import Vetting
from notifications.domain.targets import UrlRefused
from notifications.entrypoints.answering import (
    Command,
    NoBody,
    command_of,
    endpoint_id_of,
    told,
)
from notifications.entrypoints.bodies import (
    DeliveryBody,
    EndpointBody,
    EndpointsBody,
    NewEndpointBody,
    RecoveredBody,
    RotatedBody,
    endpoint_body,
)
from notifications.entrypoints.endpoint_answers import CREATED, ENDPOINTS, OK, EndpointAnswers
from notifications.entrypoints.requests import (
    ChangeEndpoint,
    CreateEndpoint,
    RecoverEndpoint,
    said,
    url_problem,
    wanted_of,
)
from servicekit.http.edge.decoding import invalid_request
from servicekit.http.openapi.answers import Link, declared
from servicekit.http.routes.dependencies import Caller, PathId
from servicekit.http.routes.paging import Page, paged
from servicekit.http.routes.parsing import instant_of
from servicekit.postgres import Pool

NO_CONTENT: Final = 204
_TO_ENDPOINT: Final[Sequence[Link]] = tuple(
    (operation, {"endpoint_id": "$response.body#/id"})
    for operation in (
        "get_webhook_endpoint",
        "change_webhook_endpoint",
        "pause_webhook_endpoint",
        "resume_webhook_endpoint",
        "recover_webhook_endpoint",
        "rotate_webhook_secret",
        "test_webhook_endpoint",
        "delete_webhook_endpoint",
    )
)
_TO_DELIVERY: Final[Sequence[Link]] = tuple(
    (operation, {"delivery_id": "$response.body#/id"}) for operation in ("get_delivery", "resend_delivery")
)


def endpoint_reads(pool: Pool, endpoints: Endpoints) -> APIRouter:
    """Return the routes that read endpoints."""
    router = APIRouter(prefix=ENDPOINTS, tags=["webhook endpoints"])

    @router.get(
        "",
        operation_id="list_webhook_endpoints",
        summary="The tenant's endpoints",
        responses=declared(links=[("get_webhook_endpoint", {"endpoint_id": "$response.body#/data/0/id"})]),
    )
    async def list_endpoints(caller: Caller, page: Page) -> EndpointsBody:
        asked = paged(page, UUID, "webhook_endpoints", caller.tenant_id)
        async with pool.connection() as connection:
            found = await endpoints.page(connection, caller.tenant_id, before=asked.position, limit=asked.limit)
        shown = asked.show(found, lambda endpoint: endpoint.id)
        return EndpointsBody(data=[endpoint_body(endpoint) for endpoint in shown.rows], next_cursor=shown.next_cursor)

    @router.get(
        "/{endpoint_id}",
        operation_id="get_webhook_endpoint",
        summary="An endpoint",
        responses=declared(problems.ENDPOINT_NOT_FOUND, links=_TO_ENDPOINT),
    )
    async def get_endpoint(endpoint_id: PathId, caller: Caller) -> EndpointBody:
        known = endpoint_id_of(endpoint_id)
        with told():
            async with pool.connection() as connection:
                found = await endpoints.get(connection, caller.tenant_id, known)
            if found is None:
                raise EndpointUnknown
        return endpoint_body(found)

    return router


def endpoint_changes(pool: Pool, commands: EndpointCommands, vetting: Vetting) -> APIRouter:
    """Return the routes that are repeated without harm, and so need no key."""
    router = APIRouter(prefix=ENDPOINTS, tags=["webhook endpoints"])

    @router.patch(
        "/{endpoint_id}",
        operation_id="change_webhook_endpoint",
        summary="Change what is given",
        responses=declared(problems.ENDPOINT_NOT_FOUND, problems.WEBHOOK_URL_REFUSED, links=_TO_ENDPOINT),
    )
    async def change_endpoint(endpoint_id: PathId, caller: Caller, body: ChangeEndpoint) -> EndpointBody:
        known, wanted = endpoint_id_of(endpoint_id), wanted_of(body)
        if wanted.url is not None:
            await _vet(vetting, wanted.url, caller.tenant_id)
        with told():
            async with pool.transaction() as tx:
                return endpoint_body(await commands.change(tx, caller.tenant_id, known, wanted))

    @router.delete(
        "/{endpoint_id}",
        operation_id="delete_webhook_endpoint",
        summary="Delete an endpoint and cancel its pending deliveries",
        status_code=NO_CONTENT,
        responses=declared(problems.ENDPOINT_NOT_FOUND),
    )
    async def delete_endpoint(endpoint_id: PathId, caller: Caller, _nothing: NoBody) -> Response:
        known = endpoint_id_of(endpoint_id)
        with told():
            async with pool.transaction() as tx:
                await commands.delete(tx, caller.tenant_id, known)
        return Response(status_code=NO_CONTENT)

    return router


def endpoint_commands(once: Once, answers: EndpointAnswers, vetting: Vetting) -> APIRouter:
    """Return the routes that need an Idempotency-Key and say something."""
    router = APIRouter(prefix=ENDPOINTS, tags=["webhook endpoints"])
    Sent = Annotated[Command, Depends(command_of(once))]  # noqa: N806  it is a type

    @router.post(
        "",
        **_post(
            "create_webhook_endpoint",
            "Create an endpoint; its secret is shown once",
            NewEndpointBody,
            problems.ENDPOINT_LIMIT_REACHED,
            problems.WEBHOOK_URL_REFUSED,
            status=CREATED,
            links=_TO_ENDPOINT,
        ),
    )
    async def create_endpoint(sent: Sent, body: CreateEndpoint) -> Response:
        wanted = wanted_of(body)
        replayed = await sent.replay(said(wanted))
        if replayed is not None:
            return replayed
        await _vet(vetting, body.url, sent.tenant_id)
        return await sent.run(lambda tx: answers.create(tx, sent.tenant_id, wanted), said(wanted))

    @router.post(
        "/{endpoint_id}/recover",
        **_post(
            "recover_webhook_endpoint",
            "Attempt failed deliveries again, now",
            RecoveredBody,
            problems.ENDPOINT_NOT_FOUND,
            problems.RATE_LIMITED,
            problems.ENDPOINT_NOT_ACTIVE,
        ),
    )
    async def recover_endpoint(endpoint_id: PathId, sent: Sent, body: RecoverEndpoint) -> Response:
        known, since = endpoint_id_of(endpoint_id), instant_of(body.since, "since", invalid_request)
        return await sent.run(lambda tx: answers.recover(tx, sent.tenant_id, known, since), [since])

    return router


def endpoint_switches(once: Once, answers: EndpointAnswers) -> APIRouter:
    """Return the routes that need an Idempotency-Key and nothing else."""
    router = APIRouter(prefix=ENDPOINTS, tags=["webhook endpoints"])
    Sent = Annotated[Command, Depends(command_of(once))]  # noqa: N806  it is a type

    @router.post(
        "/{endpoint_id}/pause",
        **_post(
            "pause_webhook_endpoint",
            "Gather deliveries and send none",
            EndpointBody,
            problems.ENDPOINT_NOT_FOUND,
            problems.ENDPOINT_NOT_ACTIVE,
            links=_TO_ENDPOINT,
        ),
    )
    async def pause_endpoint(endpoint_id: PathId, sent: Sent, _nothing: NoBody) -> Response:
        known = endpoint_id_of(endpoint_id)
        return await sent.run(lambda tx: answers.pause(tx, sent.tenant_id, known))

    @router.post(
        "/{endpoint_id}/resume",
        **_post(
            "resume_webhook_endpoint",
            "Send again, also where disabled",
            EndpointBody,
            problems.ENDPOINT_NOT_FOUND,
            problems.RATE_LIMITED,
            links=_TO_ENDPOINT,
        ),
    )
    async def resume_endpoint(endpoint_id: PathId, sent: Sent, _nothing: NoBody) -> Response:
        known = endpoint_id_of(endpoint_id)
        return await sent.run(lambda tx: answers.resume(tx, sent.tenant_id, known))

    @router.post(
        "/{endpoint_id}/test",
        **_post(
            "test_webhook_endpoint",
            "Send a signed test message",
            DeliveryBody,
            problems.ENDPOINT_NOT_FOUND,
            problems.RATE_LIMITED,
            problems.ENDPOINT_NOT_ACTIVE,
            status=CREATED,
            links=_TO_DELIVERY,
        ),
    )
    async def send_test(endpoint_id: PathId, sent: Sent, _nothing: NoBody) -> Response:
        known = endpoint_id_of(endpoint_id)
        return await sent.run(lambda tx: answers.test(tx, sent.tenant_id, known))

    @router.post(
        "/{endpoint_id}/rotate-secret",
        **_post("rotate_webhook_secret", "Make a new secret, shown once", RotatedBody, problems.ENDPOINT_NOT_FOUND),
    )
    async def rotate_secret(endpoint_id: PathId, sent: Sent, _nothing: NoBody) -> Response:
        known = endpoint_id_of(endpoint_id)
        return await sent.run(lambda tx: answers.rotate(tx, sent.tenant_id, known))

    return router


def _post(
    operation_id: str,
    summary: str,
    body: type[BaseModel],
    *refusals: ProblemCode,
    status: int = OK,
    links: Sequence[Link] = (),
) -> dict[str, Any]:
    return {
        "operation_id": operation_id,
        "summary": summary,
        "status_code": status,
        "response_model": body,
        "responses": declared(*refusals, status=status, links=links),
    }


async def _vet(vetting: Vetting, url: str, tenant_id: UUID) -> None:
    try:
        await vetting.vet(url, tenant_id)
    except UrlRefused as refused:
        raise url_problem(refused) from None
