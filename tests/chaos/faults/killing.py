"""Workers of the history that die wherever it is worst, and what is done about that."""

from collections.abc import Sequence
from contextlib import suppress

from tests.chaos.platform import signals
from tests.chaos.platform.gate import Action
from tests.chaos.platform.gated_ledger import Moment
from tests.chaos.platform.gated_worker import FULL, OBJECT, PREFIX
from tests.chaos.run import Run

from engines.errors import EngineError

OWNER = "owner-3"
"""Whose entries are exported."""
CLIENTS = 4
"""Of the wallet, whose load this is not about."""
REACHED_WITHIN_S = 12.0
HIT_MIN = 1 / 2
"""Of the boundaries that a worker is to die at: some are come to now and then alone."""
OF_OBJECTS = tuple(f"{OBJECT}-{moment.value}" for moment in (Moment.BEFORE, Moment.ANSWERED))
_FREE = """
    update history_jobs.statement_file set leased_until = now() where status = 'running';
    update servicekit.lease set expires_at = '-infinity'"""
"""Leases of the dead, so that a run does not wait two minutes for one."""


def boundaries(run: Run, *tables: str) -> list[str]:
    """Return where workers have been so far that is about *tables*: a statement, its COMMIT, an object."""
    noted = run.platform.gate.noted(PREFIX)
    about = [
        name
        for name in noted
        if name not in (OBJECT, FULL) and any(table in noted[name.removesuffix("-commit")] for table in tables)
    ]
    return [f"{name}-{moment.value}" for name in about for moment in (Moment.SENT, Moment.ANSWERED)]


async def killed_at(run: Run, boundary: str) -> bool:
    """Wait until a worker has killed itself at *boundary*, where armed, and start it again; return whether one did."""
    gate = run.platform.gate
    try:
        reached = await gate.wait_reached(boundary, within_s=REACHED_WITHIN_S)
    except TimeoutError:
        gate.take(boundary, {"keys": []})  # nobody is to come there later
        return False
    await signals.gone(reached.pid)
    await freed(run)
    with suppress(EngineError):
        await run.platform.start(run.platform.name_of(reached.pid), gated=True)
    return True


async def freed(run: Run) -> None:
    """End the leases of whoever died."""
    async with run.platform.connections() as connections:
        await connections["transaction_history"].execute(_FREE)


def chosen(run: Run, there: Sequence[str], count: int) -> list[str]:
    """Return *count* of the boundaries that are *there*, those of objects among them, in an order of the seed's."""
    rest = run.chance.sample(there, min(len(there), count - len(OF_OBJECTS)))
    return run.chance.sample([*OF_OBJECTS, *rest], len(rest) + len(OF_OBJECTS))


def arm(run: Run, boundary: str) -> None:
    """Have the next worker at *boundary* kill itself."""
    run.platform.gate.arm(boundary, Action.KILL)
