"""The rows a batch reads and writes, each a tuple in the order of its columns."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final, NamedTuple
from uuid import UUID

import msgspec

from wallet.application.units import Answer, UnitKey
from wallet.domain.limits import stored_usages
from wallet.domain.rows import Row, RowName, Rows, StateRow
from wallet.domain.wallets import Wallet


class JournalRow(NamedTuple):
    """One entry or state change; its shard stands beside it, sequence and event id are given by the database."""

    tenant_id: UUID
    account_id: UUID
    system_account: str | None
    version: int | None
    transaction_id: UUID | None
    entry_index: int
    entry_count: int
    type: int
    currency: str
    posted_delta: int
    held_delta: int
    posted_after: int | None
    held_after: int | None
    actor: str
    causation_id: UUID | None
    traceparent: str | None
    payload: bytes


class IdempotencyRow(NamedTuple):
    """The record of a key; *status* and *body* are its answer, *shard* is its command's home.

    The row numbers (from 1) name the command's last journal row in each of its shards.
    """

    client: UUID
    key: str
    part: int
    fingerprint: bytes
    status: int
    body: bytes
    resource_id: UUID | None
    shard: int
    first_row: int | None
    second_row: int | None
    more_rows: str | None


_ROWS_IN_PLACE: Final = 2


def row_places(last_rows: list[int]) -> tuple[int | None, int | None, str | None]:
    """Return *last_rows* as the columns take them: up to two in place, more as an array literal."""
    if len(last_rows) > _ROWS_IN_PLACE:
        return None, None, "{" + ",".join(map(str, last_rows)) + "}"
    first = last_rows[0] if last_rows else None
    return first, last_rows[-1] if len(last_rows) == _ROWS_IN_PLACE else None, None


class ReferenceRow(NamedTuple):
    """Where a reference's keyed hash leads; *shard* is the transaction's."""

    tenant_id: UUID
    reference_hash: bytes
    transaction_id: UUID
    shard: int


class RaisedRow(NamedTuple):
    """When a journal row's event occurred whose wallet is ahead of the batch's time. *row* is numbered from 1."""

    row: int
    at: datetime


@dataclass(frozen=True, slots=True)
class KeyRecord:
    """What was found under a key; the rest of it is as `Stored` says."""

    fingerprint: bytes
    answer: Answer
    resource_id: UUID | None
    positions: tuple[tuple[int, int], ...]


Stamps = Mapping[RowName, int | None]
"""The stamp of each row, None if there is no such row. Whoever writes a row draws it anew, so it names a content."""


@dataclass(frozen=True, slots=True)
class BatchInput:
    """What a batch is decided on: the rows it names with their stamps, and the records of its keys.

    *now* is the time at which all of it happens, but for wallets whose newest event is later: the database's clock.
    """

    rows: Rows
    stamps: Stamps
    keys: Mapping[UnitKey, KeyRecord]
    now: datetime


class KnownRow(msgspec.Struct, frozen=True, gc=False):
    """A row and its stamp; both are None where there is none of that name."""

    row: Row | None
    stamp: int | None


class MovedWallet(NamedTuple):
    """A wallet of which nothing but the money changed, and what is counted under its limits."""

    id: UUID
    stamp_before: int
    version: int
    posted_minor: int
    held_minor: int
    usage: bytes | None


def moved_wallet(wallet: Wallet, stamp_before: int) -> MovedWallet:
    """Return what is written of *wallet*, whose stamp was *stamp_before*."""
    usage = stored_usages(wallet.usage)
    return MovedWallet(wallet.id, stamp_before, wallet.version, wallet.posted_minor, wallet.held_minor, usage)


@dataclass(frozen=True, slots=True)
class BatchRows:
    """All that a batch writes.

    *stamp* is given to every row that is made or changed. *shards* has the shard of each journal row.
    """

    now: datetime
    stamp: int
    opened: list[Wallet]
    moved: list[MovedWallet]
    changed: list[Wallet]
    made_states: list[StateRow]
    changed_states: list[StateRow]
    shards: list[int]
    journal: list[JournalRow]
    references: list[ReferenceRow]
    idempotency: list[IdempotencyRow]
    raised: list[RaisedRow]
