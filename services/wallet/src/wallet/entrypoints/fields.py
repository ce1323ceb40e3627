"""Fields of requests, each declared once, and what commands are made of them."""

from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Final

from msgspec import Meta

from contracts.money import EXPONENTS, Money, MoneyError, parse_amount_minor, parse_limit_minor
from servicekit.http.edge.decoding import invalid_request
from servicekit.http.problems import FieldError
from servicekit.http.routes.parsing import instant_of
from wallet.domain.texts import FreeText

# What is only said in the OpenAPI document, and checked elsewhere: NUL by the decoding of every body, currencies and
# amounts by what makes commands of requests.
_NO_NUL: Final = {"pattern": r"^[^\x00]*$"}
_KNOWN: Final = {"enum": sorted(EXPONENTS)}
_DECIMAL: Final = {"pattern": r"^(0|[1-9][0-9]{0,17})(\.[0-9]{1,9})?$"}

OWNER_ID_LENGTH_MAX: Final = 100
OwnerId = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=OWNER_ID_LENGTH_MAX,
        description="Your id of the wallet's owner.",
        extra_json_schema=_NO_NUL,
    ),
]
OWNER_ID_SCHEMA: Final = {"type": "string", "minLength": 1, "maxLength": OWNER_ID_LENGTH_MAX, **_NO_NUL}
CurrencyCode = Annotated[
    str, Meta(min_length=3, max_length=3, description="An ISO 4217 code.", extra_json_schema=_KNOWN)
]
Placement = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=128,
        description="Wallets of one placement group are stored together; the owner's own group unless named.",
        extra_json_schema=_NO_NUL,
    ),
]
Label = Annotated[str, Meta(max_length=100, extra_json_schema=_NO_NUL)]
Reference = Annotated[
    str, Meta(min_length=1, max_length=100, description="Your own id of the transaction.", extra_json_schema=_NO_NUL)
]
Instant = Annotated[str, Meta(max_length=64, extra_json_schema={"format": "date-time"})]
Description = Annotated[str, Meta(max_length=500, extra_json_schema=_NO_NUL)]
Destination = Annotated[
    str, Meta(min_length=1, max_length=500, description="Where the money goes outside.", extra_json_schema=_NO_NUL)
]
ReasonText = Annotated[str, Meta(min_length=1, max_length=500, extra_json_schema=_NO_NUL)]
MetadataKey = Annotated[str, Meta(min_length=1, max_length=40, extra_json_schema=_NO_NUL)]
MetadataValue = Annotated[str, Meta(max_length=500, extra_json_schema=_NO_NUL)]
Metadata = Annotated[dict[MetadataKey, MetadataValue], Meta(max_length=20)]
# Said in the document as it is checked: $ alone would let a newline through here, and readers of it know no \Z.
KeyText = Annotated[str, Meta(min_length=1, max_length=255, pattern=r"^[!-~]+$(?!\n)")]


class Amount(Money, frozen=True, forbid_unknown_fields=True):
    """An amount above zero, without a sign, in the currency's decimals or fewer: at most 9·10¹⁴ of its minor units."""

    amount: Annotated[str, Meta(extra_json_schema=_DECIMAL)]
    currency: Annotated[str, Meta(extra_json_schema=_KNOWN)]


def is_owner_id(text: str) -> bool:
    """Return whether *text*, from a path, may be an owner's id."""
    return 0 < len(text) <= OWNER_ID_LENGTH_MAX and "\x00" not in text


def limit_minor_of(amount: Money, pointer: str) -> int:
    """Return the minor units of the *amount* at *pointer*, which may be nothing; raises Problem `invalid_request`."""
    return _minor_of(parse_limit_minor, amount, pointer)


def amount_minor_of(amount: Money, pointer: str) -> int:
    """Return the minor units of *amount*; raises Problem `invalid_request`, *pointer* being its request's place."""
    return _minor_of(parse_amount_minor, amount, f"{pointer}/amount")


def _minor_of(parse: Callable[[str, str], int], amount: Money, pointer: str) -> int:
    try:
        return parse(amount.amount, amount.currency)
    except MoneyError as error:
        field = "currency" if error.code == "unknown_currency" else "amount"
        raise invalid_request(FieldError(f"{pointer}/{field}", error.code, error.detail)) from None


def plain_minor_of(amount: str, currency: str, pointer: str) -> int:
    """Return the minor units of *amount*, which stands at *pointer*; raises Problem `invalid_request`."""
    try:
        return parse_amount_minor(amount, currency)
    except MoneyError as error:
        raise invalid_request(FieldError(pointer, error.code, error.detail)) from None


def instant_at(text: str | None, pointer: str) -> datetime | None:
    """Return the instant at *pointer*, None where there is none; raises Problem `invalid_request`."""
    return None if text is None else instant_of(text, pointer.removeprefix("/"), invalid_request)


def details_of(
    reference: str | None, description: str | None, metadata: dict[str, str] | None, destination: str | None = None
) -> FreeText | None:
    """Return the free text of a transaction, None if there is none."""
    if reference is None and description is None and metadata is None and destination is None:
        return None
    return FreeText(reference, description, in_order(metadata), destination)


def in_order(metadata: dict[str, str] | None) -> dict[str, str] | None:
    """Return *metadata* in one order, so that the order of members does not make another request of it."""
    return dict(sorted(metadata.items())) if metadata else metadata
