"""Whose wallets a command may debit, change and see: decided with the mandate of its sender. Pure."""

from datetime import UTC, datetime
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.ids import new_id
from contracts.scopes import Kind
from wallet.application.ports import CarriedOut
from wallet.bootstrap.catalog import CATALOG
from wallet.domain.commands import Command, Context, Ids, decide
from wallet.domain.facts import EntryFact, Fact
from wallet.domain.lifecycle import CloseWallet, OpenWallet
from wallet.domain.mandate import Mandate
from wallet.domain.money import DepositFunds, TransferFunds, WithdrawFunds
from wallet.domain.outcomes import Accepted, Decision, Missing, NotPermitted, RefusalCode, Rejected
from wallet.domain.restrictions import FreezeWallet, UnfreezeWallet
from wallet.domain.rows import Rows
from wallet.domain.wallets import Restriction, Wallet, WalletStatus
from wallet.entrypoints.rendering import JsonRenderer

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)
TENANT, STRANGERS = new_id(), new_id()
ANNS, BOBS, CEDS = new_id(), new_id(), new_id()
OWNERS = {ANNS: "ann", BOBS: "bob", CEDS: "ced"}
ANN = Mandate(TENANT, Kind.USER, frozenset({"ann"}))
NEEDS_OWNER: tuple[Command, ...] = (
    WithdrawFunds(BOBS, 1, "USD"),
    TransferFunds(BOBS, ANNS, 1, "USD"),
    CloseWallet(BOBS),
    FreezeWallet(BOBS, "operator", "all", "why"),
    UnfreezeWallet(BOBS, "operator"),
)


def a_wallet(wallet_id: UUID, **changes: object) -> Wallet:
    wallet = Wallet(
        wallet_id, TENANT, OWNERS[wallet_id], "USD", WalletStatus.OPEN, (), 10_000, 0, 0, 3, NOW, NOW, None, 0
    )
    return msgspec.structs.replace(wallet, **changes)


def decided(command: Command, mandate: Mandate, *wallets: Wallet) -> Decision:
    rows = Rows({wallet_id: a_wallet(wallet_id) for wallet_id in OWNERS})
    rows.update({wallet.id: wallet for wallet in wallets})
    return decide(command, rows, Context(mandate, NOW, Ids(beside=lambda _: new_id(), placed=lambda *_: new_id())))


def carried(decision: Decision, mandate: Mandate) -> CarriedOut:
    assert isinstance(decision, Accepted)
    facts = [(fact, a_wallet(fact.wallet_id)) for fact in decision.facts if isinstance(fact, Fact)]
    return CarriedOut(facts, (), decision.transaction_id, "", mandate)


@pytest.mark.parametrize("command", NEEDS_OWNER, ids=lambda command: command.kind)
def test_what_is_another_owners_is_missing_as_if_there_were_none(command: Command) -> None:
    missing = decided(command, Mandate(STRANGERS, Kind.OPERATOR))

    assert isinstance(missing, Missing)
    for kind in Kind:
        assert decided(command, Mandate(TENANT, kind, frozenset({"ann"}))) == missing


def test_money_may_go_to_any_wallet_of_the_tenant() -> None:
    for command in (DepositFunds(BOBS, 1, "USD"), TransferFunds(ANNS, BOBS, 1, "USD")):
        assert isinstance(decided(command, ANN), Accepted)
        assert isinstance(decided(command, msgspec.structs.replace(ANN, tenant_id=STRANGERS)), Missing)


def test_wallets_are_opened_for_ones_own_owners_alone() -> None:
    assert isinstance(decided(OpenWallet("ann", "USD"), ANN), Accepted)
    assert isinstance(decided(OpenWallet("bob", "USD"), ANN), NotPermitted)
    assert isinstance(decided(OpenWallet("bob", "USD"), Mandate(TENANT, Kind.SERVICE)), Accepted)


BLOCKED = (
    {"status": WalletStatus.CLOSED},
    {"restrictions": (Restriction("fraud", "all", "why"),)},
    {"currency": "EUR"},
    {"posted_minor": 9 * 10**18},
)


@pytest.mark.parametrize("changes", BLOCKED)
def test_why_a_payee_refuses_is_not_its_payers_to_know(changes: dict[str, object]) -> None:
    payment = TransferFunds(ANNS, BOBS, 1, "USD")

    refusal = decided(payment, ANN, a_wallet(BOBS, **changes))
    told = decided(payment, Mandate(TENANT, Kind.OPERATOR), a_wallet(BOBS, **changes))

    assert isinstance(refusal, Rejected)
    assert (refusal.code, dict(refusal.facts)) == (RefusalCode.PAYEE_REFUSES, {})
    assert isinstance(told, Rejected)
    assert told.code != RefusalCode.PAYEE_REFUSES


@pytest.mark.parametrize("kind", Kind)
def test_who_restricted_a_wallet_is_staffs_to_know(kind: Kind) -> None:
    frozen = a_wallet(ANNS, restrictions=(Restriction("fraud", "debits", "why"),))

    refusal = decided(WithdrawFunds(ANNS, 1, "USD"), Mandate(TENANT, kind), frozen)

    assert isinstance(refusal, Rejected)
    assert refusal.code == RefusalCode.WALLET_FROZEN
    assert bool(refusal.facts) is (kind is Kind.OPERATOR)


def test_of_anothers_wallet_an_answer_has_the_id_and_the_amount() -> None:
    payment = TransferFunds(ANNS, BOBS, 100, "USD")

    _, body = JsonRenderer(CATALOG.answers).accepted(payment, carried(decided(payment, ANN), ANN))

    own, others = msgspec.json.decode(body)["entries"]
    assert set(own) == {"amount", "wallet_id", "balance_after", "version"}
    assert others == {"amount": {"amount": "1.00", "currency": "USD"}, "wallet_id": str(BOBS)}


a_mandate = st.builds(
    Mandate, st.just(TENANT), st.sampled_from(Kind), st.none() | st.frozensets(st.sampled_from(sorted(OWNERS.values())))
)
a_wallet_id = st.sampled_from(sorted(OWNERS))
a_command = st.one_of(
    st.builds(DepositFunds, a_wallet_id, st.integers(1, 20_000), st.just("USD")),
    st.builds(WithdrawFunds, a_wallet_id, st.integers(1, 20_000), st.just("USD")),
    st.builds(TransferFunds, a_wallet_id, a_wallet_id, st.integers(1, 20_000), st.just("USD")).filter(
        lambda transfer: transfer.source_wallet_id != transfer.destination_wallet_id
    ),
)


@given(a_mandate, a_command)
def test_no_accepted_command_debits_a_wallet_that_its_mandate_does_not_cover(
    mandate: Mandate, command: Command
) -> None:
    decision = decided(command, mandate)

    if isinstance(decision, Accepted):
        debited = [fact.wallet_id for fact in decision.facts if isinstance(fact, EntryFact) and fact.amount_minor < 0]
        assert all(mandate.owners is None or OWNERS[wallet_id] in mandate.owners for wallet_id in debited)
