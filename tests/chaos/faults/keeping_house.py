"""A maintenance leader that stands still beyond its lease, while another process does its job; then it goes on."""

import asyncio
import time
from collections.abc import Awaitable, Callable

import asyncpg
from tests.chaos.faults.pausing import pausing
from tests.chaos.judge.draining import POLL_S
from tests.chaos.platform.gated_maintenance import JOB, WRITES
from tests.chaos.platform.plant import Plant, admin
from tests.chaos.run import Bite, Fault, Run

HOUSES = ("maintenance", "maintenance-2")
TAKEN_OVER_WITHIN_S = 60.0
_NOTE_WHAT_MOVES_BACK = """
    create schema house;
    create table house.moved_back (shard smallint, before bigint, after bigint);
    create function house.note() returns trigger language plpgsql security definer as $$
    begin
        insert into house.moved_back values (old.shard, old.seq, new.seq);
        return new;
    end $$;
    create trigger moved_back before update on wallet.verified
        for each row when (new.seq < old.seq) execute function house.note()"""
_MOVED_BACK = "select shard, before, after from house.moved_back order by shard limit 5"
_VERIFIED = "select sum(seq)::bigint from wallet.verified"
_WRITTEN = "select sum(seq)::bigint from (select max(seq) as seq from wallet.journal group by shard) heads"
_UNVERIFIED = """
    select count(*) from wallet.verified v
      join (select shard, max(seq) as seq from wallet.journal group by shard) j using (shard) where v.seq < j.seq"""


async def stop_leader(run: Run) -> Bite:
    """F57: the leader stops between its look and its write until another has moved on; then it goes on."""
    async with admin(run.platform.databases["wallet"]) as database:
        await database.execute(_NOTE_WHAT_MOVES_BACK)
        async with pausing(run, WRITES) as leader:
            was = await database.fetchval(_VERIFIED)
            seen = await database.fetchval(_WRITTEN)  # at least what the leader saw
            await _until(lambda: _has_passed(database, seen))
            moved = await database.fetchval(_VERIFIED) - was
            recovery_s = time.monotonic() - leader.since_s
        await _until(lambda: _follows(run, leader.name))
        back = [f"shard {shard} from {before} to {after}" for shard, before, after in await database.fetch(_MOVED_BACK)]
    breaches = [f"cursors moved back: {', '.join(back)}"] if back else []
    if "maintenance.lease_lost" not in run.platform.log(leader.name):
        breaches.append(f"{leader.name} does not tell that it lost its lease")
    return Bite(
        what=f"{leader.name} stopped over a write, the other verified {moved} rows, {leader.name} went on",
        count=moved,
        recovery_s=recovery_s,
        breaches=breaches,
    )


async def _has_passed(database: asyncpg.Connection, rows: int) -> bool:
    """Return whether more than *rows* are verified."""
    passed: bool = await database.fetchval(_VERIFIED) > rows
    return passed


async def _follows(run: Run, name: str) -> bool:
    page = await run.platform.page(name, "/metrics")
    return f'maintenance_is_leader{{job="{JOB}"}} 0.0' in page


async def _until(holds: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(TAKEN_OVER_WITHIN_S):
        while not await holds():  # noqa: ASYNC110  in other processes
            await asyncio.sleep(POLL_S)


async def figures_are_exact(run: Run, bite: Bite) -> None:
    """See that all was verified and nothing found, by them and by `verify`."""
    async with admin(run.platform.databases["wallet"]) as database:

        async def all_is_verified() -> bool:
            unverified: int = await database.fetchval(_UNVERIFIED)
            return unverified == 0

        await _until(all_is_verified)
    for name in HOUSES:
        shown = [line for line in (await run.platform.page(name, "/metrics")).splitlines() if _tells_breach(line)]
        bite.breaches += [f"{name} shows {line}" for line in shown]
    await run.platform.operate("wallet", "verify")


def _tells_breach(line: str) -> bool:
    return line.startswith("invariant_violations{") and not line.endswith(" 0.0")


FAULTS = (
    Fault(
        id="F57",
        title="SIGSTOP a maintenance leader beyond its lease",
        inflict=stop_leader,
        settle=figures_are_exact,
        also=frozenset({"maintenance-2"}),
        gated=frozenset(HOUSES),
    ),
)
PLANTED = (
    Fault(
        id="F57-no-fence",
        title="a maintenance job that writes without a look at its lease",
        inflict=stop_leader,
        settle=figures_are_exact,
        also=frozenset({"maintenance-2"}),
        plant=Plant(parts=dict.fromkeys(HOUSES, "unfenced"), caught_by=frozenset({"own"})),
    ),
)
