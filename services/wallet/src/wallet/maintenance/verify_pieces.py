"""Reads of a piece of the ledger on one snapshot, in a short transaction, and what it is compared with."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final
from uuid import UUID

import asyncpg

from contracts.events import OPENED, OVERDRAFT_CHANGED
from servicekit.maintenance import JobRun
from servicekit.postgres import Connection
from wallet.maintenance.verify import FoldedRow, Report, WalletState
from wallet.maintenance.verify_floors import FloorRow
from wallet.maintenance.verify_postgres import INCOMPLETE, UNBALANCED

PIECE_COLUMNS: Final = f"""
    j.seq, j.tenant_id, j.account_id, j.system_account, j.version, j.posted_delta, j.held_delta, j.posted_after,
    j.held_after, j.currency, j.shard, j.type, j.transaction_id, j.entry_count,
    case when j.version is not null and j.posted_after is not null
          and (j.type in ({OPENED.number}, {OVERDRAFT_CHANGED.number}) or j.posted_after < j.held_after)
         then j.payload end as floor_payload"""
"""Of a row: what is folded, then what else is looked at. Payloads are read where floors are looked for alone."""
SETS_FLOOR: Final = (OPENED.number, OVERDRAFT_CHANGED.number)
_FOLDED: Final = len(FoldedRow._fields)
# The lock comes before the snapshot: no partition is taken out of the journal that the snapshot has as attached. Plans
# are made for an index, whatever statistics say of the newest partition.
_BEGIN: Final = """
    set local enable_seqscan = off;
    set local enable_bitmapscan = off;
    lock table only wallet.journal in access share mode"""
_WALLETS: Final = """
    select id, version, posted_minor, held_minor, overdraft_limit_minor from wallet.wallet where id = any ($1)"""
_BREACHES_MAX: Final = 100


@asynccontextmanager
async def snapshot(run: JobRun) -> AsyncIterator[Connection]:
    """Give the job's connection in a transaction that sees the ledger as of one moment, and writes nothing."""
    async with run.connection.transaction(isolation="repeatable_read", readonly=True):
        await run.connection.execute(_BEGIN)
        yield run.connection


def folded(row: asyncpg.Record) -> FoldedRow:
    """Return what is folded of a row of PIECE_COLUMNS."""
    return FoldedRow(*tuple(row)[:_FOLDED])


def floor_row(row: asyncpg.Record) -> FloorRow:
    """Return what is looked at for floors of a row of PIECE_COLUMNS that has such a payload."""
    return FloorRow(
        seq=row["seq"],
        account_id=row["account_id"],
        version=row["version"],
        type=row["type"],
        more_minor=row["posted_delta"] - row["held_delta"],
        available_minor=row["posted_after"] - row["held_after"],
        payload=row["floor_payload"],
    )


async def stored_wallets(connection: Connection, ids: Sequence[UUID]) -> dict[UUID, tuple[WalletState, int]]:
    """Return what the rows of the wallets *ids* say: their states, and their credit lines in minor units."""
    rows = await connection.fetch(_WALLETS, ids)
    return {row[0]: (WalletState(*tuple(row)[1:4]), row[4]) for row in rows}


async def verify_sums(connection: Connection, report: Report, where: str, *arguments: object) -> None:
    """Add up the entries of the transactions *where* a condition on `transaction_id` holds; it begins at `$2`."""
    for row in await connection.fetch(UNBALANCED.format(where=where), _BREACHES_MAX, *arguments):
        place = f"transaction {row['transaction_id']}"
        report.find("I1", place, f"its {row['currency']} entries sum to {row['total']} minor units")
    for row in await connection.fetch(INCOMPLETE.format(where=where), _BREACHES_MAX, *arguments):
        place = f"transaction {row['transaction_id']}"
        report.find("I1", place, f"{row['entries']} of {row['wanted']} entries are there")
