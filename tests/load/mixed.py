"""Mixed commands: what a memory of wallets and keys meets outside a benchmark of one command on known wallets.

70 % transfers and 10 % deposits between wallets that the process knows, 10 % deposits or transfers to wallets that it
has never seen, each of them once, 5 % opens of wallets, 5 % repeats of keys that were acknowledged.
"""

import random
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import accumulate
from typing import Final, Protocol
from uuid import UUID

from prometheus_client import CollectorRegistry
from tests.load import batches, committing
from tests.load.batches import Batches
from tests.load.database import Bench, add_funded_wallets, make_room
from tests.load.series import Rate, Series

from wallet.adapters.ledger_postgres import PostgresLedger
from wallet.application.units import Unit
from wallet.bootstrap.catalog import CATALOG
from wallet.domain.lifecycle import OpenWallet
from wallet.domain.money import DepositFunds, TransferFunds

UNSEEN_PER_S: Final = 3_000
"""More than a tenth of what any committer commits in a second."""
UNSEEN_MIN: Final = 2_000
REPEATABLE: Final = 4 * committing.OUTSTANDING
"""So many of the last units are kept; the oldest of them is long acknowledged, and is repeated next."""
PRIMING_ROUNDS: Final = 8
"""Transfers per known wallet before anything is timed."""
_AMOUNT_MINOR: Final = 100


class Mix:
    """Makes units by the shares that the module tells, between *known* wallets and the *unseen*."""

    def __init__(self, known: Sequence[UUID], unseen: Sequence[UUID]) -> None:
        self._known = known
        self._unseen: Iterator[UUID] = iter(unseen)
        self._sent: deque[Unit] = deque(maxlen=REPEATABLE)
        self._makers = (
            self.transfer,
            self._deposit,
            self._deposit_unseen,
            self._transfer_unseen,
            self._open,
            self._repeat,
        )
        self._shares = tuple(accumulate((70, 10, 5, 5, 5, 5)))

    def __call__(self) -> Unit:
        """Return the next unit. Raises AssertionError when the unseen wallets are used up."""
        (make,) = random.choices(self._makers, cum_weights=self._shares)
        unit = make()
        self._sent.append(unit)
        return unit

    def transfer(self) -> Unit:
        """Return a transfer between two known wallets."""
        return committing.unit_of(committing.random_transfer(self._known, hot=False))

    def _deposit(self) -> Unit:
        return _deposit_to(random.choice(self._known))

    def _deposit_unseen(self) -> Unit:
        return _deposit_to(self._next_unseen())

    def _transfer_unseen(self) -> Unit:
        payer, payee = random.choice(self._known), self._next_unseen()
        return committing.unit_of(TransferFunds(payer, payee, _AMOUNT_MINOR, "USD"))

    def _next_unseen(self) -> UUID:
        wallet_id = next(self._unseen, None)
        assert wallet_id is not None, f"more than {UNSEEN_PER_S:,} unseen wallets were needed in a second"
        return wallet_id

    def _open(self) -> Unit:
        return committing.unit_of(OpenWallet("bench", "USD", placement=f"{random.getrandbits(64):x}"), "/v1/wallets")

    def _repeat(self) -> Unit:
        """Return the oldest kept unit again, or a transfer as long as it has not been acknowledged."""
        if not self._sent or not self._sent[0].outcome.done():
            return self.transfer()
        return repeat_of(self._sent.popleft())


def _deposit_to(wallet_id: UUID) -> Unit:
    return committing.unit_of(DepositFunds(wallet_id, _AMOUNT_MINOR, "USD"), "/v1/deposits")


def repeat_of(unit: Unit) -> Unit:
    """Return the same request under the same key, as a client sends it that has not got the answer."""
    assert unit.path is not None, "every unit of the benchmark has the path of a request"
    return replace(committing.unit_of(unit.commands[0], unit.path), key=unit.key)


async def measure(bench: Bench, series: Series, *, rounds: int, seconds: float) -> Batches:
    """Add the rates with pipelining and on locked rows to *series*; return the batches with pipelining."""
    counted = Batches()
    for _ in range(rounds):
        await make_room(bench.database.dsn_admin)
        for ahead in (True, False):
            unseen_count = UNSEEN_MIN + round(seconds * UNSEEN_PER_S)
            unseen = await add_funded_wallets(bench.database.dsn_admin, committing.TENANT, unseen_count)
            mix = Mix([UUID(text) for text in bench.wallet_ids], unseen)
            rate, of_round = await measured(bench, mix, ahead=ahead, seconds=seconds)
            series.add(f"mixed {'ahead' if ahead else 'locked'}", rate)
            counted += of_round if ahead else Batches()
    return counted


class Mixed(Protocol):
    """Makes units of several kinds."""

    def __call__(self) -> Unit:
        """Return the next unit."""
        ...

    def transfer(self) -> Unit:
        """Return a transfer, which the committer is primed with."""
        ...


async def measured(bench: Bench, mix: Mixed, *, ahead: bool, seconds: float) -> tuple[Rate, Batches]:
    """Return the commands a second, and the batches, once the known wallets are known to the committer."""
    registry, ledger = CollectorRegistry(), PostgresLedger(bench.database.dsn_app, kinds=CATALOG.kinds)
    async with committing.committer(ledger, pipelining=ahead, registry=registry) as queue:
        enough = PRIMING_ROUNDS * len(bench.wallet_ids)
        await committing.drive(queue, mix.transfer, is_enough=lambda done: done >= enough)
        before = batches.committed(registry)
        rate = await committing.timed(queue, mix, seconds)
        return rate, batches.committed(registry) - before
