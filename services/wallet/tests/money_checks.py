"""What must hold after every step of the machine of money: the rows, the journal and the usage are the model's."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec
from services.wallet.tests.money_machine import Machine
from services.wallet.tests.money_model.things import Entry, Hold, Limit, Made, Wallet

from wallet.application.rows import JournalRow
from wallet.domain import wallets
from wallet.domain.holds import HOLD, HoldStatus, hold_of, remaining_minor, status_of
from wallet.domain.limiting import limits_in_force
from wallet.domain.owners import owner_name
from wallet.domain.policy import policy_in_force, policy_name
from wallet.domain.quotes import QUOTE, QuoteStatus, quote_of
from wallet.domain.refunds import TRANSACTION, RefundStatus, refunded_of
from wallet.domain.rows import Row, RowName, Rows, StateName, StateRow

_decode = msgspec.json.Decoder().decode
_OPERATIONS: Final = ("withdrawal", "transfer", "payment", "conversion", "debit", "deposit")
RowsByName = Mapping[RowName, Row | None]


def check_journal(machine: Machine, journal: Sequence[JournalRow]) -> None:
    """Expect every transaction in *journal* to sum to zero in each currency, and to have the model's entries."""
    posted: dict[UUID, list[JournalRow]] = {}
    for row in journal:
        if row.transaction_id is not None and row.entry_index >= 0:
            posted.setdefault(row.transaction_id, []).append(row)
    names = {machine.translator.ids[name]: name for name in machine.made if name in machine.model.made}
    for transaction_id, rows in posted.items():
        sums = Counter[str]()
        for row in rows:
            sums[row.currency] += row.posted_delta
        machine.expect(not any(sums.values()), f"the entries of {transaction_id} come to {sums}")
        name = names.pop(transaction_id)
        wanted = [_entry_told(machine, each) for each in machine.model.made[name].entries if each.amount]
        found = [_entry_found(row) for row in rows if row.posted_delta]
        machine.expect(found == wanted, f"the entries are {found}, not {wanted}")
    machine.expect(not names, f"nothing is posted of {names}")


def _entry_told(machine: Machine, entry: Entry) -> tuple[Any, ...]:
    wallet, is_charged = machine.translator.ids[entry.wallet], entry.is_fee and entry.account is None
    rule = (entry.rule, entry.version) if is_charged else (None, None)
    return wallet, entry.account, entry.currency, entry.amount, *rule, entry.forced


def _entry_found(row: JournalRow) -> tuple[Any, ...]:
    told = _decode(row.payload) if row.system_account is None else {}
    rule = told.get("fee_rule"), told.get("policy_version")
    return row.account_id, row.system_account, row.currency, row.posted_delta, *rule, told.get("forced", False)


class Comparing:
    """Compares rows with the model: a wallet when either of both has changed, all of them now and then."""

    def __init__(self) -> None:
        self._compared: dict[str, tuple[object, object]] = {}

    def check_rows(self, machine: Machine, rows: RowsByName, *, is_whole: bool) -> None:
        """Expect every wallet's row to be the model's; where it *is_whole*, every other row too."""
        model, ids = machine.model, machine.translator.ids
        for name, known in model.wallets.items():
            row = rows[ids[name]]
            before = self._compared.get(name)
            if is_whole or before is None or before[0] is not known or before[1] is not row:
                self._compared[name] = known, row
                assert isinstance(row, wallets.Wallet)
                _check_wallet(machine, name, row)
        if is_whole:
            _check_held(machine, rows)
            _check_states(machine, rows)


def _check_wallet(machine: Machine, name: str, row: wallets.Wallet) -> None:
    known = machine.model.wallets[name]
    told, found = _wallet_told(known, machine.model.held(name)), _wallet_found(row)
    machine.expect(found == told, f"{name} is {found}, not {told}")
    is_above = row.available_minor >= -row.overdraft_limit_minor
    machine.expect(is_above or row.floor_waived, f"{name} is below its floor: {row}")


def _check_held(machine: Machine, rows: RowsByName) -> None:
    """Expect what wallets hold to be what their open holds hold."""
    held = Counter[UUID]()
    for row in rows.values():
        if isinstance(row, StateRow) and row.kind == HOLD.number and row.status == HoldStatus.OPEN:
            assert row.wallet_id is not None
            held[row.wallet_id] += (row.cap_minor or 0) - row.used_minor
    for row in rows.values():
        if isinstance(row, wallets.Wallet):
            machine.expect(row.held_minor == held[row.id], f"{row} holds what its holds do not: {held[row.id]}")


def _wallet_told(known: Wallet, held: int) -> tuple[Any, ...]:
    restrictions = tuple(known.restrictions.items())
    return known.posted, held, known.line, known.is_closed, known.waived, restrictions, known.zone


