"""The database of access is back at a time before a revocation: nobody's access is wider for it."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from itertools import cycle

import asyncpg
from tests.chaos.faults.access import REVOKED, all_refuse, asked, going_on, until_published
from tests.chaos.judge.identities import disagreements
from tests.chaos.load.client import HttpClient, Unanswered
from tests.chaos.load.credentials import Key, made_known, revoke
from tests.chaos.platform import signals
from tests.chaos.platform.platform import Platform
from tests.chaos.platform.product import ACCESS, IDENTITIES
from tests.chaos.run import Bite, Fault, Run

from engines.errors import EngineError

API, RELAY, WORKER = "access-api", "access-relay", "access-worker"
WITHIN_S = 30.0
HALTED_S = 4.0
ASK_EVERY_S = 0.05
ADDRESSES = 40
"""Whoever asks comes from each in turn: a refused credential is not limited, which would hide whether it is good."""
TAKEN, HALTED = "taken", "halted"
TOPIC_AHEAD = "TopicAhead"
_OPEN_HALTS = "select count(*) from servicekit.relay_halt where cleared_at is null"
_HALTS = "select count(*) from servicekit.relay_halt where cleared_by = 'chaos'"


async def restore_access(run: Run) -> Bite:
    """F49: the backup comes in beneath living processes (odd seeds), or between their end and their start."""
    platform = run.platform
    keys = await made_known(platform, 3)
    bystander, victim, later = keys.backends
    await until_published(platform)
    await _replace(platform, backs_up=True)
    await _serves(platform, keys.operator)
    breaches: list[str] = []
    await revoke(platform, keys, victim)
    await until_published(platform)
    with asked(run, victim) as doors:
        breaches += await all_refuse(doors)
        codes: Counter[str] = Counter()
        async with going_on(run, bystander, breaches), _asking(platform, victim, codes):
            bitten_s = time.monotonic()
            how = await _restored(run)
            await _halts(platform)
            await asyncio.sleep(HALTED_S)
            breaches += await _refused(platform, keys.operator)
            breaches += await all_refuse(doors)
            halted, refused = codes[HALTED], codes[REVOKED]
            printed = await platform.operate("access", "unhalt", "--operator", "chaos")
            await _serves(platform, keys.operator)
            await platform.start(RELAY)
            await _until(lambda: _holds(codes[REVOKED] > refused))
        breaches += await all_refuse(doors)
    await revoke(platform, keys, later)
    await until_published(platform)
    with asked(run, later) as doors:
        breaches += await all_refuse(doors)
    if codes[TAKEN]:
        breaches.append(f"{API} took the revoked key {codes[TAKEN]} times")
    breaches += await disagreements(platform)
    async with platform.connections() as connections:
        halts = await connections["access"].fetchval(_HALTS)
    recovery_s = await run.recovery_s(bitten_s)
    taken = next(line for line in printed.splitlines() if "taken over" in line)
    return Bite(
        what=f"restored {how}: {halts} halts recorded, the relay ended, the revoked key was asked with"
        f" {codes.total()} times and answered halted {halted} times, taken {codes[TAKEN]}; {taken}",
        count=min(halted, halts),
        recovery_s=recovery_s,
        breaches=breaches,
    )


async def _restored(run: Run) -> str:
    """Put the backup in the place of the database; return how."""
    platform = run.platform
    if run.seed % 2:
        await _replace(platform, backs_up=False)
        await signals.gone(platform.pid(RELAY))
        if TOPIC_AHEAD not in platform.log(RELAY):
            raise AssertionError("the relay does not say why it ended")
        return "beneath living processes"
    for name in (API, RELAY, WORKER):
        await platform.kill(name)
    await _replace(platform, backs_up=False)
    await platform.start(API)
    await platform.start(WORKER)
    try:
        await platform.start(RELAY)
        await signals.gone(platform.pid(RELAY))
    except EngineError:
        pass  # it ends before it was seen to be ready
    return "between the end and the start of all processes"


async def _replace(platform: Platform, *, backs_up: bool) -> None:
    """Take the backup, or put it in the place of the database, while nobody is in it."""
    name = platform.databases["access"].name
    backup = f"{name}_backup"
    admin = await asyncpg.connect(platform.postgres.admin_dsn)
    try:
        await admin.execute(f"alter database {name} allow_connections false")
        await admin.fetch("select pg_terminate_backend(pid, 5000) from pg_stat_activity where datname = $1", name)
        if backs_up:
            await admin.execute(f"create database {backup} template {name}")
        else:
            await admin.execute(f"drop database {name}")
            await admin.execute(f"alter database {backup} rename to {name}")
        await admin.execute(f"alter database {name} allow_connections true")
    finally:
        await admin.close()


@asynccontextmanager
async def _asking(platform: Platform, key: Key, codes: Counter[str]) -> AsyncIterator[None]:
    """Ask access itself with *key* all the while, and count what comes of it."""
    stop = asyncio.Event()
    asking = asyncio.create_task(_ask_until(platform, key, codes, stop))
    try:
        yield
    finally:
        stop.set()
        await asking


async def _ask_until(platform: Platform, key: Key, codes: Counter[str], stop: asyncio.Event) -> None:
    port, authorization = platform.port(API), f"Bearer {key.text}"
    clients = [
        HttpClient(port, authorization=authorization, address=f"127.0.9.{number}") for number in range(1, ADDRESSES + 1)
    ]
    try:
        for http in cycle(clients):
            if stop.is_set():
                break
            codes[await _asked(http)] += 1
            await asyncio.sleep(ASK_EVERY_S)
    finally:
        for http in clients:
            http.close()


async def _asked(http: HttpClient) -> str:
    """Return `taken`, the code of the refusal, or `unanswered`."""
    try:
        answer = await http.request("GET", "/v1/whoami")
    except Unanswered:
        return "unanswered"
    return TAKEN if answer.status == 200 else str(answer.json()["code"])


async def _serves(platform: Platform, operator: Key) -> None:
    http = operator.client(platform.port(API))
    try:
        async with asyncio.timeout(WITHIN_S):
            while await _asked(http) != TAKEN:  # noqa: ASYNC110  in another process
                await asyncio.sleep(ASK_EVERY_S)
    finally:
        http.close()


async def _refused(platform: Platform, operator: Key) -> list[str]:
    """Return where a command is carried out, or refused for another reason, and where the API is out of rotation."""
    http = operator.client(platform.port(API))
    try:
        answer = await http.request("POST", "/v1/service-accounts", {"name": "x", "kind": "service"}, key="halted")
    finally:
        http.close()
    told = answer.status, answer.json().get("code")
    found = [] if told == (503, HALTED) else [f"a command is answered {told}"]
    if not await platform.page(API, "/health/ready"):
        found.append(f"{API} is out of rotation")
    return found


async def _halts(platform: Platform) -> None:
    """Wait until a halt is recorded."""

    async def is_recorded() -> bool:
        async with platform.connections() as connections:
            return bool(await connections["access"].fetchval(_OPEN_HALTS))

    await _until(is_recorded)


async def _until(holds: Callable[[], Awaitable[bool]]) -> None:
    """Wait until *holds*; raise TimeoutError beyond WITHIN_S."""
    async with asyncio.timeout(WITHIN_S):
        while not await holds():  # noqa: ASYNC110  in another process
            await asyncio.sleep(ASK_EVERY_S)


async def _holds(condition: bool) -> bool:  # noqa: FBT001  what was just looked at
    return condition


FAULTS = (
    Fault(
        id="F49",
        title="the database of access restored from before a revocation",
        inflict=restore_access,
        also=ACCESS | IDENTITIES,
        is_alone=True,
    ),
)
