"""Processes of access die at every boundary of their statements while keys are made, replaced and revoked."""

import asyncio
import itertools
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from tests.chaos.faults.access import all_refuse, asked, known, until_published
from tests.chaos.judge.identities import disagreements
from tests.chaos.load.client import Response, Unanswered
from tests.chaos.load.credentials import OPERATIONS, Key, Keys, made_known
from tests.chaos.platform import signals
from tests.chaos.platform.gate import Action, Reached
from tests.chaos.platform.gated_access import COUNTED, PREFIX, statement_of
from tests.chaos.platform.gated_ledger import Moment
from tests.chaos.platform.product import ACCESS, IDENTITIES
from tests.chaos.run import Bite, Fault, Run

from engines.errors import EngineError

API = "access-api"
OVERLAP_S = 2
CLIENTS = 2
"""Of the wallet, whose load this fault is not about: restarts are to be quick."""
STATEMENTS_MAX = 20
"""Of an operation, as many as there are accounts for it."""
AFTERWARDS = (Moment.SENT, Moment.ANSWERED)
"""Where a process dies beside a statement but the first: nothing happens between an answer and the next statement."""
TRIES_MAX = 5
"""At a boundary: an answer may come before the process has seen that it is out."""
REACHED_WITHIN_S = 20.0
NUDGED_WITHIN_S = 3.0
ANSWERED_WITHIN_S = 30.0
OPENS = {"key_creation": {"per_s": 1_000, "burst": 10_000}, "operator": {"per_s": 10_000, "burst": 20_000}}
_FREE_LEASES = "update servicekit.relay_lease set expires_at = '-infinity'"
_FREE_JOBS = "update servicekit.lease set expires_at = '-infinity'"


@dataclass(slots=True)
class Scene:
    """What the operator does with keys of accounts of which each is used once."""

    run: Run
    keys: Keys
    spare: list[Key]
    numbers: "itertools.count[int]" = field(default_factory=itertools.count)
    breaches: list[str] = field(default_factory=list)
    rotated: list[Key] = field(default_factory=list)
    revoked: list[Key] = field(default_factory=list)
    outcomes: Counter[str] = field(default_factory=Counter)

    async def send(self, operation: str, key: Key, idempotency_key: str) -> Response:
        """Send the command once; raises Unanswered."""
        path, body = _command(operation, key)
        http = self.keys.operator.client(self.run.platform.port(API))
        try:
            return await http.request("POST", path, body, key=idempotency_key)
        finally:
            http.close()

    async def settle(self, operation: str, key: Key, idempotency_key: str) -> Response:
        """Repeat the command until it is answered; raises TimeoutError."""
        async with asyncio.timeout(ANSWERED_WITHIN_S):
            while True:
                try:
                    answer = await self.send(operation, key, idempotency_key)
                except Unanswered:
                    answer = None
                if answer is not None and answer.status < 500:
                    return answer
                await asyncio.sleep(0.02)

    async def judge(self, operation: str, key: Key, idempotency_key: str) -> None:
        """Repeat what was killed, and see that one outcome is told: a secret only where it was not made before."""
        answer = await self.settle(operation, key, idempotency_key)
        was_made = "idempotency-replayed" in answer.headers
        self.outcomes["made before the kill" if was_made else "made by the repeat"] += 1
        where = f"{operation} under {idempotency_key}"
        if answer.status not in {200, 201}:
            self.breaches.append(f"{where} is answered {answer.status}: {answer.body!r}")
        elif operation == "revoke":
            self.revoked.append(key)
        elif (answer.json()["key"] is None) != was_made:
            self.breaches.append(f"{where}: a secret is told in a replay, or none with a key just made")
        elif operation == "rotate":
            self.rotated.append(key)
        again = await self.settle(operation, key, idempotency_key)
        if "idempotency-replayed" not in again.headers or again.json()["id"] != answer.json()["id"]:
            self.breaches.append(f"{where} has two outcomes")


