"""Operators' work on the history's projections under load: both are rebuilt, and take the places of those that live."""

import time

from tests.chaos.load import exchanges
from tests.chaos.load.reading import reading
from tests.chaos.platform.product import HISTORY, INDEXER
from tests.chaos.run import Bite, Fault, Run

REBUILT = ("ledger", "index")


async def rebuild_and_switch(run: Run) -> Bite:
    """F28: each projection is built again from the topic, and switched to where all is equal; no read fails."""
    bitten_s = time.monotonic()
    async with reading(run, [run.platform.port("history")]) as reads:
        told = [
            await run.platform.operate(HISTORY.service, "projections", "rebuild", "--projection", name, "--switch")
            for name in REBUILT
        ]
    recovery_s = await run.recovery_s(bitten_s)
    switched = sum("switched" in each.splitlines()[-1] for each in told)
    answered = sum(each.status == exchanges.OK for each in reads)
    breaches = [f"{len(reads) - answered} of {len(reads)} reads failed"] if answered < len(reads) else []
    if switched < len(REBUILT):
        breaches.append("not all was switched to: " + "; ".join(each.splitlines()[-1] for each in told))
    what = f"{switched} projections rebuilt and switched to, {answered} reads answered meanwhile"
    return Bite(what=what, count=min(switched, answered), recovery_s=recovery_s, breaches=breaches)


FAULTS = (
    Fault(id="F28", title="rebuild and switch both projections under load", inflict=rebuild_and_switch, also=INDEXER),
)
