"""Faults while the history closes statements: workers die at every step, and what comes late comes late."""

import asyncio
import csv
import hashlib
import io
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any, Final

import asyncpg
from tests.chaos.faults.clock import OF_THEIR_OWN, READ_ANEW_S, clock_of_its_own, wrong
from tests.chaos.faults.killing import (
    CLIENTS,
    HIT_MIN,
    OWNER,
    REACHED_WITHIN_S,
    arm,
    boundaries,
    chosen,
    freed,
    killed_at,
)
from tests.chaos.faults.overtaking import settled_at
from tests.chaos.judge.draining import caught_up
from tests.chaos.load import exchanges, files
from tests.chaos.load.files import asked
from tests.chaos.platform.gate import Action
from tests.chaos.platform.gated_ledger import Moment
from tests.chaos.platform.gated_worker import PREFIX
from tests.chaos.platform.plant import admin
from tests.chaos.platform.product import HISTORY, HISTORY_WORKERS
from tests.chaos.run import Bite, Fault, Run

from contracts.history import STATEMENT_READY

WALLETS: Final = 6
AGO: Final = tuple(timedelta(minutes=minutes) for minutes in (60, 45, 30, 15))
"""When the wallets' money moved, by the ledger's clock: their periods are over without a wait."""
LONG_AGO: Final = (timedelta(minutes=120), timedelta(minutes=90))
HOUR: Final = timedelta(hours=1)
LATE_ENDS: Final = (timedelta(minutes=30), timedelta(minutes=3))
"""How long ago two periods end: what comes an hour late came between."""
KILLS: Final = 11
"""One for each period."""
LATE_MINOR: Final = 4_711
ENROLLED_WITHIN_S = 40.0
CLOSED_WITHIN_S = 45.0
FETCHED: Final = 4
"""Files of which the bytes are looked at."""
SETTINGS: Final = {"time_zone": "UTC", "locale": "en", "schedule": "quarterly", "formats": ["csv", "pdf"]}
_OF = "wallet_id = any ($1::text[]::uuid[])"
_ENROLLED = f"select count(*) from history_jobs.statement_account where {_OF} and due_at is not null"
_DUE = f"update history_jobs.statement_account set due_at = $2 where {_OF}"
_CLOSED = f"select count(*) from history_jobs.statement where {_OF} and to_instant >= $2"
_UNMADE = "select count(*) from history_jobs.statement_file where status in ('queued', 'running')"
_STATEMENTS = f"""
    select s.*, (select e.posted_minor_after from transaction_history.entry e
                 where e.wallet_id = s.wallet_id and e.version <= s.last_version
                 order by e.version desc limit 1) as stands_at,
           (select count(*) from servicekit.outbox o
            where o.type = $2 and convert_from(o.payload, 'utf8')::jsonb ->> 'statement_id' = s.id::text) as events
    from history_jobs.statement s where {_OF} order by s.wallet_id, s.number"""
_SECOND = f"select id::text, entries, credits from history_jobs.statement where {_OF} and number = 2"
_LATE: Final = "history_late_entries_total"
_HALF_DONE: Final = (
    ("an object is written", "", Moment.ANSWERED),
    ("insert into history_jobs.job_part", "", Moment.ANSWERED),
    ("insert into history_jobs.statement (", "", Moment.ANSWERED),
    ("select servicekit.append_to_outbox", "-commit", Moment.SENT),
)
"""Where the server is killed: a statement, and whether its answer or the COMMIT behind it is held."""
_EVENTS = "select count(*) from servicekit.outbox where type = $1"
_BAD_FILES = "select status, failure, attempts from history_jobs.statement_file where status <> 'succeeded'"
_FILES = f"""
    select f.statement_id::text, f.format, f.sha256 from history_jobs.statement_file f
    join history_jobs.statement s on s.id = f.statement_id where {_OF} order by 1, 2"""


