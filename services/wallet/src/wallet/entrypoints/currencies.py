"""The page of the currencies that there are: it asks for no credential."""

from typing import Any, Final

import msgspec
from fastapi import APIRouter, Response

from contracts import problems
from contracts.money import EXPONENTS
from servicekit.http.openapi.responses import declared, page_content
from servicekit.http.routes.responses import json_response

_PAGE: Final = msgspec.json.encode(
    {"data": [{"code": code, "exponent": exponent} for code, exponent in sorted(EXPONENTS.items())]}
)
_SCHEMA: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["data"],
    "properties": {
        "data": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["code", "exponent"],
                "properties": {
                    "code": {"type": "string", "enum": sorted(EXPONENTS)},
                    "exponent": {"type": "integer", "minimum": 0, "maximum": 9},
                },
            },
        }
    },
}


def currencies_page() -> APIRouter:
    """Return the route that answers the currencies."""
    router = APIRouter(tags=["reference"])

    @router.get(
        "/v1/currencies",
        summary="The currencies, and how many decimals each has",
        operation_id="list_currencies",
        response_class=Response,
        responses={**declared(problems.INVALID_QUERY), 200: page_content("application/json", _SCHEMA)},
    )
    async def list_currencies() -> Response:
        return json_response(_PAGE)

    return router
