"""The reading side in PostgreSQL. Every statement on tenants' rows names the tenant and the owners."""

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
from servicekit.conditions import Where, where
from servicekit.principal import Principal
from servicekit.tenant_pool import TenantPool

_PROFILE: Final = f"select {', '.join(COLUMNS)} from fraud.profile"
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
    """Answers from the pool's database: of tenants, and of the rules, which are every tenant's.

    What is another tenant's, or of an owner the caller does not act for, is not there.
    """

    def __init__(self, tenants: TenantPool) -> None:
        self._tenants = tenants

    async def profile(self, caller: Principal, wallet_id: UUID) -> Profile | None:
        """Return a wallet's profile."""
        asked = Where({"tenant_id": caller.tenant_id, "wallet_id": wallet_id})
        asked.owners(caller.owners)
        async with self._tenants.reading(caller.tenant_id) as connection:
            row = await connection.fetchrow(f"{_PROFILE} {asked}", *asked.values)
        return None if row is None else profile_from(row)

    async def decision(self, caller: Principal, decision_id: UUID) -> StoredDecision | None:
        """Return a decision."""
        asked = Where({"tenant_id": caller.tenant_id, "decision_id": decision_id})
        asked.owners(caller.owners)
        async with self._tenants.reading(caller.tenant_id) as connection:
            row = await connection.fetchrow(f"{_DECISION} {asked}", *asked.values)
        return None if row is None else _decision(row)

    async def decisions(
        self, caller: Principal, wanted: DecisionFilter, *, before: tuple[datetime, UUID] | None, limit: int
    ) -> list[StoredDecision]:
        """Return decisions, newest first, those older than *before* (time, id)."""
        asked = where(wanted, tenant_id=caller.tenant_id)
        asked.owners(caller.owners, is_sought=wanted.wallet_id is None)
        asked.before(("decided_at", "decision_id"), before)
        statement = f"{_DECISION} {asked} order by decided_at desc, decision_id desc limit {asked.value(limit)}"
        async with self._tenants.reading(caller.tenant_id) as connection:
            return [_decision(row) for row in await connection.fetch(statement, *asked.values)]

    async def stored_rules(self) -> StoredRules | None:
        """Return the rules in force, None if no projector has loaded any yet."""
        async with self._tenants.reading_shared() as connection:
            return await rules_postgres.in_force(connection)


def _decision(row: asyncpg.Record) -> StoredDecision:
    return StoredDecision(**{**dict(row), "reasons": _reasons(row["reasons"])})
