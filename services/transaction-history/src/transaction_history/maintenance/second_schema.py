"""The schemas of a rebuild: the one that is filled beside the live one, and the one that was live before.

What is filled says in its comment what it was made of, so that a rebuild that was killed goes on where it was, and a
release with other tables begins anew.
"""

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import msgspec

from servicekit.consumer.projection import Projection
from servicekit.migrations import MigrationSource, Roles, for_roles, read_functions, read_source
from servicekit.postgres import Connection
from transaction_history.domain.touched import Parsed
from transaction_history.maintenance.tails import Keys

_EXISTS: Final = "select to_regnamespace($1) is not null"
_COMMENT: Final = "select obj_description(to_regnamespace($1), 'pg_namespace')"
_SECONDARY: Final = """
    select format('%I.%I', $1::text, c.relname) as name,
           replace(pg_get_indexdef(i.indexrelid), ' ON ONLY ', ' ON ') as definition  -- of partitions too
    from pg_index i join pg_class c on c.oid = i.indexrelid join pg_class t on t.oid = i.indrelid
    where c.relnamespace = to_regnamespace($1) and not t.relispartition
      and not exists (select from pg_constraint where conindid = i.indexrelid)
    order by c.relname"""
_TABLES: Final = """
    select format('%I.%I', $1::text, relname) as name from pg_class
    where relnamespace = to_regnamespace($1) and relkind in ('r', 'p') and not relispartition order by relname"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rebuildable:
    """A projection that can be built a second time: *name* is its own and its schema's, *source* makes its tables.

    *projecting* makes the one that writes to a schema, and is named as it. *keys* tells which rows events write to.
    *uncompared* are tables that do not come from events alone. *names_itself*: functions of *source* name the schema in
    their text, and are applied anew where it is renamed. *may_be_outdated*: the live tables may be of the release
    before.
    """

    name: str
    source: MigrationSource
    projecting: Callable[[str], Projection]
    keys: Callable[[list[Parsed]], list[Keys]]
    uncompared: frozenset[str] = frozenset()
    names_itself: bool = False
    may_be_outdated: bool = False

    @property
    def next_name(self) -> str:
        """The name while it is built."""
        return f"{self.name}_next"

    @property
    def old_name(self) -> str:
        """The name of what it has replaced."""
        return f"{self.name}_old"


class _Made(msgspec.Struct):
    """What a schema's comment says: of which migrations it was made, and which indexes are still to be made."""

    digest: str
    indexes: list[str]


class Schemas:
    """What is done to schemas, each step over the owner's connection and in a transaction."""

    def __init__(self, what: Rebuildable, roles: Roles) -> None:
        self._what = what
        self._roles = roles
        migrations, functions = read_source(what.source), read_functions(what.source)
        self._sql = [*(each.sql for each in migrations), *(each.sql for each in functions)]

    async def begin(self, owner: Connection) -> bool:
        """Have the second schema there, empty or as far as it was filled; return whether it was there."""
        async with owner.transaction():
            made = await self._made(owner)
            if made is not None and made.digest == self._digest:
                return True
            await self._drop(owner, self._what.next_name)
            for sql in self._sql:
                await owner.execute(self._named(sql, self._what.next_name))
            secondary = await owner.fetch(_SECONDARY, self._what.next_name)
            for index in secondary:
                await owner.execute(f"drop index {index['name']}")
            await self._note(owner, _Made(self._digest, [index["definition"] for index in secondary]))
        return False

    async def make_indexes(self, owner: Connection) -> None:
        """Make the indexes that filling did not keep up, and have the planner know the tables."""
        async with owner.transaction():
            made = await self._made(owner)
            assert made is not None, "the schema was begun"
            for definition in made.indexes:
                await owner.execute(definition)
            await self._note(owner, _Made(self._digest, []))
            for table in await owner.fetch(_TABLES, self._what.next_name):
                await owner.execute(f"analyze {table['name']}")

    async def drop_next(self, owner: Connection) -> None:
        """Drop the second schema with its checkpoints, if it is there."""
        async with owner.transaction():
            await self._drop(owner, self._what.next_name)

    async def drop_old(self, owner: Connection) -> bool:
        """Drop what was live before, with its checkpoints; return whether it was there."""
        async with owner.transaction():
            was_there = await self.has_old(owner)
            await self._drop(owner, self._what.old_name)
        return was_there

    async def has_old(self, owner: Connection) -> bool:
        """Return whether what was live before is there."""
        exists: bool = await owner.fetchval(_EXISTS, self._what.old_name)
        return exists

    async def switch(self, owner: Connection) -> None:
        """Give the rebuilt tables the live name, in the transaction under way; both are at the same position.

        Sessions resolve names anew: no read fails, and nothing is locked. What was live is kept with its checkpoints.
        """
        await self._drop(owner, self._what.old_name)
        await owner.execute(f"comment on schema {self._what.next_name} is null")
        await owner.execute(f"alter schema {self._what.name} rename to {self._what.old_name}")
        await owner.execute(f"alter schema {self._what.next_name} rename to {self._what.name}")
        await owner.execute(
            "update servicekit.checkpoint set projection = $2 where projection = $1",
            self._what.next_name,
            self._what.old_name,
        )
        await self._name_functions(owner)

    async def switch_back(self, owner: Connection) -> None:
        """Exchange what is live and what was live before, in the transaction under way; both are at one position."""
        name, next_name, old_name = self._what.name, self._what.next_name, self._what.old_name
        await owner.execute(f"alter schema {name} rename to {next_name}")
        await owner.execute(f"alter schema {old_name} rename to {name}")
        await owner.execute(f"alter schema {next_name} rename to {old_name}")
        await self._name_functions(owner)

    async def _name_functions(self, owner: Connection) -> None:
        if self._what.names_itself:
            for schema in (self._what.name, self._what.old_name):
                for function in read_functions(self._what.source):
                    await owner.execute(self._named(function.sql, schema))

    def _named(self, sql: str, schema: str) -> str:
        return for_roles(re.sub(rf"\b{self._what.name}\b", schema, sql), self._roles)

    @property
    def _digest(self) -> str:
        return hashlib.sha256("\n".join(self._sql).encode()).hexdigest()

    async def _made(self, owner: Connection) -> _Made | None:
        comment = await owner.fetchval(_COMMENT, self._what.next_name)
        return None if comment is None else msgspec.json.decode(comment, type=_Made)

    async def _note(self, owner: Connection, made: _Made) -> None:
        text = await owner.fetchval("select quote_literal($1)", msgspec.json.encode(made).decode())
        await owner.execute(f"comment on schema {self._what.next_name} is {text}")

    async def _drop(self, owner: Connection, schema: str) -> None:
        await owner.execute(f"drop schema if exists {schema} cascade")
        await owner.execute("delete from servicekit.parked_subject where projection = $1", schema)
        await owner.execute("delete from servicekit.checkpoint where projection = $1", schema)
