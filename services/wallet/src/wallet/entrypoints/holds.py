"""Holds, as they are asked for and answered."""

from typing import Any, Final
from uuid import UUID

import msgspec
from msgspec import Struct

from contracts import problems, scopes
from servicekit.access.admission import Access, Cost
from servicekit.http.edge.decoding import invalid_request
from servicekit.http.problems import FieldError
from servicekit.http.route import Link
from wallet.application.ports import CarriedOut
from wallet.application.units import Answer
from wallet.domain.commands import Command
from wallet.domain.destinations import Destination
from wallet.domain.hold_commands import CaptureHold, IncreaseHold, PlaceHold, VoidHold
from wallet.domain.holds import HOLD, HoldCaptured, HoldIncreased, HoldPlaced, HoldReleased
from wallet.entrypoints import money
from wallet.entrypoints.bodies import HoldBody, TransactionBody, hold_body
from wallet.entrypoints.fields import (
    Amount,
    Description,
    Instant,
    Metadata,
    ReasonText,
    Reference,
    amount_minor_of,
    details_of,
    instant_at,
)
from wallet.entrypoints.payments import External, Payees, destinations_of, outside_text
from wallet.entrypoints.rendering import CREATED, OK, answer_payers_transaction
from wallet.entrypoints.slices import CommandSlice, force_scope

HOLDS: Final = "/v1/holds"
_HOLD: Final = f"{HOLDS}/{{hold_id}}"
_TAG: Final = "holds"
_TO_HOLD: Final[tuple[Link, ...]] = tuple(
    (operation, {"hold_id": "$response.body#/id"})
    for operation in ("get_hold", "increase_hold", "capture_hold", "void_hold")
)
_SETTLING: Final = (problems.HOLD_NOT_FOUND, problems.HOLD_SETTLED)
_SPENDING: Final = (*money.PROBLEMS, problems.INSUFFICIENT_FUNDS, problems.HOLD_EXPIRY_OUT_OF_RANGE)
_encode: Final = msgspec.json.Encoder().encode


class PlaceHoldRequest(Struct, forbid_unknown_fields=True, kw_only=True):
    """Hold money of a wallet, for seven days unless *expires_at* says otherwise, for 31 at most."""

    wallet_id: UUID
    amount: Amount
    expires_at: Instant | None = None
    reference: Reference | None = None
    description: Description | None = None
    metadata: Metadata | None = None


class IncreaseHoldRequest(Struct, forbid_unknown_fields=True, kw_only=True):
    """Hold *amount* more, until *expires_at*: at least one of both."""

    amount: Amount | None = None
    expires_at: Instant | None = None


class CaptureHoldRequest(Struct, forbid_unknown_fields=True, kw_only=True):
    """Pay *amount* of a hold, all that remains unless it is given, to a wallet, out, or to many.

    *final* releases what then remains. *force* captures more than remains, also after the hold's end; staff alone.
    """

    amount: Amount | None = None
    destination_wallet_id: UUID | None = None
    external: External | None = None
    destinations: Payees | None = None
    final: bool = False
    force: bool = False
    reference: Reference | None = None
    description: Description | None = None
    metadata: Metadata | None = None


class VoidHoldRequest(Struct, forbid_unknown_fields=True, kw_only=True):
    """Release all that is left in a hold."""

    reason: ReasonText | None = None


def _place(request: PlaceHoldRequest, _path_id: UUID | None, pointer: str) -> PlaceHold:
    return PlaceHold(
        request.wallet_id,
        amount_minor_of(request.amount, pointer),
        request.amount.currency,
        instant_at(request.expires_at, f"{pointer}/expires_at"),
        details_of(request.reference, request.description, request.metadata),
    )


def _increase(request: IncreaseHoldRequest, hold_id: UUID | None, pointer: str) -> IncreaseHold:
    assert hold_id is not None
    if request.amount is None and request.expires_at is None:
        raise invalid_request(FieldError(f"{pointer}/amount", "missing", "An amount or a later expiry is needed."))
    amount = request.amount
    return IncreaseHold(
        hold_id,
        0 if amount is None else amount_minor_of(amount, pointer),
        None if amount is None else amount.currency,
        instant_at(request.expires_at, f"{pointer}/expires_at"),
    )


