"""The rules, by themselves: pure functions over rows."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.ids import new_id
from contracts.money import BALANCE_MINOR_MAX
from wallet.domain.commands import Command, Context, Ids, decide
from wallet.domain.facts import EntryFact, Fact, SystemEntry
from wallet.domain.lifecycle import CloseWallet, OpenWallet
from wallet.domain.mandate import platform_mandate
from wallet.domain.money import DepositFunds, TransferFunds, WithdrawFunds
from wallet.domain.outcomes import (
    WALLET,
    Accepted,
    Amount,
    Decision,
    FactValue,
    Missing,
    RefusalCode,
    Rejected,
    RestrictedBy,
    Subject,
    Unnamed,
)
from wallet.domain.restrictions import FreezeWallet, UnfreezeWallet
from wallet.domain.rows import Rows
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


IDS = Ids(beside=lambda _home: new_id(), placed=lambda _tenant, _group: new_id())


def decided(command: Command, *wallets: Wallet, tenant_id: UUID = TENANT) -> Decision:
    """Return what becomes of *command*; the wallets that it names and that are not given do not exist."""
    rows = Rows(dict.fromkeys(command.names(Rows())))
    rows.update({wallet.id: wallet for wallet in wallets})
    return decide(command, rows, Context(platform_mandate(tenant_id), NOW, IDS))


def carried_out(decision: Decision, *wallets: Wallet) -> list[tuple[Fact, Wallet]]:
    """Return the facts about wallets, each with its wallet afterwards."""
    assert isinstance(decision, Accepted)
    rows: dict[UUID, Wallet] = {wallet.id: wallet for wallet in wallets}
    carried = []
    for fact in decision.facts:
        if isinstance(fact, Fact):
            rows[fact.wallet_id] = fact.evolve(rows.get(fact.wallet_id), NOW)
            carried.append((fact, rows[fact.wallet_id]))
    return carried


def only_wallet(decision: Decision, *wallets: Wallet) -> Wallet:
    """Return the one wallet that was changed, as it is afterwards."""
    ((_, wallet),) = carried_out(decision, *wallets)
    return wallet


def a_deposit(wallet_id: UUID) -> Command:
    return DepositFunds(wallet_id, 50, "USD")


def a_withdrawal(wallet_id: UUID) -> Command:
    return WithdrawFunds(wallet_id, 50, "USD")


def assert_rejected(outcome: object, code: RefusalCode, wallet: Wallet) -> None:
    assert isinstance(outcome, Rejected)
    assert (outcome.code, outcome.subject) == (code, Subject(WALLET, wallet.id))


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
    (sent, payer_after), (received, payee_after) = carried_out(outcome, payer, payee)
    assert sent.amount_minor + received.amount_minor == 0
    assert payer_after.posted_minor == posted - amount
    assert payer_after.available_minor >= -overdraft
    assert payee_after.posted_minor == payee.posted_minor + amount
    assert [payer_after.version, payee_after.version] == [4, 4]
    assert {payer_after.last_at, payee_after.last_at} == {NOW}


@given(st.sampled_from([DepositFunds, WithdrawFunds]), st.integers(1, 10_000))
def test_money_through_the_border_has_a_system_account_on_the_other_side(
    kind: type[DepositFunds | WithdrawFunds], amount: int
) -> None:
    wallet = a_wallet()

    outcome = decided(kind(wallet.id, amount, "USD"), wallet)

    assert isinstance(outcome, Accepted)
    inside, outside = outcome.facts
    assert isinstance(inside, EntryFact)
    assert isinstance(outside, SystemEntry)
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
        assert isinstance(credit, Accepted)


def test_each_source_lifts_only_its_own_restriction() -> None:
    wallet = a_wallet(restrictions=(Restriction("fraud", "debits", "odd"),))

    frozen = only_wallet(decided(FreezeWallet(wallet.id, "operator", "all", "asked"), wallet), wallet)
    lifted = only_wallet(decided(UnfreezeWallet(wallet.id, "operator"), frozen), frozen)
    not_mine = decided(UnfreezeWallet(wallet.id, "operator"), wallet)

    assert frozen.refuses_credits
    assert lifted.restrictions == wallet.restrictions
    assert_rejected(not_mine, RefusalCode.WALLET_NOT_FROZEN, wallet)


def test_a_second_freeze_by_one_source_replaces_its_first() -> None:
    wallet = a_wallet(restrictions=(Restriction("operator", "debits", "first"),))

    outcome = decided(FreezeWallet(wallet.id, "operator", "all", "second"), wallet)

    assert only_wallet(outcome, wallet).restrictions == (Restriction("operator", "all", "second"),)


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
            wallet = only_wallet(outcome, wallet)
            spoken = spoken if word == "money" else wallet.version

    outcome = decided(FreezeWallet(wallet.id, "fraud", "debits", "burst", judged), wallet)

    if judged < spoken:
        assert_rejected(outcome, RefusalCode.DECISION_SUPERSEDED, wallet)
    else:
        after = only_wallet(outcome, wallet)
        assert after.operator_version == wallet.operator_version
        assert after.restricted_by("fraud") is not None


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

    assert isinstance(reached, Accepted)
    assert_rejected(exceeded, RefusalCode.BALANCE_OVERFLOW, wallet)


def test_a_wallet_of_another_tenant_is_treated_as_missing() -> None:
    wallet = a_wallet()

    outcome = decided(DepositFunds(wallet.id, 1, "USD"), wallet, tenant_id=new_id())

    assert outcome == Missing(WALLET, wallet.id)


def test_a_new_wallet_is_empty_and_at_its_first_version() -> None:
    outcome = decided(OpenWallet("owner", "EUR"))

    wallet = only_wallet(outcome)
    assert isinstance(outcome, Accepted)
    assert (outcome.resource_id, wallet.posted_minor, wallet.version) == (wallet.id, 0, 1)


def test_a_row_that_nobody_read_is_asked_for() -> None:
    wallet_id = new_id()

    outcome = decide(CloseWallet(wallet_id), Rows(), Context(platform_mandate(TENANT), NOW, IDS))

    assert outcome == Unnamed(wallet_id)


def test_a_transaction_stands_in_the_shard_of_its_payer() -> None:
    payer, payee = a_wallet(), a_wallet()
    made = {payer.id: new_id(), payee.id: new_id()}
    context = Context(
        platform_mandate(TENANT), NOW, Ids(beside=made.__getitem__, placed=lambda _tenant, _group: new_id())
    )

    outcome = decide(TransferFunds(payer.id, payee.id, 1, "USD"), Rows({payer.id: payer, payee.id: payee}), context)

    assert isinstance(outcome, Accepted)
    assert outcome.transaction_id == made[payer.id]


@pytest.mark.parametrize(("placement", "group"), [(None, "owner"), ("region-7", "region-7")])
def test_a_wallet_is_placed_with_its_owners_others_unless_a_group_is_named(placement: str | None, group: str) -> None:
    made = {"owner": new_id(), "region-7": new_id()}
    context = Context(
        platform_mandate(TENANT), NOW, Ids(beside=lambda _home: new_id(), placed=lambda _tenant, named: made[named])
    )

    outcome = decide(OpenWallet("owner", "EUR", placement=placement), Rows(), context)

    assert isinstance(outcome, Accepted)
    assert outcome.resource_id == made[group]
