"""Payments to many, as they are asked for, and the payees of payments and captures."""

from collections.abc import Sequence
from typing import Annotated, Final, Literal
from uuid import UUID

from msgspec import Meta, Struct

from contracts import problems, scopes
from servicekit.access.admission import Access, Cost
from servicekit.http.edge.decoding import invalid_request
from servicekit.http.problems import FieldError
from wallet.domain.destinations import DESTINATIONS_MAX, PPM, Destination
from wallet.domain.payments import MakePayment
from wallet.entrypoints import money
from wallet.entrypoints.fields import (
    Amount,
    Description,
    Metadata,
    Reference,
    amount_minor_of,
    details_of,
)
from wallet.entrypoints.fields import Destination as OutsideText
from wallet.entrypoints.slices import CommandSlice

SharePpm = Annotated[int, Meta(ge=1, le=PPM, description="Parts in a million of what the fixed amounts leave.")]


class External(Struct, forbid_unknown_fields=True, kw_only=True):
    """A payee outside the platform."""

    destination: OutsideText | None = None


class PayeeRequest(Struct, forbid_unknown_fields=True, kw_only=True):
    """A payee, a wallet or outside, and its part: an amount, a share, or the rest."""

    wallet_id: UUID | None = None
    external: External | None = None
    amount: Amount | None = None
    share_ppm: SharePpm | None = None
    rest: Literal[True] | None = None


Payees = Annotated[list[PayeeRequest], Meta(min_length=1, max_length=DESTINATIONS_MAX)]


class PaymentRequest(Struct, forbid_unknown_fields=True, kw_only=True):
    """Pay from one wallet to up to a hundred payees, one of them outside at most, in one transaction."""

    source_wallet_id: UUID
    amount: Amount
    destinations: Payees
    reference: Reference | None = None
    description: Description | None = None
    metadata: Metadata | None = None


def destinations_of(payees: Sequence[PayeeRequest], currency: str | None, pointer: str) -> tuple[Destination, ...]:
    """Return the payees at *pointer*, whose amounts must be of *currency*, where that is known.

    Raises Problem `invalid_request` for one without exactly one destination and one part, for a wallet that stands
    twice and for a second payee outside.
    """
    made = tuple(_destination(each, currency, f"{pointer}/{index}") for index, each in enumerate(payees))
    seen: set[UUID | None] = set()
    for index, each in enumerate(made):
        if each.wallet_id in seen:
            detail = "A wallet stands once, and one payee outside."
            raise invalid_request(FieldError(f"{pointer}/{index}", "duplicate_destination", detail))
        seen.add(each.wallet_id)
    return made


def outside_text(payees: Sequence[PayeeRequest]) -> str | None:
    """Return what the payee outside is called, None without one."""
    return next((each.external.destination for each in payees if each.external is not None), None)


def _destination(payee: PayeeRequest, currency: str | None, pointer: str) -> Destination:
    if (payee.wallet_id is None) == (payee.external is None):
        detail = "Give wallet_id or external, and not both."
        raise invalid_request(FieldError(f"{pointer}/wallet_id", "one_destination", detail))
    if sum(part is not None for part in (payee.amount, payee.share_ppm, payee.rest)) != 1:
        detail = "Give one of amount, share_ppm and rest."
        raise invalid_request(FieldError(f"{pointer}/amount", "one_measure", detail))
    amount = payee.amount
    if amount is not None and currency is not None and amount.currency != currency:
        detail = "All amounts are of one currency."
        raise invalid_request(FieldError(f"{pointer}/amount/currency", "invalid_value", detail))
    return Destination(payee.wallet_id, None if amount is None else amount_minor_of(amount, pointer), payee.share_ppm)


def _pay(request: PaymentRequest, _path_id: UUID | None, pointer: str) -> MakePayment:
    for index, each in enumerate(request.destinations):
        if each.wallet_id == request.source_wallet_id:
            detail = "A payment needs other wallets than the payer's."
            raise invalid_request(FieldError(f"{pointer}/destinations/{index}/wallet_id", "same_wallet", detail))
    currency = request.amount.currency
    return MakePayment(
        request.source_wallet_id,
        amount_minor_of(request.amount, pointer),
        currency,
        destinations_of(request.destinations, currency, f"{pointer}/destinations"),
        details_of(request.reference, request.description, request.metadata, outside_text(request.destinations)),
    )


PAY: Final = CommandSlice(
    command=MakePayment,
    request=PaymentRequest,
    to_command=_pay,
    path="/v1/payments",
    access=Access(scopes.PAYMENTS_CREATE, "/source_wallet_id", Cost.COMMAND),
    operation_id="pay",
    summary="Pay from one wallet to many",
    problems=(
        *money.PROBLEMS,
        problems.INSUFFICIENT_FUNDS,
        problems.DISTRIBUTION_MISMATCH,
        problems.SHARE_TOO_SMALL,
    ),
    **money.MADE,
)
