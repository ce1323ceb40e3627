"""Verifying floors (I3): no wallet's available balance was taken below what its credit line allowed then."""

from typing import Final, NamedTuple
from uuid import UUID

import msgspec

from contracts.events import OPENED, OVERDRAFT_CHANGED, OverdraftChanged, WalletOpened
from contracts.money import parse_signed_minor
from servicekit.postgres import Connection
from wallet.maintenance.journal_reads import ROWS_PER_READ
from wallet.maintenance.verify import Report

# What sets a floor, and whatever left a wallet below zero: by far the fewest rows of a journal.
_ROWS: Final = f"""
    select seq, account_id, version, type, posted_delta - held_delta as more, posted_after - held_after as available,
           payload
      from wallet.journal
     where shard = $1 and seq > $2 and version is not null and posted_after is not null
       and (type in ({OPENED.number}, {OVERDRAFT_CHANGED.number}) or posted_after < held_after)
     order by seq limit {ROWS_PER_READ}"""
_OPENINGS: Final = """
    select wallet_id, overdraft_limit_minor from wallet.wallet_opening
     where shard = $1 and overdraft_limit_minor <> 0"""
_opened: Final = msgspec.json.Decoder(WalletOpened)
_changed: Final = msgspec.json.Decoder(OverdraftChanged)


class _Entry(msgspec.Struct):
    """What of an event's body tells whether it was forced."""

    forced: bool = False


_entry: Final = msgspec.json.Decoder(_Entry)


class FloorRow(NamedTuple):
    """A journal row that sets a floor or left less than nothing available. *more_minor* is what it added to that."""

    seq: int
    account_id: UUID
    version: int
    type: int
    more_minor: int
    available_minor: int
    payload: bytes


class FloorFold:
    """Follows the floors of one shard's wallets; *limits_minor* are the credit lines where its journal begins."""

    def __init__(self, report: Report, limits_minor: dict[UUID, int], *, shard: int) -> None:
        self._report = report
        self._shard = shard
        self._limits_minor = limits_minor

    def add(self, row: FloorRow) -> None:
        """Take the next row. What only gives, or was forced, may leave a wallet below its floor."""
        if row.type == OPENED.number:
            self._limits_minor[row.account_id] = parse_signed_minor(_opened.decode(row.payload).overdraft_limit)
            return
        is_line = row.type == OVERDRAFT_CHANGED.number
        if is_line:
            self._limits_minor[row.account_id] = parse_signed_minor(_changed.decode(row.payload).limit)
        limit_minor = self._limits_minor.get(row.account_id, 0)
        if row.available_minor >= -limit_minor or (row.more_minor >= 0 and not is_line):
            return
        if not _entry.decode(row.payload).forced:
            told = f"{row.available_minor} minor units are available, its credit line is {limit_minor}"
            place = f"wallet {row.account_id} version {row.version}"
            self._report.find("I3", place, told, shard=self._shard, seq=row.seq)


async def opening_limits(connection: Connection, shard: int) -> dict[UUID, int]:
    """Return the credit lines, in minor units, of the wallets that have one where a shard's journal begins."""
    return {row[0]: row[1] for row in await connection.fetch(_OPENINGS, shard)}


async def verify_floors(connection: Connection, shard: int, after: int, report: Report) -> None:
    """Follow the floors of a shard's wallets behind the sequence *after*."""
    fold = FloorFold(report, await opening_limits(connection, shard), shard=shard)
    while rows := await connection.fetch(_ROWS, shard, after):
        for row in rows:
            fold.add(FloorRow(*row))
        after = rows[-1]["seq"]
