"""The probe's HTTP: its webhook, and beside it the pages that every process has."""

from http import HTTPStatus
from typing import Final

from starlette.types import ASGIApp, Receive, Scope, Send

from observability.probe.inbox import Inbox
from observability.probe.settings import WEBHOOK_PATH

BODY_BYTES_MAX: Final = 64 * 1024


def with_webhook(pages: ASGIApp, inbox: Inbox) -> ASGIApp:
    """Return an application that answers webhooks from *inbox* and hands everything else to *pages*."""

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] == WEBHOOK_PATH:
            await _answer(send, await _taken(scope, receive, inbox))
        else:
            await pages(scope, receive, send)

    return application


async def _taken(scope: Scope, receive: Receive, inbox: Inbox) -> HTTPStatus:
    if scope["method"] != "POST":
        return HTTPStatus.METHOD_NOT_ALLOWED
    body = b""
    is_whole = False
    while not is_whole:
        message = await receive()
        if message["type"] == "http.disconnect":
            return HTTPStatus.BAD_REQUEST
        body += message.get("body", b"")
        if len(body) > BODY_BYTES_MAX:
            return HTTPStatus.REQUEST_ENTITY_TOO_LARGE
        is_whole = not message.get("more_body", False)
    headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
    return HTTPStatus.NO_CONTENT if inbox.take(headers, body) else HTTPStatus.UNAUTHORIZED


async def _answer(send: Send, status: HTTPStatus) -> None:
    await send({"type": "http.response.start", "status": int(status), "headers": []})
    await send({"type": "http.response.body", "body": b""})
