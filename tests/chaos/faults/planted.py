"""The test of the test: bugs planted in the command path, each to be caught by the checks its entry names.

Those in the committer's path plant in that of locked rows, so nothing is decided ahead; where locks are missing, there
is no commit lock either, which would hide that.
"""

import asyncio
import os
import signal

from tests.chaos.faults.ledger import GATED_APIS
from tests.chaos.faults.overtaking import REACHED_WITHIN_S, held_while, settled_at
from tests.chaos.load.client import Response
from tests.chaos.load.history import Command
from tests.chaos.load.workload import Client
from tests.chaos.platform import signals
from tests.chaos.platform.gate import Action
from tests.chaos.platform.plant import Plant, Rewrite, flushing_late, rewritten
from tests.chaos.platform.product import APIS
from tests.chaos.run import Bite, Fault, Run

LOCKED_ROWS = {"WALLET_PIPELINING": "false"}
NO_COMMIT_LOCK = {**LOCKED_ROWS, "WALLET_COMMIT_LOCK": "false"}
SHARD_MASK = 63
WALLETS_OPENED_MAX = 200

_ROW_LOCK = Rewrite("wallet.lock_rows_2", "order by w.id for no key update", "order by w.id")
_STAMP_CHECK = Rewrite("wallet.write_rows_2", " and w.stamp = u.stamp_before", "")
_LOCK_SHARDS = """        foreach s in array used loop
            perform pg_advisory_xact_lock(8, s);
        end loop;
"""
_INSERT = "        insert into wallet.journal ("
_LOOK_UP = """    if cardinality(keys) > 0 then
        select array_agg((k.ordinal, i.fingerprint, i.status, i.body, i.resource_id, i.positions)::wallet.found_record)
          into records
          from unnest(keys) with ordinality k (client, key, part, ordinal)
          join wallet.idempotency i on i.client = k.client and i.key = k.key and i.part = k.part;
    end if;
"""
_TAKE_COMMIT_LOCK = "    if commit_lock then\n"


async def lose_update(run: Run) -> Bite:
    """Have two instances decide on the same row: the second waits for the first with its update alone."""
    async with run.still():
        wallet = run.bank.wallets[0]
        second = settled_at(run, run.bank.deposit(wallet, 222), run.bank.ports[1])
        await held_while(run, run.bank.deposit(wallet, 111), second, until_waiting=True)
    return Bite(what="two deposits to one wallet at once", count=1, recovery_s=0.0)


async def share_head(run: Run) -> Bite:
    """Have two instances write to one shard: the second looks for the head, then waits for the first's lock."""
    async with run.still():
        one, other = await _wallets_of_one_shard(run)
        second = settled_at(run, run.bank.deposit(other, 222), run.bank.ports[1])
        await held_while(run, run.bank.deposit(one, 111), second, until_waiting=True)
    return Bite(what="two deposits to one shard written at once", count=1, recovery_s=0.0)


async def repeat_at_once(run: Run) -> Bite:
    """Have two instances given one key: the second looks it up, then waits for the first."""
    async with run.still():
        command = run.bank.deposit(run.bank.wallets[0], 333)
        before = _times_taken(run)
        done, again = await held_while(run, command, _answer(run, command, run.bank.ports[1]), until_waiting=True)
        run.history.compare(done, again)
        refused = _times_taken(run) - before
    alarms = {"idempotency_pkey": [f"refused {refused} times"] * bool(refused)}
    return Bite(what="one key at two instances at once", count=1, recovery_s=0.0, alarms=alarms)


async def kill_before_key(run: Run) -> Bite:
    """Kill an instance behind the COMMIT of a command whose key is not stored; its client repeats it at the other."""
    async with run.still():
        command = run.bank.deposit(run.bank.wallets[3], 444)
        run.platform.gate.arm("unkeyed", Action.KILL, key=command.key)
        settling = asyncio.create_task(Client(run.bank, run.chance).settle(command))
        reached = await run.platform.gate.wait_reached("unkeyed", within_s=REACHED_WITHIN_S)
        await signals.gone(reached.pid)
        await settling
        await run.platform.start(run.platform.name_of(reached.pid))
    return Bite(what="killed between COMMIT and the key's own", count=1, recovery_s=0.0)


