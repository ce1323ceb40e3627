import pytest

from contracts.money import BALANCE_MINOR_MAX
from demo.model import Model
from demo.money import AmountError, from_text, to_minor, to_text
from demo.operations import Batch, Close, Command, Deposit, Freeze, Open, Transfer, Unfreeze, Withdrawal
from demo.states import Entry, Expected, ExpectedBatch


def model_with(**balances: str) -> Model:
    """Return a model with dollar wallets that hold *balances*."""
    model = Model()
    for name, balance in balances.items():
        model.apply(Open(name, "owner", "USD"))
        if balance != "0":
            model.apply(Deposit(name, balance, "USD"))
    return model


def test_a_transfer_moves_the_amount_and_counts_both_versions() -> None:
    model = model_with(a="10.00", b="0")

    answer = model.apply(Transfer("a", "b", "2.50", "USD"))

    assert answer == Expected(201, None, (Entry("a", "USD", -250, 750, 3), Entry("b", "USD", 250, 250, 2)))


def test_a_balance_has_a_bound_which_a_transfer_and_a_deposit_meet() -> None:
    model = model_with(full="0.01", payer="1.00")
    model.wallets["full"].posted_minor = BALANCE_MINOR_MAX

    assert model.apply(Deposit("full", "0.01", "USD")).code == "balance_overflow"
    assert model.apply(Transfer("payer", "full", "0.01", "USD")).code == "balance_overflow"
    assert model.apply(Transfer("full", "payer", "0.01", "USD")).code is None
    assert model.apply(Transfer("payer", "full", "0.01", "USD")).code is None
    assert model.wallets["full"].posted_minor == BALANCE_MINOR_MAX


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (Transfer("rich", "nobody", "1.00", "USD"), "wallet_not_found"),
        (Transfer("poor", "rich", "0.01", "USD"), "insufficient_funds"),
        (Withdrawal("rich", "5.01", "USD"), "insufficient_funds"),
        (Deposit("rich", "1.00", "EUR"), "currency_mismatch"),
        (Unfreeze("rich"), "wallet_not_frozen"),
        (Close("rich"), "wallet_not_empty"),
    ],
)
def test_what_a_rule_forbids_is_refused_and_changes_nothing(command: Command, code: str) -> None:
    model = model_with(rich="5.00", poor="0")

    assert model.apply(command).code == code
    assert (model.wallets["rich"].posted_minor, model.wallets["rich"].version) == (500, 2)


def test_a_freeze_of_debits_lets_credits_pass_and_one_of_all_does_not() -> None:
    model = model_with(a="5.00")

    model.apply(Freeze("a", "debits"))
    assert model.apply(Withdrawal("a", "1.00", "USD")).code == "wallet_frozen"
    assert model.apply(Deposit("a", "1.00", "USD")).code is None
    model.apply(Freeze("a", "all"))
    assert model.apply(Deposit("a", "1.00", "USD")).code == "wallet_frozen"
    model.apply(Unfreeze("a"))
    assert model.apply(Withdrawal("a", "6.00", "USD")).code is None


def test_a_closed_wallet_takes_part_in_nothing() -> None:
    model = model_with(a="0", b="1.00")
    model.apply(Close("a"))

    for command in (Deposit("a", "1.00", "USD"), Transfer("b", "a", "1.00", "USD"), Close("a"), Freeze("a", "all")):
        assert model.apply(command).code == "wallet_closed"


def test_an_atomic_batch_is_taken_back_as_a_whole_by_its_first_refusal() -> None:
    model = model_with(a="1.00", b="0")
    batch = Batch(
        "atomic", (Open("c", "owner", "USD"), Transfer("a", "b", "1.00", "USD"), Withdrawal("a", "0.01", "USD"))
    )

    answer = model.apply_batch(batch)

    assert answer == ExpectedBatch(409, index=2, refusal=Expected(409, "insufficient_funds"))
    assert {name: wallet.posted_minor for name, wallet in model.wallets.items()} == {"a": 100, "b": 0}
    assert model.wallets["a"].version == 2


def test_an_independent_batch_is_decided_command_by_command() -> None:
    model = model_with(a="1.00")
    batch = Batch("independent", (Withdrawal("a", "2.00", "USD"), Withdrawal("a", "1.00", "USD")))

    assert [result.code for result in model.apply_batch(batch).results] == ["insufficient_funds", None]


@pytest.mark.parametrize(
    ("amount", "currency", "minor"),
    [("12.3", "USD", 1230), ("7", "JPY", 7), ("0.001", "KWD", 1), ("1.500", "USD", 150)],
)
def test_amounts_are_read(amount: str, currency: str, minor: int) -> None:
    assert to_minor(amount, currency) == minor


@pytest.mark.parametrize(
    "amount", ["0", "-1", "+1", "1e3", "1,000", "0.001", "", ".5", "5.", "NaN", "\uff19", "9" * 18]
)
def test_what_is_no_amount_is_refused(amount: str) -> None:
    with pytest.raises(AmountError):
        to_minor(amount, "USD")


def test_an_unknown_currency_is_refused() -> None:
    with pytest.raises(AmountError, match="XXQ"):
        to_minor("1", "XXQ")


@pytest.mark.parametrize(
    ("minor", "currency", "text"), [(-5, "USD", "-0.05"), (1230, "USD", "12.30"), (-7, "JPY", "-7")]
)
def test_amounts_are_written_and_read_again(minor: int, currency: str, text: str) -> None:
    assert to_text(minor, currency) == text
    assert from_text(text, currency) == minor


def test_owners_send_what_they_spend_and_the_platform_the_rest() -> None:
    model = model_with(a="10.00", b="0")
    sent = Transfer("a", "b", "1.00", "USD")
    model.apply(Open("other's", "other", "USD"))

    for own in (sent, Batch("atomic", (sent, Withdrawal("a", "1.00", "USD")))):
        assert model.owner_of_payer(own) == "owner"
    assert model.owner_of_payer(sent) == model.owner_of_payer(Withdrawal("a", "1.00", "USD")) == "owner"
    for others in (
        Deposit("a", "1.00", "USD"),
        Close("a"),
        Batch("independent", (sent,)),
        Batch("atomic", (sent, Deposit("a", "1.00", "USD"))),
        Batch("atomic", (sent, Transfer("other's", "a", "1.00", "USD"))),
        Transfer("nobody", "a", "1.00", "USD"),
    ):
        assert model.owner_of_payer(others) is None


@pytest.mark.parametrize(
    ("change", "code"), [(Freeze("b", "all"), "wallet_frozen"), (Close("b"), "wallet_closed"), (None, None)]
)
def test_an_owner_learns_of_anothers_wallet_that_it_refuses_and_no_balance(
    change: Command | None, code: str | None
) -> None:
    model = model_with(a="10.00")
    for name in ("b", "c"):
        model.apply(Open(name, "other", "USD"))
    if change is not None:
        model.apply(change)
    payment = Transfer("a", "b", "1.00", "USD")

    assert model.apply(payment).code == model.apply(payment, "other").code == code
    mine = model.apply(payment, "owner")
    assert mine.code == (None if code is None else "payee_refuses")
    assert [entry.is_concealed for entry in mine.entries] == ([False, True] if code is None else [])
    batch = model.apply_batch(Batch("atomic", (payment,)), "owner")
    assert batch.refusal == (None if code is None else Expected(409, "payee_refuses"))
    assert model.apply(Transfer("a", "c", "99.99", "USD"), "owner").code == "insufficient_funds"
