"""Refunds, reversals and chargebacks, as they are asked for and answered."""

from collections.abc import Sequence
from itertools import groupby
from typing import Annotated, Any, Final
from uuid import UUID

import msgspec
from msgspec import Meta, Struct

from contracts import problems, scopes
from servicekit.access.admission import Access, Cost
from servicekit.http.edge.decoding import invalid_request
from servicekit.http.problems import FieldError
from wallet.domain.commands import Command
from wallet.domain.destinations import DESTINATIONS_MAX
from wallet.domain.mandate import Mandate
from wallet.domain.refund_commands import ChargeBack, Part, RefundTransaction, ReverseTransaction, TakeBack
from wallet.domain.refunds import (
    TRANSACTION,
    ChargebackDebited,
    FeeReturned,
    RefundReceived,
    RefundSent,
    TransactionReversed,
)
from wallet.domain.texts import FreeText
from wallet.entrypoints import money
from wallet.entrypoints.fields import Amount, ReasonText, Reference, amount_minor_of
from wallet.entrypoints.rendering import answer_refund
from wallet.entrypoints.slices import CommandSlice, Lookups, force_scope
from wallet.entrypoints.transactions import original_of

_TRANSACTION: Final = "/v1/transactions/{transaction_id}"
Force = Annotated[bool, Meta(description="Go below floors and through restrictions; staff alone.")]


class RefundPart(Struct, forbid_unknown_fields=True, kw_only=True):
    """A payee of the transaction, and how much it gives back."""

    wallet_id: UUID
    amount: Amount


class RefundRequest(Struct, forbid_unknown_fields=True, kw_only=True):
    """Give *amount* of a transaction back, all that is left unless it is given, or *parts* of its payees.

    *refund_fees* returns fees in proportion.
    """

    amount: Amount | None = None
    parts: Annotated[list[RefundPart], Meta(min_length=1, max_length=DESTINATIONS_MAX)] | None = None
    reason: ReasonText
    refund_fees: bool = False
    force: Force = False


class ReversalRequest(Struct, forbid_unknown_fields=True, kw_only=True):
    """Give all that is left of a transaction back, fees included."""

    reason: ReasonText
    force: Force = False


class ChargebackRequest(Struct, forbid_unknown_fields=True, kw_only=True):
    """Take *amount* of a deposit back, all that is left unless it is given; *case* is the bank's, a reference."""

    amount: Amount | None = None
    reason: ReasonText
    case: Reference | None = None


def _refund(request: RefundRequest, transaction_id: UUID | None, pointer: str) -> RefundTransaction:
    assert transaction_id is not None
    amount_minor, currency = _amount_of(request.amount, pointer)
    parts: tuple[Part, ...] = ()
    if request.parts is not None:
        parts, currency = _parts_of(request.parts, currency, f"{pointer}/parts")
        if amount_minor is not None and amount_minor != sum(part.amount_minor for part in parts):
            detail = "The parts come to another amount: leave it out."
            raise invalid_request(FieldError(f"{pointer}/amount", "parts_mismatch", detail))
    return RefundTransaction(
        transaction_id,
        FreeText(reason=request.reason),
        request.force,
        amount_minor=amount_minor,
        currency=currency,
        parts=parts,
        returns_fees=request.refund_fees,
    )


def _parts_of(parts: Sequence[RefundPart], currency: str | None, pointer: str) -> tuple[tuple[Part, ...], str]:
    """Return the parts at *pointer* and their currency, which is *currency* where that is known."""
    currency = parts[0].amount.currency if currency is None else currency
    seen: set[UUID] = set()
    for index, part in enumerate(parts):
        if part.amount.currency != currency:
            detail = "All amounts are of one currency."
            raise invalid_request(FieldError(f"{pointer}/{index}/amount/currency", "invalid_value", detail))
        if part.wallet_id in seen:
            raise invalid_request(FieldError(f"{pointer}/{index}", "duplicate_destination", "A wallet stands once."))
        seen.add(part.wallet_id)
    made = [
        Part(part.wallet_id, amount_minor_of(part.amount, f"{pointer}/{index}")) for index, part in enumerate(parts)
    ]
    return tuple(made), currency


def _reverse(request: ReversalRequest, transaction_id: UUID | None, _pointer: str) -> ReverseTransaction:
    assert transaction_id is not None
    return ReverseTransaction(transaction_id, FreeText(reason=request.reason), request.force)


def _charge_back(request: ChargebackRequest, transaction_id: UUID | None, pointer: str) -> ChargeBack:
    assert transaction_id is not None
    amount_minor, currency = _amount_of(request.amount, pointer)
    text = FreeText(reference=request.case, reason=request.reason)
    return ChargeBack(transaction_id, text, amount_minor=amount_minor, currency=currency)


def _amount_of(amount: Amount | None, pointer: str) -> tuple[int | None, str | None]:
    return (None, None) if amount is None else (amount_minor_of(amount, pointer), amount.currency)


async def find_originals(lookups: Lookups, mandate: Mandate, commands: Sequence[TakeBack]) -> Sequence[Command]:
    """Return *commands* with the transactions that they take back, as far as *mandate* lets them be seen."""
    ids = [*dict.fromkeys(command.transaction_id for command in commands)]
    entries = await lookups.reads.entries(mandate, ids)
    found = {key: original_of(list(group)) for key, group in groupby(entries, key=lambda entry: entry.transaction_id)}
    return [msgspec.structs.replace(command, original=found.get(command.transaction_id)) for command in commands]


_MADE: Final[dict[str, Any]] = {
    **money.MADE,
    "answer": answer_refund,
    "prepare": find_originals,
    "kinds": (TRANSACTION,),
    "tag": "transactions",
}
_PROBLEMS: Final = (
    problems.TRANSACTION_NOT_FOUND,
    problems.TRANSACTION_NOT_REFUNDABLE,
    problems.TRANSACTION_REVERSED,
    problems.REFUND_EXCEEDS_TRANSACTION,
    problems.REFUND_LIMIT_REACHED,
    problems.SHARE_TOO_SMALL,
    problems.INSUFFICIENT_FUNDS,
    *money.PROBLEMS,
)

SLICES: Final = (
    CommandSlice(
        command=RefundTransaction,
        facts=(RefundSent, RefundReceived, FeeReturned),
        request=RefundRequest,
        to_command=_refund,
        path=f"{_TRANSACTION}/refunds",
        access=Access(scopes.REFUNDS_CREATE, "{transaction_id}", Cost.COMMAND),
        also_needs=force_scope,
        operation_id="refund",
        summary="Give a transaction back, wholly or in part",
        problems=_PROBLEMS,
        **_MADE,
    ),
    CommandSlice(
        command=ReverseTransaction,
        facts=(TransactionReversed,),
        request=ReversalRequest,
        to_command=_reverse,
        path=f"{_TRANSACTION}/reversal",
        access=Access(scopes.REFUNDS_CREATE, "{transaction_id}", Cost.COMMAND),
        also_needs=force_scope,
        operation_id="reverse",
        summary="Give all that is left of a transaction back, fees included",
        problems=_PROBLEMS,
        **_MADE,
    ),
    CommandSlice(
        command=ChargeBack,
        facts=(ChargebackDebited,),
        request=ChargebackRequest,
        to_command=_charge_back,
        path=f"{_TRANSACTION}/chargebacks",
        access=Access(scopes.CHARGEBACKS_CREATE, "{transaction_id}", Cost.COMMAND),
        operation_id="charge_back",
        summary="Take a deposit back that a bank took back",
        problems=_PROBLEMS,
        **_MADE,
    ),
)
