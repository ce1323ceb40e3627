"""What the model says of holds, payments, refunds, fees, limits and conversions, by figures worked out by hand."""

from typing import Any

import pytest

from demo.model import Model
from demo.operations import (
    Capture,
    ChargeBack,
    Convert,
    Deposit,
    Hold,
    Increase,
    Lapse,
    Limits,
    Open,
    Overdraft,
    Payee,
    Payment,
    Policy,
    Quote,
    Refund,
    Reverse,
    Single,
    Tier,
    Transfer,
    Void,
    Withdrawal,
)
from demo.pricing import fee_of
from demo.rates import decimal, mid_of
from demo.sharing import by_weight, parts_of
from demo.states import Expected

FEES: tuple[dict[str, Any], ...] = (
    {
        "id": "card",
        "operation": "deposit",
        "currency": "GBP",
        "bearer": "payee",
        "rate_ppm": 5_000,
        "minimum": "0.05",
        "maximum": "1.00",
    },
    {"id": "sent", "operation": "transfer", "currency": "USD", "bearer": "payer", "flat": "0.10"},
    {"id": "sold", "operation": "transfer", "currency": "USD", "bearer": "payee", "rate_ppm": 10_000},
    {"id": "captured", "operation": "capture", "currency": "USD", "bearer": "payer", "rate_ppm": 29_000},
    {"id": "gold", "operation": "capture", "currency": "USD", "bearer": "payer", "tier": "gold", "rate_ppm": 10_000},
    {"id": "exchange", "operation": "conversion", "currency": "USD", "bearer": "payer", "flat": "0.05"},
)
OTHERS = (Payee("b", share_ppm=500_000), Payee("c", share_ppm=500_000))


def model_with(*, fees: bool = False, **balances: str) -> Model:
    """Return a model with dollar wallets that hold *balances*, each of an owner of its name."""
    model = Model()
    for name, balance in balances.items():
        model.apply(Open(name, name, "USD"))
        if balance != "0":
            model.apply(Deposit(name, balance, "USD"))
    if fees:
        model.apply(Policy("fees", 0, FEES))
    return model


def moved(answer: Expected) -> list[tuple[str, int]]:
    assert answer.code is None, answer
    return [(entry.account, entry.delta_minor) for entry in answer.entries]


def held(model: Model, line: int) -> tuple[str, int, int, int, int]:
    hold = model.holds[line]
    return hold.status, hold.fee_minor, hold.captured_minor, hold.released_minor, hold.remaining_minor


@pytest.mark.parametrize(
    ("price", "amount_minor", "fee_minor"),
    [
        ({"flat": "0.30", "rate_ppm": 29_000}, 1_000, 59),
        ({"rate_ppm": 5_000}, 100, 1),
        ({"rate_ppm": 5_000}, 99, 0),
        ({"rate_ppm": 5_000, "minimum": "0.05"}, 100, 5),
        ({"rate_ppm": 5_000, "maximum": "0.05"}, 100_000, 5),
        ({"bands": ({"up_to": "10.00", "rate_ppm": 10_000}, {"rate_ppm": 1_000})}, 1_000, 10),
        ({"bands": ({"up_to": "10.00", "rate_ppm": 10_000}, {"rate_ppm": 1_000})}, 1_001, 1),
        (
            {"bands": ({"up_to": "10.00", "rate_ppm": 10_000}, {"flat": "0.02", "rate_ppm": 1_000})}
            | {"banding": "marginal"},
            3_000,
            14,
        ),
    ],
    ids=["flat and rate", "half is one", "less is none", "minimum", "maximum", "first band", "second", "marginal"],
)
def test_a_fee_is_rounded_once_at_its_end(price: dict[str, Any], amount_minor: int, fee_minor: int) -> None:
    assert fee_of({"currency": "USD", **price}, amount_minor) == fee_minor


def test_a_transfer_charges_both_sides_and_the_payee_out_of_what_it_gets() -> None:
    model = model_with(fees=True, a="5.10", b="0")

    answer = model.apply(Transfer("a", "b", "5.00", "USD"))

    fees = [("a", -10), ("fees:USD", 10), ("b", -5), ("fees:USD", 5)]
    assert moved(answer) == [("a", -500), ("b", 500), *fees]
    assert [(fee.wallet, fee.rule, fee.minor) for fee in answer.fees] == [("a", "sent", 10), ("b", "sold", 5)]
    assert model.books.accounts == {"external:USD": -510, "fees:USD": 15}
    assert (model.wallets["a"].version, model.wallets["b"].version) == (4, 3)