def _wallet_found(row: wallets.Wallet) -> tuple[Any, ...]:
    restrictions = tuple((each.source, str(each.scope)) for each in row.restrictions)
    money = row.posted_minor, row.held_minor, row.overdraft_limit_minor
    return *money, row.is_closed, row.floor_waived, restrictions, row.time_zone


def _check_states(machine: Machine, rows: RowsByName) -> None:
    model, ids = machine.model, machine.translator.ids
    for name, hold in model.holds.items():
        row = _state(rows, HOLD.number, ids[name])
        assert row is not None
        machine.expect(_hold_found(row) == _hold_told(hold), f"{name} is {_hold_found(row)}, not {_hold_told(hold)}")
        is_in_time = not machine.is_exact or hold_of(row).expires_at == hold.ends_at
        machine.expect(is_in_time, f"{name} ends at {hold_of(row).expires_at}, not {hold.ends_at}")
    for name, made in model.made.items():
        row = _state(rows, TRANSACTION.number, ids[name])
        found = None if row is None else _taken_found(row, len(made.entries))
        machine.expect(found == _taken_told(made), f"of {name} was taken back {found}, not {_taken_told(made)}")
    for name, quote in model.quotes.items():
        row = _state(rows, QUOTE.number, ids[name])
        assert row is not None
        body = quote_of(row)
        fees = tuple((fee.bearer, fee.rule, fee.amount_minor) for fee in body.fees)
        is_told = (body.source_minor, body.destination_minor, fees, QuoteStatus(row.status).label)
        told = quote.gives, quote.gets, quote.fees, quote.status
        machine.expect(is_told == told, f"{name} is {is_told}, not {told}")


def _state(rows: RowsByName, kind: int, row_id: UUID) -> StateRow | None:
    row = rows.get(StateName(kind, row_id))
    assert not isinstance(row, wallets.Wallet)
    return row


def _hold_found(row: StateRow) -> tuple[Any, ...]:
    body = hold_of(row)
    figures = body.captured_minor, body.released_minor, remaining_minor(row), body.fee_reserved_minor
    return *figures, status_of(row), len(body.captures)


def _hold_told(hold: Hold) -> tuple[Any, ...]:
    figures = sum(hold.captured), hold.released, hold.remaining, hold.reserved
    return *figures, hold.status, len(hold.captured)


def _taken_found(row: StateRow, entries: int) -> tuple[Any, ...]:
    body = refunded_of(row)
    back = [*body.returned_minor, *[0] * (entries - len(body.returned_minor))]
    return row.cap_minor, row.used_minor, back, RefundStatus(row.status).label, len(body.refunds)


def _taken_told(made: Made) -> tuple[Any, ...] | None:
    if not made.returned:
        return None
    back = [rest - entry.amount for rest, entry in zip(made.rests, made.entries, strict=True)]
    cap = sum(made.entries[place].amount for place in made.payees)
    used = -sum(back[place] for place in made.payees)
    status = "partially_refunded" if used < cap else "reversed" if made.is_reversed else "refunded"
    return cap, used, back, status, len(made.returned)


def check_usage(machine: Machine, rows_by_name: RowsByName, now: datetime) -> None:
    """Expect every measure of every limit to be used as the model counts it anew."""
    model, tenant_id = machine.model, machine.mandate.tenant_id
    model.now = now
    for name, known in model.wallets.items():
        wallet_id = machine.translator.ids[name]
        names = wallet_id, owner_name(tenant_id, known.owner), policy_name(tenant_id)
        rows = Rows({name: rows_by_name.get(name) for name in names})
        wallet, policy = rows.wallet(wallet_id, tenant_id), policy_in_force(rows, tenant_id).policy
        assert wallet is not None
        found = [
            (each.limit.scope, each.limit.operation, each.window, each.measure, each.used, each.resets_at)
            for each in limits_in_force(wallet, rows, policy, now)
            if each.window in {"day", "month"}
        ]
        told = [
            (limit["scope"], limit["operation"], *measure)
            for scope in ("wallet", "owner")
            for limit in model.limits_on(name, scope, _OPERATIONS)
            for measure in _measures(machine, name, limit)
        ]
        machine.expect(found == told, f"of {name} is used {found}, not {told}")


def _measures(machine: Machine, wallet: str, limit: Limit) -> list[tuple[Any, ...]]:
    found = []
    for window in ("day", "month"):
        count, total, ends_at = machine.model.used(wallet, limit, window)
        for measure, used in (("amount", total), ("count", count)):
            if f"{window}_{measure}" in limit:
                found.append((window, measure, used, ends_at))
    return found
