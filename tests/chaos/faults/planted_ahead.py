"""The test of the test: bugs planted in what decides ahead, each to be caught by the checks its entry names."""

import asyncio
from dataclasses import dataclass

from tests.chaos.faults.overtaking import committers_wait, settled_at
from tests.chaos.load.history import Command
from tests.chaos.platform.plant import Plant, Rewrite, rewritten
from tests.chaos.run import Bite, Fault, Run

WARMING_BATCHES = 260
"""A memory that was wrong rests for up to 256 batches."""
_TURN = "select pg_advisory_xact_lock(7, 0)"
_BY_CONTENT = """ and w.posted_minor = n.posted_minor and w.held_minor = n.held_minor
               and w.status = n.status and w.operator_version = n.operator_version
               and w.restrictions is not distinct from n.restrictions and w.last_at <= commit_fenced_batch.now"""
_BY_VERSION = "where w.version = n.version"
_VERSION_READ = Rewrite("wallet.write_batch", " and w.version = u.version_before", "")
_LOST_UPDATE = frozenset({"I2", "I5"})
_BESIDES = frozenset({"I1", "I3", "I6", "I14", "settled"})


@dataclass(frozen=True)
class _Instances:
    """A wallet that the first instance remembers and the second has never seen."""

    run: Run
    wallet: str

    async def deposit(self, instance: int, amount_minor: int) -> None:
        """Settle a deposit."""
        await settled_at(self.run, self.run.bank.deposit(self.wallet, amount_minor), self.run.bank.ports[instance])


async def _remembered(run: Run) -> _Instances:
    body = {"owner_id": "owner-ahead", "currency": "USD"}
    opened = await settled_at(run, Command("open", run.bank.key("open"), "/v1/wallets", body), run.bank.ports[0])
    instances = _Instances(run, opened.answer.json()["id"])
    for _ in range(WARMING_BATCHES):
        await instances.deposit(0, 1)
    return instances


async def decide_on_old(run: Run) -> Bite:
    """Have an instance decide on a wallet that the other has moved on."""
    async with run.bank.paused():
        instances = await _remembered(run)
        await instances.deposit(1, 111)
        await instances.deposit(0, 222)
    return Bite(what="a deposit decided on a wallet that had moved on", count=1, recovery_s=0.0)


async def lose_a_flight(run: Run) -> Bite:
    """Have the first of two batches under way find a wallet moved on, to where it would have moved it itself."""
    async with run.bank.paused(), run.platform.connections() as connections:
        instances = await _remembered(run)
        async with asyncio.TaskGroup() as deposits, connections["wallet"].transaction():
            await connections["wallet"].execute(_TURN)
            for waiting, (instance, amount_minor) in enumerate(((1, 111), (0, 222), (0, 333)), 1):
                deposits.create_task(instances.deposit(instance, amount_minor))
                await committers_wait(run, waiting)
    return Bite(what="a batch sent behind one that was not written", count=1, recovery_s=0.0)


FAULTS = (
    Fault(
        id="F31-no-fence",
        title="remembered rows written whatever became of them",
        inflict=decide_on_old,
        plant=Plant(
            prepare=rewritten(
                Rewrite("wallet.commit_fenced_batch", _BY_VERSION + _BY_CONTENT, "where true"), _VERSION_READ
            ),
            caught_by=_LOST_UPDATE,
            besides=_BESIDES | {"I4"},
        ),
    ),
    Fault(
        id="F31-fence-by-version",
        title="remembered rows compared by their versions alone",
        inflict=lose_a_flight,
        plant=Plant(
            prepare=rewritten(Rewrite("wallet.commit_fenced_batch", _BY_CONTENT, "")),
            caught_by=_LOST_UPDATE,
            besides=_BESIDES,
        ),
    ),
)
