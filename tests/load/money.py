"""What money can do beside transfers, and what each of it costs: the committer in this process, side by side.

Every side has a database of its own; all follow one another in each round, so that what the machine does meanwhile it
does to all. Rates are of commands, but those of payments to ten, which are of entries ÷ a transfer's two.
"""

import random
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final, Literal
from uuid import UUID

from tests.load import committing
from tests.load.committing import MakeUnit
from tests.load.database import Bench, make_room, prepared
from tests.load.series import Series

from engines.postgres import PostgresServer
from wallet.adapters.ledger_postgres import PostgresLedger
from wallet.application.queue import CommandQueue
from wallet.application.units import Stored, Unit
from wallet.bootstrap.catalog import CATALOG
from wallet.domain.commands import Command
from wallet.domain.conversions import Convert
from wallet.domain.destinations import Destination
from wallet.domain.fee_rules import FeeRule
from wallet.domain.fx import FxTerms, MidRate, PairTerms
from wallet.domain.hold_commands import CaptureHold, PlaceHold
from wallet.domain.lifecycle import OpenWallet
from wallet.domain.limits import Limit, Tier
from wallet.domain.payments import MakePayment
from wallet.domain.policy_commands import ChangeFees, ChangeFxTerms, ChangeTiers
from wallet.domain.quotes import RequestQuote

PLAIN: Final = "plain"
PAYEES: Final = 10
PRIMING_ROUNDS: Final = 4
_AMOUNT_MINOR: Final = 100
EUROS: Final = 100
MID: Final = MidRate("0.92", datetime(2026, 1, 1, tzinfo=UTC), "bench")
OFFERED: Final = FxTerms(spread_ppm=5_000, pairs=(PairTerms(source_currency="USD", destination_currency="EUR"),))
FEE: Final = FeeRule(
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
        results = [await made(queue, command) for command in side.setup]
        make_unit = side.makes([*ids, *(each for each in results if each is not None)])
        enough = PRIMING_ROUNDS * len(ids)
        await committing.drive(queue, make_unit, is_enough=lambda done: done >= enough)
        rate = await committing.timed(queue, make_unit, seconds)
    series.add(f"money {name}", replace(rate, per_s=rate.per_s * side.weight))


async def made(queue: CommandQueue, command: Command) -> UUID | None:
    """Carry out *command*, again where it was before; return the id of what it made."""
    outcome = await queue.submit(committing.unit_of(command, "/v1/test"))
    return outcome.resource_id if isinstance(outcome, Stored) else None


class Side:
    """What is measured: *makes* returns what makes its units, among the wallets and those that *setup* made.

    *weight* is a unit's.
    """

    def __init__(self, makes: Callable[[Sequence[UUID]], MakeUnit], *setup: Command, weight: float = 1.0) -> None:
        self.makes, self.setup, self.weight = makes, setup, weight


def _transfers(ids: Sequence[UUID]) -> MakeUnit:
    return lambda: committing.unit_of(committing.random_transfer(ids, hot=False))


def _hot_transfers(ids: Sequence[UUID]) -> MakeUnit:
    return lambda: committing.unit_of(committing.random_transfer(ids, hot=True))


def bounded(scope: Literal["wallet", "owner"]) -> tuple[Tier, ...]:
    """Return the tier of everybody, with day and month limits that nothing reaches."""
    much = "9000000000000.00"
    limit = Limit(scope=scope, operation="transfer", currency="USD", day_amount=much, month_amount=much)
    return (Tier(name="default", limits=(limit,)),)


def _payments(ids: Sequence[UUID]) -> MakeUnit:
    def make() -> Unit:
        payer, *payees = random.sample(ids, PAYEES + 1)
        parts = tuple(Destination(payee, _AMOUNT_MINOR) for payee in payees)
        return committing.unit_of(MakePayment(payer, PAYEES * _AMOUNT_MINOR, "USD", parts), "/v1/payments")

    return make


class _Pairs(ABC):
    """Makes something and uses it: the next that is made, or else makes another."""

    def __init__(self, ids: Sequence[UUID]) -> None:
        self.ids = ids
        self._made: deque[Unit] = deque()

    def __call__(self) -> Unit:
        """Return the next unit."""
        if self._made and self._made[0].outcome.done():
            made = self._made.popleft()
            outcome = made.outcome.result()
            assert isinstance(outcome, Stored)
            assert outcome.resource_id is not None
            return self.second(outcome.resource_id, made)
        unit = self.first()
        self._made.append(unit)
        return unit

    @abstractmethod
    def first(self) -> Unit:
        """Return what makes something."""

    @abstractmethod
    def second(self, made_id: UUID, of: Unit) -> Unit:
        """Return what uses that."""


class Holds(_Pairs):
    """Places holds and captures them."""

    def first(self) -> Unit:
        return committing.unit_of(PlaceHold(random.choice(self.ids), _AMOUNT_MINOR, "USD"), "/v1/holds")

    def second(self, made_id: UUID, of: Unit) -> Unit:
        payee = random.choice(self.ids)
        while payee == of.commands[0].debits:
            payee = random.choice(self.ids)
        return committing.unit_of(CaptureHold(made_id, (Destination(payee),)), "/v1/holds/capture")


class _Conversions(_Pairs):
    """Asks for quotes and uses them, between the wallets in dollars and those in euros that were made."""

    def first(self) -> Unit:
        return committing.unit_of(RequestQuote("USD", "EUR", _AMOUNT_MINOR, valid_s=300, mid=MID), "/v1/fx/quotes")

    def second(self, made_id: UUID, _of: Unit) -> Unit:
        source, destination = random.choice(self.ids[:-EUROS]), random.choice(self.ids[-EUROS:])
        return committing.unit_of(Convert(made_id, source, destination), "/v1/conversions")


SIDES: Final[Mapping[str, Side]] = {
    PLAIN: Side(_transfers),
    "limits": Side(_transfers, ChangeTiers(0, bounded("wallet"))),
    "hot": Side(_hot_transfers),
    "limits-hot": Side(_hot_transfers, ChangeTiers(0, bounded("wallet"))),
    "limits-owner": Side(_transfers, ChangeTiers(0, bounded("owner"))),
    "fees": Side(_transfers, ChangeFees(0, (FEE,))),
    "holds": Side(Holds),
    "payments": Side(_payments, weight=(PAYEES + 1) / 2),
    "conversions": Side(_Conversions, ChangeFxTerms(0, OFFERED), *(OpenWallet("bench", "EUR") for _ in range(EUROS))),
}
"""Each side by its name."""