def _command(operation: str, key: Key) -> tuple[str, Any]:
    if operation == "create":
        return f"/v1/service-accounts/{key.account}/keys", {"scopes": ["wallets:read"]}
    if operation == "rotate":
        return f"/v1/api-keys/{key.id}/rotate", {"overlap_s": OVERLAP_S}
    return f"/v1/api-keys/{key.id}/revoke", None


async def _scene(run: Run, accounts: int) -> Scene:
    keys = await made_known(run.platform, accounts)
    http = keys.operator.client(run.platform.port(API))
    try:
        answer = await http.request("PUT", "/v1/rate-limits", {"limits": OPENS}, key="open")
    finally:
        http.close()
    assert answer.status == 200, answer.body
    await asyncio.sleep(0.5)  # until the API has looked
    return Scene(run, keys, list(keys.backends))


async def kill_api(run: Run, operation: str) -> Bite:
    """F46: the API kills itself at each boundary of each statement of *operation*, in an order of the seed's."""
    scene = await _scene(run, len(AFTERWARDS) * STATEMENTS_MAX + 4 * TRIES_MAX)
    count = await _count(scene, operation)
    boundaries = [f"{statement_of(operation, 1)}-{Moment.BEFORE.value}"]
    for number in range(1, count + 1):
        boundaries += [f"{statement_of(operation, number)}-{moment.value}" for moment in AFTERWARDS]
    run.chance.shuffle(boundaries)
    began_s = time.monotonic()
    unhit = [f"nothing was at {each}" for each in boundaries if not await _killed(scene, operation, each)]
    told = ", ".join(f"{number} {outcome}" for outcome, number in sorted(scene.outcomes.items()))
    return await _judged(
        scene,
        f"killed at {len(boundaries) - len(unhit)} of {len(boundaries)} boundaries of {count} statements: {told};",
        hit=len(boundaries) - len(unhit),
        unhit=unhit,
        began_s=began_s,
    )


async def _count(scene: Scene, operation: str) -> int:
    """Return how many statements the operation's transaction has."""
    point, gate = f"{operation}.{COUNTED}", scene.run.platform.gate
    gate.arm(point, Action.OWN)
    key, idempotency_key = scene.spare.pop(), f"{PREFIX}.{operation}.counted"
    await scene.judge(operation, key, idempotency_key)
    counted: int = (await gate.wait_reached(point, within_s=REACHED_WITHIN_S)).facts["statements"]
    assert counted <= STATEMENTS_MAX, f"{operation} has {counted} statements: make more accounts"
    return counted


async def _killed(scene: Scene, operation: str, boundary: str) -> bool:
    """Have the API killed there with a command at hand, start it again and judge the repeat; return whether it was."""
    platform = scene.run.platform
    for _ in range(TRIES_MAX):
        key, idempotency_key = scene.spare.pop(), f"{PREFIX}.{operation}.{next(scene.numbers)}"
        platform.gate.arm(boundary, Action.KILL, key=idempotency_key)
        try:
            await scene.send(operation, key, idempotency_key)
        except Unanswered:
            reached = await platform.gate.wait_reached(boundary, within_s=REACHED_WITHIN_S)
            await signals.gone(reached.pid)
            await platform.start(API, gated=True)
            await scene.judge(operation, key, idempotency_key)
            return True
        await scene.judge(operation, key, idempotency_key)
    return False


async def kill_relay(run: Run) -> Bite:
    """F46: the relay kills itself at each boundary of each of its statements while keys are made and revoked."""
    return await _kill_background(run, "access-relay", _FREE_LEASES)


async def kill_worker(run: Run) -> Bite:
    """F46: the worker kills itself at each boundary of each of its statements while keys are made and revoked."""
    return await _kill_background(run, "access-worker", _FREE_JOBS)


