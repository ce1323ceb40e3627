"""Asks the database what the panels show that read PostgreSQL."""

from typing import Final

import asyncpg

from observability.asking import TIMEOUT_S, Answer, NotAsked, said
from observability.panels import Panel

ROWS_MAX: Final = 100


async def ask_database(dsn: str, panel: Panel) -> Answer:
    """Return what the statement of *panel* yields to the role of *dsn*. Raises NotAsked."""
    assert panel.sql is not None
    try:
        connection = await asyncpg.connect(dsn, timeout=TIMEOUT_S)
        try:
            rows = await connection.fetch(panel.sql, timeout=TIMEOUT_S)
        finally:
            await connection.close(timeout=TIMEOUT_S)
    except (OSError, TimeoutError, asyncpg.PostgresError) as error:
        raise NotAsked(f"the database does not answer ({said(error)}): see `make status`") from error
    columns = list(rows[0].keys()) if rows else []
    return Answer(panel=panel, columns=columns, rows=[tuple(row.values()) for row in rows[:ROWS_MAX]])
