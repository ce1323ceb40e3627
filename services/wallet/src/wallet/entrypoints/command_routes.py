"""The table of command routes."""

from collections.abc import Sequence
from typing import Any, Final

from contracts import problems
from contracts.problems import ProblemCode
from servicekit.http.route import Engine, Link, Route
from wallet.entrypoints.bodies import BatchBody, TransactionBody, WalletBody
from wallet.entrypoints.commands import CommandHandlers
from wallet.entrypoints.requests import (
    BatchRequest,
    CloseRequest,
    DepositRequest,
    FreezeRequest,
    OpenWalletRequest,
    TransferRequest,
    UnfreezeRequest,
    WithdrawalRequest,
)

BATCH_BYTES_MAX: Final = 2 * 1024 * 1024

_MONEY: Final = (
    problems.WALLET_NOT_FOUND,
    problems.WALLET_CLOSED,
    problems.WALLET_FROZEN,
    problems.CURRENCY_MISMATCH,
    problems.BALANCE_OVERFLOW,
)
_HEADERS: Final = {
    "Ledger-Position": "Where the command landed: the highest sequence of each shard it touched.",
    "Idempotency-Replayed": "`true` where this is the stored answer of the key.",
}
_LOCATED: Final = {"Location": "The resource.", **_HEADERS}
_TO_WALLET: Final[Sequence[Link]] = tuple(
    (operation, {"wallet_id": "$response.body#/id"})
    for operation in ("get_wallet", "freeze_wallet", "unfreeze_wallet", "close_wallet")
)
_TO_TRANSACTION: Final[Sequence[Link]] = (("get_transaction", {"transaction_id": "$response.body#/id"}),)


def command_routes(handlers: CommandHandlers) -> Sequence[Route]:
    """Return every command route of the service."""
    return (_open_route(handlers), *_money_routes(handlers), *_status_routes(handlers), _batch_route(handlers))


def _open_route(handlers: CommandHandlers) -> Route:
    return Route(
        engine=Engine.COMMAND,
        method="POST",
        path="/v1/wallets",
        request=OpenWalletRequest,
        handler=handlers.open_wallet,
        operation_id="open_wallet",
        summary="Open a wallet",
        tags=["wallets"],
        status=201,
        response=WalletBody,
        response_headers=_LOCATED,
        links=_TO_WALLET,
    )


def _money_routes(handlers: CommandHandlers) -> Sequence[Route]:
    short = problems.INSUFFICIENT_FUNDS
    transfer = "Move money between two wallets of one currency"
    return (
        _money_route(handlers, "/v1/deposits", DepositRequest, "deposit", "Take money in from outside"),
        _money_route(handlers, "/v1/withdrawals", WithdrawalRequest, "withdraw", "Pay money out", short),
        _money_route(handlers, "/v1/transfers", TransferRequest, "transfer", transfer, short),
    )


def _status_routes(handlers: CommandHandlers) -> Sequence[Route]:
    closed = problems.WALLET_CLOSED
    lift, close = "Lift the operator's restriction", "Close an empty wallet for good"
    return (
        _status_route(handlers, "freeze", FreezeRequest, "Restrict a wallet", closed),
        _status_route(handlers, "unfreeze", UnfreezeRequest, lift, closed, problems.WALLET_NOT_FROZEN),
        _status_route(handlers, "close", CloseRequest, close, closed, problems.WALLET_NOT_EMPTY),
    )


def _batch_route(handlers: CommandHandlers) -> Route:
    return Route(
        engine=Engine.COMMAND,
        method="POST",
        path="/v1/batches",
        request=BatchRequest,
        handler=handlers.batch,
        operation_id="batch",
        summary="Carry out 1 to 1,000 commands",
        description="`atomic`: all or none. `independent`: each for itself; a repeat of the same commands runs "
        "what is not done yet, other commands need another key.",
        tags=["batches"],
        response=BatchBody,
        problems=(*_MONEY, problems.INSUFFICIENT_FUNDS, problems.BATCH_REFUSED),
        body_max_bytes=BATCH_BYTES_MAX,
        response_headers=_HEADERS,
    )


def _money_route(
    handlers: CommandHandlers, path: str, request: type[Any], operation_id: str, summary: str, *refusals: ProblemCode
) -> Route:
    return Route(
        engine=Engine.COMMAND,
        method="POST",
        path=path,
        request=request,
        handler=handlers.move_money,
        operation_id=operation_id,
        summary=summary,
        tags=["money"],
        status=201,
        response=TransactionBody,
        problems=(*_MONEY, *refusals),
        response_headers=_LOCATED,
        links=_TO_TRANSACTION,
    )


def _status_route(
    handlers: CommandHandlers, verb: str, request: type[Any], summary: str, *refusals: ProblemCode
) -> Route:
    return Route(
        engine=Engine.COMMAND,
        method="POST",
        path=f"/v1/wallets/{{wallet_id}}/{verb}",
        request=request,
        handler=handlers.change_status,
        operation_id=f"{verb}_wallet",
        summary=summary,
        tags=["wallets"],
        response=WalletBody,
        problems=(problems.WALLET_NOT_FOUND, *refusals),
        response_headers=_HEADERS,
        links=_TO_WALLET,
    )