@dataclass(slots=True)
class Scene:
    """Wallets whose money moved in the past, and when their periods end."""

    run: Run
    wallets: list[str] = field(default_factory=list)
    ends: list[datetime] = field(default_factory=list)

    async def close(self, end: datetime) -> None:
        """Have all periods end at *end*."""
        async with self.run.platform.connections() as connections:
            await connections["transaction_history"].execute(_DUE, self.wallets, end)
        self.ends.append(end)

    async def closed(self) -> list[str]:
        """Wait until the last periods are closed and their files are made; return what is missing."""
        async with self.run.platform.connections() as connections:
            history = connections["transaction_history"]
            until_s = time.monotonic() + CLOSED_WITHIN_S
            while time.monotonic() < until_s:
                count = await history.fetchval(_CLOSED, self.wallets, self.ends[-1])
                unmade = await history.fetchval(_UNMADE)
                if count == len(self.wallets) and not unmade:
                    return []
                await asyncio.sleep(files.POLL_S)
        return [f"period {len(self.ends)}: {count} of {len(self.wallets)} statements, {unmade} files are not made"]


async def scene_of(run: Run, agos: Sequence[timedelta] = AGO) -> Scene:
    """Have wallets opened the first of *agos*, move their money at each of them, and enrol them."""
    scene = Scene(run)
    async with run.bank.paused(), admin(run.platform.databases["wallet"]) as clock:
        for ago in agos:
            async with wrong(clock, -ago):
                await asyncio.sleep(READ_ANEW_S)
                await _move(scene)
    answer = await asked(run, "PUT", "/v1/history/statement-settings", SETTINGS, key=run.bank.key("settings"))
    assert answer.status == 200, answer.body
    async with run.platform.connections() as connections:
        await caught_up(connections, HISTORY)
    await _restarted(run)
    async with run.platform.connections() as connections, asyncio.timeout(ENROLLED_WITHIN_S):
        history = connections["transaction_history"]
        while await history.fetchval(_ENROLLED, scene.wallets) < len(scene.wallets):  # noqa: ASYNC110  in other processes
            await asyncio.sleep(files.POLL_S)
    return scene


async def _restarted(run: Run) -> None:
    """Start the workers anew: they enrol wallets at once."""
    await asyncio.gather(*(run.platform.kill(name) for name in sorted(HISTORY_WORKERS)))
    await freed(run)
    await asyncio.gather(*(run.platform.start(name, gated=True) for name in sorted(HISTORY_WORKERS)))


async def _move(scene: Scene) -> None:
    """Open the wallets where they are not, and move some money."""
    run, bank = scene.run, scene.run.bank
    while len(scene.wallets) < WALLETS:
        scene.wallets.append(await bank.open_wallet())
    for wallet in scene.wallets:
        await settled_at(run, bank.deposit(wallet, run.chance.randrange(1_000, 9_000)), bank.ports[0])
    for payer, payee in pairwise(scene.wallets):
        await settled_at(run, bank.transfer(payer, payee, run.chance.randrange(1, 500)), bank.ports[1])


def ends_of(now: datetime, count: int) -> list[datetime]:
    """Return *count* instants at which periods end, evenly between the first and the last that money moved."""
    first, last = now - AGO[0] + timedelta(minutes=5), now - AGO[-1] + timedelta(minutes=5)
    return [first + (last - first) * number / (count - 1) for number in range(count)]


async def kill_in_closing(run: Run) -> Bite:
    """F52: workers die at statements about statements, at their COMMITs and at objects, while periods are closed."""
    scene = await scene_of(run)
    now = await _now(run)
    first, *ends = ends_of(now, KILLS + 1)
    await scene.close(first)
    breaches = await scene.closed()
    points = chosen(run, boundaries(run, "history_jobs.statement", "append_to_outbox"), KILLS)
    began_s, hit = time.monotonic(), 0
    for point, end in zip(points, ends, strict=False):
        arm(run, point)
        await scene.close(end)
        hit += await killed_at(run, point)
        breaches += [f"{each}, killed at {point}" for each in await scene.closed()]
    seconds = time.monotonic() - began_s
    if hit < HIT_MIN * len(points):
        breaches.append(f"no worker came to {len(points) - hit} of {len(points)} boundaries")
    breaches += await disagreements(scene)
    statements = len(scene.ends) * len(scene.wallets)
    what = f"workers killed at {hit} of {len(points)} boundaries, {statements} statements closed in {seconds:.0f} s"
    return Bite(what=what, count=hit, recovery_s=await run.recovery_s(time.monotonic()), breaches=breaches)


