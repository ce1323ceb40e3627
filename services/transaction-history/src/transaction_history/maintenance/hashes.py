"""The hash of a read model: equal where every row is, whatever their order."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from servicekit.postgres import Connection

_TABLES: Final = """
    select relname from pg_class
    where relnamespace = to_regnamespace($1) and relkind in ('r', 'p') and not relispartition order by relname"""


@dataclass(frozen=True, slots=True)
class TableHash:
    """How many rows a table has, and 128 bits over all of their columns."""

    rows: int
    digest: str


async def table_hashes(
    connection: Connection, schema: str, *, leaving_out: Collection[str] = ()
) -> dict[str, TableHash]:
    """Return the hash of each table in *schema*, every column included; compare only what one connection returned."""
    names = [record["relname"] for record in await connection.fetch(_TABLES, schema)]
    return {name: await _hash(connection, schema, name) for name in names if name not in leaving_out}


async def _hash(connection: Connection, schema: str, table: str) -> TableHash:
    # A sum does not depend on the order, and, unlike an exclusive or, does not lose a row that is there twice.
    row = await connection.fetchrow(
        f"""select count(*) as rows,
                   coalesce(sum(hashtextextended(t::text, 0)::numeric), 0) as low,
                   coalesce(sum(hashtextextended(t::text, 1)::numeric), 0) as high
            from {schema}.{table} as t"""
    )
    assert row is not None
    bits = 1 << 64
    return TableHash(row["rows"], f"{int(row['high']) % bits:016x}{int(row['low']) % bits:016x}")
