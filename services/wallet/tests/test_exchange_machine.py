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
from hypothesis.stateful import Bundle, initialize, rule, run_state_machine_as_test
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
RATES: Final = ("0.9", "1", "0.923958237088", "0.0000012", "1234567.5", "0.333333333333", "150.23560935")


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
    """What was promised, and what the system accounts have come to, in minor units."""

    version: int = 0
    spread_ppm: int | None = None
    accounts: dict[str, int] = field(default_factory=dict)
    promises: dict[UUID, Promise] = field(default_factory=dict)

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
    foreign = Bundle("foreign")

    @initialize()
    def a_pair_is_offered(self) -> None:
        self.change_the_spread(self.exchange.spread_ppm or 0)

    @rule(spread_ppm=st.sampled_from([0, 1, 5_000, 333_333, 999_999]))
    def change_the_spread(self, spread_ppm: int) -> None:
        pairs = tuple(PairTerms(source_currency="USD", destination_currency=each) for each in DECIMALS)
        terms = FxTerms(spread_ppm=spread_ppm, pairs=pairs)
        (outcome,) = self.send(([ChangeFxTerms(self.exchange.version, terms)], self.fresh_key()))
        assert isinstance(outcome, Stored)
        assert outcome.result == Done(), outcome.answer
        self.exchange.version += 1
        self.exchange.spread_ppm = spread_ppm

    @rule(target=foreign, currency=st.sampled_from([*DECIMALS]))
    def open_a_foreign_wallet(self, currency: str) -> tuple[UUID, str]:
        (outcome,) = self.send(([OpenWallet("owner", currency, placement=str(new_id()))], self.fresh_key()))
        assert isinstance(outcome, Stored)
        assert outcome.resource_id is not None
        self.model.balances[outcome.resource_id] = 0
        return outcome.resource_id, currency

    @rule(
        currency=st.sampled_from([*DECIMALS]),
        rate=st.sampled_from(RATES),
        amount=st.one_of(st.integers(1, 2_000), st.integers(1, 10**14)),
        is_source=st.booleans(),
        valid_s=st.sampled_from([0, 300, 300]),
    )
    def ask_for_a_quote(self, currency: str, rate: str, amount: int, *, is_source: bool, valid_s: int) -> None:
        give, get = (amount, None) if is_source else (None, amount)
        mid = MidRate(rate, datetime(2026, 3, 1, tzinfo=UTC), "x")
        command = RequestQuote("USD", currency, give, get, valid_s, mid)
        outcome = self.exchanged(command)
        expected = self.exchange.promised(command)
        assert outcome.positions == (), "nothing has happened yet"
        if isinstance(expected, Refused):
            assert outcome.result == expected
            return
        assert (outcome.result, outcome.answer[0]) == (Done(), 201)
        assert outcome.resource_id is not None
        body: Any = json.loads(outcome.answer[1])
        said = [
            int(Fraction(body[name]["amount"]) * 10**decimals)
            for name, decimals in (("source_amount", 2), ("destination_amount", DECIMALS[currency]))
        ]
        assert said == [expected.gives, expected.gets]
        assert Fraction(body["rate"]) == Fraction(rate) * (1 - expected.spread)
        self.exchange.promises[outcome.resource_id] = expected

    @rule(data=st.data(), payer=LedgerMachine.wallets, payee=foreign, is_funded=st.booleans())
    def convert(self, data: st.DataObject, payer: UUID, payee: tuple[UUID, str], *, is_funded: bool) -> None:
        wallet, currency = payee
        fitting = [each for each, promise in self.exchange.promises.items() if promise.currency == currency]
        if not fitting:
            return
        quote_id = data.draw(st.sampled_from(fitting[-20:]))
        promise = self.exchange.promises[quote_id]
        if is_funded and promise.gives < 10_000:
            self.deposit(payer, promise.gives)
        outcome = self.exchanged(Convert(quote_id, payer, wallet))
        expected = self.exchange.used(promise, self.model.available(payer))
        assert outcome.result == expected
        assert bool(outcome.positions) == (expected == Done())
        if expected == Done():
            self.model.balances[payer] -= promise.gives
            self.model.balances[wallet] += promise.gets

    @rule(wallet=foreign)
    def look_at_a_foreign_wallet(self, wallet: tuple[UUID, str]) -> None:
        self.look(wallet[0])

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
        assert sum(promise.is_used for promise in exchange.promises.values()) > 0
        told = {name: total for name, total in report.system_totals_minor.items() if not name.startswith("external:")}
        assert told == {name: total for name, total in exchange.accounts.items() if name in told}
        assert all(total == 0 for name, total in exchange.accounts.items() if name not in told)
        made = loop.run_until_complete(rebuild(database.dsn_app, FOLDING, lambda _rows: None))
        assert made.is_equal, (made.differences, made.breaches)
    finally:
        loop.run_until_complete(context.__aexit__(None, None, None))
