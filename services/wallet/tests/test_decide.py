"""The rules, by themselves: pure functions over rows."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.ids import new_id
from wallet.domain.commands import (
    CloseWallet,
    Command,
    DepositFunds,
    FreezeWallet,
    OpenWallet,
    TransferFunds,
    UnfreezeWallet,
    WithdrawFunds,
)
from wallet.domain.decide import BALANCE_MINOR_MAX, changed_wallets, decide
from wallet.domain.outcomes import (
    Amount,
    FactValue,
    Missing,
    Posted,
    RefusalCode,
    Rejected,
    RestrictedBy,
    StateChanged,
    Subject,
    SubjectKind,
    SystemLeg,
    WalletLeg,
)
from wallet.domain.wallets import Restriction, Wallet, WalletStatus

TENANT = new_id()
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def a_wallet(**changes: object) -> Wallet:
    """Return an open dollar wallet with 100.00 in it, but for *changes*."""
    wallet = Wallet(
        id=new_id(),
        tenant_id=TENANT,
        owner_id="owner",
        currency="USD",
        status=WalletStatus.OPEN,
        restrictions=(),
        posted_minor=10_000,
        held_minor=0,
        overdraft_limit_minor=0,
        version=3,
        opened_at=NOW - timedelta(days=1),
        last_at=NOW - timedelta(hours=1),
        private=None,
        operator_version=0,
    )
    return msgspec.structs.replace(wallet, **changes)


def decided(command: Command, *wallets: Wallet, tenant_id: UUID = TENANT) -> Posted | StateChanged | Rejected | Missing:
    return decide(command, {wallet.id: wallet for wallet in wallets}, tenant_id=tenant_id, now=NOW)


def a_deposit(wallet_id: UUID) -> Command:
    return DepositFunds(wallet_id, 50, "USD")


def a_withdrawal(wallet_id: UUID) -> Command:
    return WithdrawFunds(wallet_id, 50, "USD")


def assert_rejected(outcome: object, code: RefusalCode, wallet: Wallet) -> None:
    assert isinstance(outcome, Rejected)
    assert (outcome.code, outcome.subject) == (code, Subject(SubjectKind.WALLET, wallet.id))


amounts = st.integers(1, 20_000)
balances = st.integers(-5_000, 20_000)


@given(balances, st.integers(0, 5_000), st.integers(0, 8_000), amounts)
def test_a_transfer_sums_to_zero_and_respects_the_floor(posted: int, held: int, overdraft: int, amount: int) -> None:
    payer = a_wallet(posted_minor=posted, held_minor=held, overdraft_limit_minor=overdraft)
    payee = a_wallet()

    outcome = decided(TransferFunds(payer.id, payee.id, amount, "USD"), payer, payee)

    if posted - held - amount < -overdraft:
        assert_rejected(outcome, RefusalCode.INSUFFICIENT_FUNDS, payer)
        return
    assert isinstance(outcome, Posted)
    sent, received = outcome.legs
    assert sent.amount_minor + received.amount_minor == 0
    assert sent.wallet.posted_minor == posted - amount
    assert sent.wallet.available_minor >= -overdraft
    assert received.wallet.posted_minor == payee.posted_minor + amount
    assert [wallet.version for wallet in changed_wallets(outcome)] == [4, 4]
    assert {wallet.last_at for wallet in changed_wallets(outcome)} == {NOW}


@given(st.sampled_from([DepositFunds, WithdrawFunds]), st.integers(1, 10_000))
def test_money_through_the_border_has_a_system_account_on_the_other_side(
    kind: type[DepositFunds | WithdrawFunds], amount: int
) -> None:
    wallet = a_wallet()

    outcome = decided(kind(wallet.id, amount, "USD"), wallet)

    assert isinstance(outcome, Posted)
    inside, outside = outcome.legs
    assert isinstance(inside, WalletLeg)
    assert isinstance(outside, SystemLeg)
    assert outside.account == "external:USD"
    assert inside.amount_minor == -outside.amount_minor == (amount if kind is DepositFunds else -amount)


@pytest.mark.parametrize("scope", ["debits", "all"])
def test_a_restriction_refuses_what_its_scope_says(scope: str) -> None:
    restricted = a_wallet(restrictions=(Restriction("fraud", scope, "odd"),))  # type: ignore[arg-type] # one of two
    other = a_wallet()

    debit = decided(TransferFunds(restricted.id, other.id, 1, "USD"), restricted, other)
    credit = decided(TransferFunds(other.id, restricted.id, 1, "USD"), restricted, other)

    assert_rejected(debit, RefusalCode.WALLET_FROZEN, restricted)
    if scope == "all":
        assert_rejected(credit, RefusalCode.WALLET_FROZEN, restricted)
    else:
        assert isinstance(credit, Posted)


def test_each_source_lifts_only_its_own_restriction() -> None:
    wallet = a_wallet(restrictions=(Restriction("fraud", "debits", "odd"),))

    frozen = decided(FreezeWallet(wallet.id, "operator", "all", "asked"), wallet)
    assert isinstance(frozen, StateChanged)
    lifted = decided(UnfreezeWallet(wallet.id, "operator"), frozen.wallet)
    not_mine = decided(UnfreezeWallet(wallet.id, "operator"), wallet)

    assert frozen.wallet.refuses_credits
    assert isinstance(lifted, StateChanged)
    assert lifted.wallet.restrictions == wallet.restrictions
    assert_rejected(not_mine, RefusalCode.WALLET_NOT_FROZEN, wallet)


def test_a_second_freeze_by_one_source_replaces_its_first() -> None:
    wallet = a_wallet(restrictions=(Restriction("operator", "debits", "first"),))

    outcome = decided(FreezeWallet(wallet.id, "operator", "all", "second"), wallet)

    assert isinstance(outcome, StateChanged)
    assert outcome.wallet.restrictions == (Restriction("operator", "all", "second"),)


@given(judged=st.integers(0, 20), words=st.lists(st.sampled_from(["freeze", "unfreeze", "money"]), max_size=8))
def test_a_service_restricts_only_where_no_operator_has_spoken_since(judged: int, words: list[str]) -> None:
    wallet, spoken = a_wallet(version=10), 0
    for word in words:
        commands: dict[str, Command] = {
            "freeze": FreezeWallet(wallet.id, "operator", "debits", "asked"),
            "unfreeze": UnfreezeWallet(wallet.id, "operator"),
            "money": DepositFunds(wallet.id, 1, "USD"),
        }
        outcome = decided(commands[word], wallet)
        if not isinstance(outcome, Rejected):
            (wallet,) = changed_wallets(outcome)  # type: ignore[arg-type]  # the wallet is there
            spoken = spoken if word == "money" else wallet.version

    outcome = decided(FreezeWallet(wallet.id, "fraud", "debits", "burst", judged), wallet)

    if judged < spoken:
        assert_rejected(outcome, RefusalCode.DECISION_SUPERSEDED, wallet)
    else:
        assert isinstance(outcome, StateChanged)
        assert outcome.wallet.operator_version == wallet.operator_version
        assert outcome.wallet.restricted_by("fraud") is not None


@pytest.mark.parametrize(("posted", "held"), [(1, 0), (-1, 0), (5, 5), (0, 1)])
def test_a_wallet_with_money_or_holds_is_not_closed(posted: int, held: int) -> None:
    wallet = a_wallet(posted_minor=posted, held_minor=held)

    assert_rejected(decided(CloseWallet(wallet.id), wallet), RefusalCode.WALLET_NOT_EMPTY, wallet)


def test_nothing_moves_in_or_out_of_a_closed_wallet() -> None:
    closed = a_wallet(posted_minor=0, status=WalletStatus.CLOSED)
    other = a_wallet()
    commands: list[Command] = [
        DepositFunds(closed.id, 1, "USD"),
        WithdrawFunds(closed.id, 1, "USD"),
        TransferFunds(closed.id, other.id, 1, "USD"),
        TransferFunds(other.id, closed.id, 1, "USD"),
        FreezeWallet(closed.id, "operator", "all", "r"),
        UnfreezeWallet(closed.id, "operator"),
        CloseWallet(closed.id),
    ]

    for command in commands:
        assert_rejected(decided(command, closed, other), RefusalCode.WALLET_CLOSED, closed)


@pytest.mark.parametrize(
    ("command_on", "changes", "facts"),
    [
        (a_withdrawal, {"posted_minor": 60, "held_minor": 20}, {"available": Amount(40, "USD")}),
        (CloseWallet, {"held_minor": 20}, {"available": Amount(9_980, "USD"), "held": Amount(20, "USD")}),
        (a_deposit, {"currency": "EUR"}, {"currency": "EUR"}),
        (
            a_withdrawal,
            {"restrictions": (Restriction("fraud", "debits", "personal"),)},
            {"restrictions": (RestrictedBy("fraud", "debits"),)},
        ),
        (a_deposit, {"status": WalletStatus.CLOSED}, {}),
    ],
)
def test_a_refusal_tells_what_its_sender_needs_to_act(
    command_on: Callable[[UUID], Command], changes: dict[str, object], facts: dict[str, FactValue]
) -> None:
    wallet = a_wallet(**changes)

    outcome = decided(command_on(wallet.id), wallet)

    assert isinstance(outcome, Rejected)
    assert (outcome.facts, list(outcome.facts)) == (facts, list(facts)), "in the order in which they are told"


def test_the_largest_balance_is_reached_and_not_exceeded() -> None:
    wallet = a_wallet(posted_minor=BALANCE_MINOR_MAX - 5)

    reached = decided(DepositFunds(wallet.id, 5, "USD"), wallet)
    exceeded = decided(DepositFunds(wallet.id, 6, "USD"), wallet)

    assert isinstance(reached, Posted)
    assert_rejected(exceeded, RefusalCode.BALANCE_OVERFLOW, wallet)


def test_a_wallet_of_another_tenant_is_as_good_as_missing() -> None:
    wallet = a_wallet()

    outcome = decided(DepositFunds(wallet.id, 1, "USD"), wallet, tenant_id=new_id())

    assert outcome == Missing(SubjectKind.WALLET, wallet.id)


def test_a_new_wallet_is_empty_and_at_its_first_version() -> None:
    wallet_id = new_id()

    outcome = decided(OpenWallet(wallet_id, "owner", "EUR"))

    assert isinstance(outcome, StateChanged)
    assert (outcome.wallet.id, outcome.wallet.posted_minor, outcome.wallet.version) == (wallet_id, 0, 1)
