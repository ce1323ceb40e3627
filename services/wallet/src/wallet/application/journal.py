"""Journal rows: each fact as the event that it is, ready to be published as it is stored."""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

import msgspec

from contracts.events import Private
from wallet.application.rows import JournalRow
from wallet.application.units import Unit
from wallet.domain.facts import AnyFact, Fact, RowFact, SystemEntry, Transaction
from wallet.domain.rows import StateRow
from wallet.domain.wallets import Wallet

_NO_CURRENCY: Final = "XXX"
"""ISO 4217's code for none."""
_row_of = JournalRow._make  # half of what it costs field by field, and most rows are made by it
_encode = msgspec.json.Encoder().encode
Carried = Sequence[tuple[AnyFact, Wallet]]
"""Facts in their order, each with its wallet as the fact left it."""


def transaction_rows(
    unit: Unit, command_kind: str, carried: Carried, transaction_id: UUID, private: Private | None
) -> list[JournalRow]:
    """Return one row per fact, in their order: those that are entries make a ledger transaction."""
    transaction = Transaction(str(transaction_id), command_kind)
    entry_count = sum([fact.is_entry for fact, _ in carried])
    entry_index = -1
    rows = []
    for fact, wallet in carried:
        if not fact.is_entry:
            assert isinstance(fact, Fact)
            rows.append(_state_change_row(unit, fact, wallet, private))
            continue
        entry_index += 1
        system_account: str | None = None
        version: int | None = wallet.version
        posted_after: int | None = wallet.posted_minor
        held_minor, held_after = 0, None
        if isinstance(fact, SystemEntry):
            system_account, version, posted_after = fact.account, None, None
            payload = fact.payload(wallet, transaction)
        else:
            held_minor, held_after = fact.held_minor, wallet.held_minor
            payload = fact.payload(wallet, transaction, private)
        rows.append(
            _row_of(
                (
                    wallet.tenant_id,
                    wallet.id,
                    system_account,
                    version,
                    transaction_id,
                    entry_index,
                    entry_count,
                    fact.event.number,
                    wallet.currency,
                    fact.amount_minor,
                    held_minor,
                    posted_after,
                    held_after,
                    unit.actor,
                    unit.causation_id,
                    unit.traceparent,
                    _encode(payload),
                )
            )
        )
    return rows


def state_change_rows(unit: Unit, carried: Carried, private: Private | None) -> list[JournalRow]:
    """Return the rows of facts that are no entries of a transaction, in their order."""
    return [_state_change_row(unit, fact, wallet, private) for fact, wallet in carried if isinstance(fact, Fact)]


def _state_change_row(unit: Unit, fact: Fact, wallet: Wallet, private: Private | None) -> JournalRow:
    return JournalRow(
        wallet.tenant_id,
        wallet.id,
        None,
        wallet.version,
        None,
        0,
        1,
        fact.event.number,
        wallet.currency,
        fact.amount_minor,
        fact.held_minor,
        wallet.posted_minor,
        wallet.held_minor,
        unit.actor,
        unit.causation_id,
        unit.traceparent,
        _encode(fact.payload(wallet, None, private)),
    )


def row_change_row(unit: Unit, fact: RowFact, after: StateRow, private: Private | None) -> JournalRow:
    """Return the row of a fact of a row besides wallets, which has no balance."""
    return JournalRow(
        after.tenant_id,
        after.id,
        None,
        after.version,
        None,
        0,
        1,
        fact.event.number,
        _NO_CURRENCY,
        0,
        0,
        None,
        None,
        unit.actor,
        unit.causation_id,
        unit.traceparent,
        _encode(fact.payload(after, unit.actor, private)),
    )
