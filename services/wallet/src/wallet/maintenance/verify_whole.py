"""Rounds over all of the ledger, slowly: each shard's rows are folded from its beginning, then transactions added up.

The place of a round stands in the database; whoever leads goes on from there, with the shard that was under way.
"""

from typing import Final
from uuid import UUID

import structlog

from contracts.ids import SHARDS
from servicekit.clock import monotonic_s
from servicekit.maintenance import JobRun
from servicekit.postgres import Connection
from wallet.maintenance.findings import Findings
from wallet.maintenance.verify import Report, ShardFold
from wallet.maintenance.verify_floors import FloorFold, opening_limits
from wallet.maintenance.verify_pieces import PIECE_COLUMNS, floor_row, folded, snapshot, stored_wallets, verify_sums
from wallet.maintenance.verify_postgres import ARCHIVE_END, opening_of

ROWS_PER_PIECE: Final = 2_000
"""What the process's other tasks wait for."""
ROUND_S: Final = 300
"""A round begins so long after the one before began, at the earliest: a small ledger is not read without end."""

RUN_S: Final = 2.0
"""A run ends after so long, whatever it has done: at its deadline it would have to begin the shard anew."""

_PLACE: Final = f"""
    select rounds, shard, transaction_id,
           shard = 0 and rounds > 0 and began_at > clock_timestamp() - interval '{ROUND_S} s' as rests
      from wallet.verification_round"""
_ROWS: Final = f"""
    select {PIECE_COLUMNS} from wallet.journal j
     where j.shard = $1 and j.seq > $2 order by j.seq limit {ROWS_PER_PIECE}"""
_AT_SHARD: Final = "update wallet.verification_round set shard = $1, transaction_id = null"
_BEGIN: Final = "update wallet.verification_round set began_at = clock_timestamp()"
_AT_TRANSACTION: Final = "update wallet.verification_round set transaction_id = $1"
_END: Final = (
    "update wallet.verification_round set rounds = rounds + 1, shard = 0, transaction_id = null returning rounds"
)
_PAGE: Final = f"""
    with page as materialized (
        select transaction_id from wallet.journal where transaction_id > $1
         order by transaction_id limit {ROWS_PER_PIECE})
    select (select transaction_id from page order by transaction_id desc limit 1) as last,
           (select count(*) from page) as rows"""
_LEAST: Final = UUID(int=0)
_OF_SHARDS: Final = ("I2", "I3", "I4")
_OF_TRANSACTIONS: Final = ("I1",)

_log = structlog.get_logger(__name__)


class _Walk:
    """The fold of one shard, from its *opening* on."""

    def __init__(self, shard: int, fold: ShardFold, floors: FloorFold, *, after: int) -> None:
        self.shard = shard
        self.fold = fold
        self.floors = floors
        self.began_after = self.after = after
        self.wallets: list[UUID] | None = None
        """Those still to be compared, once the fold has come to the shard's end."""


