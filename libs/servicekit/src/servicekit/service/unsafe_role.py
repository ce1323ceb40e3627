"""The role that a service's processes use may do what they need, and no more: asked of the database at their start."""

from collections.abc import Sequence
from typing import Final

from servicekit.lifecycle import CannotStart
from servicekit.postgres import PoolSettings, open_pool

OUTBOX: Final = "servicekit.outbox"
"""A service's table that only grows, besides its own."""

_RIGHTS: Final = """
    with inside as (
        select oid, nspname, nspowner from pg_namespace where nspname !~ '^pg_' and nspname <> 'information_schema'
    ), grown as (
        select c.oid from pg_class c join inside n on n.oid = c.relnamespace
         where n.nspname || '.' || c.relname = any ($1::text[])
    ), all_of_grown as (
        select oid from grown union select t.relid from grown g, pg_partition_tree(g.oid) t
    )
    select r.rolsuper as is_superuser,
           exists (select from inside where pg_has_role(nspowner, 'member')
                   union all
                   select from pg_class c join inside n on n.oid = c.relnamespace
                    where pg_has_role(c.relowner, 'member')) as is_owner,
           array(select oid::regclass::text from all_of_grown
                  where has_table_privilege(oid, 'update, delete, truncate')
                     or has_any_column_privilege(oid, 'update')
                  order by 1) as rewritable
      from pg_roles r where r.rolname = current_user"""


class UnsafeRoleError(CannotStart):
    """The app role may do what no process needs. The message names all of it."""


async def refuse_unsafe_role(dsn: str, *, application: str, journals: Sequence[str] = ()) -> None:
    """Ask the database at *dsn*, in one round trip, what the role that it names may do.

    Raises UnsafeRoleError where it is a superuser, owns a schema or a table of the service (or is a member of the role
    that does), or may update, delete or truncate what only grows: the outbox, *journals* (`schema.table`; one that does
    not exist is passed over), and every partition of them. Raises Unavailable if the database cannot be reached.
    """
    pools = PoolSettings(dsn=dsn, application_name=f"{application}-rights", max_size=1)
    async with await open_pool(pools) as pool, pool.connection() as connection:
        row = await connection.fetchrow(_RIGHTS, [OUTBOX, *journals])
    assert row is not None, "a session's role exists"
    flaws = _flaws(is_superuser=row["is_superuser"], is_owner=row["is_owner"], rewritable=row["rewritable"])
    if flaws:
        raise UnsafeRoleError(f"the role of the service's processes {', and '.join(flaws)}: give them the app role")


def _flaws(*, is_superuser: bool, is_owner: bool, rewritable: Sequence[str]) -> list[str]:
    """Return what is wrong with the role, in words; a superuser's other rights follow from that."""
    if is_superuser:
        return ["is a superuser"]
    owns = ["owns what is in the database"] if is_owner else []
    return [*owns, *([f"may change or delete rows of {rewritable[0]}"] if rewritable else [])]
