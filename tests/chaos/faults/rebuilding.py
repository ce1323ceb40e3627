"""Operators' work on the history's projections under load: both are rebuilt, and take the places of those that live."""

import asyncio
import time
from typing import Final

import asyncpg
from tests.chaos.load import exchanges
from tests.chaos.load.reading import reading
from tests.chaos.platform.product import HISTORY, INDEXER
from tests.chaos.run import Bite, Fault, Run

REBUILT: Final = {"ledger": "transaction_history_next", "index": "history_index_next"}
"""Each projection's name, and the schema in which it is filled."""


async def rebuild_and_switch(run: Run) -> Bite:
    """F28: each projection is built again from the topic, killed on its way, and switched to where all is equal.

    No read fails meanwhile.
    """
    bitten_s = time.monotonic()
    async with reading(run, [run.platform.port("history")]) as reads:
        told = [await _rebuild(run, name, schema) for name, schema in REBUILT.items()]
    recovery_s = await run.recovery_s(bitten_s)
    switched = sum("switched" in each.splitlines()[-1] for each in told)
    answered = sum(each.status == exchanges.OK for each in reads)
    breaches = [f"{len(reads) - answered} of {len(reads)} reads failed"] if answered < len(reads) else []
    if switched < len(REBUILT):
        breaches.append("not all was switched to: " + "; ".join(each.splitlines()[-1] for each in told))
    what = f"{switched} projections rebuilt, killed once each, and switched to, {answered} reads answered meanwhile"
    figures: dict[str, float] = {"failed_reads": len(reads) - answered, "hash_equal": switched == len(REBUILT)}
    return Bite(what=what, count=min(switched, answered), recovery_s=recovery_s, breaches=breaches, figures=figures)


async def _rebuild(run: Run, name: str, schema: str) -> str:
    """Rebuild the projection *name*, which is killed once *schema* is there; return what the second run told."""
    command = ("projections", "rebuild", "--projection", name, "--switch")
    dsn = run.platform.databases[HISTORY.service].dsn_admin
    await run.platform.operate_killed(HISTORY.service, *command, once=lambda: asyncio.run(_is_there(dsn, schema)))
    assert await _is_there(dsn, schema), "what was filled outlives who filled it"
    return await run.platform.operate(HISTORY.service, *command)


async def _is_there(dsn: str, schema: str) -> bool:
    connection = await asyncpg.connect(dsn, timeout=5, command_timeout=30)
    try:
        return bool(await connection.fetchval("select to_regnamespace($1) is not null", schema))
    finally:
        await connection.close()


FAULTS = (
    Fault(id="F28", title="rebuild and switch both projections under load", inflict=rebuild_and_switch, also=INDEXER),
)