class WholeLedger:
    """Walks over the ledger in rounds, *rows_per_run* rows in each run of its job."""

    def __init__(self, findings: Findings, *, rows_per_run: int) -> None:
        self._findings = findings
        self._rows_per_run = rows_per_run
        self._report = Report()
        self._walk: _Walk | None = None

    async def run(self, run: JobRun) -> int:
        """Look at the next rows; return how many they were."""
        done, until_s = 0, monotonic_s() + RUN_S
        try:
            place = await run.connection.fetchrow(_PLACE)
            assert place is not None, "the migration makes the row"
            self._findings.rounds_ended(place["rounds"])
            if place["rests"] and self._walk is None:
                return 0
            shard, transaction_id = place["shard"], place["transaction_id"]
            if shard == 0 and self._walk is None:
                await self._write(run, _BEGIN)
            while done < self._rows_per_run and shard < SHARDS and monotonic_s() < until_s:
                rows, is_over = await self._fold_piece(run, shard)
                done += rows + 1
                if is_over:
                    shard, self._walk = shard + 1, None
                    await self._write(run, _AT_SHARD, shard)
            while done < self._rows_per_run and shard == SHARDS and monotonic_s() < until_s:
                rows, transaction_id = await self._add_up_piece(run, transaction_id or _LEAST)
                done += rows
                if transaction_id is None:
                    await self._end_round(run)
                    break
                await self._write(run, _AT_TRANSACTION, transaction_id)
        except BaseException:
            self._walk = None  # it may be ahead of the place that is kept
            self._report.take()
            raise
        return done

    async def _write(self, run: JobRun, statement: str, *arguments: object) -> None:
        async with run.transaction() as tx:
            await tx.connection.execute(statement, *arguments)

    async def _fold_piece(self, run: JobRun, shard: int) -> tuple[int, bool]:
        """Fold the next rows of *shard*, or compare some wallets; return how many rows, and whether it is over."""
        async with snapshot(run) as connection:
            walk = await self._walking(connection, shard)
            rows = await connection.fetch(_ROWS, shard, walk.after)
            walk.fold.add(folded(row) for row in rows)
            for row in rows:
                if row["floor_payload"] is not None:
                    walk.floors.add(floor_row(row))
            if rows:
                walk.after = rows[-1]["seq"]
            if len(rows) < ROWS_PER_PIECE:
                await self._compare(connection, walk)
        self._findings.tell(self._report, rows=len(rows), of=_OF_SHARDS)
        return len(rows), walk.wallets == []

    async def _walking(self, connection: Connection, shard: int) -> _Walk:
        """Return the walk under way; from the beginning where it is another shard's, or its beginning was archived."""
        walk = self._walk
        archived: int = await connection.fetchval(ARCHIVE_END, shard)
        if walk is not None and walk.shard == shard and walk.began_after == archived:
            return walk
        opening = await opening_of(connection, shard)
        limits_minor = await opening_limits(connection, shard)
        walk = self._walk = _Walk(
            shard,
            ShardFold(shard, self._report, opening=opening, totals_seq=0),
            FloorFold(self._report, limits_minor, shard=shard),
            after=opening.seq,
        )
        return walk

    async def _compare(self, connection: Connection, walk: _Walk) -> None:
        """Compare the next wallets' rows with the fold, which has come to the shard's end as the snapshot has it."""
        if walk.wallets is None:
            walk.wallets = list(walk.fold.wallets)
        page, walk.wallets = walk.wallets[:ROWS_PER_PIECE], walk.wallets[ROWS_PER_PIECE:]
        stored = await stored_wallets(connection, page)
        for wallet_id in page:
            state = walk.fold.wallets[wallet_id]
            if wallet_id not in stored:
                self._find_balance(walk, wallet_id, "it has a journal and no row")
            elif stored[wallet_id][0] != state:
                self._find_balance(walk, wallet_id, f"its row says {stored[wallet_id][0]}, its journal {state}")

    def _find_balance(self, walk: _Walk, wallet_id: UUID, detail: str) -> None:
        self._report.find("I2", f"wallet {wallet_id}", detail, shard=walk.shard, seq=walk.after)

    async def _add_up_piece(self, run: JobRun, after: UUID) -> tuple[int, UUID | None]:
        """Add up the next transactions; return how many entries of them, and the last one, None where all are."""
        async with snapshot(run) as connection:
            page = await connection.fetchrow(_PAGE, after)
            assert page is not None, "a query without a from clause has a row"
            last: UUID | None = page["last"]
            if last is not None:
                where = "transaction_id > $2 and transaction_id <= $3"
                await verify_sums(connection, self._report, where, after, last)
        self._findings.tell(self._report, rows=page["rows"], of=_OF_TRANSACTIONS)
        return page["rows"], last

    async def _end_round(self, run: JobRun) -> None:
        async with run.transaction() as tx:
            rounds = await tx.connection.fetchval(_END)
        self._findings.rounds_ended(rounds)
        _log.info("ledger.verified", rounds=rounds)
