"""Faults of the command side: PostgreSQL, its backends, API instances, keys and locks."""

import asyncio
import time
from dataclasses import replace
from uuid import UUID

from tests.chaos.faults.pausing import pausing
from tests.chaos.load.client import HttpClient, Response, Unanswered
from tests.chaos.load.history import Command, is_definite
from tests.chaos.load.workload import Client
from tests.chaos.platform import signals
from tests.chaos.platform.gate import Action, Reached
from tests.chaos.platform.gated_ledger import COMMITTED, COMMITTING, WRITTEN
from tests.chaos.platform.product import APIS
from tests.chaos.run import Bite, Fault, Run

from contracts.ids import shard_of

REACHED_WITHIN_S = 20.0
BACKENDS_KILLED = 3
BACKEND_ATTEMPTS_MAX = 20
ONE_KEY_TIMES = 100
TWO_BODIES_TIMES = 20
CREATED, KEY_REUSED = 201, 422
OTHERS_GO_ON_WITHIN_S = 6.0
STOPPED_S = 8.0
GATED_APIS = frozenset(APIS)


async def kill_postgres(run: Run) -> Bite:
    """F1: hold a batch between its write and COMMIT, kill -9 the server, start it again."""
    run.platform.gate.arm(WRITTEN, Action.HOLD)
    held = await run.platform.gate.wait_reached(WRITTEN, within_s=REACHED_WITHIN_S)
    bitten_s = time.monotonic()
    await run.platform.site.keep(run.platform.postgres.kill)
    run.platform.gate.release(WRITTEN)
    await run.platform.site.keep(run.platform.postgres.start)
    recovery_s = await run.recovery_s(bitten_s)
    commands = len(held.facts["keys"])
    return Bite(what=f"server killed with {commands} commands written", count=commands, recovery_s=recovery_s)


async def kill_backends(run: Run) -> Bite:
    """F2: kill -9 the backend of a batch a moment after COMMIT was sent, before its answer is there."""
    hit: list[Reached] = []
    bitten_s = time.monotonic()
    for _ in range(BACKEND_ATTEMPTS_MAX):
        run.platform.gate.arm(COMMITTING, Action.OWN)
        reached = await run.platform.gate.wait_reached(COMMITTING, within_s=REACHED_WITHIN_S)
        bitten_s = time.monotonic()
        await run.probe()
        if reached.facts["was_under_way"]:
            hit.append(reached)
        if len(hit) == BACKENDS_KILLED:
            break
    recovery_s = await run.recovery_s(bitten_s)
    keys = {key for reached in hit for key in reached.facts["keys"]}
    found = sum(done.was_found for done in run.history.done if done.command.key in keys)
    return Bite(
        what=f"{len(hit)} backends killed in COMMIT of {len(keys)} keys, {found} found done afterwards",
        count=len(hit),
        recovery_s=recovery_s,
    )


async def stop_instance(run: Run) -> Bite:
    """F33: an API instance stops between its write and COMMIT; the other goes on while it stands."""
    async with pausing(run, WRITTEN) as instance:
        (other,) = set(APIS) - {instance.name}
        await run.probe(port=run.platform.port(other))
        others_s = time.monotonic() - instance.since_s
        await asyncio.sleep(max(0.0, STOPPED_S - others_s))
    await run.probe(port=run.platform.port(instance.name))
    await run.recovery_s(instance.since_s)
    late = [f"{other} went on after {others_s:.1f} s"] if others_s > OTHERS_GO_ON_WITHIN_S else []
    commands = len(instance.facts["keys"])
    return Bite(
        what=f"{instance.name} stopped with {commands} commands written, {other} went on",
        count=commands,
        recovery_s=others_s,
        breaches=late,
    )


async def opposite_order(run: Run) -> Bite:
    """F23: nothing but the load, whose transfers cross; count batches that waited for each other's rows."""
    waits = 0
    async with run.platform.connections() as connections:
        wallet = connections["wallet"]
        until_s = time.monotonic() + 4.0
        while time.monotonic() < until_s:
            waits += await wallet.fetchval(
                """select count(*) from pg_stat_activity
                   where application_name = 'wallet-committer' and wait_event_type = 'Lock'"""
            )
            await asyncio.sleep(0.005)
        recovery_s = await run.recovery_s(time.monotonic())
        await wallet.execute("select pg_stat_force_next_flush()")
        deadlocks = await wallet.fetchval("select deadlocks from pg_stat_database where datname = current_database()")
    return Bite(
        what=f"{waits} waits for a lock seen, {deadlocks} deadlocks",
        count=waits,
        recovery_s=recovery_s,
        breaches=[f"{deadlocks} deadlocks"] if deadlocks else [],
    )


