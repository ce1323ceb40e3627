"""Who gives and gets what when transactions are taken back: fees, conversions and force. Pure."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec
import pytest
from services.wallet.tests.test_decide import IDS, TENANT, a_wallet, carried_out

from contracts.ids import new_id
from wallet.domain.commands import Command, Context, decide
from wallet.domain.facts import SystemEntry
from wallet.domain.mandate import Mandate, platform_mandate
from wallet.domain.originals import Original, OriginalEntry, closed
from wallet.domain.outcomes import Accepted, Decision, Missing, RefusalCode, Rejected
from wallet.domain.refund_commands import ChargeBack, RefundTransaction, ReverseTransaction
from wallet.domain.refunds import FeeReturned, RefundReceived, RefundSent
from wallet.domain.rows import Rows
from wallet.domain.texts import FreeText
from wallet.domain.wallets import Restriction, Wallet, WalletStatus

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
WHY = FreeText(reason="back")
PAYER, PAYEE = a_wallet(), a_wallet()
EUROS = a_wallet(currency="EUR")
Entry = tuple[Wallet, str | None, int] | tuple[Wallet, str | None, int, bool]


def original(kind: str, *entries: Entry) -> Original:
    """Return a transaction of *entries*: a wallet, the system account beside it, the amount, whether it is a fee."""
    made = [OriginalEntry(each[0].id, each[1], each[0].currency, *each[2:]) for each in entries]
    return Original(kind, closed(made))


WITH_FEES = original(
    "transfer",
    (PAYER, None, -1_000),
    (PAYEE, None, 1_000),
    (PAYER, None, -31, True),
    (PAYER, "fees:USD", 31, True),
    (PAYEE, None, -10, True),
    (PAYEE, "fees:USD", 10, True),
)
CONVERSION = original(
    "conversion",
    (PAYER, None, -10_000),
    (PAYER, "fx:USD", 10_000),
    (EUROS, None, 9_190),
    (EUROS, "fx:EUR", -9_237),
    (EUROS, "spread:EUR", 46),
    (EUROS, "rounding:EUR", 1),
)
DEPOSIT = original("deposit", (PAYER, None, 1_000), (PAYER, "external:USD", -1_000))


def decided(command: Command, *wallets: Wallet, mandate: Mandate | None = None) -> Decision:
    rows = Rows(dict.fromkeys(command.names(Rows())))
    rows.update({wallet.id: wallet for wallet in wallets})
    return decide(command, rows, Context(mandate or platform_mandate(TENANT), NOW, IDS))


def refund(of: Original, amount: int | None = None, **more: Any) -> RefundTransaction:
    return RefundTransaction(new_id(), WHY, original=of, amount_minor=amount, **more)


def posted(decision: Decision) -> list[tuple[str, UUID, int]]:
    assert isinstance(decision, Accepted)
    return [
        (each.account if isinstance(each, SystemEntry) else type(each).__name__, each.wallet_id, each.amount_minor)
        for each in decision.facts
    ]


def test_a_refund_leaves_fees_where_they_are() -> None:
    assert posted(decided(refund(WITH_FEES, 400), PAYER, PAYEE)) == [
        ("RefundReceived", PAYER.id, 400),
        ("RefundSent", PAYEE.id, -400),
    ]


def test_fees_go_back_in_proportion_and_come_before_what_they_help_to_pay() -> None:
    broke = msgspec.structs.replace(PAYEE, posted_minor=396)
    decision = decided(refund(WITH_FEES, 400, returns_fees=True), PAYER, broke)

    assert posted(decision) == [
        ("FeeReturned", PAYER.id, 12),
        ("FeeReturned", PAYEE.id, 4),
        ("RefundReceived", PAYER.id, 400),
        ("RefundSent", PAYEE.id, -400),
        ("fees:USD", PAYER.id, -12),
        ("fees:USD", PAYEE.id, -4),
    ]
    assert min(wallet.posted_minor for _, wallet in carried_out(decision, PAYER, broke)) == 0


def test_a_reversal_returns_all_fees() -> None:
    decision = decided(ReverseTransaction(new_id(), WHY, original=WITH_FEES), PAYER, PAYEE)
    by_wallet = {PAYER.id: 0, PAYEE.id: 0}
    for name, wallet_id, amount in posted(decision):
        by_wallet[wallet_id] += 0 if ":" in name else amount
    assert by_wallet == {PAYER.id: 1_031, PAYEE.id: -990}


def test_a_conversion_goes_back_in_the_payees_currency_at_the_rate_it_had() -> None:
    assert posted(decided(refund(CONVERSION, 4_595, currency="EUR"), PAYER, EUROS)) == [
        ("RefundReceived", PAYER.id, 5_000),
        ("RefundSent", EUROS.id, -4_595),
        ("fx:USD", PAYER.id, -5_000),
        ("fx:EUR", EUROS.id, 4_618),
        ("spread:EUR", EUROS.id, -23),
    ]
    assert isinstance(refused := decided(refund(CONVERSION, 1, currency="USD"), PAYER, EUROS), Rejected)
    assert refused.code == RefusalCode.CURRENCY_MISMATCH


def test_a_part_that_comes_to_nothing_in_the_payers_currency_is_refused() -> None:
    yen = a_wallet(currency="JPY")
    of = original("conversion", (yen, None, -1), (yen, "fx:JPY", 1), (PAYEE, None, 3), (PAYEE, "fx:USD", -3))
    assert isinstance(refused := decided(refund(of, 1), yen, PAYEE), Rejected)
    assert refused.code == RefusalCode.SHARE_TOO_SMALL


@pytest.mark.parametrize("command", [refund(DEPOSIT, is_forced=True), ChargeBack(new_id(), WHY, original=DEPOSIT)])
def test_force_goes_below_the_floor_and_through_restrictions(command: Command) -> None:
    frozen = (Restriction("operator", "all", "a look"),)
    poor = msgspec.structs.replace(PAYER, posted_minor=10, restrictions=frozen)
    decision = decided(command, poor)
    ((fact, after),) = carried_out(decision, poor)

    assert (after.posted_minor, after.floor_waived) == (-990, True)
    assert isinstance(fact, RefundSent) == isinstance(command, RefundTransaction)
    paid = after.moved(990, 0, NOW)
    assert (paid.posted_minor, paid.floor_waived) == (0, False)
    closed_wallet = msgspec.structs.replace(poor, status=WalletStatus.CLOSED)
    assert isinstance(refused := decided(command, closed_wallet), Rejected)
    assert refused.code == RefusalCode.WALLET_CLOSED


def test_force_marks_only_what_it_was_needed_for() -> None:
    decision = decided(refund(WITH_FEES, 400, is_forced=True), PAYER, PAYEE)
    assert isinstance(decision, Accepted)
    facts = [each for each in decision.facts if isinstance(each, RefundSent | RefundReceived | FeeReturned)]
    assert [each.about.forced for each in facts] == [False, False]


def test_who_acts_for_the_payer_alone_takes_nothing_from_the_payee() -> None:
    payee = msgspec.structs.replace(PAYEE, owner_id="another")
    mandate = msgspec.structs.replace(platform_mandate(TENANT), owners=frozenset({"owner"}))
    assert decided(refund(WITH_FEES, 400), PAYER, payee, mandate=mandate) == Missing("wallet", payee.id)


def test_what_could_not_be_found_is_missing() -> None:
    command = RefundTransaction(new_id(), WHY)
    assert decided(command) == Missing("transaction", command.transaction_id)
