"""The player's own record of what the platform acknowledged, on disk, so that it takes no memory however much it is."""

import json
import sqlite3
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Final, NamedTuple

from demo.states import WalletState

_PENDING_MAX: Final = 1_000
_SCHEMA: Final = """
    pragma journal_mode = off;
    pragma synchronous = off;
    pragma cache_size = -16384;
    create table wallet (
        name text primary key, id_bytes blob, currency text not null, posted_minor integer not null,
        version integer not null, is_closed integer not null, scope text, held_minor integer not null,
        overdraft_minor integer not null) without rowid;
    create table acknowledged (
        transaction_id blob not null, entries text not null, position text);
"""


class Acknowledged(NamedTuple):
    """A transaction that the platform answered for: of each entry the wallet's id or the account, amount, currency.

    *position* is the answer's Ledger-Position, None if it belongs to more than these entries.
    """

    transaction_id: bytes
    entries: tuple[tuple[str, int, str], ...]
    position: str | None


class Record:
    """A record in a new file at *path*; an existing one is replaced."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        self._database = sqlite3.connect(path, isolation_level=None)
        self._database.executescript(_SCHEMA)
        self._pending: list[Acknowledged] = []

    def acknowledge(self, acknowledged: Acknowledged) -> None:
        """Keep what was acknowledged."""
        self._pending.append(acknowledged)
        if len(self._pending) >= _PENDING_MAX:
            self._flush()

    def save(self, wallets: Collection[WalletState]) -> None:
        """Keep *wallets* as they are now."""
        self._execute_many("insert or replace into wallet values (?, ?, ?, ?, ?, ?, ?, ?, ?)", list(map(_row, wallets)))

    def load(self, names: Collection[str]) -> dict[str, WalletState]:
        """Return those of the wallets *names* that are known."""
        found: dict[str, WalletState] = {}
        wanted = list(names)
        for begin in range(0, len(wanted), _PENDING_MAX):
            some = wanted[begin : begin + _PENDING_MAX]
            marks = ",".join("?" * len(some))
            rows = self._database.execute(f"select {_COLUMNS} from wallet where name in ({marks})", some)
            found |= {row[0]: _wallet(row) for row in rows}
        return found

    def transactions(self) -> Iterator[Acknowledged]:
        """Give every acknowledged transaction, ascending by id."""
        self._flush()
        rows = self._database.execute("select * from acknowledged order by transaction_id")
        return (Acknowledged(made, tuple(map(tuple, json.loads(entries))), at) for made, entries, at in rows)

    def wallets(self) -> Iterator[WalletState]:
        """Give every wallet, ascending by id."""
        return map(_wallet, self._database.execute(f"select {_COLUMNS} from wallet order by id_bytes"))

    def restrict(self, names: Collection[str]) -> list[WalletState]:
        """Take note that somebody else restricted the wallets *names*, each once; return them."""
        restricted = list(self.load(names).values())
        for wallet in restricted:
            wallet.scope, wallet.version = "debits", wallet.version + 1
        self.save(restricted)
        return restricted

    def close(self) -> None:
        """Close the file; it stays."""
        self._flush()
        self._database.close()

    def _flush(self) -> None:
        rows = [(kept.transaction_id, json.dumps(kept.entries), kept.position) for kept in self._pending]
        self._execute_many("insert into acknowledged values (?, ?, ?)", rows)
        self._pending = []

    def _execute_many(self, statement: str, rows: Collection[tuple[object, ...]]) -> None:
        self._database.execute("begin")
        self._database.executemany(statement, rows)
        self._database.execute("commit")


_COLUMNS: Final = "name, currency, posted_minor, version, is_closed, scope, id_bytes, '', held_minor, overdraft_minor"


def _row(wallet: WalletState) -> tuple[object, ...]:
    return (
        wallet.name,
        wallet.id_bytes,
        wallet.currency,
        wallet.posted_minor,
        wallet.version,
        wallet.is_closed,
        wallet.scope,
        wallet.held_minor,
        wallet.overdraft_minor,
    )


def _wallet(row: tuple[object, ...]) -> WalletState:
    wallet = WalletState(*row)  # type: ignore[arg-type]  # the columns are in the order of the fields
    wallet.is_closed = bool(wallet.is_closed)
    return wallet
