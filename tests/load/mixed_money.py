"""Everything that moves money at once, under fees and limits: decided ahead, beside the same on locked rows.

60 transfers, 10 holds, 10 captures, 5 each of deposits, conversions and payments, 3 refunds, 2 repeats of keys that
were acknowledged, and 5 quotes for the conversions. A capture, a conversion or a refund needs something that was made
before: as long as there is none, that is made instead.
"""

import random
from collections import deque
from collections.abc import Sequence
from itertools import accumulate
from typing import Final
from uuid import UUID

from tests.load import committing, mixed, money
from tests.load.batches import Batches
from tests.load.database import Bench, make_room
from tests.load.mixed import REPEATABLE, repeat_of
from tests.load.series import Series

from wallet.adapters.ledger_postgres import PostgresLedger
from wallet.application.units import Stored, Unit
from wallet.bootstrap.catalog import CATALOG
from wallet.domain.conversions import Convert
from wallet.domain.destinations import Destination
from wallet.domain.hold_commands import CaptureHold, PlaceHold
from wallet.domain.lifecycle import OpenWallet
from wallet.domain.money import DepositFunds, TransferFunds
from wallet.domain.originals import Original, OriginalEntry
from wallet.domain.payments import MakePayment
from wallet.domain.policy_commands import ChangeFees, ChangeFxTerms, ChangeTiers
from wallet.domain.quotes import RequestQuote
from wallet.domain.refund_commands import RefundTransaction
from wallet.domain.texts import FreeText

PAYEES: Final = 3
_AMOUNT_MINOR: Final = 100
_SHARES: Final = tuple(accumulate((60, 10, 10, 5, 5, 5, 5, 3, 2)))
_WHY: Final = FreeText(reason="bench")
_SETUP: Final = (
    ChangeTiers(0, money.bounded("wallet")),
    ChangeFees(1, (money.FEE,)),
    ChangeFxTerms(2, money.OFFERED),
)


class MoneyMix:
    """Makes units by the shares that the module tells, among wallets in dollars and in euros."""

    def __init__(self, dollars: Sequence[UUID], euros: Sequence[UUID]) -> None:
        self._dollars = dollars
        self._euros = euros
        self._holds: deque[Unit] = deque()
        self._quotes: deque[Unit] = deque()
        self._refundable: deque[Unit] = deque(maxlen=REPEATABLE)
        self._sent: deque[Unit] = deque(maxlen=REPEATABLE)
        self._makers = (
            self.transfer,
            self._hold,
            self._capture,
            self._deposit,
            self._quote,
            self._convert,
            self._pay,
            self._refund,
            self._repeat,
        )

    def __call__(self) -> Unit:
        """Return the next unit."""
        (make,) = random.choices(self._makers, cum_weights=_SHARES)
        unit = make()
        self._sent.append(unit)
        return unit

    def transfer(self) -> Unit:
        """Return a transfer between two wallets."""
        unit = committing.unit_of(committing.random_transfer(self._dollars, hot=False))
        self._refundable.append(unit)
        return unit

    def _hold(self) -> Unit:
        unit = committing.unit_of(PlaceHold(random.choice(self._dollars), _AMOUNT_MINOR, "USD"), "/v1/holds")
        self._holds.append(unit)
        return unit

    def _capture(self) -> Unit:
        made = _oldest_done(self._holds)
        if made is None:
            return self._hold()
        unit, hold_id = made
        payer = unit.commands[0].debits
        payee = next(each for each in random.sample(self._dollars, 2) if each != payer)
        return committing.unit_of(CaptureHold(hold_id, (Destination(payee),)), "/v1/holds/capture")

    def _deposit(self) -> Unit:
        return committing.unit_of(DepositFunds(random.choice(self._dollars), _AMOUNT_MINOR, "USD"), "/v1/deposits")

    def _quote(self) -> Unit:
        quote = RequestQuote("USD", "EUR", _AMOUNT_MINOR, valid_s=300, mid=money.MID)
        unit = committing.unit_of(quote, "/v1/fx/quotes")
        self._quotes.append(unit)
        return unit

    def _convert(self) -> Unit:
        made = _oldest_done(self._quotes)
        if made is None:
            return self._quote()
        _, quote_id = made
        command = Convert(quote_id, random.choice(self._dollars), random.choice(self._euros))
        return committing.unit_of(command, "/v1/conversions")

    def _pay(self) -> Unit:
        payer, *payees = random.sample(self._dollars, PAYEES + 1)
        parts = tuple(Destination(payee, _AMOUNT_MINOR) for payee in payees)
        return committing.unit_of(MakePayment(payer, PAYEES * _AMOUNT_MINOR, "USD", parts), "/v1/payments")

    def _refund(self) -> Unit:
        made = _oldest_done(self._refundable)
        if made is None:
            return self.transfer()
        unit, transaction_id = made
        transfer = unit.commands[0]
        assert isinstance(transfer, TransferFunds)
        refund = RefundTransaction(transaction_id, _WHY, False, _original(transfer))
        return committing.unit_of(refund, "/v1/transactions/refunds")

    def _repeat(self) -> Unit:
        """Return the oldest kept unit again, or a transfer as long as it has not been acknowledged."""
        if not self._sent or not self._sent[0].outcome.done():
            return self.transfer()
        return repeat_of(self._sent.popleft())


def _oldest_done(units: deque[Unit]) -> tuple[Unit, UUID] | None:
    """Take the oldest of *units* if it is done; return it with what it made."""
    if not units or not units[0].outcome.done():
        return None
    unit = units.popleft()
    outcome = unit.outcome.result()
    assert isinstance(outcome, Stored)
    assert outcome.resource_id is not None
    return unit, outcome.resource_id


def _original(transfer: TransferFunds) -> Original:
    """Return what the API reads of a transfer before it is refunded: its entries, the fee's among them."""
    payer, payee, fee_minor = (
        transfer.source_wallet_id,
        transfer.destination_wallet_id,
        money.FEE.fee_minor(_AMOUNT_MINOR),
    )
    return Original(
        TransferFunds.kind,
        (
            OriginalEntry(payer, None, "USD", -_AMOUNT_MINOR),
            OriginalEntry(payee, None, "USD", _AMOUNT_MINOR),
            OriginalEntry(payer, None, "USD", -fee_minor, is_fee=True),
            OriginalEntry(payer, "fees:USD", "USD", fee_minor, is_fee=True),
        ),
    )


async def measure(bench: Bench, series: Series, *, rounds: int, seconds: float) -> Batches:
    """Add the rates with pipelining and on locked rows to *series*; return the batches with pipelining."""
    counted = Batches()
    ledger = PostgresLedger(bench.database.dsn_app, kinds=CATALOG.kinds)
    async with committing.committer(ledger) as queue:
        for command in _SETUP:
            await money.made(queue, command)
        made = [await money.made(queue, OpenWallet("bench", "EUR")) for _ in range(money.EUROS)]
    dollars, euros = [UUID(text) for text in bench.wallet_ids], [each for each in made if each is not None]
    for _ in range(rounds):
        await make_room(bench.database.dsn_admin)
        for ahead in (True, False):
            rate, of_round = await mixed.measured(bench, MoneyMix(dollars, euros), ahead=ahead, seconds=seconds)
            series.add(f"mixed-money {'ahead' if ahead else 'locked'}", rate)
            counted += of_round if ahead else Batches()
    return counted
