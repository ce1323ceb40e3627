"""Wallets' credit lines, labels and metadata: what is asked for, and how it is answered."""

from typing import Final
from uuid import UUID

from msgspec import UNSET, Struct, UnsetType

from contracts import problems, scopes
from servicekit.access.admission import Access, Cost
from servicekit.http.edge.decoding import invalid_request
from servicekit.http.problems import FieldError
from wallet.domain.details import ChangeDetails, DetailsChanged
from wallet.domain.overdrafts import ChangeOverdraft, OverdraftChanged
from wallet.entrypoints.bodies import WalletBody
from wallet.entrypoints.fields import Amount, Label, Metadata, ReasonText, in_order, limit_minor_of
from wallet.entrypoints.rendering import answer_wallet
from wallet.entrypoints.slices import CommandSlice
from wallet.entrypoints.wallets import TO_WALLET


class ChangeOverdraftRequest(Struct, forbid_unknown_fields=True, kw_only=True):
    """Let a wallet go as far below zero as *limit*, which may be nothing."""

    limit: Amount
    reason: ReasonText


class ChangeDetailsRequest(Struct, forbid_unknown_fields=True, kw_only=True):
    """Set a wallet's label, or its metadata, or both: null takes it away, what is left out stays."""

    label: Label | UnsetType | None = UNSET
    metadata: Metadata | UnsetType | None = UNSET


def _change_overdraft(request: ChangeOverdraftRequest, wallet_id: UUID, pointer: str) -> ChangeOverdraft:
    limit_minor = limit_minor_of(request.limit, f"{pointer}/limit")
    return ChangeOverdraft(wallet_id, limit_minor, request.limit.currency, request.reason)


def _change_details(request: ChangeDetailsRequest, wallet_id: UUID, pointer: str) -> ChangeDetails:
    if request.label is UNSET and request.metadata is UNSET:
        raise invalid_request(FieldError(pointer or "/", "missing", "Give a label, metadata, or both."))
    metadata = request.metadata if request.metadata is UNSET else in_order(request.metadata)
    return ChangeDetails(wallet_id, request.label, metadata)


CHANGE_OVERDRAFT: Final = CommandSlice(
    command=ChangeOverdraft,
    facts=(OverdraftChanged,),
    request=ChangeOverdraftRequest,
    to_command=_change_overdraft,
    answer=answer_wallet,
    method="PUT",
    path="/v1/wallets/{wallet_id}/overdraft",
    access=Access(scopes.OVERDRAFT_WRITE, "{wallet_id}", Cost.COMMAND),
    operation_id="change_overdraft",
    summary="Set a wallet's credit line",
    tag="wallets",
    response=WalletBody,
    problems=(
        problems.WALLET_NOT_FOUND,
        problems.WALLET_CLOSED,
        problems.CURRENCY_MISMATCH,
        problems.OVERDRAFT_IN_USE,
    ),
    links=TO_WALLET,
)
CHANGE_DETAILS: Final = CommandSlice(
    command=ChangeDetails,
    facts=(DetailsChanged,),
    request=ChangeDetailsRequest,
    to_command=_change_details,
    answer=answer_wallet,
    method="PUT",
    path="/v1/wallets/{wallet_id}/details",
    access=Access(scopes.WALLETS_DESCRIBE, "{wallet_id}", Cost.COMMAND),
    operation_id="change_details",
    summary="Set a wallet's label and metadata",
    tag="wallets",
    response=WalletBody,
    problems=(problems.WALLET_NOT_FOUND, problems.WALLET_CLOSED),
    links=TO_WALLET,
)
SLICES: Final = (CHANGE_OVERDRAFT, CHANGE_DETAILS)
