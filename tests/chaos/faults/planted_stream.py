"""The test of the test: bugs planted in the relay and the consumer, each to be caught by the checks its entry names.

And the same load and the same moments without a bug, where no check may find anything.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence

from tests.chaos.faults.ledger import GATED_APIS
from tests.chaos.faults.overtaking import REACHED_WITHIN_S, committers_wait, held_while, settled_at
from tests.chaos.faults.planted import NO_COMMIT_LOCK, lose_update, repeat_at_once, shard_of, share_head
from tests.chaos.faults.planted_ahead import decide_on_old, lose_a_batch, read_before_another_writes
from tests.chaos.judge import observe
from tests.chaos.judge.draining import caught_up, reached
from tests.chaos.platform import signals
from tests.chaos.platform.broker import produce
from tests.chaos.platform.gate import Action
from tests.chaos.platform.plant import Plant, altered
from tests.chaos.platform.product import HISTORY
from tests.chaos.run import Bite, Fault, Run

REPEATED = 20
ALARMED_WITHIN_S = 10.0
BACK_WITHIN_S = 20.0
BESIDE_EACH_OTHER_S = 2.0
POLL_S = 0.02
PARKED = "consumer_parked_subjects"
_SERIAL = """
    alter table wallet.journal add column id bigserial;
    grant usage on sequence wallet.journal_id_seq to wallet_app"""
_CURSOR = "select cursor from servicekit.relay_lease where shard = $1"


async def commit_late(run: Run) -> Bite:
    """Hold a batch that has its numbers until the relay is beyond them; its rows are behind the cursor then."""
    async with run.still():
        one, *others = run.bank.wallets
        other = next(wallet for wallet in others if shard_of(wallet) != shard_of(one))
        second = _published(run, other)
        await held_while(run, run.bank.deposit(one, 111), second, until_waiting=False)
    return Bite(what="a deposit committed behind a later one that was published", count=1, recovery_s=0.0)


async def _published(run: Run, wallet: str) -> None:
    """Settle a deposit at the second instance and wait until the relay is behind it."""
    await settled_at(run, run.bank.deposit(wallet, 222), run.bank.ports[1])
    shard = shard_of(wallet)
    async with run.platform.connections() as connections, asyncio.timeout(REACHED_WITHIN_S):
        head = (await observe.heads(connections, HISTORY))[shard]
        while await connections["wallet"].fetchval(_CURSOR, shard) < head:  # noqa: ASYNC110  in another process
            await asyncio.sleep(POLL_S)


async def cross(run: Run) -> Bite:
    """Have a transaction that began later write a wallet first: the earlier one waits for another row meanwhile."""
    async with run.still(), run.platform.connections() as connections:
        low, middle, high = sorted(run.bank.wallets)[:3]
        batch = run.bank.batch("atomic", [run.bank.deposit(wallet, 111) for wallet in (low, middle, high)])
        async with connections["wallet"].transaction():
            await connections["wallet"].execute("select 1 from wallet.wallet where id = $1 for update", middle)
            first = asyncio.create_task(settled_at(run, batch, run.bank.ports[0]))
            await committers_wait(run)
            await settled_at(run, run.bank.deposit(high, 222), run.bank.ports[1])
        await first
    return Bite(what="the later of two transactions wrote a wallet first", count=1, recovery_s=0.0)


async def publish_beside(run: Run) -> Bite:
    """Let two relays publish for a while."""
    await asyncio.sleep(BESIDE_EACH_OTHER_S)
    counts = [await _metric(run, name, "relay_published_total") for name in ("relay", "relay-2")]
    return Bite(what=f"two relays published {counts[0]} and {counts[1]} records", count=min(counts), recovery_s=0.0)


async def moments_ahead(run: Run) -> Bite:
    """Inflict, one after another, what shows the bugs beside the path that decides ahead."""
    return await _each(run, (decide_on_old, lose_a_batch, read_before_another_writes, publish_beside))


async def moments_of_locks(run: Run) -> Bite:
    """Inflict, one after another, what shows the missing locks."""
    return await _each(run, (lose_update, share_head, repeat_at_once, commit_late, cross))


async def _each(run: Run, inflicts: Sequence[Callable[[Run], Awaitable[Bite]]]) -> Bite:
    bites = [await inflict(run) for inflict in inflicts]
    recovery_s = await run.recovery_s(time.monotonic())
    alarms = {name: found for bite in bites for name, found in bite.alarms.items()}
    return Bite(
        what=f"{len(bites)} moments of the planted bugs", count=len(bites), recovery_s=recovery_s, alarms=alarms
    )


async def deliver_twice(run: Run) -> Bite:
    """Deliver the last records once more, and see the alarm."""
    async with run.still():
        await run.recovery_s(time.monotonic())
        raw = await observe.raw_records(run.platform.kafka.bootstrap_servers)
        await produce(run, sorted(raw, key=lambda record: record.timestamp)[-REPEATED:])
        parked = await _alarmed(run)
    return Bite(
        what=f"{REPEATED} records delivered twice, {parked} wallets parked",
        count=REPEATED,
        recovery_s=0.0,
        alarms={PARKED: [f"{parked} wallets"] * bool(parked)},
    )


async def _alarmed(run: Run) -> int:
    """Return how many wallets the projector tells of as parked, 0 where it tells of none in time."""
    until_s = time.monotonic() + ALARMED_WITHIN_S
    while not (parked := await _metric(run, "projector", PARKED)) and time.monotonic() < until_s:  # noqa: ASYNC110  its page
        await asyncio.sleep(POLL_S)
    return parked


async def _metric(run: Run, name: str, metric: str) -> int:
    lines = (await run.platform.page(name, "/metrics")).splitlines()
    return sum(int(float(line.rpartition(" ")[2])) for line in lines if line.startswith((f"{metric} ", f"{metric}{{")))


async def kill_behind_offset(run: Run) -> Bite:
    """Kill the projector between the offset's commit and the apply, in a shard where nothing else will come."""
    async with run.still():
        wallet = await _wallet_of_own_shard(run)
        records = await _kill_projector(run, "offset_committed", wallet)
        await run.probe()
        async with run.platform.connections() as connections:
            heads = await observe.heads(connections, HISTORY)
            del heads[shard_of(wallet)]
            await reached(connections, HISTORY, heads, BACK_WITHIN_S)
    return Bite(what=f"killed with the offset beyond {records} records", count=records, recovery_s=0.0)


