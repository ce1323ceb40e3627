"""Answers of ordinary routes that are made without a pydantic model."""

from collections.abc import Mapping

from starlette.responses import Response


def json_response(body: bytes, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Return bytes that are JSON already as a response."""
    return Response(body, status, headers=headers, media_type="application/json")
