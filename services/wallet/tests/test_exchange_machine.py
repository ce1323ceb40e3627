"""Quotes and conversions among everything else that the ledger's machine does, judged by a model of fractions.

The model knows what each quote promised, whether it was used, and what every system account has come to.
"""

import asyncio
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from fractions import Fraction
from math import ceil, floor
from typing import Any, ClassVar, Final
from uuid import UUID

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, rule, run_state_machine_as_test
from services.wallet.tests.test_ledger_machine import LedgerMachine, loop

from contracts.ids import new_id
from testkit.databases import TemplateDatabase
from wallet.application.units import Done, Refused, Result, Stored
from wallet.bootstrap.operating import FOLDING
from wallet.domain.commands import Command
from wallet.domain.conversions import Convert
from wallet.domain.fx import FxTerms, MidRate, PairTerms
from wallet.domain.lifecycle import OpenWallet
from wallet.domain.outcomes import RefusalCode
from wallet.domain.policy_commands import ChangeFxTerms
from wallet.domain.quotes import RequestQuote
from wallet.maintenance.rebuild_postgres import rebuild
from wallet.maintenance.verify_postgres import verify

__all__ = ["loop"]

pytestmark = pytest.mark.integration

LARGEST: Final = 9 * 10**14
PPM: Final = 10**6
DECIMALS: Final = {"EUR": 2, "JPY": 0, "BHD": 3}
SPREADS: Final = st.sampled_from([5_000, 0, 1, 333_333, 999_999])
AMOUNTS: Final = st.one_of(st.integers(1, 2_000), st.integers(1, 10**14))
RATES: Final = ("0.9", "1", "0.923958237088", "0.0000012", "1234567.5", "0.333333333333", "150.23560935")
WANTED: Final = st.tuples(
    st.sampled_from([*DECIMALS]), st.sampled_from(RATES), AMOUNTS, st.booleans(), st.sampled_from([300, 300, 0])
)
"""A quote: in which currency, at what mid, of how much, of which side, and for how long."""


@dataclass
class Promise:
    """What a quote said: amounts in minor units, one minor unit of the source being *at* of the destination's."""

    currency: str
    gives: int
    gets: int
    at: Fraction
    spread: Fraction
    is_over: bool
    is_used: bool = False


@dataclass
class Exchange:
    """What the policy is, and what the system accounts have come to, in minor units; *uses* counts conversions."""

    version: int = 0
    spread_ppm: int | None = None
    accounts: dict[str, int] = field(default_factory=dict)
    uses: int = 0

    def add(self, account: str, amount: int) -> None:
        """Post to a system account."""
        self.accounts[account] = self.accounts.get(account, 0) + amount

    def promised(self, command: RequestQuote) -> Promise | Refused:
        """Return what a quote must say."""
        if self.spread_ppm is None:
            return Refused(RefusalCode.PAIR_NOT_OFFERED)
        assert command.mid is not None
        spread = Fraction(self.spread_ppm, PPM)
        at = Fraction(command.mid.rate) * Fraction(10) ** (DECIMALS[command.destination_currency] - 2)
        if command.source_minor is None:
            assert command.destination_minor is not None
            gives, gets = ceil(command.destination_minor / (at * (1 - spread))), command.destination_minor
        else:
            gives, gets = command.source_minor, floor(command.source_minor * at * (1 - spread))
        if gets == 0 or max(gives, gets, round(gives * at)) > LARGEST:
            return Refused(RefusalCode.QUOTE_AMOUNT_OUT_OF_RANGE)
        return Promise(command.destination_currency, gives, gets, at, spread, is_over=command.valid_s == 0)

    def used(self, promise: Promise, available: int) -> Result:
        """Return what its use must come to, and post what the platform gets and gives."""
        if promise.is_used:
            return Refused(RefusalCode.QUOTE_USED)
        if promise.is_over:
            return Refused(RefusalCode.QUOTE_EXPIRED)
        if promise.gives > available:
            return Refused(RefusalCode.INSUFFICIENT_FUNDS)
        promise.is_used = True
        self.uses += 1
        exact = promise.gives * promise.at
        at_mid, kept = round(exact), round(exact * promise.spread)
        self.add("fx:USD", promise.gives)
        self.add(f"fx:{promise.currency}", -at_mid)
        self.add(f"spread:{promise.currency}", kept)
        self.add(f"rounding:{promise.currency}", at_mid - kept - promise.gets)
        return Done()


