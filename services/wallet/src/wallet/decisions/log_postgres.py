"""Settled decisions in PostgreSQL: kept for ever, beside the checkpoint that moves with them."""

from collections.abc import Sequence
from uuid import UUID

from servicekit.postgres import Transaction
from wallet.decisions.projection import SettledDecision


class PostgresDecisionLog:
    """See the port."""

    async def settled_among(self, tx: Transaction, decision_ids: Sequence[UUID]) -> set[UUID]:
        """See the port."""
        rows = await tx.connection.fetch(
            "select decision_id from wallet.settled_decision where decision_id = any ($1)", decision_ids
        )
        return {row["decision_id"] for row in rows}

    async def add(self, tx: Transaction, settled: Sequence[SettledDecision]) -> None:
        """See the port."""
        await tx.connection.execute(
            """insert into wallet.settled_decision (decision_id, tenant_id, wallet_id, judged_version, rules_version,
                                                    verdict, decided_at)
               select * from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::bigint[], $5::text[], $6::text[],
                                    $7::timestamptz[])""",
            [each.decision_id for each in settled],
            [each.tenant_id for each in settled],
            [each.wallet_id for each in settled],
            [each.judged_version for each in settled],
            [each.rules_version for each in settled],
            [each.verdict for each in settled],
            [each.decided_at for each in settled],
        )
