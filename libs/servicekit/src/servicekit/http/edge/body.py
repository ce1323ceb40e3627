"""Reading a request's body, bounded in bytes while it streams. Its time is bounded by its connection."""

from collections.abc import Mapping
from typing import Final

from starlette.types import Message, Receive

from contracts import problems
from servicekit.http.problems import Problem

DRAIN_BYTES_MAX: Final = 8 * 1024 * 1024
"""What is read and thrown away of a body that is too large, so that its sender gets to read the answer."""

BODILESS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
"""Methods whose body nobody reads."""

JSON_TYPES: Final = frozenset(
    {b"application/json", b"application/json; charset=utf-8", b"application/json;charset=utf-8"}
)


class ClientDisconnected(Exception):
    """The client went away before its request was complete."""


async def read_body(receive: Receive, bytes_max: int, declared: bytes | None) -> bytes:
    """Return the whole body; raise Problem `body_too_large`, or ClientDisconnected where it does not arrive."""
    if declared is not None and declared.isdigit() and int(declared) > max(bytes_max, DRAIN_BYTES_MAX):
        raise _too_large(bytes_max, close=True)
    message = await receive()
    if message["type"] == "http.request" and not message.get("more_body", False):
        body: bytes = message.get("body", b"")
        if len(body) > bytes_max:
            raise _too_large(bytes_max, close=False)
        return body
    return await _read_rest(receive, message, bytes_max)


async def _read_rest(receive: Receive, message: Message, bytes_max: int) -> bytes:
    body = bytearray()
    discarded = 0
    while True:
        if message["type"] != "http.request":
            raise ClientDisconnected
        chunk = message.get("body", b"")
        assert isinstance(chunk, bytes)
        if discarded or len(body) + len(chunk) > bytes_max:
            discarded += len(chunk)
        else:
            body += chunk
        if not message.get("more_body", False) or discarded > DRAIN_BYTES_MAX:
            break
        message = await receive()
    if discarded:
        raise _too_large(bytes_max, close=discarded > DRAIN_BYTES_MAX)
    return bytes(body)


def check_content_type(headers: Mapping[bytes, bytes]) -> None:
    """Raise Problem `unsupported_media_type` unless the body is JSON as it stands (in UTF-8, where it says so)."""
    if headers.get(b"content-encoding", b"identity").lower() != b"identity":
        raise Problem(problems.UNSUPPORTED_MEDIA_TYPE, "The body must be sent as it is, without a Content-Encoding.")
    content_type = headers.get(b"content-type")
    if content_type in JSON_TYPES:
        return
    parts = [part.strip().lower() for part in (content_type or b"").split(b";")]
    charsets = [part for part in parts[1:] if part.startswith(b"charset=")]
    if parts[0] != b"application/json" or any(c not in (b"charset=utf-8", b'charset="utf-8"') for c in charsets):
        raise Problem(problems.UNSUPPORTED_MEDIA_TYPE, "The body must be sent as application/json in UTF-8.")


def _too_large(bytes_max: int, *, close: bool) -> Problem:
    headers = [(b"connection", b"close")] if close else []
    return Problem(
        problems.BODY_TOO_LARGE, f"The body may have {bytes_max} bytes here.", headers=headers, limit_bytes=bytes_max
    )
