"""The rules in the database: every version that was ever in force, the one that is, and the last refusal."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from fraud.domain.rules import RuleSet
from fraud.rules.file import parse_rules
from servicekit.postgres import Connection, Transaction

REFUSAL_CHARACTERS_MAX: Final = 4_000


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredRules:
    """The rules in force as the projector wrote them down, and the last file it refused."""

    version: str
    content_hash: str
    text: str
    time_compression: int
    is_shadow: bool
    loaded_at: datetime
    refused_at: datetime | None
    refusal: str | None


class NoRules(Exception):
    """No projector has put rules in force yet."""


class RulesFromDatabase:
    """The rules that the projector judges by, for a process that repairs what it left."""

    async def rules(self, tx: Transaction) -> RuleSet:
        """Return the rules in force; raises NoRules."""
        stored = await in_force(tx.connection)
        if stored is None:
            raise NoRules("start the projector first")
        return rules_of(stored)


def rules_of(stored: StoredRules) -> RuleSet:
    """Return the rules that were stored."""
    return parse_rules(
        stored.text, source=stored.version, time_compression=stored.time_compression, is_shadow=stored.is_shadow
    )


async def in_force(connection: Connection) -> StoredRules | None:
    """Return the rules that the projector judges by, None if it has not loaded any yet."""
    row = await connection.fetchrow(
        """select v.version, v.content_hash, v.body as text, v.time_compression, v.is_shadow, s.loaded_at,
                  s.refused_at, s.refusal
           from fraud.rules_state as s join fraud.rules_version as v using (version)"""
    )
    return None if row is None else StoredRules(**dict(row))


async def put_in_force(tx: Transaction, rules: RuleSet) -> None:
    """Store *rules* for good, and record that they are in force, without the last refusal."""
    await tx.connection.execute(
        """insert into fraud.rules_version (version, content_hash, body, time_compression, is_shadow)
           values ($1, $2, $3, $4, $5) on conflict (version) do nothing""",
        rules.version,
        rules.content_hash,
        rules.text,
        rules.time_compression,
        rules.is_shadow,
    )
    await tx.connection.execute(
        """insert into fraud.rules_state (version) values ($1)
           on conflict (only_one) do update
               set version = excluded.version, loaded_at = clock_timestamp(), refused_at = null, refusal = null""",
        rules.version,
    )


async def record_refusal(connection: Connection, refusal: str) -> None:
    """Record that a file was refused and why; the rules in force do not change."""
    await connection.execute(
        "update fraud.rules_state set refused_at = clock_timestamp(), refusal = $1", refusal[:REFUSAL_CHARACTERS_MAX]
    )
