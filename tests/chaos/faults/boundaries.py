"""The fault of the committer's own steps: an API process dies at every boundary of them."""

import asyncio
import time

from tests.chaos.platform import signals
from tests.chaos.platform.gate import Action, Reached
from tests.chaos.platform.gated_ledger import BOUNDARIES, READING
from tests.chaos.platform.product import APIS
from tests.chaos.run import Bite, Fault, Run

REACHED_WITHIN_S = 30.0
PAUSE_S = (0.1, 0.4)
"""So that the next kill finds the load at work, and more than one command in a batch."""


async def kill_at_boundaries(run: Run) -> Bite:
    """F32: an API instance kills itself at each boundary of each statement, in an order of the seed's."""
    hit: dict[str, Reached] = {}
    for boundary in run.chance.sample(BOUNDARIES, len(BOUNDARIES)):
        run.platform.gate.arm(boundary, Action.KILL)
        hit[boundary] = await run.platform.gate.wait_reached(boundary, within_s=REACHED_WITHIN_S)
        bitten_s = time.monotonic()
        await signals.gone(hit[boundary].pid)
        await run.platform.start(run.platform.name_of(hit[boundary].pid), gated=True)
        await asyncio.sleep(run.chance.uniform(*PAUSE_S))
    recovery_s = await run.recovery_s(bitten_s)
    keys = {key for reached in hit.values() for key in reached.facts["keys"]}
    found = sum(done.was_found for done in run.history.done if done.command.key in keys)
    unhit = [boundary for boundary in BOUNDARIES if not _has_command(boundary, hit.get(boundary))]
    return Bite(
        what=f"killed at {len(hit)} boundaries with {len(keys)} keys, {found} found done afterwards",
        count=len(hit),
        recovery_s=recovery_s,
        breaches=[f"no command was at {boundary}" for boundary in unhit],
    )


def _has_command(boundary: str, reached: Reached | None) -> bool:
    """Return whether a kill at *boundary* met a command; a read ahead of one tells none."""
    return reached is not None and (boundary.split("-", maxsplit=1)[0] in READING or bool(reached.facts["keys"]))


FAULTS = (
    Fault(
        id="F32",
        title="kill -9 an API instance at every statement boundary",
        inflict=kill_at_boundaries,
        gated=frozenset(APIS),
    ),
)
