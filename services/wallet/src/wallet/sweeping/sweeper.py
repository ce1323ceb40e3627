"""Sends the command for each row that is due. Two that both believe to be the leader send the same, under one key."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final, Protocol
from uuid import UUID

import structlog

from servicekit.clock import monotonic_s
from servicekit.failures import OperationalError
from servicekit.maintenance import JobRun
from servicekit.principal import client_of
from wallet.application.metrics import SweepMetrics
from wallet.application.units import Deferred, Outcome, Unit, fingerprint
from wallet.domain.commands import Command
from wallet.domain.hold_commands import ExpireHold
from wallet.domain.holds import HOLD
from wallet.domain.mandate import platform_mandate
from wallet.domain.quotes import QUOTE, ExpireQuote
from wallet.domain.rows import RowKind
from wallet.sweeping.due_postgres import LOT_MAX, Due, due_rows

SUBJECT: Final = "wallet"
"""The actor of what the wallet does by itself."""
UNDER_WAY_MAX: Final = 768
"""A batch and a half: the committer decides the next one while the database has one."""
QUEUE_AGE_MAX_S: Final = 0.2
"""While the queue is older, customers go first."""
SENDING_S: Final = 1.0
"""For how long one sweep goes on sending lots: what is sent then is done within its job's deadline."""
_ROUTE: Final = "sweep"

_Expire = Callable[[UUID, datetime], Command]
EXPIRES: Final[tuple[tuple[RowKind, _Expire], ...]] = ((HOLD, ExpireHold), (QUOTE, ExpireQuote))
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
        """Send what is due; return how many were done. What was not is due again in the next sweep."""
        return sum([await self._sweep(run, kind, expire) for kind, expire in EXPIRES])

    async def _sweep(self, run: JobRun, kind: RowKind, expire: _Expire) -> int:
        """Send lots of *kind* for a while, the next one while the last is under way, and wait for all of them."""
        places, sent = asyncio.Semaphore(UNDER_WAY_MAX), list[asyncio.Future[Outcome]]()
        until_s, last = monotonic_s() + SENDING_S, None
        while True:
            due = await due_rows(run.connection, kind.number, behind=last)
            if last is None:
                self._metrics.due_lag(kind.name, due[0].late_s if due else 0.0)
            for each in due:
                unit = self._unit(each, f"{kind.name}:{each.id}:expired", expire(each.id, each.due_at))
                await places.acquire()
                outcome = self._submit(unit)
                if outcome is None:
                    return await _done(sent)
                outcome.add_done_callback(lambda _: places.release())
                sent.append(outcome)
            if len(due) < LOT_MAX or monotonic_s() > until_s:
                return await _done(sent)
            last = due[-1]

    def _submit(self, unit: Unit) -> "asyncio.Future[Outcome] | None":
        """Return the future of the unit's outcome; None while the queue is old or takes nothing: customers go first."""
        if self._queue.age_s > QUEUE_AGE_MAX_S:
            return None
        try:
            return self._queue.submit(unit)
        except OperationalError as error:
            _log.warning("sweep.not_done", id=unit.key[1], error=repr(error))
            return None

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


async def _done(sent: Sequence["asyncio.Future[Outcome]"]) -> int:
    """Return of how many the end was decided; what cannot be told is left for later."""
    outcomes = await asyncio.gather(*sent, return_exceptions=True)
    for outcome in outcomes:
        if isinstance(outcome, OperationalError):
            _log.warning("sweep.not_done", error=repr(outcome))
        elif isinstance(outcome, BaseException):
            raise outcome
    return sum(not isinstance(outcome, OperationalError | Deferred) for outcome in outcomes)
