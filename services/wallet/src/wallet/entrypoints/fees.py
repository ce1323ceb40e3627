"""Fee rules, as they are sent: checked one by one, and against each other."""

from collections.abc import Sequence
from typing import Annotated, Final

from msgspec import Meta, Struct

from contracts.money import MoneyError
from servicekit.http.edge.decoding import invalid_request
from servicekit.http.problems import FieldError
from wallet.domain.destinations import PPM
from wallet.domain.fee_rules import BANDS_MAX, Band, Banding, Bearer, FeeOperation, FeeRule, contradictions, minor_of
from wallet.entrypoints.fields import CurrencyCode, Instant, instant_at

RuleAmount = Annotated[str, Meta(max_length=40, description="A decimal of the rule's currency.")]
RatePpm = Annotated[int, Meta(ge=0, le=PPM, description="Parts in a million of the amount.")]
RuleName = Annotated[str, Meta(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9._-]+$(?!\n)")]
_AMOUNTS: Final = ("flat", "minimum", "maximum")


class BandDocument(Struct, forbid_unknown_fields=True, kw_only=True):
    """What amounts of *up_to* and less cost, beyond the band before; the last band has no end."""

    up_to: RuleAmount | None = None
    flat: RuleAmount | None = None
    rate_ppm: RatePpm = 0


class FeeDocument(Struct, forbid_unknown_fields=True, kw_only=True):
    """A fee rule: what *bearer* pays for an *operation*, a flat amount and a rate, or by bands."""

    id: RuleName
    operation: FeeOperation
    currency: CurrencyCode
    bearer: Bearer
    tier: RuleName | None = None
    flat: RuleAmount | None = None
    rate_ppm: RatePpm = 0
    minimum: RuleAmount | None = None
    maximum: RuleAmount | None = None
    bands: Annotated[list[BandDocument], Meta(max_length=BANDS_MAX)] | None = None
    banding: Banding = "whole"
    valid_from: Instant | None = None
    valid_until: Instant | None = None


def fee_rules(documents: Sequence[FeeDocument], pointer: str) -> tuple[FeeRule, ...]:
    """Return the rules; raises Problem `invalid_request` for one that cannot be, alone or beside the others."""
    pointer = f"{pointer}/document"
    rules = tuple(_rule(document, f"{pointer}/{index}") for index, document in enumerate(documents))
    for index, why in contradictions(rules):
        raise invalid_request(FieldError(f"{pointer}/{index}", "contradiction", why))
    return rules


def _rule(document: FeeDocument, pointer: str) -> FeeRule:
    currency = document.currency
    _check_amount("0", currency, f"{pointer}/currency")
    for name in _AMOUNTS:
        _check_amount(getattr(document, name), currency, f"{pointer}/{name}")
    bands = tuple(_band(band, currency, f"{pointer}/bands/{index}") for index, band in enumerate(document.bands or ()))
    return FeeRule(
        id=document.id,
        operation=document.operation,
        currency=currency,
        bearer=document.bearer,
        tier=document.tier,
        flat=document.flat,
        rate_ppm=document.rate_ppm,
        minimum=document.minimum,
        maximum=document.maximum,
        bands=bands,
        banding=document.banding,
        valid_from=instant_at(document.valid_from, f"{pointer}/valid_from"),
        valid_until=instant_at(document.valid_until, f"{pointer}/valid_until"),
    )


def _band(document: BandDocument, currency: str, pointer: str) -> Band:
    _check_amount(document.up_to, currency, f"{pointer}/up_to")
    _check_amount(document.flat, currency, f"{pointer}/flat")
    return Band(up_to=document.up_to, flat=document.flat, rate_ppm=document.rate_ppm)


def _check_amount(amount: str | None, currency: str, pointer: str) -> None:
    if amount is None:
        return
    try:
        minor_of(amount, currency)
    except MoneyError as error:
        raise invalid_request(FieldError(pointer, error.code, error.detail)) from None
