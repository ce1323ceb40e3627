"""The history projection: many events become few statements."""

from collections.abc import Sequence
from typing import assert_never
from uuid import UUID

from contracts.envelope import Envelope
from contracts.events import EventData, SystemEntryPosted, parse_data
from servicekit.postgres import Transaction
from transaction_history.domain.project import project
from transaction_history.domain.rows import EntryRow, StateChangeRow, SystemEntryRow, WalletRow
from transaction_history.projection.read_model_postgres import PostgresReadModel


class HistoryProjection:
    """Applies events of every type to the read model. *name* is the consumer group and the checkpoints' name."""

    def __init__(self, read_model: PostgresReadModel, *, name: str, topic: str) -> None:
        self._read_model = read_model
        self.name = name
        self.topic = topic

    async def apply(self, tx: Transaction, events: Sequence[Envelope]) -> None:
        """Project *events*; raises EventDataError or Contradiction, naming the first that cannot be."""
        parsed = [(event, parse_data(event.type, event.data)) for event in events]
        known = await self._read_model.wallets(tx, _wallets_of(parsed))
        rows = fold(parsed, known)
        await self._read_model.add_wallets(tx, [wallet for wallet in rows.wallets if wallet.wallet_id not in known])
        await self._read_model.update_wallets(tx, [wallet for wallet in rows.wallets if wallet.wallet_id in known])
        await self._read_model.add_entries(tx, rows.entries)
        await self._read_model.add_system_entries(tx, rows.system_entries)
        await self._read_model.add_state_changes(tx, rows.state_changes)


class Rows:
    """What a run of events writes."""

    def __init__(self) -> None:
        self.wallets: list[WalletRow] = []
        self.entries: list[EntryRow] = []
        self.system_entries: list[SystemEntryRow] = []
        self.state_changes: list[StateChangeRow] = []

    def add(self, row: EntryRow | SystemEntryRow | StateChangeRow) -> None:
        """Add a row to its kind."""
        match row:
            case EntryRow():
                self.entries.append(row)
            case SystemEntryRow():
                self.system_entries.append(row)
            case StateChangeRow():
                self.state_changes.append(row)
            case _:
                assert_never(row)


def fold(parsed: Sequence[tuple[Envelope, EventData]], known: dict[UUID, WalletRow]) -> Rows:
    """Return what *parsed* events write when the wallets are as *known*; wallets come once, as they end."""
    wallets, rows = dict(known), Rows()
    changed: dict[UUID, WalletRow] = {}
    for event, data in parsed:
        changes = project(event, data, wallets.get(event.subject))
        if changes.wallet is not None:
            wallets[event.subject] = changed[event.subject] = changes.wallet
        if changes.added is not None:
            rows.add(changes.added)
    # In one order for all, so that two writers never wait for each other in a circle.
    rows.wallets = sorted(changed.values(), key=lambda wallet: wallet.wallet_id)
    return rows


def _wallets_of(parsed: Sequence[tuple[Envelope, EventData]]) -> set[UUID]:
    return {event.subject for event, data in parsed if not isinstance(data, SystemEntryPosted)}
