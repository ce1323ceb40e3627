"""Where the change of a command stands, kept beside its stored answer so that a repeat tells it too."""

from uuid import UUID

from servicekit.postgres import Pool, Transaction


async def keep_position(tx: Transaction, client: UUID, key: str, position: str) -> None:
    """Keep *position* with the record of the command, which *tx* has made."""
    sql = "update access.idempotency set position = $3 where client = $1 and key = $2"
    status = await tx.connection.execute(sql, client, key, position)
    assert status == "UPDATE 1", "a command is recorded before it is done"


async def position_of(pool: Pool, client: UUID, key: str) -> str | None:
    """Return where the change of the command stands; returns None if it changed nothing."""
    async with pool.connection() as connection:
        sql = "select position from access.idempotency where client = $1 and key = $2"
        position: str | None = await connection.fetchval(sql, client, key)
    return position
