"""The reading side in PostgreSQL. Every question names the tenant."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

import asyncpg
import msgspec

from contracts.decisions import DecisionMode, DecisionOutcome
from fraud.domain.profile import Profile
from fraud.projection.profile_rows import COLUMNS, profile_from
from fraud.projection.stored import StoredDecision, StoredReason
from fraud.rules import rules_postgres
from fraud.rules.rules_postgres import StoredRules
from servicekit.conditions import where
from servicekit.tenant_pool import TenantPool

_PROFILE: Final = f"select {', '.join(COLUMNS)} from fraud.profile where tenant_id = $1 and wallet_id = $2"
_DECISION: Final = """
    select decision_id, wallet_id, owner_id, wallet_version, outcome, mode, rules_version, trigger_event_id,
           trigger_shard, trigger_seq, decided_at, reasons
    from fraud.decision"""
_reasons: Final = msgspec.json.Decoder(list[StoredReason]).decode


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionFilter:
    """Which decisions are asked for; None asks for all."""

    wallet_id: UUID | None = None
    outcome: DecisionOutcome | None = None
    mode: DecisionMode | None = None


class RiskReads:
    """Answers from the pool's database: of tenants, and of the rules, which are every tenant's."""

    def __init__(self, tenants: TenantPool) -> None:
        self._tenants = tenants

    async def profile(self, tenant_id: UUID, wallet_id: UUID) -> Profile | None:
        """Return a wallet's profile."""
        async with self._tenants.reading(tenant_id) as connection:
            row = await connection.fetchrow(_PROFILE, tenant_id, wallet_id)
        return None if row is None else profile_from(row)

    async def decision(self, tenant_id: UUID, decision_id: UUID) -> StoredDecision | None:
        """Return a decision."""
        async with self._tenants.reading(tenant_id) as connection:
            row = await connection.fetchrow(
                f"{_DECISION} where tenant_id = $1 and decision_id = $2", tenant_id, decision_id
            )
        return None if row is None else _decision(row)

    async def decisions(
        self, tenant_id: UUID, wanted: DecisionFilter, *, before: tuple[datetime, UUID] | None, limit: int
    ) -> list[StoredDecision]:
        """Return decisions, newest first, those older than *before* (time, id)."""
        asked = where(wanted, tenant_id=tenant_id)
        asked.before(("decided_at", "decision_id"), before)
        statement = f"{_DECISION} {asked} order by decided_at desc, decision_id desc limit {asked.value(limit)}"
        async with self._tenants.reading(tenant_id) as connection:
            return [_decision(row) for row in await connection.fetch(statement, *asked.values)]

    async def stored_rules(self) -> StoredRules | None:
        """Return the rules in force, None if no projector has loaded any yet."""
        async with self._tenants.reading_shared() as connection:
            return await rules_postgres.in_force(connection)


def _decision(row: asyncpg.Record) -> StoredDecision:
    return StoredDecision(**{**dict(row), "reasons": _reasons(row["reasons"])})
