"""The read model against the journal: I6."""

import json
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

from demo.findings import Findings
from demo.money import from_text
from demo.reconcile.rows import JournalRow, ProjectedRow, ProjectedWallet, WalletRow
from demo.reconcile.streams import merged


async def check_rows(
    journal: AsyncIterator[JournalRow], projected: AsyncIterator[ProjectedRow], findings: Findings
) -> int:
    """Compare every row that an event adds; both ascend by (shard, seq). Return how many the read model has."""
    count = 0
    told = (row async for row in journal if not row.is_of_terms)
    async for row, actual in merged(told, projected, lambda row: row[:2], lambda row: row[:2]):
        count += actual is not None
        wanted = None if row is None else expected_row(row)
        findings.judge("I6", "the read model has {}, the journal {}", actual, wanted, is_right=actual == wanted)
    return count


def expected_row(row: JournalRow) -> ProjectedRow:
    """Return what the read model must say of a journal row."""
    body: dict[str, Any] = json.loads(row.payload)
    is_entry = row.transaction_id is not None
    is_wallet_entry = is_entry and row.system_account is None
    other: dict[str, Any] = (body.get("counterparty") or {}) if is_wallet_entry else {}
    return ProjectedRow(
        shard=row.shard,
        seq=row.seq,
        event_id=row.event_id,
        wallet_id=row.account_id,
        account=row.system_account,
        version=row.version,
        transaction_id=row.transaction_id,
        transaction_type=body.get("transaction_type"),
        entry_index=row.entry_index if is_entry else None,
        entry_count=row.entry_count if is_entry else None,
        type=row.type,
        currency=row.currency if is_entry else None,
        amount_minor=row.posted_delta if is_entry else None,
        posted_minor_after=row.posted_after if is_wallet_entry else None,
        held_minor_after=row.held_after if is_wallet_entry or row.type.startswith("wallet.hold_") else None,
        owner_id=body.get("owner_id"),
        counterparty_wallet_id=_uuid(other.get("wallet_id")),
        counterparty_owner_id=other.get("owner_id"),
        counterparty_account=other.get("system_account"),
        source=body.get("source"),
        scope=body.get("scope"),
        private=body.get("private"),
        occurred_at=row.occurred_at,
        related_transaction_id=_uuid(body.get("related_transaction_id")) if is_wallet_entry else None,
        is_forced=body.get("forced", False) if is_wallet_entry else None,
        refund_minor=_refunded(body) if is_wallet_entry else None,
        hold_id=_hold_of(body) if is_wallet_entry else None,
        fee_rule=body.get("fee_rule") if is_wallet_entry else None,
    )


def _refunded(body: dict[str, Any]) -> int | None:
    refund = body.get("refund")
    return None if refund is None else from_text(refund["amount"]["amount"], refund["amount"]["currency"])


def _hold_of(body: dict[str, Any]) -> UUID | None:
    return _uuid(body["hold"]["id"] if "hold" in body else body.get("hold_id"))


def _uuid(text: str | None) -> UUID | None:
    return None if text is None else UUID(text)


async def check_wallets(
    rows: AsyncIterator[WalletRow], projected: AsyncIterator[ProjectedWallet], findings: Findings
) -> int:
    """Compare every wallet; both ascend by id. Return how many the read model has."""
    count = 0
    async for row, actual in merged(rows, projected, lambda row: row.id.bytes, lambda actual: actual.id.bytes):
        count += actual is not None
        is_right = row is not None and actual is not None and _essence(row) == _essence(actual)
        findings.judge("I6", "the read model has {}, the ledger {}", actual, row, is_right=is_right)
    return count


def _essence(wallet: WalletRow | ProjectedWallet) -> tuple[Any, ...]:
    restrictions = [(each["source"], each["scope"]) for each in json.loads(wallet.restrictions or "[]")]
    return tuple(wallet._replace(restrictions="")), restrictions