class ExchangeMachine(LedgerMachine):
    """The ledger's machine with wallets of other currencies. *exchange* is that of every example on the database."""

    exchange: ClassVar[Exchange]

    def __init__(self) -> None:
        super().__init__()
        self.promises: dict[UUID, Promise] = {}
        self.foreign: dict[str, UUID] = {}

    @initialize(spread_ppm=SPREADS)
    def pairs_are_offered(self, spread_ppm: int) -> None:
        self.change_the_spread(spread_ppm)

    @rule(spread_ppm=SPREADS)
    def change_the_spread(self, spread_ppm: int) -> None:
        pairs = tuple(PairTerms(source_currency="USD", destination_currency=each) for each in DECIMALS)
        terms = FxTerms(spread_ppm=spread_ppm, pairs=pairs)
        (outcome,) = self.send(([ChangeFxTerms(self.exchange.version, terms)], self.fresh_key()))
        assert isinstance(outcome, Stored)
        assert outcome.result == Done(), outcome.answer
        self.exchange.version += 1
        self.exchange.spread_ppm = spread_ppm

    @initialize()
    def the_foreign_wallets(self) -> None:
        for currency in DECIMALS:
            (outcome,) = self.send(([OpenWallet("owner", currency, placement=str(new_id()))], self.fresh_key()))
            assert isinstance(outcome, Stored)
            assert outcome.resource_id is not None
            self.model.balances[outcome.resource_id] = 0
            self.foreign[currency] = outcome.resource_id

    @rule(currency=st.sampled_from([*DECIMALS]), rate=st.sampled_from(RATES), amount=AMOUNTS, is_source=st.booleans())
    def ask_for_a_quote(self, currency: str, rate: str, amount: int, *, is_source: bool) -> None:
        self.quote(currency, rate, amount, is_source=is_source)

    def quote(self, currency: str, rate: str, amount: int, *, is_source: bool, valid_s: int = 300) -> UUID | None:
        give, get = (amount, None) if is_source else (None, amount)
        mid = MidRate(rate, datetime(2026, 3, 1, tzinfo=UTC), "x")
        command = RequestQuote("USD", currency, give, get, valid_s, mid)
        outcome = self.exchanged(command)
        expected = self.exchange.promised(command)
        assert outcome.positions == (), "nothing has happened yet"
        if isinstance(expected, Refused):
            assert outcome.result == expected
            return None
        assert (outcome.result, outcome.answer[0]) == (Done(), 201)
        assert outcome.resource_id is not None
        body: Any = json.loads(outcome.answer[1])
        said = [
            int(Fraction(body[name]["amount"]) * 10**decimals)
            for name, decimals in (("source_amount", 2), ("destination_amount", DECIMALS[currency]))
        ]
        assert said == [expected.gives, expected.gets]
        assert Fraction(body["rate"]) == Fraction(rate) * (1 - expected.spread)
        self.promises[outcome.resource_id] = expected
        return outcome.resource_id

    @rule(payer=LedgerMachine.wallets, wanted=st.lists(WANTED, min_size=1, max_size=8), is_funded=st.booleans())
    def quote_and_convert(self, payer: UUID, wanted: list[tuple[str, str, int, bool, int]], *, is_funded: bool) -> None:
        for currency, rate, amount, is_source, valid_s in wanted:
            quote_id = self.quote(currency, rate, amount, is_source=is_source, valid_s=valid_s)
            if quote_id is not None:
                self.use(quote_id, payer, is_funded=is_funded)

    @rule(data=st.data(), payer=LedgerMachine.wallets, is_funded=st.booleans())
    def use_any(self, data: st.DataObject, payer: UUID, *, is_funded: bool) -> None:
        if self.promises:
            self.use(data.draw(st.sampled_from([*self.promises])), payer, is_funded=is_funded)

    def use(self, quote_id: UUID, payer: UUID, *, is_funded: bool) -> None:
        promise = self.promises[quote_id]
        wallet = self.foreign[promise.currency]
        if is_funded and promise.gives < LARGEST // 1_000:
            self.deposit(payer, promise.gives)
        outcome = self.exchanged(Convert(quote_id, payer, wallet))
        expected = self.exchange.used(promise, self.model.available(payer))
        assert outcome.result == expected
        assert bool(outcome.positions) == (expected == Done())
        if expected == Done():
            self.model.balances[payer] -= promise.gives
            self.model.balances[wallet] += promise.gets

    @rule(currency=st.sampled_from([*DECIMALS]))
    def look_at_a_foreign_wallet(self, currency: str) -> None:
        self.look(self.foreign[currency])

    def exchanged(self, command: Command) -> Stored:
        key = self.fresh_key()
        (outcome,) = self.send(([command], key))
        assert isinstance(outcome, Stored), outcome
        self.model.answers[key] = (command,), outcome
        return outcome


@pytest.mark.parametrize("pipelining", [True, False])
def test_every_promise_is_kept_once_and_every_unit_is_accounted_for(
    wallet_template: TemplateDatabase, loop: asyncio.AbstractEventLoop, *, pipelining: bool
) -> None:
    context = wallet_template.database()
    database = loop.run_until_complete(context.__aenter__())
    exchange = Exchange()
    try:
        parts = {"database": database, "loop": loop, "pipelining": pipelining, "exchange": exchange}
        run_state_machine_as_test(
            type("MachineHere", (ExchangeMachine,), parts),
            settings=settings(
                max_examples=40, stateful_step_count=30, derandomize=True, suppress_health_check=list(HealthCheck)
            ),
        )
        report = loop.run_until_complete(verify(database.dsn_app, lambda _rows: None))
        assert report.holds, report.findings
        assert exchange.uses > 10
        told = {name: total for name, total in report.system_totals_minor.items() if not name.startswith("external:")}
        assert told == {name: total for name, total in exchange.accounts.items() if name in told}
        assert all(total == 0 for name, total in exchange.accounts.items() if name not in told)
        made = loop.run_until_complete(rebuild(database.dsn_app, FOLDING, lambda _rows: None))
        assert made.is_equal, (made.differences, made.breaches)
    finally:
        loop.run_until_complete(context.__aexit__(None, None, None))