async def _now(run: Run) -> datetime:
    async with run.platform.connections() as connections:
        now: datetime = await connections["wallet"].fetchval("select now()")
        return now


async def disagreements(scene: Scene) -> list[str]:
    """Return where statements do not follow each other, differ from the ledger, or are told of otherwise than once."""
    async with scene.run.platform.connections() as connections:
        history = connections["transaction_history"]
        statements = await history.fetch(_STATEMENTS, scene.wallets, STATEMENT_READY.number)
        events = await history.fetchval(_EVENTS, STATEMENT_READY.number)
        bad = [f"a file is {row['status']} ({row['failure']})" for row in await history.fetch(_BAD_FILES)]
        made = await history.fetch(_FILES, scene.wallets)
    found = [*bad, *([f"{events} events of {len(statements)} statements"] if events != len(statements) else [])]
    for wallet in scene.wallets:
        found += _unjoined([each for each in statements if str(each["wallet_id"]) == wallet], scene.ends)
    for row in scene.run.chance.sample(made, min(FETCHED, len(made))):
        found += await _wrong_file(scene.run, row)
    return found


def _unjoined(statements: Sequence[asyncpg.Record], ends: Sequence[datetime]) -> list[str]:
    if [(each["number"], each["to_instant"]) for each in statements] != list(enumerate(ends, 1)):
        return [f"a wallet's statements are {[(each['number'], each['to_instant']) for each in statements]}"]
    rows: list[Any] = [{"closing": 0, "last_version": 0}, *statements]
    found = []
    for before, each in pairwise(rows):
        name = f"statement {each['number']} of {each['wallet_id']}"
        if (each["opening"], each["first_version"]) != (before["closing"], before["last_version"] + 1):
            found.append(f"{name} does not begin where the last one ended")
        if each["opening"] + each["credits"] - each["debits"] != each["closing"]:
            found.append(f"{name} does not add up")
        if each["closing"] != (each["stands_at"] or 0):
            found.append(f"{name} ends with {each['closing']}, the ledger with {each['stands_at']}")
        if each["events"] != 1:
            found.append(f"{name} is told of {each['events']} times")
    return found


async def _wrong_file(run: Run, row: asyncpg.Record) -> list[str]:
    path = f"/v1/history/statements/{row['statement_id']}/file?format={row['format']}"
    answer = await asked(run, "GET", path)
    if answer.status == exchanges.OK and hashlib.sha256(answer.body).digest() == row["sha256"]:
        return []
    return [f"{path} is answered {answer.status} with other bytes than were made"]


async def come_late(run: Run) -> Bite:
    """F54: after a period was closed the ledger's clock is an hour behind for a deposit each, then an hour ahead."""
    scene = await scene_of(run, LONG_AGO)
    now = await _now(run)
    first, second = (now - ago for ago in LATE_ENDS)
    await scene.close(first)
    breaches = await scene.closed()
    async with run.bank.paused(), admin(run.platform.databases["wallet"]) as clock:
        for ahead, wallets in ((-HOUR, scene.wallets), (HOUR, scene.wallets[-1:])):
            async with wrong(clock, ahead):
                await asyncio.sleep(READ_ANEW_S)
                for wallet in wallets:
                    await settled_at(run, run.bank.deposit(wallet, LATE_MINOR), run.bank.ports[0])
    async with run.platform.connections() as connections:
        await caught_up(connections, HISTORY)
    await scene.close(second)
    breaches += await scene.closed()
    breaches += await disagreements(scene)
    breaches += await _late_ones(scene, first)
    counted = await _counted(run)
    if counted != len(scene.wallets):
        breaches.append(f"{counted} late entries are counted, of {len(scene.wallets)}")
    what = f"{counted:g} entries came after their period was closed and stand in the next one; one came an hour ahead"
    return Bite(what=what, count=int(counted), recovery_s=await run.recovery_s(time.monotonic()), breaches=breaches)


