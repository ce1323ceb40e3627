"""Sends the command for each row that is due. Two that both believe to be the leader send the same, under one key."""

import asyncio
from collections.abc import Callable
from datetime import datetime
from typing import Final, Protocol
from uuid import UUID

import structlog

from servicekit.clock import monotonic_s
from servicekit.failures import OperationalError
from servicekit.maintenance import JobRun
from servicekit.principal import client_of
from wallet.application.metrics import SweepMetrics
from wallet.application.units import Outcome, Unit, fingerprint
from wallet.domain.commands import Command
from wallet.domain.hold_commands import ExpireHold
from wallet.domain.holds import HOLD
from wallet.domain.mandate import platform_mandate
from wallet.domain.quotes import QUOTE, ExpireQuote
from wallet.domain.rows import RowKind
from wallet.sweeping.due_postgres import Due, due_rows

SUBJECT: Final = "wallet"
"""The actor of what the wallet does by itself."""
UNDER_WAY_MAX: Final = 256
QUEUE_AGE_MAX_S: Final = 0.2
"""While the queue is older, customers go first."""
_ROUTE: Final = "sweep"

_Expire = Callable[[UUID, datetime], Command]
_EXPIRES: Final[tuple[tuple[RowKind, _Expire], ...]] = ((HOLD, ExpireHold), (QUOTE, ExpireQuote))
"""What ends by itself, and by which command."""

_log = structlog.get_logger(__name__)


class Queue(Protocol):
    """Where commands go."""

    @property
    def age_s(self) -> float:
        """How long the oldest command has waited."""
        ...

    def submit(self, unit: Unit, /) -> "asyncio.Future[Outcome]":
        """Return the future of the unit's outcome; raises as `CommandQueue.submit` does."""
        ...


class Sweeper:
    """Sends what is due to *queue*, each command to be done within *deadline_s*."""

    def __init__(self, queue: Queue, *, metrics: SweepMetrics, deadline_s: float) -> None:
        self._queue = queue
        self._metrics = metrics
        self._deadline_s = deadline_s

    async def sweep(self, run: JobRun) -> int:
        """Send one lot of what is due; return how many were done. What was not is due again in the next sweep."""
        return sum([await self._sweep(run, kind, expire) for kind, expire in _EXPIRES])

    async def _sweep(self, run: JobRun, kind: RowKind, expire: _Expire) -> int:
        due = await due_rows(run.connection, kind.number)
        self._metrics.due_lag(kind.name, due[0].late_s if due else 0.0)
        places = asyncio.Semaphore(UNDER_WAY_MAX)
        units = [(each, f"{kind.name}:{each.id}:expired", expire(each.id, each.due_at)) for each in due]
        return sum(await asyncio.gather(*(self._expire(*unit, places) for unit in units)))

    async def _expire(self, due: Due, name: str, command: Command, places: asyncio.Semaphore) -> bool:
        """Return whether the row's end was decided: it is left for later while the queue is old, or cannot be told."""
        async with places:
            if self._queue.age_s > QUEUE_AGE_MAX_S:
                return False
            try:
                await self._queue.submit(self._unit(due, name, command))
            except OperationalError as error:
                _log.warning("sweep.not_done", id=due.id, error=repr(error))
                return False
            return True

    def _unit(self, due: Due, name: str, command: Command) -> Unit:
        now_s = monotonic_s()
        # The due time is in the key: a refusal is stored, and must not answer for a later due time.
        key = f"{name}:{int(due.due_at.timestamp() * 1_000_000)}"
        return Unit(
            path=None,
            commands=(command,),
            is_atomic_batch=False,
            mandate=platform_mandate(due.tenant_id),
            actor=SUBJECT,
            key=(client_of(due.tenant_id, SUBJECT), key, 0),
            fingerprint=fingerprint(_ROUTE, (command,)),
            deadline_s=now_s + self._deadline_s,
        )