async def kill_behind_checkpoint(run: Run) -> Bite:
    """Kill the projector between the checkpoint's transaction and the one that applies."""
    async with run.still():
        records = await _kill_projector(run, "checkpoint_moved", run.bank.wallets[0])
        await run.probe()
        async with run.platform.connections() as connections:
            await reached(connections, HISTORY, await observe.heads(connections, HISTORY), BACK_WITHIN_S)
    return Bite(what=f"killed with the checkpoint beyond {records} records", count=records, recovery_s=0.0)


async def _kill_projector(run: Run, point: str, wallet: str) -> int:
    """Kill the projector at *point* with a deposit to *wallet*, and start it again; return how many records it had."""
    async with run.platform.connections() as connections:
        await caught_up(connections, HISTORY)
    run.platform.gate.arm(point, Action.KILL)
    await settled_at(run, run.bank.deposit(wallet, 666), run.bank.ports[0])
    told = await run.platform.gate.wait_reached(point, within_s=REACHED_WITHIN_S)
    await signals.gone(told.pid)
    await run.platform.start("projector")
    records: int = told.facts["records"]
    return records


async def _wallet_of_own_shard(run: Run) -> str:
    taken = {shard_of(wallet) for wallet in (*run.bank.wallets, *run.bank.euro_wallets)}
    while shard_of(wallet := await run.bank.open_wallet()) in taken:
        pass
    return wallet


FAULTS = (
    Fault(
        id="F31-clean",
        title="no bug, at the moments that show bugs in what is decided ahead",
        inflict=moments_ahead,
        also=frozenset({"relay-2"}),
        repeats_nothing=True,
    ),
    Fault(
        id="F31-clean-locked",
        title="no bug, on locked rows and without the commit lock, at the moments that show missing locks",
        inflict=moments_of_locks,
        gated=GATED_APIS,
        env=NO_COMMIT_LOCK,
        repeats_nothing=True,
    ),
    Fault(
        id="F31-serial-cursor",
        title="a relay that reads by a bigserial",
        inflict=commit_late,
        has_policy=False,
        gated=GATED_APIS,
        env=NO_COMMIT_LOCK,
        plant=Plant(
            parts={"relay": "serial"}, prepare=altered(_SERIAL), caught_by=frozenset({"I6", "I14"}), patience_s=4.0
        ),
    ),
    Fault(
        id="F31-xid-horizon",
        title="a relay that reads by transaction number up to the horizon",
        inflict=cross,
        env=NO_COMMIT_LOCK,
        plant=Plant(parts={"relay": "horizon"}, caught_by=frozenset({"I7"}), besides=frozenset({"I6", "I14"})),
    ),
    Fault(
        id="F31-no-lease",
        title="two relays without leases",
        inflict=publish_beside,
        also=frozenset({"relay-2"}),
        repeats_nothing=True,
        plant=Plant(parts=dict.fromkeys(("relay", "relay-2"), "no-lease"), caught_by=frozenset({"once"})),
    ),
    Fault(
        id="F31-no-dedupe",
        title="a consumer that applies whatever comes",
        inflict=deliver_twice,
        plant=Plant(parts={"projector": "no-dedupe"}, caught_by=frozenset({PARKED, "I6"})),
    ),
    Fault(
        id="F31-offset-before-apply",
        title="the offset committed before the poll is applied",
        inflict=kill_behind_offset,
        plant=Plant(parts={"projector": "early-offset"}, caught_by=frozenset({"I6", "I14"}), patience_s=3.0),
    ),
    Fault(
        id="F31-checkpoint-before-apply",
        title="the checkpoint moved in a transaction before the apply",
        inflict=kill_behind_checkpoint,
        plant=Plant(parts={"projector": "early-checkpoint"}, caught_by=frozenset({"I6"})),
    ),
)