def test_an_owner_is_told_its_own_fee_alone() -> None:
    model = model_with(fees=True, a="5.10", b="0")

    assert [fee.rule for fee in model.apply(Transfer("a", "b", "5.00", "USD"), "a").fees] == ["sent"]


def test_a_fee_counts_in_what_is_there_and_may_not_exceed_what_is_got() -> None:
    model = model_with(fees=True, a="5.09", b="0")
    model.apply(Open("p", "p", "GBP"))

    assert model.apply(Transfer("a", "b", "5.00", "USD")).code == "insufficient_funds"
    assert model.apply(Deposit("p", "0.04", "GBP")).code == "fee_exceeds_amount"


def test_units_left_over_go_to_the_first_or_to_whoever_gets_the_rest() -> None:
    thirds = tuple(Payee(name, share_ppm=333_333 + (name == "c")) for name in "abc")

    assert parts_of(100, thirds, "USD") == [34, 33, 33]
    assert parts_of(100, (Payee("a", "0.41"), Payee("b", share_ppm=333_333), Payee("c")), "USD") == [41, 19, 40]
    assert by_weight(10, (4, 4, 4)) == [4, 3, 3]
    assert by_weight(3, (1, 1, 1)) == [1, 1, 1]
    assert by_weight(2, (0, 3, 3)) == [0, 1, 1]


def test_a_payment_goes_to_several_and_out() -> None:
    model = model_with(a="10.00", b="0", c="0")
    payees = (Payee("b", "1.00"), Payee("c", share_ppm=250_000), Payee())

    answer = model.apply(Payment("a", "9.00", "USD", payees))

    assert moved(answer) == [("a", -900), ("b", 100), ("c", 200), ("external:USD", 600)]


def test_a_hold_reserves_the_fee_of_all_of_it_and_captures_take_their_share() -> None:
    model = model_with(fees=True, a="20.00", b="0", c="0")
    model.apply(Hold("a", "10.00", "USD"), line=1)
    assert (held(model, 1), model.wallets["a"].held_minor) == (("open", 29, 0, 0, 1_000), 1_029)

    part = model.apply(Capture(1, OTHERS, "USD", "3.33"))
    assert moved(part) == [("a", -333), ("b", 167), ("c", 166), ("a", -9), ("fees:USD", 9)]
    assert held(model, 1) == ("open", 20, 333, 0, 667)

    model.apply(Capture(1, OTHERS, "USD", "6.00", is_final=True))
    assert held(model, 1) == ("captured", 0, 933, 67, 0)
    wallet = model.wallets["a"]
    assert (wallet.posted_minor, wallet.held_minor) == (2_000 - 933 - 26, 0)
    assert wallet.version == 8  # opened, deposited, held, twice captured with a fee, released
    assert model.apply(Capture(1, OTHERS, "USD", "0.01")).code == "hold_settled"


def test_a_hold_is_increased_by_the_rule_of_its_placing_and_captured_a_little_beyond() -> None:
    model = model_with(fees=True, a="20.00", b="0")
    model.apply(Policy("tiers", 1, ({"name": "gold"},)))
    model.apply(Tier("a", "gold"))
    model.apply(Policy("holds", 2, {"overcapture_ppm": 100_000}))
    model.apply(Hold("a", "5.00", "USD"), line=1)
    model.apply(Increase(1, "3.00", "USD"))
    assert held(model, 1) == ("open", 8, 0, 0, 800)

    refused = model.apply(Capture(1, (Payee("b"),), "USD", "8.81"))
    assert (refused.code, refused.shows) == (
        "capture_exceeds_hold",
        {"remaining": {"amount": "8.00", "currency": "USD"}},
    )
    answer = model.apply(Capture(1, (Payee("b"),), "USD", "8.80"))
    assert moved(answer) == [("a", -880), ("b", 880), ("a", -9), ("fees:USD", 9)]
    assert (held(model, 1), model.holds[1].placed_minor) == (("captured", 0, 880, 0, 0), 880)


@pytest.mark.parametrize(("end", "status"), [(Void(1), "voided"), (Lapse(1), "expired")])
def test_what_is_released_can_be_spent_again(end: Single, status: str) -> None:
    model = model_with(a="10.00", b="0")
    model.apply(Hold("a", "10.00", "USD"), line=1)
    assert model.apply(Transfer("a", "b", "0.01", "USD")).code == "insufficient_funds"

    assert model.apply(end).shows["status"] == status
    assert model.apply(Transfer("a", "b", "10.00", "USD")).code is None


