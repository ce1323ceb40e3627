"""Verification behind the newest rows: what was committed is looked at within a minute, some rows of a shard at once.

What a wallet came to is remembered from look to look. Of one that was not met yet, or was forgotten, what its next row
says of the one before is believed: rounds over all of the ledger look at the rest.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

import asyncpg
import structlog

from contracts.ids import SHARDS
from servicekit.maintenance import JobRun
from servicekit.postgres import Connection
from wallet.maintenance.findings import Findings
from wallet.maintenance.verify import Opening, Report, ShardFold, WalletState
from wallet.maintenance.verify_floors import FloorFold
from wallet.maintenance.verify_pieces import (
    PIECE_COLUMNS,
    SETS_FLOOR,
    floor_row,
    folded,
    snapshot,
    stored_wallets,
    verify_sums,
)

ROWS_PER_SHARD: Final = 128
"""Of one look: 8,192 rows at most, which the process's other tasks wait for."""
REMEMBERED_MAX: Final = 1_024
"""Wallets, and other rows with versions, of one shard; then all of the shard is forgotten."""
PENDING_MAX: Final = 20_000
"""Transactions of which not all entries were met; then the ledger is asked for them."""

_CURSORS: Final = """
    select v.shard, v.seq,
           coalesce((select max(f.seq) from wallet.archive_end f where f.shard = v.shard), 0) as archived,
           (select r.rounds from wallet.verification_round r) as rounds
      from wallet.verified v order by v.shard"""
_ROWS: Final = f"""
    select {PIECE_COLUMNS}
      from unnest($1::smallint[], $2::bigint[]) c (shard, seq)
      cross join lateral (select * from wallet.journal j where j.shard = c.shard and j.seq > c.seq
                           order by j.seq limit $3) j
     order by j.shard, j.seq"""
_MOVE: Final = """
    update wallet.verified v set seq = n.seq from unnest($1::smallint[], $2::bigint[]) n (shard, seq)
     where v.shard = n.shard"""

_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Sums:
    """What the entries of a transaction that were met sum to, by currency, and how many there are of how many."""

    wanted: int
    entries: int = 0
    minor: dict[str, int] = field(default_factory=dict)

    def add(self, currency: str, minor: int) -> bool:
        """Add an entry; return whether it is the last one."""
        self.entries += 1
        self.minor[currency] = self.minor.get(currency, 0) + minor
        return self.entries == self.wanted


class Shard:
    """What is remembered of one shard, up to *seq*; its cursor in the database is at *kept_seq*."""

    def __init__(self, number: int, seq: int, report: Report) -> None:
        self.number = number
        self.seq = self.kept_seq = seq
        self._report = report
        self._limits_minor: dict[UUID, int] = {}
        self._begin()

    def _begin(self) -> None:
        self._limits_minor.clear()
        self._fold = ShardFold(self.number, self._report, opening=Opening(seq=self.seq), totals_seq=0)
        self._floors = FloorFold(self._report, self._limits_minor, shard=self.number)

    @property
    def wallets(self) -> Mapping[UUID, WalletState]:
        """The wallets that are remembered."""
        return self._fold.wallets

    def add(self, rows: Sequence[asyncpg.Record]) -> None:
        """Fold the next *rows*."""
        if self._fold.remembered > REMEMBERED_MAX:
            self._begin()
        for row in rows:
            each = folded(row)
            self._fold.assume(each)
            self._fold.add((each,))
        self.seq = rows[-1]["seq"]

    def add_floors(self, rows: Iterable[asyncpg.Record], lines_minor: Mapping[UUID, int]) -> None:
        """Look for floors in *rows*; *lines_minor* are credit lines of wallets whose are not remembered.

        What stands before the line of a wallet is known is not judged.
        """
        for row in rows:
            wallet_id = row["account_id"]
            if row["type"] not in SETS_FLOOR and wallet_id not in self._limits_minor:
                if wallet_id not in lines_minor:
                    continue
                self._limits_minor[wallet_id] = lines_minor[wallet_id]
            self._floors.add(floor_row(row))


