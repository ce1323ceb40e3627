"""The committer in this process, fed with a constant number of commands outstanding."""

import asyncio
import os
import random
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from uuid import UUID

from prometheus_client import CollectorRegistry
from tests.load.series import Rate

from servicekit.clock import monotonic_s
from wallet.adapters.ids import IDS
from wallet.adapters.ledger_postgres import PostgresLedger
from wallet.application.committer import Committer, CommitterSettings
from wallet.application.metrics import CommitterMetrics
from wallet.application.plan import Planning
from wallet.application.queue import CommandQueue, QueueLimits
from wallet.application.units import Done, Outcome, Stored, Unit, fingerprint
from wallet.bootstrap.catalog import CATALOG
from wallet.domain.commands import Command
from wallet.domain.mandate import platform_mandate
from wallet.domain.money import TransferFunds
from wallet.entrypoints.rendering import JsonRenderer

TENANT = UUID("00000000-0000-7000-8000-000000000001")
OUTSTANDING = 2_048
DEADLINE_S = 600.0
PLANNING = Planning(
    ids=IDS,
    draw_stamp=partial(random.getrandbits, 63),
    hash_reference=lambda _tenant, reference: reference.encode(),
    renderer=JsonRenderer(CATALOG.answers),
)
IsEnough = Callable[[int], bool]
"""Given how many units are done, tells whether no more are to be submitted."""
MakeUnit = Callable[[], Unit]


@asynccontextmanager
async def committer(
    ledger: PostgresLedger, *, pipelining: bool = True, registry: CollectorRegistry | None = None
) -> AsyncIterator[CommandQueue]:
    """Give the queue of a committer at work; what was submitted is done on the way out, and *ledger* closed.

    Its metrics go to *registry*; None: they are not read.
    """
    metrics = CommitterMetrics(registry or CollectorRegistry())
    queue = CommandQueue(QueueLimits(age_max_s=DEADLINE_S), metrics=metrics)
    driven = Committer(
        ledger,
        queue,
        planning=PLANNING,
        metrics=metrics,
        settings=CommitterSettings(pipelining=pipelining),
    )
    running = asyncio.create_task(driven.run())
    try:
        yield queue
    finally:
        queue.close()
        await running
        await ledger.close()


async def rate(ledger: PostgresLedger, wallet_ids: Sequence[str], *, hot: bool, ahead: bool, seconds: float) -> Rate:
    """Commit transfers to *ledger* for *seconds*."""
    async with committer(ledger, pipelining=ahead) as queue:
        return await timed(queue, _transfers_among(wallet_ids, hot=hot), seconds)


async def timed(queue: CommandQueue, make_unit: MakeUnit, seconds: float) -> Rate:
    """Commit what *make_unit* makes for *seconds*."""
    began_s, cpu_s = monotonic_s(), _cpu_s()
    done = await drive(queue, make_unit, is_enough=lambda _: monotonic_s() >= began_s + seconds)
    elapsed_s, used_s = monotonic_s() - began_s, _cpu_s() - cpu_s
    return Rate(done / elapsed_s, 1e6 * used_s / done)


async def transfers(queue: CommandQueue, wallet_ids: Sequence[str], *, hot: bool, is_enough: IsEnough) -> int:
    """Submit the next transfer whenever one is answered; return how many were made."""
    return await drive(queue, _transfers_among(wallet_ids, hot=hot), is_enough=is_enough)


async def drive(queue: CommandQueue, make_unit: MakeUnit, *, is_enough: IsEnough) -> int:
    """Submit the next unit whenever one is answered; return how many were done. Raises AssertionError at a refusal."""
    return await _Driver(queue, make_unit, is_enough=is_enough).run()


def _transfers_among(wallet_ids: Sequence[str], *, hot: bool) -> MakeUnit:
    ids = [UUID(text) for text in wallet_ids]
    return lambda: unit_of(random_transfer(ids, hot=hot))


MANDATE = platform_mandate(TENANT)


def unit_of(command: Command, path: str = "/v1/transfers") -> Unit:
    """Return *command* as the API would submit it, under a random key."""
    commands = (command,)
    now_s = monotonic_s()
    key = (TENANT, f"{random.getrandbits(128):032x}", 0)
    printed = fingerprint(path, commands)
    return Unit(path, commands, False, MANDATE, "bench", key, printed, now_s + DEADLINE_S)


def random_transfer(wallet_ids: Sequence[UUID], *, hot: bool) -> TransferFunds:
    """Return a transfer of 1.00 between two of the wallets, from the first of them where it is *hot*."""
    payer = wallet_ids[0] if hot else random.choice(wallet_ids)
    payee = random.choice(wallet_ids)
    while payee == payer:
        payee = random.choice(wallet_ids)
    return TransferFunds(payer, payee, 100, "USD")


class _Driver:
    """Has one callback per command, and no task."""

    def __init__(self, queue: CommandQueue, make_unit: MakeUnit, *, is_enough: IsEnough) -> None:
        self._queue = queue
        self._make_unit = make_unit
        self._is_enough = is_enough
        self._done = 0
        self._outstanding = 0
        self._ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def run(self) -> int:
        for _ in range(OUTSTANDING):
            self._submit()
        return await self._ended

    def _submit(self) -> None:
        try:
            unit = self._make_unit()
        except Exception as error:  # noqa: BLE001 - a callback has nobody else to raise it to
            self._fail(error)
            return
        self._outstanding += 1
        self._queue.submit(unit).add_done_callback(self._answered)

    def _answered(self, future: "asyncio.Future[Outcome]") -> None:
        outcome = future.result()
        self._outstanding -= 1
        if not isinstance(outcome, Stored) or outcome.result != Done():
            self._fail(AssertionError(f"a unit was not accepted: {outcome}"))
            return
        self._done += 1
        if not self._is_enough(self._done + self._outstanding):
            self._submit()
        elif self._outstanding == 0:
            self._ended.set_result(self._done)

    def _fail(self, error: Exception) -> None:
        if not self._ended.done():
            self._ended.set_exception(error)


def _cpu_s() -> float:
    times = os.times()
    return times.user + times.system