def test_refunds_take_from_every_payee_by_its_rest_and_the_last_one_all() -> None:
    model = model_with(a="10.00", b="0", c="0")
    payees = (Payee("b", "1.00"), Payee("c", "0.05"), Payee())
    model.apply(Payment("a", "3.00", "USD", payees), line=1)

    first = model.apply(Refund(1, "USD", "1.00"))
    assert moved(first) == [("a", 100), ("b", -34), ("c", -1), ("external:USD", -65)]
    assert model.transactions[1].status == "partially_refunded"
    beyond = model.apply(Refund(1, "USD", "2.01"))
    assert (beyond.code, beyond.shows) == (
        "refund_exceeds_transaction",
        {"refundable": {"amount": "2.00", "currency": "USD"}},
    )
    assert moved(model.apply(Refund(1, "USD"))) == [("a", 200), ("b", -66), ("c", -4), ("external:USD", -130)]
    assert (model.transactions[1].status, model.transactions[1].refunded_minor) == ("refunded", 300)
    assert {name: wallet.posted_minor for name, wallet in model.wallets.items()} == {"a": 1_000, "b": 0, "c": 0}
    assert model.done_minor == {("refunded", "USD"): 300}


def test_fees_stay_unless_they_are_asked_for_or_all_is_reversed() -> None:
    model = model_with(fees=True, a="9.00", b="9.00")
    model.apply(Transfer("a", "b", "5.00", "USD"), line=1)

    assert moved(model.apply(Refund(1, "USD", "1.00"))) == [("a", 100), ("b", -100)]
    with_fees = model.apply(Refund(1, "USD", "2.00", with_fees=True))
    assert moved(with_fees) == [("a", 5), ("b", 2), ("a", 200), ("b", -200), ("fees:USD", -5), ("fees:USD", -2)]
    rest = model.apply(Reverse(1))
    assert moved(rest) == [("a", 5), ("b", 3), ("a", 200), ("b", -200), ("fees:USD", -5), ("fees:USD", -3)]
    assert model.apply(Refund(1, "USD", "0.01")).code == "transaction_reversed"
    assert model.books.accounts["fees:USD"] == 0


def test_a_payee_without_the_money_is_not_refunded_from_but_a_bank_takes_it_and_may_lose() -> None:
    model = model_with(a="0", b="0")
    model.apply(Deposit("a", "5.00", "USD"), line=1)
    model.apply(Transfer("a", "b", "4.00", "USD"), line=2)

    assert model.apply(Refund(1, "USD")).code == "insufficient_funds"
    assert model.apply(ChargeBack(2, "1.00", "USD")).code == "transaction_not_refundable"
    assert moved(model.apply(ChargeBack(1, "3.00", "USD"), line=3)) == [("a", -300), ("external:USD", 300)]
    assert model.wallets["a"].posted_minor == -200
    assert moved(model.apply(Reverse(3))) == [("a", 300), ("external:USD", -300)]
    assert model.transactions[1].refunded_minor == 300


def with_exchange(spread_ppm: int = 3_000) -> Model:
    model = model_with(fees=True, a="100.00")
    model.apply(Open("e", "e", "EUR"))
    pair = {"source_currency": "USD", "destination_currency": "EUR", "spread_ppm": spread_ppm}
    model.apply(Policy("fx", 1, {"spread_ppm": 0, "pairs": (pair,)}))
    return model


def test_rates_cross_over_the_base_to_twelve_digits() -> None:
    assert decimal(mid_of("USD", "EUR")) == "0.923958237088"
    assert decimal(mid_of("JPY", "EUR")) == "0.00615006150062"
    assert decimal(mid_of("USD", "JPY")) == "150.23560935"


def test_a_conversion_posts_both_currencies_and_what_rounding_leaves() -> None:
    model = with_exchange()
    quote = model.apply(Quote("USD", "EUR", "10.05"), line=1)

    # 928.578 at mid, of which 2.786 are the spread.
    assert quote.shows["destination_amount"] == {"amount": "9.25", "currency": "EUR"}
    assert (quote.shows["mid_rate"], quote.shows["rate"]) == ("0.923958237088", "0.921186362376736")
    assert quote.shows["fees"] == [
        {"bearer": "payer", "rule": "exchange", "amount": {"amount": "0.05", "currency": "USD"}}
    ]
    entries = [("a", -1_005), ("fx:USD", 1_005), ("e", 925), ("fx:EUR", -929), ("spread:EUR", 3), ("rounding:EUR", 1)]
    assert moved(model.apply(Convert(1, "a", "e"), line=2)) == [*entries, ("a", -5), ("fees:USD", 5)]
    assert model.apply(Convert(1, "a", "e")).code == "quote_used"
    assert model.apply(Quote("EUR", "USD", "1.00")).code == "pair_not_offered"


