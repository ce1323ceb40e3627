"""Faults of the database beneath the command side: it stands still, or has no connection to give."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass

from tests.chaos.judge import vitals
from tests.chaos.load import exchanges
from tests.chaos.load.exchanges import Exchange
from tests.chaos.load.reading import READ_WITHIN_S, reading
from tests.chaos.load.workload import CLIENTS
from tests.chaos.platform import signals
from tests.chaos.platform.platform import Platform
from tests.chaos.platform.product import APIS
from tests.chaos.run import Bite, Fault, Run

from engines.databases import app_role, reader_role
from wallet.config import WalletSettings

STOPPED_S = 10.0
WARM_S = 0.5
"""What it takes to open every connection of the pools."""
COMMAND_WITHIN_S = WalletSettings.model_fields["wallet_command_deadline_s"].default + 1.5
"""The deadline of a command, and what two busy cores add to it."""
FILES_MORE_MAX = CLIENTS
"""A client that went over to the other instance keeps its connection to the first."""
POOLED = len(APIS) * WalletSettings.model_fields["wallet_read_connections"].default
HELD_S = 4.0
FAST_S = 2.0
"""A pool gives up after a second; the other is what two busy cores add."""
RECOVERED_WITHIN_S = 3.0
_END_SESSIONS = """
    select pg_terminate_backend(pid) from pg_stat_activity
    where usename = $1 and datname = current_database()"""


async def stop_postgres(run: Run) -> Bite:
    """F3: SIGSTOP PostgreSQL with all its backends; commands and reads are answered in time meanwhile."""
    ports = [*run.platform.api_ports, run.platform.port("history")]
    async with reading(run, ports):
        await asyncio.sleep(WARM_S)
    files = await vitals.open_files(run.platform)
    began_s = time.monotonic()
    async with reading(run, ports) as reads, paused(run) as stopped:
        await asyncio.sleep(STOPPED_S)
    ended_s = time.monotonic()
    recovery_s = await run.recovery_s(ended_s)
    await asyncio.sleep(COMMAND_WITHIN_S)
    commands = _between(run, began_s, ended_s)
    refusals = exchanges.refused([*commands, *reads])
    return Bite(
        what=f"{stopped} processes stopped for {STOPPED_S:g} s; told meanwhile: {_counts(refusals)}",
        count=refusals.total() if stopped else 0,
        recovery_s=recovery_s,
        breaches=[*_unbounded(commands, reads), *await _more_files(run.platform, files)],
    )


@asynccontextmanager
async def paused(run: Run) -> AsyncIterator[int]:
    """Have the server stand still during the body; give the number of its processes, each of which does."""
    keep, postgres = run.platform.site.keep, run.platform.postgres.daemon
    try:
        await keep(postgres.pause)
        # Again: the postmaster may have made a backend before it stood still itself.
        await keep(postgres.pause)
        pids = await keep(postgres.pids)
        await asyncio.gather(*(signals.stopped(pid) for pid in pids))
        yield len(pids)
    finally:
        await keep(postgres.resume)


def _between(run: Run, began_s: float, ended_s: float) -> list[Exchange]:
    return [each for each in run.bank.exchanges if each.overlaps(began_s, ended_s)]


def _unbounded(commands: Sequence[Exchange], reads: Sequence[Exchange]) -> list[str]:
    return [
        *(f"commands: {breach}" for breach in exchanges.late(commands, COMMAND_WITHIN_S)),
        *(f"reads: {breach}" for breach in exchanges.late(reads, READ_WITHIN_S)),
        *exchanges.not_retryable([*commands, *reads]),
    ]


def _counts(refusals: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {code}" for code, count in sorted(refusals.items()))


async def _more_files(platform: Platform, before: dict[str, float]) -> list[str]:
    after = await vitals.open_files(platform)
    return [
        f"{name} has {after[name]:g} files open, {count:g} before"
        for name, count in before.items()
        if after[name] > count + FILES_MORE_MAX
    ]


async def nothing_left(run: Run, bite: Bite) -> None:
    """Add to the breaches what is still held now that the load is over."""
    bite.breaches += await vitals.leaks(run.platform)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Spell:
    """A time without connections: what was asked in it, and how many pooled connections were busy."""

    commands: Sequence[Exchange]
    reads: Sequence[Exchange]
    busy: float
    recovery_s: float

    def refused(self, code: str) -> int:
        """Return how many reads were told *code*."""
        return exchanges.refused(self.reads)[code]


async def exhaust_connections(run: Run) -> Bite:
    """F21: every connection of the APIs waits for a lock that somebody holds; then the server gives them none."""
    waiting = await _without_connections(run, _locked)
    limited = await _without_connections(run, _unconnectable)
    recovery_s = max(waiting.recovery_s, limited.recovery_s)
    refusals = exchanges.refused([*waiting.reads, *limited.reads])
    return Bite(
        what=f"{waiting.busy:g} pooled connections held, then none to be had; reads were told: {_counts(refusals)}",
        count=min(waiting.refused("overloaded"), limited.refused("unavailable")),
        recovery_s=recovery_s,
        breaches=[
            *_unequal_spell(waiting, recovery_s),
            *_unbounded([*waiting.commands, *limited.commands], [*waiting.reads, *limited.reads]),
            *exchanges.late([each for each in waiting.reads if each.told], FAST_S),
            *exchanges.late([*limited.commands, *limited.reads], FAST_S),
        ],
    )


def _unequal_spell(waiting: _Spell, recovery_s: float) -> Iterator[str]:
    if waiting.busy < POOLED:
        yield f"only {waiting.busy:g} of {POOLED} pooled connections were held"
    if recovery_s > RECOVERED_WITHIN_S:
        yield f"recovered after {recovery_s:.1f} s"


async def _without_connections(run: Run, held: Callable[[Run], AbstractAsyncContextManager[None]]) -> _Spell:
    began_s = time.monotonic()
    async with reading(run, run.platform.api_ports) as reads, held(run):
        await asyncio.sleep(HELD_S / 2)
        busy = sum([await vitals.metric(run.platform, name, "db_pool_connections_busy") for name in APIS])
        await asyncio.sleep(HELD_S / 2)
    ended_s = time.monotonic()
    recovery_s = await run.recovery_s(ended_s)
    commands = _between(run, began_s, ended_s)
    return _Spell(commands=commands, reads=reads, busy=busy, recovery_s=recovery_s)


@asynccontextmanager
async def _locked(run: Run) -> AsyncIterator[None]:
    """Hold what every read and every command needs."""
    async with run.platform.connections() as connections, connections["wallet"].transaction():
        await connections["wallet"].execute("lock table wallet.wallet in access exclusive mode")
        yield


@asynccontextmanager
async def _unconnectable(run: Run) -> AsyncIterator[None]:
    """End the sessions of the wallet's processes, and let them open no other."""
    roles = app_role("wallet"), reader_role("wallet")
    async with run.platform.connections() as connections:
        wallet = connections["wallet"]
        for role in roles:
            await wallet.execute(f"alter role {role} connection limit 0")
        try:
            for role in roles:
                await wallet.execute(_END_SESSIONS, role)
            yield
        finally:
            for role in roles:
                await wallet.execute(f"alter role {role} connection limit -1")


FAULTS = (
    Fault(
        id="F3",
        title="SIGSTOP PostgreSQL with all its backends",
        inflict=stop_postgres,
        settle=nothing_left,
    ),
    Fault(
        id="F21",
        title="no database connection to be had",
        inflict=exhaust_connections,
        settle=nothing_left,
        is_alone=True,
    ),
)
