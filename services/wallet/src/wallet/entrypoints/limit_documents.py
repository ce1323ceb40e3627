"""Limits, as they are sent: those of wallets and those of tiers."""

from collections.abc import Sequence
from typing import Annotated, Final

from msgspec import Meta, Struct

from contracts.money import MoneyError
from servicekit.http.edge.decoding import invalid_request
from servicekit.http.problems import FieldError
from wallet.domain.fee_rules import minor_of
from wallet.domain.limits import LIMITS_MAX, Limit, LimitOperation, LimitScope, Tier, contradictions
from wallet.entrypoints.fields import CurrencyCode

LimitAmount = Annotated[str, Meta(max_length=40, description="A decimal of the limit's currency.")]
LimitCount = Annotated[int, Meta(ge=0, le=2**31 - 1)]
TierName = Annotated[str, Meta(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9._-]+$(?!\n)")]
_AMOUNTS: Final = ("per_transaction", "day_amount", "month_amount", "balance")


class LimitDocument(Struct, forbid_unknown_fields=True, kw_only=True):
    """A limit: what may go through *operation* in *currency*, of one wallet, or of all of an owner's together.

    `debit` is everything that takes money out, holds among them. *balance* bounds what a wallet may have after
    something came in: of limits on deposits to wallets.
    """

    scope: LimitScope
    operation: LimitOperation
    currency: CurrencyCode
    per_transaction: LimitAmount | None = None
    day_amount: LimitAmount | None = None
    day_count: LimitCount | None = None
    month_amount: LimitAmount | None = None
    month_count: LimitCount | None = None
    balance: LimitAmount | None = None


LimitDocuments = Annotated[list[LimitDocument], Meta(max_length=LIMITS_MAX)]


class TierDocument(Struct, forbid_unknown_fields=True, kw_only=True):
    """The limits of the owners of one tier; those of `default` are for whoever has no other."""

    name: TierName
    limits: LimitDocuments


def limits_of(documents: Sequence[LimitDocument], pointer: str) -> tuple[Limit, ...]:
    """Return the limits at *pointer*; raises Problem `invalid_request` for one that cannot be, alone or with others."""
    limits = tuple(_limit(document, f"{pointer}/{index}") for index, document in enumerate(documents))
    for index, why in contradictions(limits):
        raise invalid_request(FieldError(f"{pointer}/{index}", "contradiction", why))
    return limits


def tiers_of(documents: Sequence[TierDocument], pointer: str) -> tuple[Tier, ...]:
    """Return the tiers; raises Problem `invalid_request` for one that cannot be, alone or beside the others."""
    pointer, seen, tiers = f"{pointer}/document", set[str](), []
    for index, document in enumerate(documents):
        if document.name in seen:
            raise invalid_request(FieldError(f"{pointer}/{index}/name", "contradiction", "Another tier has the name."))
        seen.add(document.name)
        tiers.append(Tier(name=document.name, limits=limits_of(document.limits, f"{pointer}/{index}/limits")))
    return tuple(tiers)


def _limit(document: LimitDocument, pointer: str) -> Limit:
    amounts = {name: getattr(document, name) for name in _AMOUNTS}
    for name, amount in (("currency", "0"), *amounts.items()):
        if amount is not None:
            _check_amount(amount, document.currency, f"{pointer}/{name}")
    return Limit(
        scope=document.scope,
        operation=document.operation,
        currency=document.currency,
        day_count=document.day_count,
        month_count=document.month_count,
        **amounts,
    )


def _check_amount(amount: str, currency: str, pointer: str) -> None:
    try:
        minor_of(amount, currency)
    except MoneyError as error:
        raise invalid_request(FieldError(pointer, error.code, error.detail)) from None
