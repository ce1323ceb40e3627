"""Journal rows: each fact as the event that it is, ready to be published as it is stored."""

from collections.abc import Sequence
from uuid import UUID

import msgspec

from contracts.events import Private
from wallet.application.rows import JournalRow
from wallet.application.units import Unit
from wallet.domain.facts import AnyFact, Fact, SystemEntry, Transaction
from wallet.domain.wallets import Wallet

_encode = msgspec.json.Encoder().encode
Carried = Sequence[tuple[AnyFact, Wallet]]
"""Facts in their order, each with its wallet as the fact left it."""


def transaction_rows(
    unit: Unit, command_kind: str, carried: Carried, transaction_id: UUID, private: Private | None
) -> list[JournalRow]:
    """Return one row per fact of a ledger transaction, in their order."""
    transaction = Transaction(str(transaction_id), command_kind)
    entry_count = len(carried)
    rows = []
    for entry_index, (fact, wallet) in enumerate(carried):
        if isinstance(fact, SystemEntry):
            rows.append(
                JournalRow(
                    wallet.tenant_id,
                    wallet.id,
                    fact.account,
                    None,
                    transaction_id,
                    entry_index,
                    entry_count,
                    fact.event.number,
                    wallet.currency,
                    fact.amount_minor,
                    0,
                    None,
                    None,
                    unit.actor,
                    unit.causation_id,
                    unit.traceparent,
                    _encode(fact.payload(wallet, transaction)),
                )
            )
            continue
        payload = _encode(fact.payload(wallet, transaction, private))
        rows.append(_wallet_row(unit, fact, wallet, (transaction_id, entry_index, entry_count), payload))
    return rows


def state_change_row(unit: Unit, fact: Fact, wallet: Wallet, private: Private | None) -> JournalRow:
    """Return the row of a fact that belongs to no transaction."""
    return _wallet_row(unit, fact, wallet, (None, 0, 1), _encode(fact.payload(wallet, None, private)))


def _wallet_row(
    unit: Unit, fact: Fact, wallet: Wallet, place: tuple[UUID | None, int, int], payload: bytes
) -> JournalRow:
    """Return the row of a fact; *place* is its transaction's id, its index there, and how many there are."""
    posted_delta, held_delta = fact.deltas_minor()
    return JournalRow(
        wallet.tenant_id,
        wallet.id,
        None,
        wallet.version,
        *place,
        fact.event.number,
        wallet.currency,
        posted_delta,
        held_delta,
        wallet.posted_minor,
        wallet.held_minor,
        unit.actor,
        unit.causation_id,
        unit.traceparent,
        payload,
    )