async def kill_before_commit(run: Run) -> Bite:
    """Kill the backend of a batch whose clients were answered, before it is sent COMMIT."""
    async with run.still():
        command = run.bank.deposit(run.bank.wallets[3], 555)
        run.platform.gate.arm("answered", Action.HOLD, key=command.key)
        done = await settled_at(run, command, run.bank.ports[0])
        reached = await run.platform.gate.wait_reached("answered", within_s=REACHED_WITHIN_S)
        os.kill(reached.facts["backend"], signal.SIGKILL)
        run.platform.gate.release("answered")
    return Bite(what=f"backend killed behind {len(done.moved)} answers and before COMMIT", count=1, recovery_s=0.0)


async def kill_postgres(run: Run) -> Bite:
    """F5: kill -9 the server, whose last commits are in its memory alone."""
    settled = len(run.history.done)
    await run.platform.site.keep(run.platform.postgres.kill)
    await run.platform.site.keep(run.platform.postgres.start)
    return Bite(what=f"server killed behind {settled} answers", count=settled, recovery_s=0.0)


async def _wallets_of_one_shard(run: Run) -> tuple[str, str]:
    """Return two wallets of one shard, opened where there are none yet."""
    by_shard: dict[int, str] = {}
    wallets = list(run.bank.wallets)
    for _ in range(WALLETS_OPENED_MAX):
        wallet = wallets.pop() if wallets else await run.bank.open_wallet()
        if (other := by_shard.setdefault(shard_of(wallet), wallet)) != wallet:
            return wallet, other
    raise AssertionError("no two wallets have the same shard")


def shard_of(wallet_id: str) -> int:
    """Return a wallet's shard."""
    return int(wallet_id[-2:], 16) & SHARD_MASK


async def _answer(run: Run, command: Command, port: int) -> Response:
    client = Client(run.bank, run.chance, port=port)
    try:
        answered = await client.answer(command)
    finally:
        client.close()
    assert answered is not None, f"{command.key} was not settled"
    return answered[0]


def _times_taken(run: Run) -> int:
    return run.platform.postgres_log().count('"idempotency_pkey"')


FAULTS = (
    Fault(
        id="F5",
        title="synchronous_commit off, then kill -9 PostgreSQL",
        inflict=kill_postgres,
        plant=Plant(
            prepare=flushing_late,
            caught_by=frozenset({"I5"}),
            besides=frozenset({"I6", "I7", "I9", "I10", "I14", "settled"}),
            patience_s=4.0,
        ),
    ),
    Fault(
        id="F31-no-row-lock",
        title="rows read without a lock and written whatever their version",
        inflict=lose_update,
        gated=GATED_APIS,
        env=NO_COMMIT_LOCK,
        plant=Plant(
            prepare=rewritten(_ROW_LOCK, _STAMP_CHECK),
            caught_by=frozenset({"I1", "I2", "I4", "I5"}),
            besides=frozenset({"I3", "I6", "I11", "I14", "constraints", "settled"}),
        ),
    ),
    Fault(
        id="F31-head-before-lock",
        title="a shard's head read before its lock",
        inflict=share_head,
        has_policy=False,
        gated=GATED_APIS,
        env=NO_COMMIT_LOCK,
        plant=Plant(
            prepare=rewritten(
                Rewrite("wallet.write_rows_2", _LOCK_SHARDS, ""),
                Rewrite("wallet.write_rows_2", _INSERT, _LOCK_SHARDS + _INSERT),
            ),
            caught_by=frozenset({"constraints"}),
        ),
    ),
    Fault(
        id="F31-key-before-lock",
        title="the key looked up before the locks",
        inflict=repeat_at_once,
        gated=GATED_APIS,
        env=LOCKED_ROWS,
        plant=Plant(
            prepare=rewritten(
                Rewrite("wallet.lock_rows_2", _LOOK_UP, ""),
                Rewrite("wallet.lock_rows_2", _TAKE_COMMIT_LOCK, _LOOK_UP + _TAKE_COMMIT_LOCK),
            ),
            caught_by=frozenset({"idempotency_pkey"}),
        ),
    ),
    Fault(
        id="F31-key-after-commit",
        title="the key stored in a second transaction",
        inflict=kill_before_key,
        env=LOCKED_ROWS,
        plant=Plant(parts=dict.fromkeys(APIS, "late-key"), caught_by=frozenset({"I5"})),
    ),
    Fault(
        id="F31-answer-before-commit",
        title="clients answered before COMMIT",
        inflict=kill_before_commit,
        env=LOCKED_ROWS,
        plant=Plant(parts=dict.fromkeys(APIS, "early-answer"), caught_by=frozenset({"I5"})),
    ),
)
