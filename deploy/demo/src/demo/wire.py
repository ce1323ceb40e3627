"""Operations as the wallet API takes them, sent until they are settled."""

import asyncio
from dataclasses import dataclass, field
from typing import Any, Final, assert_never

import msgspec

from demo.figures import PlayFigures
from demo.http_client import HttpPool, Response
from demo.ids import Ids
from demo.operations import (
    Batch,
    Close,
    Command,
    Deposit,
    Freeze,
    MoneyCommand,
    Open,
    Single,
    Transfer,
    Unfreeze,
    Withdrawal,
)
from demo.single import form_of, money
from servicekit.clock import utc_now

TRIES_MAX: Final = 120
TRY_AGAIN_S: Final = 0.2

_BUSY: Final = 503
_LIMITED: Final = 429
_CONFLICT: Final = 409
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode
_BATCH_TYPES: Final[dict[type[Command], str]] = {
    Open: "open_wallet",
    Deposit: "deposit",
    Withdrawal: "withdrawal",
    Transfer: "transfer",
    Freeze: "freeze",
    Unfreeze: "unfreeze",
    Close: "close",
}


class NotSettledError(Exception):
    """The platform did not settle a command within all tries: whether it happened is not known."""


@dataclass(frozen=True, slots=True)
class Request:
    """One command as it is sent, each time the same; *credential* is its sender's, None for that of the pool."""

    path: str
    key: str
    body: bytes
    is_independent: bool = False
    credential: str | None = field(default=None, repr=False)
    method: str = "POST"


def to_request(operation: Command | Single | Batch, key: str, ids: Ids, credential: str | None = None) -> Request:
    """Return the request of *operation* under *key*, sent with *credential*, that of the pool where it is None."""
    if isinstance(operation, Batch):
        commands = [
            {"type": _BATCH_TYPES[type(command)], **_wallet_of(command, ids), **_body(command, ids)}
            for command in operation.commands
        ]
        body = _encode({"mode": operation.mode, "commands": commands})
        return Request("/v1/batches", key, body, is_independent=operation.mode == "independent", credential=credential)
    if isinstance(operation, Single):
        method, path, members = form_of(operation, ids, utc_now())
        return Request(path, key, _encode(members), credential=credential, method=method)
    return Request(_path(operation, ids), key, _encode(_body(operation, ids)), credential=credential)


async def send_until_settled(pool: HttpPool, request: Request, figures: PlayFigures) -> Response:
    """Send *request* under its key until it is settled; raise NotSettledError."""
    for _ in range(TRIES_MAX):
        try:
            answer = await pool.command(
                request.method, request.path, request.key, request.body, credential=request.credential
            )
        except ConnectionError:
            figures.broken_connections += 1
            await asyncio.sleep(TRY_AGAIN_S)
            continue
        figures.requests += 1
        figures.latency.add(answer.seconds)
        if not _is_open(answer, is_independent=request.is_independent):
            return answer
        if answer.status == _LIMITED:
            figures.limited += 1
        else:
            figures.busy += 1
        await asyncio.sleep(float(answer.headers.get("retry-after", TRY_AGAIN_S)))
    raise NotSettledError(f"{request.path} under the key {request.key} was not settled in {TRIES_MAX} tries")


def _is_open(answer: Response, *, is_independent: bool) -> bool:
    """Return whether the same request must be sent again to learn what came of it."""
    if answer.status in (_BUSY, _LIMITED):
        return True
    if answer.status == _CONFLICT:
        return bool(_decode(answer.body)["code"] == "in_flight")
    if is_independent and (b'"status":503' in answer.body or b'"in_flight"' in answer.body):
        results: list[dict[str, Any]] = _decode(answer.body)["results"]
        return any(r["status"] == _BUSY or (r["problem"] or {}).get("code") == "in_flight" for r in results)
    return False


def _path(command: Command, ids: Ids) -> str:
    match command:
        case Open():
            return "/v1/wallets"
        case Deposit():
            return "/v1/deposits"
        case Withdrawal():
            return "/v1/withdrawals"
        case Transfer():
            return "/v1/transfers"
        case Freeze() | Unfreeze() | Close():
            return f"/v1/wallets/{ids.of(command.wallet)}/{_BATCH_TYPES[type(command)]}"
        case _:
            assert_never(command)


def _wallet_of(command: Command, ids: Ids) -> dict[str, str]:
    """Return what a batch says of a change of state, whose wallet is otherwise in the path."""
    return {"wallet_id": ids.of(command.wallet)} if isinstance(command, Freeze | Unfreeze | Close) else {}


def _body(command: Command, ids: Ids) -> dict[str, Any]:
    match command:
        case Open():
            return {"owner_id": command.owner, "currency": command.currency, "label": command.wallet}
        case Deposit() | Withdrawal():
            return {"wallet_id": ids.of(command.wallet), **_amount(command)}
        case Transfer():
            sides = {"source_wallet_id": ids.of(command.source), "destination_wallet_id": ids.of(command.target)}
            return {**sides, **_amount(command)}
        case Freeze():
            return {"reason": "risk", "scope": command.scope}
        case Unfreeze() | Close():
            return {}
        case _:
            assert_never(command)


def _amount(command: MoneyCommand) -> dict[str, Any]:
    amount = {"amount": money(command.amount, command.currency)}
    return amount if command.note is None else {**amount, "description": command.note}
