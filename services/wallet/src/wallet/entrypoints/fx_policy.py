"""The policy's section `fx` as it is sent: which currencies may be converted, and at what spread."""

from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct

from contracts.money import EXPONENTS
from servicekit.http.edge.decoding import invalid_request
from servicekit.http.problems import FieldError
from wallet.domain.destinations import PPM
from wallet.domain.fx import FxTerms
from wallet.entrypoints.fields import CurrencyCode

PAIRS_MAX: Final = 500
SpreadPpm = Annotated[int, Meta(ge=0, lt=PPM, description="Parts in a million of the mid rate.")]


class PairDocument(Struct, forbid_unknown_fields=True, kw_only=True):
    """A pair that may be converted, in this direction, at its own spread or that of all pairs."""

    source_currency: CurrencyCode
    destination_currency: CurrencyCode
    spread_ppm: SpreadPpm | None = None


class FxTermsDocument(Struct, forbid_unknown_fields=True, kw_only=True):
    """The pairs that may be converted, no others, and the spread of those without one of their own."""

    spread_ppm: SpreadPpm = 0
    pairs: Annotated[list[PairDocument], Meta(max_length=PAIRS_MAX)] = []


def fx_terms(document: FxTermsDocument, pointer: str) -> FxTerms:
    """Return the section; raises Problem `invalid_request` for an unknown currency, one pair twice, and no pair."""
    seen: set[tuple[str, str]] = set()
    for index, each in enumerate(document.pairs):
        place = f"{pointer}/document/pairs/{index}"
        for name in ("source_currency", "destination_currency"):
            if getattr(each, name) not in EXPONENTS:
                raise invalid_request(FieldError(f"{place}/{name}", "unknown_currency", "The currency is not known."))
        pair = each.source_currency, each.destination_currency
        if each.source_currency == each.destination_currency:
            detail = "A pair is of two different currencies."
            raise invalid_request(FieldError(f"{place}/destination_currency", "same_currency", detail))
        if pair in seen:
            raise invalid_request(FieldError(place, "duplicate_pair", "The pair stands twice."))
        seen.add(pair)
    return msgspec.convert(document, FxTerms, from_attributes=True)
