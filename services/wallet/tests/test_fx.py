"""Rates, quotes and conversions by themselves, against exact fractions."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from math import ceil, floor

import msgspec
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from contracts.ids import new_id
from contracts.money import AMOUNT_MINOR_MAX, EXPONENTS
from wallet.domain.commands import Context, Ids, decide
from wallet.domain.conversions import Convert
from wallet.domain.facts import EntryFact, SystemEntry
from wallet.domain.fx import FxTerms, MidRate, PairTerms, PublishedRate, RateTable, client_rate, half_even
from wallet.domain.mandate import platform_mandate
from wallet.domain.outcomes import Accepted, Amount, Decision, Missing, NotNow, RefusalCode, Rejected
from wallet.domain.policy import Policy, PolicyInForce
from wallet.domain.quotes import (
    RATE_UNAVAILABLE,
    UNUSED_DAYS,
    ExpireQuote,
    Quote,
    QuoteStatus,
    RequestQuote,
    quote_of,
)
from wallet.domain.rows import Rows, StateRow
from wallet.domain.wallets import Wallet, WalletStatus

TENANT = new_id()
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
IDS = Ids(beside=lambda _home: new_id(), placed=lambda _tenant, _group: new_id())
PPM = 1_000_000
CURRENCIES = st.sampled_from(["JPY", "USD", "BHD"])
RATES = st.decimals("0.000001", "1000000", places=6)
SPREADS = st.one_of(st.just(0), st.integers(0, 100_000), st.integers(0, PPM - 1))


def offering(*pairs: PairTerms, spread_ppm: int = 0) -> PolicyInForce:
    return PolicyInForce(Policy(fx=FxTerms(spread_ppm=spread_ppm, pairs=pairs)), 1)


def context(policy: PolicyInForce, now: datetime = NOW) -> Context:
    return Context(platform_mandate(TENANT), now, IDS, policy)


def mid(rate: str) -> MidRate:
    return MidRate(rate, NOW - timedelta(hours=1), "ecb")


def asked(command: RequestQuote, spread_ppm: int = 0) -> Decision:
    pair = PairTerms(source_currency=command.source_currency, destination_currency=command.destination_currency)
    return decide(command, Rows(), context(offering(pair, spread_ppm=spread_ppm)))


def made(decision: Decision) -> StateRow:
    assert isinstance(decision, Accepted), decision
    assert decision.facts == ()
    (row,) = decision.states
    assert decision.resource_id == row.id
    return row


def a_wallet(currency: str, posted_minor: int = 0) -> Wallet:
    return Wallet(
        id=new_id(),
        tenant_id=TENANT,
        owner_id="owner",
        currency=currency,
        status=WalletStatus.OPEN,
        restrictions=(),
        posted_minor=posted_minor,
        held_minor=0,
        overdraft_limit_minor=0,
        version=1,
        opened_at=NOW,
        last_at=NOW,
        private=None,
        operator_version=0,
    )


def converted(row: StateRow, payer: Wallet, payee: Wallet, *, now: datetime = NOW) -> Decision:
    command = Convert(row.id, payer.id, payee.id)
    rows = Rows({row.name: row, payer.id: payer, payee.id: payee})
    return decide(command, rows, context(offering(), now))


def table(**rates: str) -> RateTable:
    return RateTable("ecb", "EUR", {name: PublishedRate(Decimal(rate), NOW) for name, rate in rates.items()})


@pytest.mark.parametrize(
    ("source", "destination", "expected"),
    [
        ("EUR", "USD", "1.0823"),
        ("USD", "EUR", "0.923958237088"),
        ("USD", "JPY", "150.23560935"),
        ("JPY", "USD", "0.00665621156212"),
    ],
)
def test_rates_cross_over_the_base_with_twelve_digits(source: str, destination: str, expected: str) -> None:
    found = table(USD="1.0823", JPY="162.60").mid(source, destination)

    assert found == MidRate(expected, NOW, "ecb")


def test_a_cross_is_as_old_as_the_older_of_its_rates() -> None:
    rates = {"USD": PublishedRate(Decimal(2), NOW), "JPY": PublishedRate(Decimal(3), NOW - timedelta(days=1))}
    found = RateTable("ecb", "EUR", rates)

    for source, destination in (("USD", "JPY"), ("JPY", "USD"), ("EUR", "JPY"), ("JPY", "EUR")):
        crossed = found.mid(source, destination)
        assert crossed is not None
        assert crossed.as_of == NOW - timedelta(days=1)
    assert found.mid("USD", "GBP") is None
    assert found.mid("GBP", "EUR") is None


@given(dividend=RATES, divisor=RATES)
def test_a_cross_is_off_by_half_of_its_twelfth_digit_at_most(dividend: Decimal, divisor: Decimal) -> None:
    found = table(USD=str(divisor), JPY=str(dividend)).mid("USD", "JPY")

    assert found is not None
    exact, rounded = Fraction(dividend) / Fraction(divisor), Fraction(found.rate)
    assert len(Decimal(found.rate).normalize().as_tuple().digits) <= 12
    assert abs(rounded - exact) * 2 * 10**11 <= rounded
    assert "E" not in found.rate


@given(numerator=st.integers(0, 10**30), denominator=st.integers(1, 10**20))
def test_half_even_is_what_fractions_round_to(numerator: int, denominator: int) -> None:
    assert half_even(numerator, denominator) == round(Fraction(numerator, denominator))


@given(rate=RATES, spread_ppm=SPREADS)
def test_the_clients_rate_is_exact(rate: Decimal, spread_ppm: int) -> None:
    text = client_rate(str(rate), spread_ppm)

    assert Fraction(text) == Fraction(rate) * (PPM - spread_ppm) / PPM
    assert not text.endswith("0") or "." not in text


@given(
    source=CURRENCIES,
    destination=CURRENCIES,
    rate=RATES,
    spread_ppm=SPREADS,
    amount_minor=st.integers(1, 10**12),
    is_source=st.booleans(),
)
def test_entries_sum_to_zero_and_each_is_rounded_as_promised(
    source: str, destination: str, rate: Decimal, spread_ppm: int, amount_minor: int, *, is_source: bool
) -> None:
    assume(source != destination)
    give, get = (amount_minor, None) if is_source else (None, amount_minor)
    decision = asked(RequestQuote(source, destination, give, get, mid=mid(str(rate))), spread_ppm)
    at = Fraction(rate) * Fraction(10) ** (EXPONENTS[destination] - EXPONENTS[source])
    at_client = at * (PPM - spread_ppm) / PPM
    given_minor = amount_minor if is_source else ceil(amount_minor / at_client)
    got_minor = floor(amount_minor * at_client) if is_source else amount_minor
    if min(given_minor, got_minor) < 1 or max(given_minor, got_minor, round(given_minor * at)) > AMOUNT_MINOR_MAX:
        assert isinstance(decision, Rejected)
        assert decision.code == RefusalCode.QUOTE_AMOUNT_OUT_OF_RANGE
        assert decision.facts["source_amount"] == Amount(given_minor, source)
        return
    row = made(decision)
    quote = quote_of(row)
    assert (quote.source_minor, quote.destination_minor) == (given_minor, got_minor)

    payer, payee = a_wallet(source, given_minor), a_wallet(destination)
    accepted = converted(row, payer, payee)
    assert isinstance(accepted, Accepted), accepted
    by_account: dict[str, int] = {}
    sums: dict[str, int] = {}
    for fact in accepted.facts:
        assert isinstance(fact, EntryFact | SystemEntry)
        name = fact.account if isinstance(fact, SystemEntry) else "payer" if fact.wallet_id == payer.id else "payee"
        currency = source if fact.wallet_id == payer.id else destination
        assert name not in by_account
        assert not isinstance(fact, SystemEntry) or fact.account.endswith(f":{currency}")
        by_account[name] = fact.amount_minor
        sums[currency] = sums.get(currency, 0) + fact.amount_minor

    exact = given_minor * at
    assert sums == {source: 0, destination: 0}
    assert by_account["payer"] == -given_minor
    assert by_account[f"fx:{source}"] == given_minor
    assert by_account["payee"] == got_minor <= exact * (PPM - spread_ppm) / PPM
    assert by_account[f"fx:{destination}"] == -round(exact)
    assert by_account.get(f"spread:{destination}", 0) == round(exact * spread_ppm / PPM)
    rounding = by_account.get(f"rounding:{destination}", 0)
    kept = 0 if is_source else at_client  # what the last unit of the source, rounded up, is worth
    assert -1 <= rounding <= 1 + kept
    assert 0 not in by_account.values()


def test_a_quote_is_used_once_and_before_its_end() -> None:
    row = made(asked(RequestQuote("USD", "EUR", 1_000, mid=mid("0.9"), valid_s=30)))
    payer, payee = a_wallet("USD", 5_000), a_wallet("EUR")
    used = converted(row, payer, payee, now=NOW + timedelta(seconds=29))
    assert isinstance(used, Accepted)
    (after,) = used.states
    assert (after.status, after.used_minor, after.due_at, after.version) == (QuoteStatus.USED, 1, None, 2)
    assert quote_of(after).transaction_id == used.transaction_id

    again = converted(after, payer, payee)
    late = converted(row, payer, payee, now=NOW + timedelta(seconds=30))
    assert isinstance(again, Rejected)
    assert isinstance(late, Rejected)
    assert (again.code, late.code) == (RefusalCode.QUOTE_USED, RefusalCode.QUOTE_EXPIRED)


def test_an_unused_quote_expires_once_and_is_kept_for_a_week() -> None:
    row = made(asked(RequestQuote("USD", "EUR", 1_000, mid=mid("0.9"))))
    assert row.due_at is not None
    command = ExpireQuote(row.id, row.due_at)
    expired = decide(command, Rows({row.name: row}), context(offering(), row.due_at))
    assert isinstance(expired, Accepted)
    (after,) = expired.states
    assert (after.status, after.due_at) == (QuoteStatus.EXPIRED, row.due_at + timedelta(days=UNUSED_DAYS))

    again = decide(command, Rows({row.name: after}), context(offering(), row.due_at))
    gone = decide(command, Rows({row.name: None}), context(offering(), row.due_at))
    assert isinstance(again, Rejected)
    assert again.code == RefusalCode.QUOTE_EXPIRED
    assert isinstance(gone, Missing)


def test_a_pair_is_offered_in_its_direction_alone_with_its_own_spread() -> None:
    pairs = (
        PairTerms(source_currency="USD", destination_currency="EUR", spread_ppm=5_000),
        PairTerms(source_currency="USD", destination_currency="JPY"),
    )
    policy = offering(*pairs, spread_ppm=1_000)
    terms = policy.policy.fx
    spreads = [terms.spread_of(*pair) for pair in (("USD", "EUR"), ("USD", "JPY"), ("EUR", "USD"))]
    assert spreads == [5_000, 1_000, None]

    command = RequestQuote("EUR", "USD", 100, mid=mid("1"))
    refused, none = (decide(command, Rows(), context(each)) for each in (policy, PolicyInForce(Policy(), 0)))
    assert isinstance(refused, Rejected)
    assert isinstance(none, Rejected)
    assert refused.code == none.code == RefusalCode.PAIR_NOT_OFFERED


def test_without_a_rate_nothing_is_decided() -> None:
    decision = asked(RequestQuote("USD", "EUR", 100))

    assert isinstance(decision, NotNow)
    assert decision.code == RATE_UNAVAILABLE


def test_the_rate_is_no_part_of_what_was_asked_for() -> None:
    asked_for = RequestQuote("USD", "EUR", 100)

    assert msgspec.to_builtins(asked_for) == {
        "source_currency": "USD",
        "destination_currency": "EUR",
        "source_minor": 100,
    }


def test_a_quotes_row_of_the_first_release_can_be_read_for_ever() -> None:
    sample = (
        b'{"source_currency":"USD","destination_currency":"EUR","source_minor":1000,"destination_minor":895,'
        b'"mid_rate":"0.9","spread_ppm":5000,"as_of":"2026-03-01T00:00:00Z","source":"ecb",'
        b'"quoted_at":"2026-03-01T12:00:00Z","expires_at":"2026-03-01T12:00:30Z","transaction_id":null}'
    )

    assert msgspec.json.decode(sample, type=Quote).destination_minor == 895
