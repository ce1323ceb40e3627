"""Functions in force: a file is applied again when its text changed, and what an older release calls stays as it was.

A function's arguments and results, and the composite types among them, never change under a name: a release that still
runs calls them as it knows them. PostgreSQL refuses some such changes itself, and for others would keep two functions
of one name; both are refused alike, and so is a type that is not as its file says.
"""

import re
from collections.abc import AsyncIterator, Sequence
from typing import Final

import asyncpg

from servicekit.migrations.files import MigrationError, Roles, SqlFunction, for_roles
from servicekit.postgres import Connection, transaction

_TYPE: Final = re.compile(
    r"^create type (?P<name>[a-z0-9_]+\.[a-z0-9_]+) as (?P<attributes>\(.*?\));", re.MULTILINE | re.DOTALL | re.ASCII
)
_CHANGED: Final = (
    "a release that runs calls it as it was: give what changed a new name, and keep the old for one release"
)
_OTHER_SIGNATURE: Final = (asyncpg.InvalidFunctionDefinitionError, asyncpg.AmbiguousFunctionError)
_ATTRIBUTES: Final = """
    select attname, atttypid, atttypmod, attcollation from pg_attribute
     where attrelid = $1::text::regclass and attnum > 0 and not attisdropped order by attnum
"""
_IN_FORCE: Final = "select source, name, sha256 from servicekit.function_in_force"
_OF_THAT_NAME: Final = """
    select count(*) from pg_proc p join pg_namespace n on n.oid = p.pronamespace where n.nspname = $1 and p.proname = $2
"""
_RECORD: Final = """
    insert into servicekit.function_in_force (source, name, sha256) values ($1, $2, $3)
    on conflict (source, name) do update set sha256 = excluded.sha256, applied_at = clock_timestamp()
"""


async def apply_functions(
    connection: Connection, functions: Sequence[SqlFunction], *, roles: Roles
) -> list[SqlFunction]:
    """Apply those whose text is not in force, in the order given, each in a transaction; return them.

    Raises MigrationError if a signature or a type was changed in place, and driver errors with the file in a note.
    """
    applied = []
    async for function, is_there in pending_functions(connection, functions):
        await _apply(connection, function, roles, is_there=is_there)
        applied.append(function)
    return applied


async def pending_functions(
    connection: Connection, functions: Sequence[SqlFunction]
) -> AsyncIterator[tuple[SqlFunction, bool]]:
    """Give those whose text is not in force, in the order given, each with whether one of that name is there."""
    in_force = {(row["source"], row["name"]): row["sha256"] for row in await connection.fetch(_IN_FORCE)}
    for function in functions:
        # One that a migration dropped is not in force any more, whatever is recorded.
        is_there = await _of_that_name(connection, function) > 0
        if not is_there or in_force.get((function.source, function.name)) != function.sha256:
            yield function, is_there


async def _apply(connection: Connection, function: SqlFunction, roles: Roles, *, is_there: bool) -> None:
    try:
        async with transaction(connection):
            await connection.execute(for_roles(await _without_types(connection, function), roles))
            if await _of_that_name(connection, function) > 1:
                raise MigrationError(f"{function} has other arguments than the one in force: {_CHANGED}")
            await connection.execute(_RECORD, function.source, function.name, function.sha256)
    except asyncpg.PostgresError as error:
        if is_there and isinstance(error, _OTHER_SIGNATURE):
            raise MigrationError(f"{function}: {error.args[0]}: {_CHANGED}") from error
        error.add_note(f"in {function}")
        raise


async def _of_that_name(connection: Connection, function: SqlFunction) -> int:
    count: int = await connection.fetchval(_OF_THAT_NAME, function.schema, function.name)
    return count


async def _without_types(connection: Connection, function: SqlFunction) -> str:
    """Return the file's text without the types that are there.

    Raises MigrationError if one of them has other attributes than the file says.
    """
    sql = function.sql
    for declared in _TYPE.finditer(function.sql):
        name = declared["name"]
        if await connection.fetchval("select to_regtype($1)", name) is None:
            continue
        await connection.execute(f"create type servicekit.compared as {declared['attributes']}")
        wanted = await connection.fetch(_ATTRIBUTES, "servicekit.compared")
        await connection.execute("drop type servicekit.compared")
        if wanted != await connection.fetch(_ATTRIBUTES, name):
            raise MigrationError(f"{function}: the type {name} has other attributes than the one in force: {_CHANGED}")
        sql = sql.replace(declared[0], "")
    return sql
