"""Faults of identities: the broker is away while a key is revoked."""

import asyncio
import math
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager

from tests.chaos.judge.vitals import metric
from tests.chaos.load.credentials import POLL_S, Door, Key, Keys, code_of, doors, made_known, revoke
from tests.chaos.platform.platform import Platform
from tests.chaos.platform.product import ACCESS
from tests.chaos.run import Bite, Fault, Run

REVOCATIONS = 30
REFUSED_WITHIN_S = 10.0
PUBLISHED_WITHIN_S = 30.0
AWAY_S = 5.0
REVOKED = "key_revoked"
STALE = "access_stale_seconds"
_UNPUBLISHED = """
    select count(*) from servicekit.outbox as o join servicekit.relay_lease as l using (shard) where o.seq > l.cursor"""


async def revoke_without_broker(run: Run) -> Bite:
    """F45: a key is revoked while the broker is dead (odd seeds) or stands still (even ones); then it is back."""
    keys = await made_known(run.platform, REVOCATIONS + 2)
    bystander, victim, *others = keys.backends
    latencies = [await _revoked_s(run, keys, key) for key in others]
    breaches: list[str] = []
    with asked(run, victim) as doors_:
        async with going_on(run, bystander, breaches):
            await known(doors_)
            bitten_s = time.monotonic()
            async with _broker_away(run) as how:
                grown_s = await _while_away(run, keys, victim, doors_, breaches)
            back_s = time.monotonic()
            taken = min(door.taken for door in doors_)
            breaches += await all_refuse(doors_)
            recovery_s = await run.recovery_s(bitten_s)
        last_s = max(0.0, *(door.taken_last_s - back_s for door in doors_))
    return Bite(
        what=f"broker {how} for {AWAY_S:.0f} s, {STALE} grew by {grown_s:.1f}; a key revoked then was taken {taken}"
        f" times by each API and last {last_s:.1f} s after the return; revocation_p99_ms {1000 * p99(latencies):.0f}"
        f" before, of {len(latencies)}",
        count=taken if grown_s > 0 else 0,
        recovery_s=recovery_s,
        breaches=breaches,
    )


async def _revoked_s(run: Run, keys: Keys, key: Key) -> float:
    """Revoke *key*; return the seconds from the request until the last API has refused it.

    Raises TimeoutError where one still takes it after REFUSED_WITHIN_S.
    """
    with asked(run, key) as doors_:
        await known(doors_)
        async with asyncio.TaskGroup() as tasks:
            watching = [tasks.create_task(door.until_refused(REFUSED_WITHIN_S)) for door in doors_]
            began_s = time.monotonic()
            await revoke(run.platform, keys, key)
        ended_s = time.monotonic()
    codes = {task.result() for task in watching}
    assert codes == {REVOKED}, f"a revoked key is refused as {codes}"
    return ended_s - began_s


def p99(seconds: Sequence[float]) -> float:
    """Return the 99th percentile by nearest rank."""
    return sorted(seconds)[math.ceil(0.99 * len(seconds)) - 1]


@contextmanager
def asked(run: Run, key: Key) -> Iterator[Sequence[Door]]:
    """Give the APIs for who holds *key*, each over a connection that ends with the body."""
    found = doors(run.platform, key, run.bank.wallets[0])
    try:
        yield found
    finally:
        for door in found:
            door.http.close()


async def known(doors_: Sequence[Door]) -> None:
    """See that the key is taken everywhere, and so known by heart."""
    for door in doors_:
        refusal = await door.knock()
        assert refusal is None, f"{door.name} refuses a good key: {refusal}"
        assert door.taken, f"{door.name} does not answer"


@asynccontextmanager
async def going_on(run: Run, key: Key, breaches: list[str]) -> AsyncIterator[None]:
    """Ask every API with *key* while the body runs; where it is ever refused, that is one of *breaches*."""
    stop = asyncio.Event()
    with asked(run, key) as doors_:
        async with asyncio.TaskGroup() as tasks:
            for door in doors_:
                tasks.create_task(_ask_until(door, stop, breaches))
            try:
                yield
            finally:
                stop.set()
        breaches += [f"{door.name} took no other key" for door in doors_ if not door.taken]


async def _ask_until(door: Door, stop: asyncio.Event, breaches: list[str]) -> None:
    while not stop.is_set():
        refusal = await door.knock()
        if refusal is not None:
            breaches.append(f"{door.name} refuses a key that nobody revoked: {code_of(refusal)}")
            return
        await asyncio.sleep(POLL_S)


@asynccontextmanager
async def _broker_away(run: Run) -> AsyncIterator[str]:
    """Kill or stop the broker while the body runs; give how."""
    kafka, keep = run.platform.kafka, run.platform.site.keep
    how, end, begin = (
        ("dead", kafka.kill, kafka.start)
        if run.seed % 2
        else ("standing still", kafka.daemon.pause, kafka.daemon.resume)
    )
    await keep(end)
    try:
        yield how
    finally:
        await keep(begin)


async def _while_away(run: Run, keys: Keys, key: Key, doors_: Sequence[Door], breaches: list[str]) -> float:
    """Revoke *key* and go on asking with it; return by how much staleness grew where it grew least, in seconds."""
    await asyncio.sleep(1.0)  # what was on its way has arrived
    began_s, before = time.monotonic(), await _stale_s(run, doors_)
    await revoke(run.platform, keys, key)
    for door in doors_:
        door.taken = 0
    while time.monotonic() < began_s + AWAY_S:
        for door in doors_:
            refusal = await door.knock()
            if refusal is not None:
                breaches.append(f"{door.name} has heard of a revocation without a broker: {code_of(refusal)}")
            if not await run.platform.page(door.name, "/health/ready"):
                breaches.append(f"{door.name} is out of rotation")
        await asyncio.sleep(POLL_S)
    after = await _stale_s(run, doors_)
    return min(now - then for now, then in zip(after, before, strict=True))


async def _stale_s(run: Run, doors_: Sequence[Door]) -> list[float]:
    return [await metric(run.platform, door.name, STALE) for door in doors_]


async def all_refuse(doors_: Sequence[Door]) -> list[str]:
    """Wait until every API refuses the key; return where it does not in time, or says something else."""
    ends = await asyncio.gather(*(door.until_refused(REFUSED_WITHIN_S) for door in doors_), return_exceptions=True)
    return [f"{door.name}: {end!r}" for door, end in zip(doors_, ends, strict=True) if end != REVOKED]


async def until_published(platform: Platform) -> None:
    """Wait until the relay of access has published all that there is; raise TimeoutError beyond PUBLISHED_WITHIN_S."""
    async with platform.connections() as connections, asyncio.timeout(PUBLISHED_WITHIN_S):
        while await connections["access"].fetchval(_UNPUBLISHED):  # noqa: ASYNC110  in another process
            await asyncio.sleep(POLL_S)


FAULTS = (
    Fault(
        id="F45",
        title="a key revoked while the broker is away",
        inflict=revoke_without_broker,
        also=ACCESS,
        is_alone=True,
    ),
)
