"""Faults of a database that loses what was published."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
from tests.chaos.load.client import HttpClient
from tests.chaos.platform import signals
from tests.chaos.platform.product import APIS
from tests.chaos.run import Bite, Fault, Run

LOST = 2
"""Rows taken back: of one shard, and none of a system account's, whose sums are sampled all the while."""
HALTED_WITHIN_S = 30.0
TOPIC_AHEAD = "TopicAhead"
_SHARD = """
    select l.shard, l.cursor from servicekit.relay_lease as l
    where l.cursor > $1 and (select count(*) from wallet.journal as j where j.shard = l.shard
                             and j.seq > l.cursor - $1 and j.system_account is null) = $1
      and not exists (select from wallet.journal as j where j.shard = l.shard and j.seq > l.cursor)
    order by l.shard"""
_KEEP = "create table chaos_lost as select * from wallet.journal where shard = $1 and seq > $2"
_LOSE = "delete from wallet.journal where shard = $1 and seq > $2"
_SET_BACK = "update servicekit.relay_lease set cursor = $2 where shard = $1"
_GIVE_BACK = "insert into wallet.journal select * from chaos_lost"
_END_RELAY_SESSIONS = """
    select pg_terminate_backend(pid) from pg_stat_activity
    where application_name = 'wallet-relay' and datname = current_database()"""
_HALTS = "select count(*) from servicekit.relay_halt where cleared_at is null and shard = $1"


async def restore_beneath_relay(run: Run) -> Bite:
    """F39: the database is back at an earlier time and a living relay finds out; then the right backup comes in."""
    platform = run.platform
    bitten_s = time.monotonic()
    async with platform.connections() as connections:
        wallet = connections["wallet"]
        async with _standing_apis(run):
            shard, cursor = await _published_shard(run, wallet)
            await _lose(wallet, shard, cursor)
            await signals.gone(platform.pid("relay"))
            halts = await wallet.fetchval(_HALTS, shard)
            await wallet.execute(_GIVE_BACK)
            await wallet.execute(_SET_BACK, shard, cursor)
        refused = await _is_refused(run)
        said = TOPIC_AHEAD in platform.log("relay")
        await platform.operate("wallet", "unhalt", "--operator", "chaos")
        await platform.start("relay")
    recovery_s = await run.recovery_s(bitten_s)
    breaches = [] if said else ["the relay does not say why it ended"]
    breaches += [] if refused else ["the committers go on while the journal lacks events"]
    what = (
        f"{LOST} published events of shard {shard} lost beneath a living relay: it halted and ended, {halts} recorded"
    )
    return Bite(what=what, count=halts, recovery_s=recovery_s, breaches=breaches)


@asynccontextmanager
async def _standing_apis(run: Run) -> AsyncIterator[None]:
    """Have nothing written meanwhile: what is lost must be able to come back."""
    pids = [run.platform.pid(name) for name in APIS]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        await asyncio.gather(*(signals.stopped(pid) for pid in pids))
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


async def _published_shard(run: Run, wallet: asyncpg.Connection) -> tuple[int, int]:
    """Return a shard all of which is published, with its cursor."""
    async with asyncio.timeout(HALTED_WITHIN_S):
        while not (rows := await wallet.fetch(_SHARD, LOST)):  # noqa: ASYNC110  in another process
            await asyncio.sleep(0.1)
    chosen = run.chance.choice(rows)
    return chosen["shard"], chosen["cursor"]


async def _lose(wallet: asyncpg.Connection, shard: int, cursor: int) -> None:
    """Take the shard's last events back with the cursor, and end the relay's sessions, as a restart does."""
    async with wallet.transaction():
        await wallet.execute(_KEEP.replace("$1", str(shard)).replace("$2", str(cursor - LOST)))
        await wallet.execute(_LOSE, shard, cursor - LOST)
        await wallet.execute(_SET_BACK, shard, cursor - LOST)
    await wallet.execute(_END_RELAY_SESSIONS)


async def _is_refused(run: Run) -> bool:
    """Return whether an API comes to refuse commands because of the halt."""
    http = HttpClient(run.platform.api_ports[0])
    try:
        async with asyncio.timeout(HALTED_WITHIN_S):
            while not await _shows_the_halt(http):  # noqa: ASYNC110  in another process
                await asyncio.sleep(0.1)
    except TimeoutError:
        return False
    finally:
        http.close()
    return True


async def _shows_the_halt(http: HttpClient) -> bool:
    """Return whether deep health says that the relay is halted; another part may be unwell for a moment."""
    checks = (await http.request("GET", "/health/deep")).json().get("checks", {})
    return "relay" in checks and not checks["relay"]["ok"]


FAULTS = (
    Fault(
        id="F39",
        title="database restored beneath a living relay",
        inflict=restore_beneath_relay,
    ),
)
