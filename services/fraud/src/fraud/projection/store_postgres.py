"""The projection's writing side in PostgreSQL: one statement per table, whatever the number of rows."""

from collections.abc import Collection, Sequence
from typing import Final
from uuid import UUID

import msgspec

from contracts.decisions import DECISION_MADE, DecisionMade, DecisionReason, Trigger
from fraud.domain.advancing import VersionAdvance
from fraud.domain.judge import Decision
from fraud.domain.profile import Profile
from fraud.domain.wallet_events import from_us
from fraud.projection.profile_rows import COLUMNS, profile_from, row_of, state_of
from fraud.projection.stored import StoredReason
from servicekit.postgres import Transaction
from servicekit.relay.outbox import OutboxEvent, append

SCHEMA: Final = "fraud"
DECISION_COLUMNS: Final = (
    "decision_id", "tenant_id", "wallet_id", "owner_id", "wallet_version", "outcome", "mode", "rules_version",
    "trigger_event_id", "trigger_shard", "trigger_seq", "decided_at", "reasons", "traceparent",
)  # fmt: skip

_PROFILES: Final = f"select {', '.join(COLUMNS)} from fraud.profile where wallet_id = any ($1::uuid[])"
_UPDATE: Final = """
    update fraud.profile as p set version = n.version, last_at = n.last_at, state = n.state
    from unnest($1::uuid[], $2::bigint[], $3::timestamptz[], $4::bytea[]) as n (wallet_id, version, last_at, state)
    where p.wallet_id = n.wallet_id"""
_ADVANCE: Final = """
    update fraud.profile as p set version = n.version, last_at = greatest(p.last_at, n.at)
    from unnest($1::uuid[], $2::uuid[], $3::bigint[], $4::bigint[], $5::timestamptz[])
         as n (wallet_id, tenant_id, before_version, version, at)
    where p.wallet_id = n.wallet_id and p.tenant_id = n.tenant_id and p.version = n.before_version
    returning p.wallet_id"""
_encode: Final = msgspec.json.Encoder().encode


class PostgresStore:
    """Writes profiles and decisions."""

    async def profiles(self, tx: Transaction, wallet_ids: Collection[UUID]) -> dict[UUID, Profile]:
        """Return the known ones of *wallet_ids*."""
        rows = await tx.connection.fetch(_PROFILES, list(wallet_ids))
        return {row["wallet_id"]: profile_from(row) for row in rows}

    async def advance_versions(self, tx: Transaction, advances: Sequence[VersionAdvance]) -> set[UUID]:
        """Write *advances* in one statement, without reading the profiles; return the wallets whose version matched."""
        if not advances:
            return set()
        rows = await tx.connection.fetch(
            _ADVANCE,
            [advance.wallet_id for advance in advances],
            [advance.tenant_id for advance in advances],
            [advance.before_version for advance in advances],
            [advance.version for advance in advances],
            [from_us(advance.at_us) for advance in advances],
        )
        return {row[0] for row in rows}

    async def add_profiles(self, tx: Transaction, profiles: Sequence[Profile]) -> None:
        """Add profiles."""
        if profiles:
            await tx.connection.copy_records_to_table(
                "profile", schema_name=SCHEMA, columns=COLUMNS, records=map(row_of, profiles)
            )

    async def update_profiles(self, tx: Transaction, profiles: Sequence[Profile]) -> None:
        """Write what events can change of known profiles."""
        if profiles:
            await tx.connection.execute(
                _UPDATE,
                [profile.wallet_id for profile in profiles],
                [profile.version for profile in profiles],
                [from_us(profile.last_at_us) for profile in profiles],
                [state_of(profile) for profile in profiles],
            )

    async def add_decisions(self, tx: Transaction, decisions: Sequence[Decision]) -> None:
        """Add decisions and append their events to the outbox."""
        if decisions:
            await tx.connection.copy_records_to_table(
                "decision", schema_name=SCHEMA, columns=DECISION_COLUMNS, records=map(_row, decisions)
            )
            await append(tx, [_event(decision) for decision in decisions])


def _row(decision: Decision) -> tuple[object, ...]:
    trigger = decision.trigger
    reasons = [
        StoredReason(each.rule, each.outcome, each.mode, each.measure, each.value, each.threshold)
        for each in decision.reasons
    ]
    return (
        decision.decision_id,
        trigger.tenant_id,
        trigger.wallet_id,
        decision.owner_id,
        trigger.version,
        decision.outcome.value,
        decision.mode.value,
        decision.rules_version,
        trigger.envelope.event_id,
        trigger.envelope.shard,
        trigger.envelope.sequence,
        trigger.envelope.time,
        _encode(reasons).decode(),
        trigger.envelope.traceparent,
    )


def _event(decision: Decision) -> OutboxEvent:
    """Return the decision as it is published: with the reasons that have its mode."""
    trigger = decision.trigger
    data = DecisionMade(
        decision_id=str(decision.decision_id),
        wallet_id=str(trigger.wallet_id),
        owner_id=decision.owner_id,
        outcome=decision.outcome,
        mode=decision.mode,
        wallet_version=trigger.version,
        rules_version=decision.rules_version,
        trigger=Trigger(
            event_id=str(trigger.envelope.event_id), shard=trigger.envelope.shard, sequence=trigger.envelope.sequence
        ),
        reasons=[
            DecisionReason(rule=each.rule, measure=each.measure, value=each.value, threshold=each.threshold)
            for each in decision.reasons
            if each.mode is decision.mode
        ],
    )
    return OutboxEvent(
        event_id=decision.decision_id,
        tenant_id=trigger.tenant_id,
        subject=trigger.wallet_id,
        type=DECISION_MADE,
        data=data,
        occurred_at=trigger.envelope.time,
        causation_id=trigger.envelope.event_id,
        traceparent=trigger.envelope.traceparent,
    )
