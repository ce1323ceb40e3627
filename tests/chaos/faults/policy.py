"""The policy changes all the time: every answer fits one that was in force between its request and its answer."""

import asyncio
import bisect
import time
from dataclasses import dataclass, field

from tests.chaos.faults.overtaking import settled_at
from tests.chaos.load.history import OK
from tests.chaos.run import Bite, Fault, Run

CHANGES_PER_S = 20
CHANGES = 120
FEE = "1.00"


@dataclass
class _Changes:
    """When each version was asked for and when it was acknowledged; version n has n mod 2 rules, of a fee each."""

    asked_s: list[float] = field(default_factory=lambda: [0.0])
    acknowledged_s: list[float] = field(default_factory=lambda: [0.0])

    def may_be_in_force(self, began_s: float, ended_s: float) -> set[bool]:
        """Return whether a request of that time may be charged, by each version that may have been in force."""
        first = bisect.bisect_right(self.acknowledged_s, began_s) - 1
        last = bisect.bisect_right(self.asked_s, ended_s) - 1
        return {version % 2 == 1 for version in range(first, last + 1)}


async def change_all_the_time(run: Run) -> Bite:
    """F37: one instance changes the fees twenty times a second while both are asked for withdrawals that cost them."""
    changes = _Changes()
    wallet = await run.bank.open_wallet()
    await settled_at(run, run.bank.deposit(wallet, 10_000_000), run.bank.ports[0])
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        asking = [tasks.create_task(_ask(run, wallet, port, changes, stop)) for port in run.bank.ports]
        await _change(run, changes)
        stop.set()
    breaches = [breach for each in asking for breach in each.result()[1]]
    asked = sum(each.result()[0] for each in asking)
    what = f"{asked} withdrawals under {CHANGES} changes of the policy"
    return Bite(what=what, count=asked, recovery_s=0.0, breaches=breaches)


async def _change(run: Run, changes: _Changes) -> None:
    for change in range(CHANGES):
        rule = {"id": "f37", "operation": "withdrawal", "currency": "USD", "bearer": "payer", "flat": FEE}
        document = [rule] if change % 2 == 0 else []
        changes.asked_s.append(time.monotonic())
        done = await settled_at(run, run.bank.policy("fees", document), run.bank.ports[0])
        assert done.answer.status in OK, done.answer.body
        changes.acknowledged_s.append(time.monotonic())
        await asyncio.sleep(1 / CHANGES_PER_S)


async def _ask(run: Run, wallet: str, port: int, changes: _Changes, stop: asyncio.Event) -> tuple[int, list[str]]:
    asked, breaches = 0, []
    while not stop.is_set():
        began_s = time.monotonic()
        done = await settled_at(run, run.bank.withdrawal(wallet, 100), port)
        ended_s = time.monotonic()
        is_charged = len(done.answer.json()["fees"]) > 0
        if is_charged not in changes.may_be_in_force(began_s, ended_s):
            breaches.append(f"{done.command.key} was charged by a policy that was not in force: {is_charged}")
        asked += 1
    return asked, breaches


FAULTS = (Fault(id="F37", title="the policy changed twenty times a second", inflict=change_all_the_time),)
