"""The test of the test: bugs planted in what decides ahead, each to be caught by the checks its entry names."""

import asyncio
from dataclasses import dataclass

from tests.chaos.faults.overtaking import committers_wait, settled_at
from tests.chaos.load.history import Command
from tests.chaos.platform.plant import Plant, Rewrite, rewritten
from tests.chaos.platform.product import APIS
from tests.chaos.run import Bite, Fault, Run

WARMING_BATCHES = 260
"""After a wrong guess up to 256 batches are decided on locked rows."""
_COMMIT_LOCK = "select pg_advisory_xact_lock(7, 0)"
_UNSTAMPED = Rewrite("wallet.commit_rows_2", "where w.stamp = e.stamp order by w.id", "where true order by w.id")
_UNSTAMPED_UPDATE = Rewrite("wallet.write_rows_2", " and w.stamp = u.stamp_before", "")
_LOST_UPDATE = frozenset({"I2", "I5"})
_BESIDES = frozenset({"I1", "I3", "I6", "I11", "I14", "constraints", "settled"})


@dataclass(frozen=True)
class _Instances:
    """A wallet that the first instance knows and the second has never seen."""

    run: Run
    wallet: str

    async def deposit(self, instance: int, amount_minor: int) -> None:
        """Settle a deposit."""
        await settled_at(self.run, self.run.bank.deposit(self.wallet, amount_minor), self.run.bank.ports[instance])


async def _known(run: Run, batches: int = WARMING_BATCHES) -> _Instances:
    body = {"owner_id": "owner-ahead", "currency": "USD"}
    opened = await settled_at(run, Command("open", run.bank.key("open"), "/v1/wallets", body), run.bank.ports[0])
    instances = _Instances(run, opened.answer.json()["id"])
    for _ in range(batches):
        await instances.deposit(0, 1)
    return instances


async def decide_on_old(run: Run) -> Bite:
    """Have an instance decide on a wallet that the other has moved on."""
    async with run.still():
        instances = await _known(run)
        await instances.deposit(1, 111)
        await instances.deposit(0, 222)
    return Bite(what="a deposit decided on a wallet that had moved on", count=1, recovery_s=0.0)


async def lose_a_batch(run: Run) -> Bite:
    """Have the first of two batches under way not be written, though the wallet that both name is as it expects."""
    async with run.still(), run.platform.connections() as connections:
        instances, other = await _known(run), await _known(run, batches=1)
        transfer = run.bank.transfer(instances.wallet, other.wallet, 50)
        async with asyncio.TaskGroup() as sent, connections["wallet"].transaction():
            await connections["wallet"].execute(_COMMIT_LOCK)
            sent.create_task(other.deposit(1, 111))
            await committers_wait(run, 1)
            sent.create_task(settled_at(run, transfer, run.bank.ports[0]))
            await committers_wait(run, 2)
            sent.create_task(instances.deposit(0, 333))
            await committers_wait(run, 3)
    return Bite(what="a batch sent behind one that was not written", count=1, recovery_s=0.0)


async def read_before_another_writes(run: Run) -> Bite:
    """Have an instance read a wallet that it has never seen, and another move it on before that is committed."""
    async with run.still(), run.platform.connections() as connections:
        body = {"owner_id": "owner-cold", "currency": "USD"}
        opened = await settled_at(run, Command("open", run.bank.key("open"), "/v1/wallets", body), run.bank.ports[1])
        instances = _Instances(run, opened.answer.json()["id"])
        async with asyncio.TaskGroup() as deposits, connections["wallet"].transaction():
            await connections["wallet"].execute(_COMMIT_LOCK)
            for waiting, (instance, amount_minor) in enumerate(((1, 111), (0, 222)), 1):
                deposits.create_task(instances.deposit(instance, amount_minor))
                await committers_wait(run, waiting)
    return Bite(what="a deposit decided on a wallet read before another's", count=1, recovery_s=0.0)


FAULTS = (
    Fault(
        id="F31-no-stamps",
        title="known rows written whatever became of them",
        inflict=decide_on_old,
        plant=Plant(
            prepare=rewritten(_UNSTAMPED, _UNSTAMPED_UPDATE), caught_by=_LOST_UPDATE, besides=_BESIDES | {"I4"}
        ),
    ),
    Fault(
        id="F31-unchecked-reads",
        title="rows read ahead and not checked",
        inflict=read_before_another_writes,
        plant=Plant(
            parts=dict.fromkeys(APIS, "unchecked-reads"),
            prepare=rewritten(_UNSTAMPED_UPDATE),
            caught_by=_LOST_UPDATE,
            besides=_BESIDES | {"I4"},
        ),
    ),
    Fault(
        id="F31-one-stamp",
        title="one stamp for all batches of a process",
        inflict=lose_a_batch,
        plant=Plant(parts=dict.fromkeys(APIS, "one-stamp"), caught_by=_LOST_UPDATE, besides=_BESIDES | {"I4"}),
    ),
)
