"""What clients send, and how it becomes what commands take."""

from collections.abc import Sequence
from typing import Annotated, Any, Final
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from contracts import problems
from contracts.ids import parse_id
from notifications.domain.endpoints import Wanted
from notifications.domain.messages import SUBSCRIBABLE
from servicekit.http.edge.decoding import invalid_request
from servicekit.http.problems import FieldError, Problem
from servicekit.http.routes.keyed import Said
from servicekit.outbound.targets import URL_CHARACTERS_MAX, UrlRefused

DESCRIPTION_CHARACTERS_MAX: Final = 500
WALLETS_MAX: Final = 1_000
EVENT_TYPES_MAX: Final = 50
ID_CHARACTERS: Final = 36

_EVENT_TYPE_ITEMS: Final[dict[str, Any]] = {"items": {"type": "string", "enum": sorted(SUBSCRIBABLE)}}
_WALLET_ITEMS: Final[dict[str, Any]] = {
    "items": {"type": "string", "format": "uuid", "minLength": ID_CHARACTERS, "maxLength": ID_CHARACTERS}
}

Url = Annotated[
    str,
    Field(
        min_length=1,
        max_length=URL_CHARACTERS_MAX,
        description="Where webhooks are posted: https, a public host, port 443 or 1024 to 65535.",
        json_schema_extra={"format": "uri", "pattern": "^[!-~]+$"},
    ),
]
Description = Annotated[str | None, Field(max_length=DESCRIPTION_CHARACTERS_MAX)]
EventTypes = Annotated[
    list[str],
    Field(
        max_length=EVENT_TYPES_MAX,
        description="The event types that are told; empty: all of them.",
        json_schema_extra=_EVENT_TYPE_ITEMS,
    ),
]
WalletIds = Annotated[
    list[str],
    Field(
        max_length=WALLETS_MAX,
        description="The wallets whose events are told; empty: all of them.",
        json_schema_extra=_WALLET_ITEMS,
    ),
]


class CreateEndpoint(BaseModel):
    """A new webhook endpoint."""

    model_config = ConfigDict(extra="forbid", strict=True)

    url: Url
    description: Description = None
    event_types: EventTypes = Field(default_factory=list)
    wallet_ids: WalletIds = Field(default_factory=list)


class ChangeEndpoint(BaseModel):
    """What is to change of an endpoint; what is left out stays."""

    model_config = ConfigDict(extra="forbid", strict=True)

    url: Url = Field(default_factory=str)
    description: Description = None
    event_types: EventTypes = Field(default_factory=list)
    wallet_ids: WalletIds = Field(default_factory=list)


class RecoverEndpoint(BaseModel):
    """Since when failed deliveries are to be attempted again."""

    model_config = ConfigDict(extra="forbid", strict=True)

    since: Annotated[
        str,
        Field(
            max_length=64,
            description="RFC 3339 with its offset: deliveries recorded since then.",
            json_schema_extra={"format": "date-time"},
        ),
    ]


def wanted_of(body: CreateEndpoint | ChangeEndpoint) -> Wanted:
    """Return what *body* says; raise Problem `invalid_request` for unknown event types and malformed ids."""
    given = body.model_fields_set
    errors = [*_event_type_errors(body.event_types), *_wallet_errors(body.wallet_ids)]
    if errors:
        raise invalid_request(*errors)
    return Wanted(
        url=body.url if "url" in given else None,
        description=(body.description or "") if "description" in given else None,
        event_types=tuple(sorted(set(body.event_types))) if "event_types" in given else None,
        wallet_ids=tuple(sorted({UUID(text) for text in body.wallet_ids})) if "wallet_ids" in given else None,
    )


def said(wanted: Wanted) -> Said:
    """Return what tells a new endpoint from another: no list is an empty one, and no description is none."""
    return [wanted.url, wanted.description or None, wanted.event_types or (), wanted.wallet_ids or ()]


def url_problem(refused: UrlRefused) -> Problem:
    """Return the problem of a URL that webhooks are not sent to."""
    error = FieldError("/url", refused.refusal.value, refused.detail)
    return Problem(problems.WEBHOOK_URL_REFUSED, refused.detail, errors=[error], reason=refused.refusal.value)


def _event_type_errors(event_types: Sequence[str]) -> list[FieldError]:
    return [
        FieldError(f"/event_types/{index}", "unknown_event_type", "No such event type is delivered to webhooks.")
        for index, name in enumerate(event_types)
        if name not in SUBSCRIBABLE
    ]


def _wallet_errors(wallet_ids: Sequence[str]) -> list[FieldError]:
    return [
        FieldError(f"/wallet_ids/{index}", "invalid_id", "The value is not a wallet's id.")
        for index, text in enumerate(wallet_ids)
        if parse_id(text) is None
    ]