async def _kill_background(run: Run, name: str, free: str) -> Bite:
    """Kill process *name* at all it sends; *free* ends the leases of the dead, so that nobody waits for them."""
    scene = await _scene(run, 150)
    for operation in OPERATIONS:
        await scene.judge(operation, scene.spare.pop(), f"{PREFIX}.{operation}.{next(scene.numbers)}")
    await _restart(run, name)
    await until_published(run.platform)
    statements = run.platform.gate.noted(f"{name}.")
    boundaries = [f"{statement}-{moment.value}" for statement in statements for moment in Moment]
    run.chance.shuffle(boundaries)
    turns, unhit, began_s = itertools.cycle(OPERATIONS), list[str](), time.monotonic()
    for boundary in boundaries:
        run.platform.gate.arm(boundary, Action.KILL)
        operation = next(turns)
        if scene.spare:
            await scene.judge(operation, scene.spare.pop(), f"{PREFIX}.{operation}.{next(scene.numbers)}")
        reached = await _reached(run, name, boundary)
        if reached is None:
            unhit.append(f"nothing was at {boundary}: {statements[boundary.rpartition('-')[0]]}")
        else:
            await signals.gone(reached.pid)
        async with run.platform.connections() as connections:
            await connections["access"].execute(free)
        if reached is not None:
            await _restart(run, name)
    return await _judged(
        scene,
        f"{name} killed at {len(boundaries) - len(unhit)} of {len(boundaries)} boundaries of {len(statements)}"
        " statements",
        hit=len(boundaries) - len(unhit),
        unhit=unhit,
        began_s=began_s,
    )


async def _reached(run: Run, name: str, boundary: str) -> Reached | None:
    """Return who came to *boundary*: at work, on its way out, or on its way in; None where nobody does."""
    gate = run.platform.gate
    for restart in (False, True, True):
        if restart:
            await run.platform.stop(name)
            if not gate.is_reached(boundary):
                await _restart(run, name)
        try:
            return await gate.wait_reached(boundary, within_s=NUDGED_WITHIN_S)
        except TimeoutError:
            continue
    return None


async def _restart(run: Run, name: str) -> None:
    """Start it again; where it is killed on its way in, it is dead and whoever waits for that is told."""
    with suppress(EngineError):
        await run.platform.start(name, gated=True)


async def _judged(scene: Scene, what: str, *, hit: int, unhit: Sequence[str], began_s: float) -> Bite:
    """Wait until all is published and heard, and judge the rows, the events and what the APIs still take."""
    run = scene.run
    for name in sorted(IDENTITIES):
        if not await run.platform.page(name, "/health/ready"):
            await _restart(run, name)
    await until_published(run.platform)
    acknowledged_s = time.monotonic()
    breaches = [*scene.breaches, *unhit]
    for key in (*scene.revoked, *scene.rotated):
        with asked(run, key) as doors:
            breaches += await all_refuse(doors)
    if scene.spare:
        with asked(run, scene.spare[0]) as doors:
            await known(doors)
    breaches += await disagreements(run.platform)
    recovery_s = await run.recovery_s(acknowledged_s)
    return Bite(
        what=f"{what} in {time.monotonic() - began_s:.0f} s; {len(scene.revoked)} revoked and"
        f" {len(scene.rotated)} replaced keys are refused by every API",
        count=hit,
        recovery_s=recovery_s,
        breaches=breaches,
    )


def _fault(name: str, title: str, inflict: Callable[[Run], Awaitable[Bite]], process: str) -> Fault:
    return Fault(
        id=f"F46-{name}",
        title=title,
        inflict=inflict,
        also=ACCESS | IDENTITIES,
        gated=frozenset({process}),
        clients=CLIENTS,
    )


FAULTS = (
    *(
        _fault(
            each,
            f"kill -9 the API of access at every boundary of {doing} a key",
            partial(kill_api, operation=each),
            API,
        )
        for each, doing in zip(OPERATIONS, ("making", "replacing", "revoking"), strict=True)
    ),
    _fault("relay", "kill -9 the relay of access at every statement boundary", kill_relay, "access-relay"),
    _fault("worker", "kill -9 the worker of access at every statement boundary", kill_worker, "access-worker"),
)
