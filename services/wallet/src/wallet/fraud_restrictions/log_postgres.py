"""Settled decisions in PostgreSQL: never deleted, written in the transaction that moves the checkpoint."""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from uuid import UUID

import msgspec

from contracts.ids import shard_of
from servicekit.columns import columns
from servicekit.postgres import Transaction


class Disposition(StrEnum):
    """What the ledger did with a decision of the fraud service."""

    APPLIED = "applied"
    SUPERSEDED = "superseded"
    """An operator changed the restrictions since the version that was judged."""
    REFUSED = "refused"
    """A rule of the ledger refused the restriction: the wallet is closed."""
    NOTED = "noted"
    """It asks for no restriction, or was made in shadow mode."""


class SettledDecision(msgspec.Struct, frozen=True, kw_only=True):
    """A decision of the fraud service with its disposition, as it is stored."""

    decision_id: UUID
    tenant_id: UUID
    wallet_id: UUID
    judged_version: int
    rules_version: str
    disposition: Disposition
    decided_at: datetime


class PostgresDecisionLog:
    """The table of settled decisions, which makes each take effect once."""

    async def settled_among(self, tx: Transaction, decision_ids: Sequence[UUID]) -> set[UUID]:
        """Return those of *decision_ids* that are settled already."""
        rows = await tx.connection.fetch(
            "select decision_id from wallet.settled_decision where decision_id = any ($1)", decision_ids
        )
        return {row["decision_id"] for row in rows}

    async def add(self, tx: Transaction, settled: Sequence[SettledDecision]) -> None:
        """Insert *settled*; none of them may be there already."""
        await tx.connection.execute(
            """insert into wallet.settled_decision (decision_id, tenant_id, wallet_id, judged_version, rules_version,
                                                    disposition, decided_at, shard)
               select * from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::bigint[], $5::text[], $6::text[],
                                    $7::timestamptz[], $8::smallint[])""",
            *columns(
                settled,
                "decision_id",
                "tenant_id",
                "wallet_id",
                "judged_version",
                "rules_version",
                "disposition",
                "decided_at",
            ),
            [shard_of(each.wallet_id) for each in settled],
        )