def _capture(request: CaptureHoldRequest, hold_id: UUID | None, pointer: str) -> CaptureHold:
    assert hold_id is not None
    amount = request.amount
    amounts = [amount, *(each.amount for each in request.destinations or ())]
    currency = next((each.currency for each in amounts if each is not None), None)
    destinations, outside = _payees(request, currency, pointer)
    return CaptureHold(
        hold_id,
        destinations,
        None if amount is None else amount_minor_of(amount, pointer),
        currency,
        request.final,
        details_of(request.reference, request.description, request.metadata, outside),
        request.force,
    )


def _payees(
    request: CaptureHoldRequest, currency: str | None, pointer: str
) -> tuple[tuple[Destination, ...], str | None]:
    """Return the payees of a capture, and what the one outside is called."""
    wallet_id, external, several = request.destination_wallet_id, request.external, request.destinations
    if sum(form is not None for form in (wallet_id, external, several)) != 1:
        detail = "Give one of destination_wallet_id, external and destinations."
        raise invalid_request(FieldError(f"{pointer}/destination_wallet_id", "one_destination", detail))
    if several is not None:
        return destinations_of(several, currency, f"{pointer}/destinations"), outside_text(several)
    return (Destination(wallet_id),), None if external is None else external.destination


def _void(request: VoidHoldRequest, hold_id: UUID | None, _pointer: str) -> VoidHold:
    assert hold_id is not None
    return VoidHold(hold_id, request.reason)


def _placed(_command: Command, done: CarriedOut) -> Answer:
    return CREATED, _encode(hold_body(done.states[0]))


def answer_hold(_command: Command, done: CarriedOut) -> Answer:
    """Answer with the hold that was changed."""
    return OK, _encode(hold_body(done.states[0]))


_CHANGES: Final[dict[str, Any]] = {
    "kinds": (HOLD,),
    "answer": answer_hold,
    "access": Access(scopes.HOLDS_WRITE, "{hold_id}", Cost.COMMAND),
    "tag": _TAG,
    "response": HoldBody,
    "links": _TO_HOLD,
}
"""What every command that changes a hold has in common."""

SLICES: Final = (
    CommandSlice(
        command=PlaceHold,
        facts=(HoldPlaced,),
        kinds=(HOLD,),
        request=PlaceHoldRequest,
        to_command=_place,
        answer=_placed,
        path=HOLDS,
        access=Access(scopes.HOLDS_WRITE, "/wallet_id", Cost.COMMAND),
        located_at=f"{HOLDS}/",
        operation_id="place_hold",
        summary="Hold money of a wallet",
        tag=_TAG,
        status=CREATED,
        response=HoldBody,
        problems=_SPENDING,
        links=_TO_HOLD,
    ),
    CommandSlice(
        command=IncreaseHold,
        facts=(HoldIncreased,),
        request=IncreaseHoldRequest,
        to_command=_increase,
        path=f"{_HOLD}/increase",
        operation_id="increase_hold",
        summary="Hold more, or for longer",
        problems=(*_SETTLING, problems.HOLD_EXPIRED, problems.INCREASE_LIMIT_REACHED, *_SPENDING),
        **_CHANGES,
    ),
    CommandSlice(
        command=CaptureHold,
        facts=(HoldCaptured,),
        kinds=(HOLD,),
        request=CaptureHoldRequest,
        to_command=_capture,
        answer=answer_payers_transaction,
        path=f"{_HOLD}/capture",
        access=Access(scopes.HOLDS_WRITE, "{hold_id}", Cost.COMMAND),
        located_at="/v1/transactions/",
        operation_id="capture_hold",
        summary="Pay what is held",
        tag=_TAG,
        status=CREATED,
        response=TransactionBody,
        also_needs=force_scope,
        problems=(
            *_SETTLING,
            problems.HOLD_EXPIRED,
            problems.CAPTURE_EXCEEDS_HOLD,
            problems.CAPTURE_LIMIT_REACHED,
            problems.SAME_WALLET,
            problems.DISTRIBUTION_MISMATCH,
            problems.SHARE_TOO_SMALL,
            *money.PROBLEMS,
        ),
        links=money.TO_TRANSACTION,
    ),
    CommandSlice(
        command=VoidHold,
        facts=(HoldReleased,),
        request=VoidHoldRequest,
        to_command=_void,
        path=f"{_HOLD}/void",
        operation_id="void_hold",
        summary="Release a hold",
        problems=_SETTLING,
        **_CHANGES,
    ),
)
