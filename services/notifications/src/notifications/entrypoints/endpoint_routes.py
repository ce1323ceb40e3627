"""The routes of webhook endpoints."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from fastapi import Response
from pydantic import BaseModel

from contracts import problems, scopes
from contracts.problems import ProblemCode
from notifications.entrypoints.answering import CREATED, ENDPOINTS, OF_EVERY_OWNER, OK
from notifications.entrypoints.bodies import (
    DeliveryBody,
    EndpointBody,
    EndpointsBody,
    NewEndpointBody,
    RecoveredBody,
    RotatedBody,
)
from notifications.entrypoints.endpoint_handlers import (
    NO_CONTENT,
    EndpointChangeHandlers,
    EndpointCommandHandlers,
    EndpointReadHandlers,
)
from notifications.entrypoints.requests import ChangeEndpoint, CreateEndpoint, RecoverEndpoint
from servicekit.access.admission import EVERY_OWNER, Access, Cost
from servicekit.http.route import Link, Route

_TAGS: Final = ("webhook endpoints",)
_ENDPOINT: Final = f"{ENDPOINTS}/{{endpoint_id}}"
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
_FIRST: Final[Sequence[Link]] = (("get_webhook_endpoint", {"endpoint_id": "$response.body#/data/0/id"}),)
_TO_DELIVERY: Final[Sequence[Link]] = tuple(
    (operation, {"delivery_id": "$response.body#/id"}) for operation in ("get_delivery", "resend_delivery")
)


def endpoint_reads(handlers: EndpointReadHandlers) -> Sequence[Route]:
    """Return the routes that read endpoints."""
    return (
        Route(
            method="GET",
            path=ENDPOINTS,
            handler=handlers.list,
            access=Access(scopes.WEBHOOKS_READ, EVERY_OWNER, Cost.READ),
            operation_id="list_webhook_endpoints",
            summary="The tenant's endpoints",
            description=OF_EVERY_OWNER,
            tags=_TAGS,
            response=EndpointsBody,
            links=_FIRST,
        ),
        Route(
            method="GET",
            path=_ENDPOINT,
            handler=handlers.get,
            access=Access(scopes.WEBHOOKS_READ, EVERY_OWNER, Cost.READ),
            operation_id="get_webhook_endpoint",
            summary="An endpoint",
            description=OF_EVERY_OWNER,
            tags=_TAGS,
            response=EndpointBody,
            problems=[problems.ENDPOINT_NOT_FOUND],
            links=_TO_ENDPOINT,
        ),
    )


def endpoint_changes(handlers: EndpointChangeHandlers) -> Sequence[Route]:
    """Return the routes that are repeated without harm, and so need no key."""
    return (
        Route(
            method="PATCH",
            path=_ENDPOINT,
            handler=handlers.change,
            access=Access(scopes.WEBHOOKS_WRITE, EVERY_OWNER, Cost.COMMAND),
            operation_id="change_webhook_endpoint",
            summary="Change what is given",
            description=OF_EVERY_OWNER,
            tags=_TAGS,
            request=ChangeEndpoint,
            response=EndpointBody,
            problems=[problems.ENDPOINT_NOT_FOUND, problems.WEBHOOK_URL_REFUSED],
            links=_TO_ENDPOINT,
        ),
        Route(
            method="DELETE",
            path=_ENDPOINT,
            handler=handlers.delete,
            access=Access(scopes.WEBHOOKS_WRITE, EVERY_OWNER, Cost.COMMAND),
            operation_id="delete_webhook_endpoint",
            summary="Delete an endpoint and cancel its pending deliveries",
            description=OF_EVERY_OWNER,
            tags=_TAGS,
            status=NO_CONTENT,
            problems=[problems.ENDPOINT_NOT_FOUND],
        ),
    )


def endpoint_commands(handlers: EndpointCommandHandlers) -> Sequence[Route]:
    """Return the routes that need an Idempotency-Key and say something."""
    return (
        _command(
            ENDPOINTS,
            handlers.create,
            "create_webhook_endpoint",
            "Create an endpoint; its secret is shown once",
            problems.ENDPOINT_LIMIT_REACHED,
            problems.WEBHOOK_URL_REFUSED,
            request=CreateEndpoint,
            response=NewEndpointBody,
            status=CREATED,
            links=_TO_ENDPOINT,
        ),
        _command(
            f"{_ENDPOINT}/recover",
            handlers.recover,
            "recover_webhook_endpoint",
            "Attempt failed deliveries again, now",
            problems.ENDPOINT_NOT_FOUND,
            problems.RATE_LIMITED,
            problems.ENDPOINT_NOT_ACTIVE,
            request=RecoverEndpoint,
            response=RecoveredBody,
        ),
    )


def endpoint_switches(handlers: EndpointCommandHandlers) -> Sequence[Route]:
    """Return the routes that need an Idempotency-Key and turn an endpoint off and on."""
    return (
        _command(
            f"{_ENDPOINT}/pause",
            handlers.pause,
            "pause_webhook_endpoint",
            "Gather deliveries and send none",
            problems.ENDPOINT_NOT_FOUND,
            problems.ENDPOINT_NOT_ACTIVE,
            response=EndpointBody,
            links=_TO_ENDPOINT,
        ),
        _command(
            f"{_ENDPOINT}/resume",
            handlers.resume,
            "resume_webhook_endpoint",
            "Send again, also where disabled",
            problems.ENDPOINT_NOT_FOUND,
            problems.RATE_LIMITED,
            response=EndpointBody,
            links=_TO_ENDPOINT,
        ),
    )


def endpoint_trials(handlers: EndpointCommandHandlers) -> Sequence[Route]:
    """Return the routes that need an Idempotency-Key and make something new of an endpoint: a message, a secret."""
    return (
        _command(
            f"{_ENDPOINT}/test",
            handlers.test,
            "test_webhook_endpoint",
            "Send a signed test message",
            problems.ENDPOINT_NOT_FOUND,
            problems.RATE_LIMITED,
            problems.ENDPOINT_NOT_ACTIVE,
            response=DeliveryBody,
            status=CREATED,
            links=_TO_DELIVERY,
        ),
        _command(
            f"{_ENDPOINT}/rotate-secret",
            handlers.rotate,
            "rotate_webhook_secret",
            "Make a new secret, shown once",
            problems.ENDPOINT_NOT_FOUND,
            response=RotatedBody,
        ),
    )


def _command(
    path: str,
    handler: Callable[..., Awaitable[Response]],
    operation_id: str,
    summary: str,
    *refusals: ProblemCode,
    response: type[BaseModel],
    request: type[BaseModel] | None = None,
    status: int = OK,
    links: Sequence[Link] = (),
) -> Route:
    return Route(
        method="POST",
        path=path,
        handler=handler,
        access=Access(scopes.WEBHOOKS_WRITE, EVERY_OWNER, Cost.COMMAND),
        operation_id=operation_id,
        summary=summary,
        description=OF_EVERY_OWNER,
        tags=_TAGS,
        request=request,
        response=response,
        status=status,
        problems=refusals,
        links=links,
    )
