"""Leases by name: who does a job that one instance does for all.

A leader's every transaction first extends its lease, by owner and epoch. So the row is locked until the transaction
ends: nobody takes the lease over while something is being written under it, and who lost it writes nothing.
"""

import asyncpg

from servicekit.postgres import Connection

_HOLDER = """
    select owner, epoch, expires_at > clock_timestamp() as holds,
           expires_at > clock_timestamp() + make_interval(secs => $2) as holds_long
      from servicekit.lease where name = $1"""

# The clock is read after the row was locked, so that a lease extended meanwhile is not taken.
_TAKE = """
    insert into servicekit.lease as held (name, owner, epoch, expires_at)
    values ($1, $2, 1, clock_timestamp() + make_interval(secs => $3))
    on conflict (name) do update
        set owner = excluded.owner, epoch = held.epoch + (held.owner <> excluded.owner)::int,
            expires_at = clock_timestamp() + make_interval(secs => $3)
        where held.owner = excluded.owner or held.expires_at <= clock_timestamp()
    returning epoch"""

_EXTEND = """
    update servicekit.lease set expires_at = clock_timestamp() + make_interval(secs => $4)
    where name = $1 and owner = $2 and epoch = $3"""

_RELEASE = "update servicekit.lease set expires_at = '-infinity' where name = $1 and owner = $2"


class LeaseLost(Exception):
    """Another instance has the lease: nothing was written."""


class Leadership:
    """The lease *name* as *owner* (unique among all that ever ran) wants it, for *lease_s* seconds at a time."""

    def __init__(self, name: str, *, owner: str, lease_s: float) -> None:
        self._name = name
        self._owner = owner
        self._lease_s = lease_s
        self._epoch = 0

    async def take(self, connection: Connection) -> bool:
        """Take the lease if it is free or this owner's already; return whether it is this owner's now.

        Nothing is written while another holds it, or this owner for more than half its time yet.
        """
        holder = await connection.fetchrow(_HOLDER, self._name, self._lease_s / 2)
        if holder is not None and holder["holds"]:
            if holder["owner"] != self._owner:
                return False
            if holder["holds_long"] and holder["epoch"] == self._epoch:
                return True
        try:
            epoch = await connection.fetchval(_TAKE, self._name, self._owner, self._lease_s)
        except asyncpg.LockNotAvailableError:
            return False  # its holder is still writing
        self._epoch = epoch or 0
        return epoch is not None

    async def extend(self, connection: Connection) -> None:
        """Extend the lease and lock it until the open transaction ends; raises LeaseLost if another owner has it."""
        status = await connection.execute(_EXTEND, self._name, self._owner, self._epoch, self._lease_s)
        if status != "UPDATE 1":
            raise LeaseLost(self._name)

    async def release(self, connection: Connection) -> None:
        """Free the lease, so that another instance takes it at once."""
        await connection.execute(_RELEASE, self._name, self._owner)
