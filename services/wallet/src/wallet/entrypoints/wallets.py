"""Wallets are opened and closed: what is asked for, and how it is answered."""

from typing import Final
from uuid import UUID

from msgspec import Struct

from contracts import problems, scopes
from contracts.money import EXPONENTS
from contracts.scopes import Scope
from servicekit.access.admission import Access, Cost
from servicekit.http.edge.decoding import invalid_request
from servicekit.http.problems import FieldError
from servicekit.http.route import Link
from wallet.domain.lifecycle import CloseWallet, OpenWallet, WalletClosed, WalletOpened
from wallet.domain.texts import FreeText
from wallet.entrypoints.bodies import WalletBody
from wallet.entrypoints.fields import (
    Amount,
    CurrencyCode,
    Label,
    Metadata,
    OwnerId,
    Placement,
    in_order,
    limit_minor_of,
)
from wallet.entrypoints.rendering import answer_new_wallet, answer_wallet
from wallet.entrypoints.slices import CommandSlice

TO_WALLET: Final[tuple[Link, ...]] = tuple(
    (operation, {"wallet_id": "$response.body#/id"})
    for operation in ("get_wallet", "freeze_wallet", "unfreeze_wallet", "close_wallet")
)


class OpenWalletRequest(Struct, forbid_unknown_fields=True, kw_only=True):
    """Open a wallet. *overdraft_limit* is how far below zero it may go: it needs the scope `overdraft:write` too."""

    owner_id: OwnerId
    currency: CurrencyCode
    label: Label | None = None
    metadata: Metadata | None = None
    placement: Placement | None = None
    overdraft_limit: Amount | None = None


class CloseRequest(Struct, forbid_unknown_fields=True, kw_only=True):
    """Close an empty wallet."""


def _open(request: OpenWalletRequest, _path_id: UUID | None, pointer: str) -> OpenWallet:
    if request.currency not in EXPONENTS:
        raise invalid_request(
            FieldError(f"{pointer}/currency", "unknown_currency", "The currency is not an ISO 4217 code known here.")
        )
    text = None
    if request.label is not None or request.metadata is not None:
        text = FreeText(label=request.label, metadata=in_order(request.metadata))
    return OpenWallet(request.owner_id, request.currency, text, request.placement, _overdraft_minor(request, pointer))


def _overdraft_minor(request: OpenWalletRequest, pointer: str) -> int:
    limit = request.overdraft_limit
    if limit is None:
        return 0
    if limit.currency != request.currency:
        detail = "The limit is in the wallet's currency."
        raise invalid_request(FieldError(f"{pointer}/overdraft_limit/currency", "invalid_value", detail))
    return limit_minor_of(limit, f"{pointer}/overdraft_limit")


def _scope_besides(request: OpenWalletRequest) -> Scope | None:
    return None if request.overdraft_limit is None else scopes.OVERDRAFT_WRITE


def _close(_request: CloseRequest, wallet_id: UUID | None, _pointer: str) -> CloseWallet:
    assert wallet_id is not None
    return CloseWallet(wallet_id)


OPEN: Final = CommandSlice(
    command=OpenWallet,
    facts=(WalletOpened,),
    request=OpenWalletRequest,
    to_command=_open,
    answer=answer_new_wallet,
    path="/v1/wallets",
    located_at="/v1/wallets/",
    access=Access(scopes.WALLETS_OPEN, "/owner_id", Cost.COMMAND),
    operation_id="open_wallet",
    summary="Open a wallet",
    tag="wallets",
    status=201,
    response=WalletBody,
    links=TO_WALLET,
    also_needs=_scope_besides,
)
CLOSE: Final = CommandSlice(
    command=CloseWallet,
    facts=(WalletClosed,),
    request=CloseRequest,
    to_command=_close,
    answer=answer_wallet,
    path="/v1/wallets/{wallet_id}/close",
    access=Access(scopes.WALLETS_CLOSE, "{wallet_id}", Cost.COMMAND),
    operation_id="close_wallet",
    summary="Close an empty wallet for good",
    tag="wallets",
    response=WalletBody,
    problems=(problems.WALLET_NOT_FOUND, problems.WALLET_CLOSED, problems.WALLET_NOT_EMPTY),
    links=TO_WALLET,
)
