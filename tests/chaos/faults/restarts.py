"""The fault of every release: all processes are restarted, one after another, under load."""

import time
from collections import Counter
from collections.abc import Iterator

from tests.chaos.load import exchanges
from tests.chaos.load.exchanges import LOST
from tests.chaos.load.reading import reading
from tests.chaos.load.webhooks import all_sent, received
from tests.chaos.platform.product import FRAUD, WEBHOOKS, WORKERS
from tests.chaos.run import Bite, Fault, Run

_ENDS_IN_ORDER = "process.shutdown_requested"
_ENDS_BADLY = ("process.drain_late", "process.failed")


async def restart_all(run: Run) -> Bite:
    """F26: SIGTERM to each process, in an order of the seed's; the next one when it is ready again."""
    processes = run.chance.sample(run.platform.processes, len(run.platform.processes))
    began_s = time.monotonic()
    async with reading(run, [*run.platform.api_ports, run.platform.port("history")]) as reads:
        pids = {name: await _restart(run, name) for name in processes}
    ended_s = time.monotonic()
    recovery_s = await run.recovery_s(ended_s)
    asked = [*(each for each in run.bank.exchanges if each.overlaps(began_s, ended_s)), *reads]
    lost = Counter(each.told for each in asked if each.status is None)
    refused = exchanges.refused(asked).total()
    return Bite(
        what=f"{len(pids)} processes restarted; of {len(asked)} requests {refused} were told to come again, lost: "
        + ", ".join(f"{count} {name}" for name, count in sorted(lost.items())),
        count=sum(before != after for before, after in pids.values()),
        recovery_s=recovery_s,
        breaches=[
            *(breach for name, own in pids.items() for breach in _bad_restart(run, name, own)),
            *exchanges.not_retryable(asked, lost=LOST),
        ],
    )


async def _restart(run: Run, name: str) -> tuple[int, int]:
    """Restart a process; return its pid before and after."""
    before = run.platform.pid(name)
    await run.platform.stop(name)
    await run.platform.start(name)
    return before, run.platform.pid(name)


def _bad_restart(run: Run, name: str, pids: tuple[int, int]) -> Iterator[str]:
    if pids[0] == pids[1]:
        yield f"{name} was not restarted"
    log = run.platform.log(name)
    if log.count(_ENDS_IN_ORDER) != 1:
        yield f"{name} was not asked to end"
    yield from (f"{name} tells {action}" for action in _ENDS_BADLY if action in log)


async def all_delivered(run: Run, bite: Bite) -> None:
    """Wait until every webhook is delivered, and tell how many there are."""
    await all_sent(run)
    bite.what += f"; {len(run.inbox.posts)} webhooks sent"


FAULTS = (
    Fault(
        id="F26",
        title="rolling restart of every process under load",
        inflict=restart_all,
        settle=all_delivered,
        beside=received,
        also=WEBHOOKS | WORKERS | FRAUD,
    ),
)
