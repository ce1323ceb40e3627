"""Wallets are restricted, and restrictions are lifted: what is asked for, and how it is answered."""

from typing import Final, Literal
from uuid import UUID

from msgspec import Struct

from contracts import problems, scopes
from servicekit.access.admission import Access, Cost
from wallet.domain.restrictions import FreezeWallet, UnfreezeWallet, WalletRestricted, WalletUnrestricted
from wallet.domain.wallets import RestrictionScope
from wallet.entrypoints.bodies import WalletBody
from wallet.entrypoints.fields import ReasonText
from wallet.entrypoints.rendering import answer_wallet
from wallet.entrypoints.slices import CommandSlice
from wallet.entrypoints.wallets import TO_WALLET

OPERATOR: Final = "operator"
"""The source of a restriction set over the API."""


class FreezeRequest(Struct, forbid_unknown_fields=True, kw_only=True):
    """Restrict a wallet: `debits` refuses new debits and holds, `all` refuses credits too."""

    reason: ReasonText
    scope: RestrictionScope


class UnfreezeRequest(Struct, forbid_unknown_fields=True, kw_only=True):
    """Lift the restriction that *source* holds on a wallet: the operator's own, or one that a service set."""

    reason: ReasonText | None = None
    source: Literal["operator", "fraud"] = OPERATOR


def _freeze(request: FreezeRequest, wallet_id: UUID | None, _pointer: str) -> FreezeWallet:
    assert wallet_id is not None
    return FreezeWallet(wallet_id, OPERATOR, request.scope, request.reason)


def _unfreeze(request: UnfreezeRequest, wallet_id: UUID | None, _pointer: str) -> UnfreezeWallet:
    assert wallet_id is not None
    return UnfreezeWallet(wallet_id, request.source, request.reason)


FREEZE: Final = CommandSlice(
    command=FreezeWallet,
    facts=(WalletRestricted,),
    request=FreezeRequest,
    to_command=_freeze,
    answer=answer_wallet,
    path="/v1/wallets/{wallet_id}/freeze",
    access=Access(scopes.WALLETS_RESTRICT, "{wallet_id}", Cost.COMMAND),
    operation_id="freeze_wallet",
    summary="Restrict a wallet",
    tag="wallets",
    response=WalletBody,
    problems=(problems.WALLET_NOT_FOUND, problems.WALLET_CLOSED),
    links=TO_WALLET,
)
UNFREEZE: Final = CommandSlice(
    command=UnfreezeWallet,
    facts=(WalletUnrestricted,),
    request=UnfreezeRequest,
    to_command=_unfreeze,
    answer=answer_wallet,
    path="/v1/wallets/{wallet_id}/unfreeze",
    access=Access(scopes.WALLETS_RESTRICT, "{wallet_id}", Cost.COMMAND),
    operation_id="unfreeze_wallet",
    summary="Lift the operator's restriction",
    tag="wallets",
    response=WalletBody,
    problems=(problems.WALLET_NOT_FOUND, problems.WALLET_CLOSED, problems.WALLET_NOT_FROZEN),
    links=TO_WALLET,
)
