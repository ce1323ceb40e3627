"""What money can do beside transfers, and what each of it costs: the committer in this process, side by side.

Every side has a database of its own; all follow one another in each round, so that what the machine does meanwhile it
does to all. Rates are of commands, but those of payments to ten, which are of entries ÷ a transfer's two.
"""

import random
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Final
from uuid import UUID

from tests.load import committing
from tests.load.committing import MakeUnit
from tests.load.database import Bench, make_room, prepared
from tests.load.series import Series

from engines.postgres import PostgresServer
from wallet.adapters.ledger_postgres import PostgresLedger
from wallet.application.units import Stored, Unit
from wallet.bootstrap.catalog import CATALOG
from wallet.domain.commands import Command
from wallet.domain.destinations import Destination
from wallet.domain.fee_rules import FeeRule
from wallet.domain.hold_commands import CaptureHold, PlaceHold
from wallet.domain.payments import MakePayment
from wallet.domain.policy_commands import ChangeFees

PLAIN: Final = "plain"
PAYEES: Final = 10
PRIMING_ROUNDS: Final = 4
_AMOUNT_MINOR: Final = 100
_FEE: Final = FeeRule(
    id="bench", operation="transfer", currency="USD", bearer="payer", flat="0.01", rate_ppm=10_000, minimum="0.02"
)


async def measure(running: PostgresServer, series: Series, *, rounds: int, seconds: float) -> None:
    """Add the rate of each side and round to *series*."""
    async with AsyncExitStack() as stack:
        benches = {name: await stack.enter_async_context(prepared(running)) for name in SIDES}
        for _ in range(rounds):
            for name, side in SIDES.items():
                await _run(benches[name], name, side, series, seconds)


async def _run(bench: Bench, name: str, side: "Side", series: Series, seconds: float) -> None:
    await make_room(bench.database.dsn_admin)
    ids = [UUID(text) for text in bench.wallet_ids]
    ledger = PostgresLedger(bench.database.dsn_app, kinds=CATALOG.kinds)
    async with committing.committer(ledger) as queue:
        for command in side.setup:
            await queue.submit(committing.unit_of(command, "/v1/test"))
        make_unit = side.makes(ids)
        enough = PRIMING_ROUNDS * len(ids)
        await committing.drive(queue, make_unit, is_enough=lambda done: done >= enough)
        rate = await committing.timed(queue, make_unit, seconds)
    series.add(f"money {name}", replace(rate, per_s=rate.per_s * side.weight))


class Side:
    """What is measured: *makes* returns what makes its units, *setup* is done before, *weight* is a unit's."""

    def __init__(self, makes: Callable[[Sequence[UUID]], MakeUnit], *setup: Command, weight: float = 1.0) -> None:
        self.makes, self.setup, self.weight = makes, setup, weight


def _transfers(ids: Sequence[UUID]) -> MakeUnit:
    return lambda: committing.unit_of(committing.random_transfer(ids, hot=False))


def _payments(ids: Sequence[UUID]) -> MakeUnit:
    def make() -> Unit:
        payer, *payees = random.sample(ids, PAYEES + 1)
        parts = tuple(Destination(payee, _AMOUNT_MINOR) for payee in payees)
        return committing.unit_of(MakePayment(payer, PAYEES * _AMOUNT_MINOR, "USD", parts), "/v1/payments")

    return make


class _Holds:
    """Places holds and captures them: the next that is placed, or else places another."""

    def __init__(self, ids: Sequence[UUID]) -> None:
        self._ids = ids
        self._placed: deque[Unit] = deque()

    def __call__(self) -> Unit:
        """Return the next unit."""
        if self._placed and self._placed[0].outcome.done():
            held = self._placed.popleft()
            outcome = held.outcome.result()
            assert isinstance(outcome, Stored)
            assert outcome.resource_id is not None
            payee = self._other_than(held.commands[0].debits)
            capture = CaptureHold(outcome.resource_id, (Destination(payee),))
            return committing.unit_of(capture, "/v1/holds/capture")
        unit = committing.unit_of(PlaceHold(random.choice(self._ids), _AMOUNT_MINOR, "USD"), "/v1/holds")
        self._placed.append(unit)
        return unit

    def _other_than(self, payer: UUID | None) -> UUID:
        payee = random.choice(self._ids)
        while payee == payer:
            payee = random.choice(self._ids)
        return payee


SIDES: Final[Mapping[str, Side]] = {
    PLAIN: Side(_transfers),
    "fees": Side(_transfers, ChangeFees(0, (_FEE,))),
    "holds": Side(_Holds),
    "payments": Side(_payments, weight=(PAYEES + 1) / 2),
}
"""Each side by its name."""
