"""Whether the API can take commands, and how everything behind it is."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from servicekit.health import Check
from servicekit.postgres import Connection, Pool
from servicekit.relay import halts
from servicekit.service.processes import database_check
from servicekit.settings import Mode
from wallet.adapters import partitions_postgres, system_accounts_postgres
from wallet.adapters.durability_postgres import unsafe_settings


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiHealth:
    """The checks of an API whose committer is *committing*, over a pool that serves nothing else."""

    pool: Pool
    committing: "asyncio.Task[None]"
    mode: Mode

    async def ready(self) -> Mapping[str, Check]:
        """Return whether the database answers and commands are committed."""
        works = not self.committing.done()
        committer = Check(ok=works, detail="at work" if works else "ended")
        return {**await database_check(self.pool), "committer": committer}

    async def deep(self) -> Mapping[str, Check]:
        """Return, besides, how safe, how full and how far behind the ledger is."""
        works = await self.ready()
        async with self.pool.connection() as connection:
            return {
                **works,
                "durability": await _durability(connection, self.mode),
                "journal": await _journal(connection),
                "system_accounts": await _system_accounts(connection),
                "relay": await _relay(connection),
            }


async def _durability(connection: Connection, mode: Mode) -> Check:
    unsafe = await unsafe_settings(connection)
    return Check(
        ok=not unsafe or mode is Mode.DEVELOPMENT,
        detail=f"acknowledged money could be lost: {', '.join(unsafe)}" if unsafe else "safe",
    )


async def _journal(connection: Connection) -> Check:
    headroom = await partitions_postgres.journal_headroom(connection)
    attached = await partitions_postgres.attached_partitions(connection)
    return Check(
        ok=headroom > 0 and attached <= partitions_postgres.ATTACHED_MAX,
        detail=f"{headroom} sequence numbers of room in {attached} partitions",
    )


async def _system_accounts(connection: Connection) -> Check:
    behind = await system_accounts_postgres.lag_rows(connection)
    return Check(
        ok=behind <= system_accounts_postgres.LAG_ROWS_MAX, detail=f"totals are {behind} rows behind the journal"
    )


async def _relay(connection: Connection) -> Check:
    halted = bool(await halts.active(connection))
    return Check(ok=not halted, detail="the topic is ahead of the journal" if halted else "not halted")