def test_a_quote_by_what_is_got_rounds_up_what_is_given() -> None:
    model = with_exchange(spread_ppm=0)

    assert model.apply(Quote("USD", "EUR", target_amount="1.00")).shows["source_amount"]["amount"] == "1.09"


def test_a_conversion_goes_back_at_the_rate_that_it_had() -> None:
    model = with_exchange()
    model.apply(Quote("USD", "EUR", "10.05"), line=1)
    model.apply(Convert(1, "a", "e"), line=2)

    back = [("a", 501), ("e", -462), ("fx:USD", -501), ("fx:EUR", 463), ("spread:EUR", -1)]
    assert moved(model.apply(Refund(2, "EUR", "4.62"))) == back
    model.apply(Reverse(2))

    assert {name: minor for name, minor in model.books.accounts.items() if minor} == {"external:USD": -10_000}
    assert (model.wallets["a"].posted_minor, model.wallets["e"].posted_minor) == (10_000, 0)


def limited(*limits: dict[str, Any]) -> Model:
    model = model_with(a="100.00", b="0")
    model.apply(Open("a2", "a", "USD"))
    model.apply(Deposit("a2", "100.00", "USD"))
    model.apply(Policy("tiers", 0, ({"name": "gold", "limits": limits},)))
    model.apply(Tier("a", "gold"))
    return model


def test_a_limit_at_once_and_one_of_a_day_refuse_what_is_beyond_them() -> None:
    limit = {"scope": "wallet", "operation": "debit", "currency": "USD", "per_transaction": "9.00", "day_count": 2}
    model = limited(limit)

    once = model.apply(Withdrawal("a", "9.01", "USD"))
    assert (once.code, once.shows["window"], once.shows["max"]["amount"]) == ("limit_exceeded", "transaction", "9.00")
    for _ in range(2):
        assert model.apply(Transfer("a", "b", "9.00", "USD")).code is None
    refused = model.apply(Withdrawal("a", "0.01", "USD"))
    figures = {name: refused.shows[name] for name in ("window", "measure", "max", "used", "remaining")}
    assert figures == {"window": "day", "measure": "count", "max": 2, "used": 2, "remaining": 0}
    assert model.apply(Withdrawal("a2", "0.01", "USD")).code is None


def test_what_is_counted_of_an_owner_is_counted_of_all_its_wallets_and_holds_give_it_back() -> None:
    model = limited({"scope": "owner", "operation": "payment", "currency": "USD", "day_amount": "10.00"})
    model.apply(Hold("a", "6.00", "USD"), line=1)

    assert model.apply(Payment("a2", "4.01", "USD", (Payee("b"),))).code == "limit_exceeded"
    model.apply(Capture(1, (Payee("b"),), "USD", "1.00", is_final=True))
    assert model.books.bounds.used(model.wallets["a2"]) == [("owner", "payment", "day", "amount", 1_000, 100)]
    assert model.apply(Payment("a2", "9.00", "USD", (Payee("b"),))).code is None
    assert model.apply(Withdrawal("a", "50.00", "USD")).code is None


def test_a_wallets_own_limit_replaces_its_tiers() -> None:
    model = limited({"scope": "wallet", "operation": "debit", "currency": "USD", "day_count": 9})
    own = {"scope": "wallet", "operation": "debit", "currency": "USD", "month_amount": "5.00"}
    model.apply(Limits("a", (own,)))

    assert model.apply(Withdrawal("a", "5.00", "USD")).code is None
    assert model.apply(Withdrawal("a", "0.01", "USD")).shows["window"] == "month"


def test_a_credit_line_lets_a_wallet_go_below_zero_and_is_not_taken_while_in_use() -> None:
    model = model_with(a="1.00", b="0")
    model.apply(Overdraft("a", "5.00", "USD"))

    assert model.apply(Transfer("a", "b", "6.00", "USD")).code is None
    refused = model.apply(Overdraft("a", "4.99", "USD"))
    assert (refused.code, refused.shows) == ("overdraft_in_use", {"used": {"amount": "5.00", "currency": "USD"}})
    assert model.apply(Transfer("a", "b", "0.01", "USD")).code == "insufficient_funds"
