"""Idempotency records in PostgreSQL."""

import asyncpg

from notifications.application.idempotency import Answer, InFlight, Keyed, Record
from servicekit.postgres import Connection, Transaction


class PostgresRecords:
    """Remembers what commands answered."""

    async def find(self, connection: Connection, keyed: Keyed) -> Record | None:
        """Find as `Records.find` says."""
        row = await connection.fetchrow(
            """select fingerprint, status, location, body from notifications.idempotency
               where client = $1 and key = $2""",
            keyed.client,
            keyed.key,
        )
        if row is None:
            return None
        answer = Answer(status=row["status"], body=row["body"], location=row["location"])
        return Record(fingerprint=row["fingerprint"], answer=answer)

    async def claim(self, tx: Transaction, keyed: Keyed) -> bool:
        """Claim as `Records.claim` says: the insertion waits for whoever inserted the same key first."""
        try:
            claimed = await tx.connection.fetchval(
                """insert into notifications.idempotency (client, key, fingerprint, status, body, created_at)
                   values ($1, $2, $3, 0, '', now()) on conflict do nothing returning true""",
                keyed.client,
                keyed.key,
                keyed.fingerprint,
            )
        except asyncpg.LockNotAvailableError:
            raise InFlight from None
        return bool(claimed)

    async def finish(self, tx: Transaction, keyed: Keyed, answer: Answer) -> None:
        """Write as `Records.finish` says."""
        await tx.connection.execute(
            """update notifications.idempotency set status = $3, location = $4, body = $5
               where client = $1 and key = $2""",
            keyed.client,
            keyed.key,
            answer.status,
            answer.location,
            answer.body if answer.stored is None else answer.stored,
        )
