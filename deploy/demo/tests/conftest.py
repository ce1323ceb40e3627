"""A small ledger that is right, as the checks read it, to be spoilt by tests."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from demo.reconcile.rows import Event, JournalRow, WalletRow
from demo.record import Acknowledged

START = datetime(2026, 1, 1, tzinfo=UTC)
ALICE, BOB = UUID(int=1 << 64), UUID(int=2 << 64)  # both in shard 0
DEPOSIT, TRANSFER = UUID(int=11), UUID(int=12)
NOTHING = {"amount": "0.00", "currency": "USD"}
NAMES = {ALICE: "alice", BOB: "bob"}


def opening(seq: int, wallet: UUID) -> JournalRow:
    """Return the row of a wallet's opening."""
    row = JournalRow(
        shard=0,
        seq=seq,
        event_id=UUID(int=1_000 + seq),
        account_id=wallet,
        system_account=None,
        version=1,
        transaction_id=None,
        entry_index=0,
        entry_count=1,
        type="wallet.opened.v1",
        currency="USD",
        posted_delta=0,
        held_delta=0,
        posted_after=0,
        held_after=0,
        occurred_at=START + timedelta(seconds=seq),
        payload=b"",
    )
    return row._replace(
        payload=json.dumps({"owner_id": NAMES[wallet], "overdraft_limit": NOTHING, "private": None}).encode()
    )


def entry(seq: int, wallet: UUID, transaction: UUID, index: int, **columns: Any) -> JournalRow:
    """Return the row of an entry with these *columns*."""
    body = {"transaction_type": "any", "owner_id": NAMES[wallet], "counterparty": None, "private": None}
    if "system_account" in columns:
        body.pop("owner_id")
    row = opening(seq, wallet)._replace(transaction_id=transaction, entry_index=index, entry_count=2)
    return row._replace(**columns, payload=json.dumps(body).encode())


@pytest.fixture
def journal() -> list[JournalRow]:
    """Return two openings, a deposit of 5.00 to Alice and a transfer of 2.00 to Bob."""
    deposited: dict[str, Any] = {"type": "wallet.funds_deposited.v1", "version": 2}
    outside: dict[str, Any] = {"type": "ledger.system_entry_posted.v1", "system_account": "external:USD"}
    sent: dict[str, Any] = {"type": "wallet.funds_sent.v1", "version": 3}
    received: dict[str, Any] = {"type": "wallet.funds_received.v1", "version": 2}
    return [
        opening(1, ALICE),
        opening(2, BOB),
        entry(3, ALICE, DEPOSIT, 0, **deposited, posted_delta=500, posted_after=500),
        entry(4, ALICE, DEPOSIT, 1, **outside, version=None, posted_delta=-500, posted_after=None, held_after=None),
        entry(5, ALICE, TRANSFER, 0, **sent, posted_delta=-200, posted_after=300),
        entry(6, BOB, TRANSFER, 1, **received, posted_delta=200, posted_after=200),
    ]


@pytest.fixture
def wallets() -> dict[UUID, WalletRow]:
    """Return the rows of the wallets after all of it."""

    def row(wallet: UUID, posted_minor: int, version: int) -> WalletRow:
        return WalletRow(
            id=wallet,
            owner_id=NAMES[wallet],
            currency="USD",
            is_closed=False,
            restrictions=None,
            posted_minor=posted_minor,
            held_minor=0,
            overdraft_limit_minor=0,
            version=version,
            opened_at=START,
            last_at=START,
        )

    return {ALICE: row(ALICE, 300, 3), BOB: row(BOB, 200, 2)}


@pytest.fixture
def acknowledged() -> list[Acknowledged]:
    """Return what the player was answered."""
    return [
        Acknowledged(DEPOSIT.bytes, ((str(ALICE), 500, "USD"), ("external:USD", -500, "USD")), "0-4"),
        Acknowledged(TRANSFER.bytes, ((str(ALICE), -200, "USD"), (str(BOB), 200, "USD")), "0-6"),
    ]


@pytest.fixture
def events(journal: list[JournalRow]) -> list[Event]:
    """Return what the relay published."""
    return [_event_of(row) for row in journal]


def _event_of(row: JournalRow) -> Event:
    is_entry = row.transaction_id is not None
    return Event(
        shard=row.shard,
        seq=row.seq,
        key=str(row.account_id),
        event_id=str(row.event_id),
        type=row.type,
        subject=str(row.account_id),
        version=row.version,
        transaction_id=str(row.transaction_id) if is_entry else None,
        entry_index=row.entry_index if is_entry else None,
        entry_count=row.entry_count if is_entry else None,
        occurred_at=row.occurred_at,
        published_at_s=row.occurred_at.timestamp() + 0.02,
        body=row.payload,
    )
