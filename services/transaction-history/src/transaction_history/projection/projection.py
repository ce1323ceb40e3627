"""The ledger projection: many events become few statements."""

from collections.abc import Mapping, Sequence
from uuid import UUID

from contracts.envelope import Envelope
from contracts.events import EventData, SystemEntryPosted, parse_data
from servicekit.postgres import Transaction
from transaction_history.domain.folds import Rows, fold
from transaction_history.domain.months import months_of
from transaction_history.domain.rows import TransactionRow, WalletRow
from transaction_history.projection.read_model_postgres import PostgresReadModel


class HistoryProjection:
    """Applies events of every type to the read model. *name* is the consumer group and the checkpoints' name."""

    def __init__(self, read_model: PostgresReadModel, *, name: str, topic: str) -> None:
        self._read_model = read_model
        self.name = name
        self.topic = topic

    async def apply(self, tx: Transaction, events: Sequence[Envelope]) -> None:
        """Project *events*; raises EventDataError or Contradiction, naming the first that cannot be."""
        model = self._read_model
        parsed = [(event, parse_data(event.type, event.data)) for event in events]
        known = await model.wallets(tx, _wallets_of(parsed))
        transactions = await write(model, tx, fold(parsed, known), known)
        await model.tell_transactions(tx, transactions)


async def write(
    model: PostgresReadModel, tx: Transaction, rows: Rows, known: Mapping[UUID, WalletRow]
) -> Sequence[TransactionRow]:
    """Write *rows*, whose wallets are new or *known*; return what they tell of transactions, to be told yet."""
    wallets, transactions = rows.wallets, rows.transactions
    occurred, made = months_of(rows.occurred, transactions, await model.now(tx))
    await model.make_partitions(tx, occurred, made)
    await model.add_wallets(tx, [wallet for wallet in wallets if wallet.wallet_id not in known])
    await model.update_wallets(tx, [wallet for wallet in wallets if wallet.wallet_id in known])
    await model.add_entries(tx, rows.entries)
    await model.add_system_entries(tx, rows.system_entries)
    await model.add_state_changes(tx, rows.state_changes)
    await model.change_holds(tx, rows.holds)
    await model.end_days(tx, rows.balance_days)
    return transactions


def _wallets_of(parsed: Sequence[tuple[Envelope, EventData]]) -> set[UUID]:
    return {event.subject for event, data in parsed if not isinstance(data, SystemEntryPosted)}