async def _late_ones(scene: Scene, closed_until: datetime) -> list[str]:
    """Return what is wrong with the second statements: each has the late deposit alone, under its own date."""
    found = []
    async with scene.run.platform.connections() as connections:
        rows = await connections["transaction_history"].fetch(_SECOND, scene.wallets)
    for row in rows:
        if (row["entries"], row["credits"]) != (1, LATE_MINOR):
            found.append(f"statement {row['id']} has {row['entries']} entries, {row['credits']} of credits")
        answer = await asked(scene.run, "GET", f"/v1/history/statements/{row['id']}/file?format=csv")
        lines = list(csv.DictReader(io.StringIO(answer.body.decode(), newline="")))
        if not all(datetime.fromisoformat(line["occurred_at"]) < closed_until for line in lines):
            found.append(f"statement {row['id']} dates what came late {[line['occurred_at'] for line in lines]}")
    return found


async def _counted(run: Run) -> float:
    pages = [await run.platform.page(name, "/metrics") for name in sorted(HISTORY_WORKERS)]
    return sum(float(count) for page in pages for count in re.findall(rf"^{_LATE} (\S+)", page, re.MULTILINE))


async def restart_postgres(run: Run) -> Bite:
    """F56: PostgreSQL is killed (odd seeds) or restarted (even ones) with a part or a lot of statements half done."""
    server = run.platform.postgres
    end_server = server.kill if run.seed % 2 else server.stop
    scene = await scene_of(run)
    first, *ends = ends_of(await _now(run), 1 + len(_HALF_DONE))
    await scene.close(first)
    breaches = [*await scene.closed(), *await files.ended(run, [await files.export(run, files.CSV, OWNER)])]
    points = [_point(run, *each) for each in run.chance.sample(_HALF_DONE, len(_HALF_DONE))]
    hit, recovery_s, pids = 0, 0.0, {name: run.platform.pid(name) for name in HISTORY_WORKERS}
    for point, end in zip(points, ends, strict=True):
        run.platform.gate.arm(point, Action.HOLD)
        jobs = [await files.export(run, form, OWNER) for form in files.FORMS]
        await scene.close(end)
        await run.platform.gate.wait_reached(point, within_s=REACHED_WITHIN_S)
        bitten_s = time.monotonic()
        await run.platform.site.keep(end_server)
        run.platform.gate.release(point)
        await run.platform.site.keep(server.start)
        hit += 1
        await freed(run)
        recovery_s = max(recovery_s, await run.recovery_s(bitten_s))
        found = [*await files.ended(run, jobs), *await scene.closed()]
        breaches += [f"{each}, restarted at {point}" for each in found]
    breaches += await disagreements(scene)
    breaches += [f"{name} did not live on" for name, pid in pids.items() if not await run.platform.lives(name, pid)]
    what = f"server ended {hit} times while workers were half done; {2 * hit} exports made, {hit} periods closed"
    return Bite(what=what, count=hit, recovery_s=recovery_s, breaches=breaches)


def _point(run: Run, text: str, suffix: str, moment: Moment) -> str:
    """Return the gate's point at *moment* of the statement with *text*, or of what is called *suffix* behind it."""
    noted = run.platform.gate.noted(PREFIX)
    return next(f"{name}{suffix}-{moment.value}" for name in noted if text in noted[name])


FAULTS = (
    Fault(
        id="F52-closing",
        title="kill -9 the history's workers at the steps of closing and rendering",
        inflict=kill_in_closing,
        beside=clock_of_its_own,
        also=HISTORY_WORKERS,
        gated=HISTORY_WORKERS,
        clients=CLIENTS,
    ),
    Fault(
        id="F54",
        title="entries an hour late, and an hour ahead, around a period's end",
        inflict=come_late,
        mix=OF_THEIR_OWN,
        beside=clock_of_its_own,
        also=HISTORY_WORKERS,
        gated=HISTORY_WORKERS,
        clients=CLIENTS,
    ),
    Fault(
        id="F56",
        title="kill or restart PostgreSQL in exports and closings",
        inflict=restart_postgres,
        beside=clock_of_its_own,
        also=HISTORY_WORKERS,
        gated=HISTORY_WORKERS,
        clients=CLIENTS,
    ),
)
