"""How what is asked for in a request of its own is asked for: method, path and body."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final, assert_never

from demo.ids import Ids
from demo.operations import (
    Capture,
    ChargeBack,
    Convert,
    Describe,
    Hold,
    Increase,
    Lapse,
    Limits,
    Overdraft,
    Payee,
    Payment,
    Policy,
    Quote,
    Refund,
    Reverse,
    Single,
    Tier,
    Void,
)

Form = tuple[str, str, dict[str, Any]]
QUOTED_FOR_S: Final = 300
"""As long as a quote may be good for: none ends while the day is played."""
NOON: Final = 12


def form_of(command: Single, ids: Ids, now: datetime) -> Form:
    """Return method, path and members of the request for *command* at the time *now*."""
    match command:
        case Payment() | Hold() | Quote() | Convert():
            return ("POST", *_new(command, ids, now))
        case Increase() | Capture() | Void() | Lapse():
            return _of_hold(command, ids)
        case Refund() | Reverse() | ChargeBack():
            return _of_transaction(command, ids)
        case Policy() | Tier():
            return ("PUT", *_of_all(command))
        case Limits() | Overdraft() | Describe():
            return ("PUT", *_of_wallet(command, ids, now))
        case _:
            assert_never(command)


def money(amount: str, currency: str) -> dict[str, str]:
    """Return an amount as it is asked for."""
    return {"amount": amount, "currency": currency}


def noon_zone(now: datetime) -> str:
    """Return a zone in which it is between noon and one: its days and months end half a day before or after *now*."""
    ahead = NOON - now.astimezone(UTC).hour
    return f"Etc/GMT{-ahead:+d}"  # those zones count the other way round


def _new(command: Payment | Hold | Quote | Convert, ids: Ids, now: datetime) -> tuple[str, dict[str, Any]]:
    match command:
        case Payment():
            members = {"source_wallet_id": ids.of(command.source), "amount": money(command.amount, command.currency)}
            return "/v1/payments", {**members, "destinations": _payees(command.payees, command.currency, ids)}
        case Hold():
            members = {"wallet_id": ids.of(command.wallet), "amount": money(command.amount, command.currency)}
            if command.lasts_s is None:
                return "/v1/holds", members
            return "/v1/holds", {**members, "expires_at": (now + timedelta(seconds=command.lasts_s)).isoformat()}
        case Quote():
            amounts = {"source_amount": command.source_amount, "destination_amount": command.target_amount}
            pair = {"source_currency": command.source, "destination_currency": command.target}
            given = {name: text for name, text in amounts.items() if text is not None}
            return "/v1/fx/quotes", {**pair, **given, "valid_s": QUOTED_FOR_S}
        case Convert():
            wallets = {
                "source_wallet_id": ids.of(command.source),
                "destination_wallet_id": ids.of(command.target),
            }
            return "/v1/conversions", {"quote_id": str(ids.made_by(command.of)), **wallets}


def _of_all(command: Policy | Tier) -> tuple[str, dict[str, Any]]:
    if isinstance(command, Tier):
        return f"/v1/owners/{command.owner}/tier", {"tier": command.tier, "reason": "known well"}
    members = {"expected_version": command.version, "document": command.document}
    return f"/v1/policy/{command.section}", members


def _of_wallet(command: Limits | Overdraft | Describe, ids: Ids, now: datetime) -> tuple[str, dict[str, Any]]:
    path = f"/v1/wallets/{ids.of(command.wallet)}"
    match command:
        case Limits():
            own = {"limits": command.limits} if command.limits else {}
            return f"{path}/limits", {"time_zone": noon_zone(now), **own}
        case Overdraft():
            members = {"limit": money(command.limit, command.currency), "reason": "trusted"}
            return f"{path}/overdraft", members
        case Describe():
            return f"{path}/details", {"label": command.label}


def _of_hold(command: Increase | Capture | Void | Lapse, ids: Ids) -> Form:
    path = f"/v1/holds/{ids.made_by(command.of)}"
    match command:
        case Increase():
            return "POST", f"{path}/increase", {"amount": money(command.amount, command.currency)}
        case Capture():
            some = {} if command.amount is None else {"amount": money(command.amount, command.currency)}
            payees = _payees(command.payees, command.currency, ids)
            return "POST", f"{path}/capture", {**some, "destinations": payees, "final": command.is_final}
        case Void():
            return "POST", f"{path}/void", {}
        case Lapse():
            return "GET", path, {}


def _of_transaction(command: Refund | Reverse | ChargeBack, ids: Ids) -> Form:
    path = f"/v1/transactions/{ids.made_by(command.of)}"
    if isinstance(command, Reverse):
        return "POST", f"{path}/reversal", {"reason": "mistaken"}
    some = {} if command.amount is None else {"amount": money(command.amount, command.currency)}
    if isinstance(command, ChargeBack):
        return "POST", f"{path}/chargebacks", {**some, "reason": "disputed"}
    return "POST", f"{path}/refunds", {**some, "reason": "returned", "refund_fees": command.with_fees}


def _payees(payees: Sequence[Payee], currency: str, ids: Ids) -> list[dict[str, Any]]:
    return [{**_whom(payee, ids), **_how_much(payee, currency)} for payee in payees]


def _whom(payee: Payee, ids: Ids) -> dict[str, Any]:
    return {"external": {}} if payee.wallet is None else {"wallet_id": ids.of(payee.wallet)}


def _how_much(payee: Payee, currency: str) -> dict[str, Any]:
    if payee.amount is not None:
        return {"amount": money(payee.amount, currency)}
    return {"rest": True} if payee.share_ppm is None else {"share_ppm": payee.share_ppm}