async def one_key(run: Run) -> Bite:
    """F24: one key a hundred times at once; another body; two bodies at once; again after its instance died."""
    breaches = await _at_once(run) + await _two_bodies(run)
    for point in (WRITTEN, COMMITTED):
        breaches += await _retried_after_kill(run, point)
    bitten_s = time.monotonic()
    recovery_s = await run.recovery_s(bitten_s)
    return Bite(
        what=f"{ONE_KEY_TIMES} at once, another body, retried after kill -9 before and after COMMIT",
        count=ONE_KEY_TIMES - len(breaches),
        recovery_s=recovery_s,
        breaches=breaches,
    )


async def _at_once(run: Run) -> list[str]:
    command = run.bank.deposit(run.bank.wallets[1], 4_711)
    answers = await asyncio.gather(*(_send_until_definite(run, command, n) for n in range(ONE_KEY_TIMES)))
    first = next((answer for answer in answers if "idempotency-replayed" not in answer.headers), answers[0])
    settled = run.history.settle(command, first, attempts=1)
    for answer in answers:
        run.history.compare(settled, answer)
    originals = sum("idempotency-replayed" not in answer.headers for answer in answers)
    other = Command(command.kind, command.key, command.path, {**command.body, "wallet_id": run.bank.wallets[2]})
    refused = await _send_until_definite(run, other, 0)
    breaches = [f"{originals} of the same key were no replay"] if originals != 1 else []
    return breaches + ([f"another body was answered {refused.status}"] if refused.status != 422 else [])


async def _two_bodies(run: Run) -> list[str]:
    """Send two requests under one key to both instances at once, again and again, on wallets of two shards."""
    breaches = []
    for _ in range(TWO_BODIES_TIMES):
        one = run.bank.deposit(run.bank.wallets[1], 17)
        other = replace(run.bank.deposit(_of_another_shard(run), 17), key=one.key)
        answers = await asyncio.gather(*(_send_until_definite(run, each, n) for n, each in enumerate((one, other))))
        if sorted(answer.status for answer in answers) != [CREATED, KEY_REUSED]:
            breaches.append(f"two bodies under {one.key} were answered {[answer.status for answer in answers]}")
        for command, answer in zip((one, other), answers, strict=True):
            if answer.status == CREATED:
                run.history.settle(command, answer, attempts=1)
    return breaches


def _of_another_shard(run: Run) -> str:
    first = run.bank.wallets[1]
    return next(wallet for wallet in run.bank.wallets if shard_of(UUID(wallet)) != shard_of(UUID(first)))


async def _retried_after_kill(run: Run, point: str) -> list[str]:
    """Kill the instance that has a command of ours at *point*; the repeat at the other one settles it."""
    command = run.bank.deposit(run.bank.wallets[3], 1_234)
    run.platform.gate.arm(point, Action.KILL, key=command.key)
    settling = asyncio.create_task(Client(run.bank, run.chance).settle(command))
    reached = await run.platform.gate.wait_reached(point, within_s=REACHED_WITHIN_S)
    await signals.gone(reached.pid)
    await run.platform.start(run.platform.name_of(reached.pid), gated=True)
    return [] if await settling is not None else [f"{command.key} was not settled"]


async def _send_until_definite(run: Run, command: Command, number: int) -> Response:
    http = HttpClient(run.platform.api_ports[number % 2])
    try:
        async with asyncio.timeout(REACHED_WITHIN_S):
            while True:
                try:
                    answer = await http.request("POST", command.path, command.body, key=command.key)
                except Unanswered:
                    answer = None
                if answer is not None and is_definite(answer):
                    return answer
                await asyncio.sleep(0.05)
    finally:
        http.close()


FAULTS = (
    Fault(id="F1", title="kill -9 PostgreSQL mid-batch", inflict=kill_postgres, gated=GATED_APIS),
    Fault(id="F2", title="kill -9 one backend during COMMIT", inflict=kill_backends, gated=GATED_APIS),
    Fault(
        id="F23",
        title="opposite-order transfers, half of them on one wallet",
        inflict=opposite_order,
        env={"WALLET_COMMIT_LOCK": "false"},
        mix={"transfer": 100},
        is_opposite=True,
    ),
    Fault(id="F24", title="one key a hundred times at once", inflict=one_key, gated=GATED_APIS),
    Fault(
        id="F24-no-commit-lock",
        title="one key a hundred times at once, without the commit lock",
        inflict=one_key,
        gated=GATED_APIS,
        env={"WALLET_COMMIT_LOCK": "false"},
    ),
    Fault(
        id="F33",
        title="SIGSTOP an API instance before its COMMIT",
        inflict=stop_instance,
        gated=GATED_APIS,
        is_alone=True,
    ),
)
