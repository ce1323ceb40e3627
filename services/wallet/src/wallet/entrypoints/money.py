"""Money moves: deposits, withdrawals and transfers, as they are asked for and answered."""

from typing import Any, Final
from uuid import UUID

from msgspec import Struct

from contracts import problems, scopes
from servicekit.access.admission import Access, Cost
from servicekit.http.edge.decoding import invalid_request
from servicekit.http.problems import FieldError
from servicekit.http.route import Link
from wallet.domain.fee_facts import FeeCharged
from wallet.domain.money import (
    DepositFunds,
    FundsDeposited,
    FundsReceived,
    FundsSent,
    FundsWithdrawn,
    TransferFunds,
    WithdrawFunds,
)
from wallet.entrypoints.bodies import TransactionBody
from wallet.entrypoints.fields import (
    Amount,
    Description,
    Destination,
    Metadata,
    Reference,
    amount_minor_of,
    details_of,
)
from wallet.entrypoints.rendering import answer_transaction
from wallet.entrypoints.slices import CommandSlice

PROBLEMS: Final = (
    problems.WALLET_NOT_FOUND,
    problems.WALLET_CLOSED,
    problems.WALLET_FROZEN,
    problems.CURRENCY_MISMATCH,
    problems.BALANCE_OVERFLOW,
    problems.FEE_EXCEEDS_AMOUNT,
)
"""Why money is refused, whichever way it goes."""
TO_TRANSACTION: Final[tuple[Link, ...]] = (("get_transaction", {"transaction_id": "$response.body#/id"}),)
MADE: Final[dict[str, Any]] = {
    "answer": answer_transaction,
    "located_at": "/v1/transactions/",
    "tag": "money",
    "status": 201,
    "response": TransactionBody,
    "links": TO_TRANSACTION,
}
"""What every command that makes a transaction has in common."""


class DepositRequest(Struct, forbid_unknown_fields=True, kw_only=True):
    """Take money in from outside."""

    wallet_id: UUID
    amount: Amount
    reference: Reference | None = None
    description: Description | None = None
    metadata: Metadata | None = None


class WithdrawalRequest(Struct, forbid_unknown_fields=True, kw_only=True):
    """Pay money out."""

    wallet_id: UUID
    amount: Amount
    destination: Destination | None = None
    reference: Reference | None = None
    description: Description | None = None
    metadata: Metadata | None = None


class TransferRequest(Struct, forbid_unknown_fields=True, kw_only=True):
    """Move money between two wallets of one currency."""

    source_wallet_id: UUID
    destination_wallet_id: UUID
    amount: Amount
    reference: Reference | None = None
    description: Description | None = None
    metadata: Metadata | None = None


def _deposit(request: DepositRequest, _path_id: UUID | None, pointer: str) -> DepositFunds:
    return DepositFunds(
        request.wallet_id,
        amount_minor_of(request.amount, pointer),
        request.amount.currency,
        details_of(request.reference, request.description, request.metadata),
    )


def _withdraw(request: WithdrawalRequest, _path_id: UUID | None, pointer: str) -> WithdrawFunds:
    return WithdrawFunds(
        request.wallet_id,
        amount_minor_of(request.amount, pointer),
        request.amount.currency,
        details_of(request.reference, request.description, request.metadata, request.destination),
    )


def to_transfer(request: TransferRequest, _path_id: UUID | None, pointer: str) -> TransferFunds:
    """Return the transfer that *request* asks for; raises Problem `invalid_request`."""
    if request.source_wallet_id == request.destination_wallet_id:
        raise invalid_request(
            FieldError(f"{pointer}/destination_wallet_id", "same_wallet", "A transfer needs two different wallets.")
        )
    return TransferFunds(
        request.source_wallet_id,
        request.destination_wallet_id,
        amount_minor_of(request.amount, pointer),
        request.amount.currency,
        details_of(request.reference, request.description, request.metadata),
    )


SLICES: Final = (
    CommandSlice(
        command=DepositFunds,
        facts=(FundsDeposited,),
        request=DepositRequest,
        to_command=_deposit,
        path="/v1/deposits",
        access=Access(scopes.DEPOSITS_CREATE, None, Cost.COMMAND),
        operation_id="deposit",
        summary="Take money in from outside",
        problems=PROBLEMS,
        **MADE,
    ),
    CommandSlice(
        command=WithdrawFunds,
        facts=(FundsWithdrawn,),
        request=WithdrawalRequest,
        to_command=_withdraw,
        path="/v1/withdrawals",
        access=Access(scopes.WITHDRAWALS_CREATE, "/wallet_id", Cost.COMMAND),
        operation_id="withdraw",
        summary="Pay money out",
        problems=(*PROBLEMS, problems.INSUFFICIENT_FUNDS),
        **MADE,
    ),
    CommandSlice(
        command=TransferFunds,
        facts=(FundsSent, FundsReceived, FeeCharged),
        request=TransferRequest,
        to_command=to_transfer,
        path="/v1/transfers",
        access=Access(scopes.TRANSFERS_CREATE, "/source_wallet_id", Cost.COMMAND),
        operation_id="transfer",
        summary="Move money between two wallets of one currency",
        problems=(*PROBLEMS, problems.INSUFFICIENT_FUNDS),
        **MADE,
    ),
)