class NewRows:
    """Verifies what was committed since the last look; one process of all does."""

    def __init__(self, findings: Findings) -> None:
        self._findings = findings
        self._report = Report()
        self._shards: dict[int, Shard] = {}
        self._pending: dict[UUID, Sums] = {}

    async def run(self, run: JobRun) -> int:
        """Look at the next rows of each shard; return how many they were."""
        try:
            async with snapshot(run) as connection:
                rows = await self._look(connection)
            moved = [shard for shard in self._shards.values() if shard.seq > shard.kept_seq]
            if moved:
                async with run.transaction() as tx:
                    await tx.connection.execute(
                        _MOVE, [shard.number for shard in moved], [shard.seq for shard in moved]
                    )
            for shard in moved:
                shard.kept_seq = shard.seq
        except BaseException:
            self._forget()  # what is remembered may be ahead of the cursors
            raise
        self._findings.tell(self._report, rows=rows)
        return rows

    async def _look(self, connection: Connection) -> int:
        await self._follow(connection)
        shards = self._shards
        found = await connection.fetch(_ROWS, list(shards), [shard.seq for shard in shards.values()], ROWS_PER_SHARD)
        by_shard: dict[int, list[asyncpg.Record]] = {}
        for row in found:
            by_shard.setdefault(row["shard"], []).append(row)
        for number, rows in by_shard.items():
            shards[number].add(rows)
        at_head = {number for number in shards if len(by_shard.get(number, ())) < ROWS_PER_SHARD}
        await self._compare(connection, by_shard, at_head)
        await self._add_up(connection, found, is_at_head=len(at_head) == SHARDS)
        return len(found)

    async def _follow(self, connection: Connection) -> None:
        """Go on from the cursors, which another process may have moved."""
        for row in await connection.fetch(_CURSORS):
            number, seq = row["shard"], max(row["seq"], row["archived"])
            if row["archived"] > row["seq"]:
                _log.warning("ledger.archived_unverified", shard=number, after=row["seq"], up_to=row["archived"])
            shard = self._shards.get(number)
            if shard is None or shard.seq != seq:
                self._shards[number] = Shard(number, seq, self._report)
            self._findings.rounds_ended(row["rounds"])

    async def _compare(
        self, connection: Connection, by_shard: Mapping[int, Sequence[asyncpg.Record]], at_head: set[int]
    ) -> None:
        """Compare wallets' rows with the fold, where it has all that the snapshot has of a shard; look for floors."""
        touched = {
            row["account_id"]: number
            for number in at_head & by_shard.keys()
            for row in by_shard[number]
            if row["account_id"] in self._shards[number].wallets and row["system_account"] is None
        }
        stored = await stored_wallets(connection, list(touched)) if touched else {}
        for wallet_id, number in touched.items():
            shard = self._shards[number]
            state = shard.wallets[wallet_id]
            if wallet_id not in stored:
                self._find_balance(shard, wallet_id, "it has a journal and no row")
            elif stored[wallet_id][0] != state:
                self._find_balance(shard, wallet_id, f"its row says {stored[wallet_id][0]}, its journal {state}")
        lines_minor = {wallet_id: line_minor for wallet_id, (_, line_minor) in stored.items()}
        for number, rows in by_shard.items():
            changed = {row["account_id"] for row in rows if row["type"] in SETS_FLOOR}
            known = {each: line for each, line in lines_minor.items() if each not in changed}
            self._shards[number].add_floors((row for row in rows if row["floor_payload"] is not None), known)

    def _find_balance(self, shard: Shard, wallet_id: UUID, detail: str) -> None:
        self._report.find("I2", f"wallet {wallet_id}", detail, shard=shard.number, seq=shard.seq)

    async def _add_up(self, connection: Connection, rows: Sequence[asyncpg.Record], *, is_at_head: bool) -> None:
        """Add up transactions; ask the ledger, which has each wholly, for those whose other entries do not come."""
        for row in rows:
            transaction_id = row["transaction_id"]
            if transaction_id is None:
                continue
            sums = self._pending.setdefault(transaction_id, Sums(row["entry_count"]))
            if sums.add(row["currency"], row["posted_delta"]):
                del self._pending[transaction_id]
                self._judge(row, transaction_id, sums)
        if self._pending and (is_at_head or len(self._pending) > PENDING_MAX):
            await verify_sums(connection, self._report, "transaction_id = any ($2)", list(self._pending))
            self._pending.clear()

    def _judge(self, row: asyncpg.Record, transaction_id: UUID, sums: Sums) -> None:
        for currency, minor in sums.minor.items():
            if minor != 0:
                told = f"its {currency} entries sum to {minor} minor units"
                self._report.find("I1", f"transaction {transaction_id}", told, shard=row["shard"], seq=row["seq"])

    def _forget(self) -> None:
        self._shards.clear()
        self._pending.clear()
        self._report.take()
