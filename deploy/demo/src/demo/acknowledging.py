"""What the record keeps of a transaction that the platform answered for."""

from uuid import UUID

from demo.ids import Ids
from demo.record import Acknowledged
from demo.states import Expected


def acknowledged(expected: Expected, transaction_id: UUID, ids: Ids, position: str | None) -> Acknowledged:
    """Return what is kept: the entries that the model says the transaction has."""
    entries = (
        (ids.of(entry.account) if entry.is_wallets else entry.account, entry.delta_minor, entry.currency)
        for entry in expected.entries
    )
    return Acknowledged(transaction_id.bytes, tuple(entries), position)
