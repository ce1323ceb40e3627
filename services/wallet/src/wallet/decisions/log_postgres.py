"""Settled decisions in PostgreSQL: kept for ever, beside the checkpoint that moves with them."""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from uuid import UUID

import msgspec

from contracts.ids import shard_of
from servicekit.columns import columns
from servicekit.postgres import Transaction


class Verdict(StrEnum):
    """What became of a decision."""

    APPLIED = "applied"
    SUPERSEDED = "superseded"
    """An operator changed the restrictions since the version that was judged."""
    REFUSED = "refused"
    """A rule of the ledger stands against it: the wallet is closed."""
    NOTED = "noted"
    """It asks for no restriction, or was made in shadow mode."""


class SettledDecision(msgspec.Struct, frozen=True, kw_only=True):
    """A decision and what became of it, as it is remembered for ever."""

    decision_id: UUID
    tenant_id: UUID
    wallet_id: UUID
    judged_version: int
    rules_version: str
    verdict: Verdict
    decided_at: datetime


class PostgresDecisionLog:
    """Where settled decisions are remembered."""

    async def settled_among(self, tx: Transaction, decision_ids: Sequence[UUID]) -> set[UUID]:
        """Return those of *decision_ids* that are settled."""
        rows = await tx.connection.fetch(
            "select decision_id from wallet.settled_decision where decision_id = any ($1)", decision_ids
        )
        return {row["decision_id"] for row in rows}

    async def add(self, tx: Transaction, settled: Sequence[SettledDecision]) -> None:
        """Remember *settled*, none of which was before."""
        await tx.connection.execute(
            """insert into wallet.settled_decision (decision_id, tenant_id, wallet_id, judged_version, rules_version,
                                                    verdict, decided_at, shard)
               select * from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::bigint[], $5::text[], $6::text[],
                                    $7::timestamptz[], $8::smallint[])""",
            *columns(
                settled,
                "decision_id",
                "tenant_id",
                "wallet_id",
                "judged_version",
                "rules_version",
                "verdict",
                "decided_at",
            ),
            [shard_of(each.wallet_id) for each in settled],
        )
