"""What events become, without a database."""

import random
from collections.abc import Callable, Sequence
from datetime import date
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.envelope import Envelope
from contracts.events import (
    CHARGEBACK_DEBITED,
    EVENT_TYPES,
    FEE_RETURNED,
    REFUND_RECEIVED,
    REFUND_SENT,
    TRANSACTION_REVERSED,
    EventData,
    parse_data,
)
from contracts.ids import new_id
from testkit.events import EPOCH, EXTERNAL, TENANT, Stream, wallet_in
from transaction_history.domain.folds import fold, merged
from transaction_history.domain.project import Contradiction, project
from transaction_history.domain.rows import (
    BalanceDayRow,
    EntryRow,
    HoldRow,
    StateChangeRow,
    SystemEntryRow,
    TransactionRow,
    WalletRow,
)

RETURNS = (
    FEE_RETURNED,
    REFUND_RECEIVED,
    REFUND_SENT,
    TRANSACTION_REVERSED,
    CHARGEBACK_DEBITED,
)


def after(events: Sequence[Envelope]) -> dict[UUID, WalletRow]:
    """Return the wallets after *events*."""
    return {wallet.wallet_id: wallet for wallet in fold(parsed(events), {}).wallets}


def parsed(events: Sequence[Envelope]) -> list[tuple[Envelope, EventData]]:
    return [(event, parse_data(event.type, event.data)) for event in events]


def added(event: Envelope, wallet: WalletRow | None) -> EntryRow | SystemEntryRow | StateChangeRow | None:
    return project(event, parse_data(event.type, event.data), wallet).added


def changed(event: Envelope, **fields: object) -> Envelope:
    return msgspec.structs.replace(event, **fields)


def test_an_opened_wallet_is_empty_and_open() -> None:
    stream, wallet = Stream(), wallet_in(3)

    row = after([stream.opened(wallet, owner="ann")])[wallet]

    assert (row.owner_id, row.status, row.posted_minor, row.version) == ("ann", "open", 0, 1)
    assert (row.tenant_id, row.restrictions, row.opened_at.date()) == (TENANT, "[]", EPOCH.date())


def test_a_deposit_is_an_entry_of_the_wallet_and_one_of_the_system_account() -> None:
    stream, wallet = Stream(), wallet_in(3)
    known = after([stream.opened(wallet)])[wallet]
    entry, system_entry = stream.deposit(wallet, 250)

    ours, theirs = added(entry, known), added(system_entry, None)

    assert isinstance(ours, EntryRow)
    assert isinstance(theirs, SystemEntryRow)
    assert (ours.version, ours.amount_minor, ours.posted_minor_after) == (2, 250, 250)
    assert (ours.counterparty_account, theirs.account, theirs.amount_minor) == (EXTERNAL, EXTERNAL, -250)
    assert ours.transaction_id == theirs.transaction_id
    assert ours.private is not None
    assert '"reference":"order-1"' in ours.private


def test_a_transfer_names_the_other_wallet_on_both_sides() -> None:
    stream, source, destination = Stream(), wallet_in(3), wallet_in(4)
    known = after([stream.opened(source), stream.deposited(source), stream.opened(destination)])
    sent, received = stream.transfer(source, destination, 30)

    left, right = added(sent, known[source]), added(received, known[destination])

    assert isinstance(left, EntryRow)
    assert isinstance(right, EntryRow)
    assert (left.amount_minor, left.counterparty_wallet_id) == (-30, destination)
    assert (right.amount_minor, right.counterparty_wallet_id) == (30, source)


def test_restrictions_and_closing_change_the_wallet() -> None:
    stream, wallet = Stream(), wallet_in(3)
    opened, restricted = stream.opened(wallet), stream.restricted(wallet)

    frozen = after([opened, restricted])[wallet]
    closed = after([opened, restricted, stream.restricted(wallet, lifted=True), stream.closed(wallet)])[wallet]

    assert frozen.restrictions == '[{"source":"operator","scope":"debits"}]'
    assert (closed.restrictions, closed.status, closed.version) == ("[]", "closed", 4)


def test_what_changes_only_what_is_held_is_a_row_that_is_not_counted() -> None:
    stream, wallet, payee = Stream(), wallet_in(3), wallet_in(4)
    opened = [stream.opened(wallet), stream.deposited(wallet, 100), stream.opened(payee)]
    placed, increased, captured, paid, released = stream.held(wallet, payee, 10)

    held = after([*opened, placed, increased])[wallet]
    ended = after([*opened, placed, increased, captured, paid, released])[wallet]
    change = added(placed, after(opened)[wallet])
    entry = added(captured, held)

    assert (held.posted_minor, held.held_minor, held.version) == (100, 11, 4)
    assert (ended.posted_minor, ended.held_minor, ended.version) == (99, 0, 6)
    assert isinstance(change, EntryRow)
    assert (change.transaction_id, change.amount_minor, change.held_minor_after, change.entries_after) == (
        None,
        0,
        10,
        1,
    )
    assert isinstance(entry, EntryRow)
    assert (entry.transaction_type, entry.amount_minor, entry.held_minor_after) == ("capture", -1, 10)


def test_terms_change_the_wallet_and_its_past_without_moving_money() -> None:
    stream, wallet = Stream(), wallet_in(3)
    opened = stream.opened(wallet)
    overdraft, limits, details = stream.terms(wallet)

    known = after([opened, overdraft, limits, details])[wallet]
    change = added(limits, after([opened, overdraft])[wallet])

    assert (known.overdraft_limit_minor, known.posted_minor, known.version) == (500, 0, 4)
    assert known.private is not None
    assert isinstance(change, StateChangeRow)
    assert (change.type, change.version) == ("wallet.limits_changed.v1", 3)


CONTRADICTIONS: dict[str, Callable[[Envelope], Envelope]] = {
    "a version that skips": lambda event: changed(event, wallet_version=9),
    "a version again": lambda event: changed(event, wallet_version=1),
    "no version": lambda event: changed(event, wallet_version=None),
    "another tenant": lambda event: changed(event, tenant_id=new_id()),
    "no transaction": lambda event: changed(event, transaction_id=None),
    "a balance that does not follow": lambda event: changed(
        event, data=event.data.replace(b'"amount":"1.00"', b'"amount":"2.00"', 1)
    ),
}


@pytest.mark.parametrize("what", CONTRADICTIONS)
def test_an_event_that_contradicts_what_is_known_is_refused(what: str) -> None:
    stream, wallet = Stream(), wallet_in(3)
    known = after([stream.opened(wallet)])[wallet]
    event = CONTRADICTIONS[what](stream.deposited(wallet))

    with pytest.raises(Contradiction):
        added(event, known)


def test_a_wallet_that_nobody_opened_is_refused() -> None:
    with pytest.raises(Contradiction):
        added(Stream().deposited(wallet_in(3)), None)


def test_a_wallet_opened_twice_is_refused() -> None:
    stream, wallet = Stream(), wallet_in(3)
    opened = stream.opened(wallet)

    with pytest.raises(Contradiction):
        added(opened, after([opened])[wallet])


def day(seed: int) -> tuple[list[Envelope], set[str]]:
    """Return a small day over several shards that has events of every type."""
    dice, stream = random.Random(seed), Stream()
    wallets = [wallet_in(dice.randrange(6)) for _ in range(8)]
    events = [stream.opened(wallet) for wallet in wallets]
    for _ in range(60):
        one, two = dice.sample(wallets[:-1], 2)
        match dice.randrange(6):
            case 5:
                of, refund = new_id(), new_id()
                events += [
                    stream.returned(
                        kind, wallet, amount, of=of, entry=(refund, place % 2), refund=(1, 9), forced=place > 1
                    )
                    for place, (kind, wallet, amount) in enumerate(
                        zip(RETURNS, (one, one, two, one, two), (1, 2, -3, 4, -5), strict=True)
                    )
                ]
            case 0:
                events += stream.deposit(one, dice.randrange(1, 1_000))
            case 1 | 2:
                events += stream.transfer(one, two, dice.randrange(1, 100))
            case 3:
                events += [*stream.held(one, two, dice.randrange(1, 50)), *stream.terms(two)]
            case _:
                events += [stream.restricted(one), stream.restricted(one, lifted=True)]
    events.append(stream.closed(wallets[-1]))
    return events, {event.type for event in events}


def test_the_day_has_every_type() -> None:
    assert day(1)[1] == set(EVENT_TYPES) - {
        "wallet.funds_withdrawn.v1",
        "wallet.fee_charged.v1",
        "ledger.policy_changed.v1",
        "ledger.owner_changed.v1",
    }


@given(st.integers(0, 1_000), st.randoms(use_true_random=False))
def test_shards_may_come_in_any_order_and_in_any_portions(seed: int, order: random.Random) -> None:
    events, _ = day(seed)

    assert table(shuffled(events, order), order) == table(events, None)


def shuffled(events: list[Envelope], order: random.Random) -> list[Envelope]:
    """Return *events* with each shard's in their order, and the shards interleaved at random."""
    by_shard: dict[int, list[Envelope]] = {}
    for event in events:
        by_shard.setdefault(event.shard, []).append(event)
    result = []
    while by_shard:
        shard = order.choice(sorted(by_shard))
        result.append(by_shard[shard].pop(0))
        if not by_shard[shard]:
            del by_shard[shard]
    return result


class Model:
    """All rows, folded in portions as polls bring them."""

    def __init__(self) -> None:
        self.wallets: dict[UUID, WalletRow] = {}
        self.entries: list[EntryRow] = []
        self.others: list[SystemEntryRow | StateChangeRow] = []
        self.transactions: dict[UUID, TransactionRow] = {}
        self.holds: dict[UUID, HoldRow] = {}
        self.days: dict[tuple[UUID, date], BalanceDayRow] = {}

    def apply(self, events: Sequence[Envelope]) -> None:
        folded = fold(parsed(events), self.wallets)
        self.wallets |= {wallet.wallet_id: wallet for wallet in folded.wallets}
        self.entries += folded.entries
        self.others += [*folded.system_entries, *folded.state_changes]
        for told in folded.transactions:
            before = self.transactions.get(told.transaction_id)
            self.transactions[told.transaction_id] = told if before is None else merged(before, told)
        for hold in folded.holds:
            known = self.holds.get(hold.hold_id)
            self.holds[hold.hold_id] = hold if known is None else followed(known, hold)
        self.days |= {(row.wallet_id, row.day): row for row in folded.balance_days}

    def rows(self) -> set[object]:
        told = [*self.entries, *self.others, *self.wallets.values(), *self.holds.values(), *self.days.values()]
        assert len(set(told)) == len(told)
        return {*told, *(msgspec.json.encode(row, order="deterministic") for row in self.transactions.values())}


def followed(known: HoldRow, hold: HoldRow) -> HoldRow:
    return msgspec.structs.replace(
        hold, placed_at=known.placed_at, transactions=(*known.transactions, *hold.transactions)
    )


def table(events: list[Envelope], order: random.Random | None) -> set[object]:
    """Return all rows after *events*, folded in portions as polls would bring them, repeats skipped by sequence."""
    model = Model()
    last: dict[int, int] = {}
    while events:
        size = len(events) if order is None else order.randint(1, len(events))
        repeated = [event for event in events[:size] for _ in range(1 if order is None else order.randint(1, 3))]
        fresh = []
        for event in repeated:
            if event.sequence == last.get(event.shard, 0) + 1:
                last[event.shard] = event.sequence
                fresh.append(event)
        model.apply(fresh)
        events = events[size:]
    return model.rows()


@given(st.integers(0, 1_000))
def test_running_totals_are_the_sums_of_the_entries_so_far(seed: int) -> None:
    model = Model()
    model.apply(day(seed)[0])

    for wallet in model.wallets.values():
        rows = [row for row in model.entries if row.wallet_id == wallet.wallet_id]
        for count, row in enumerate(rows, start=1):
            amounts = [each.amount_minor for each in rows[:count]]
            assert row.credits_after == sum(amount for amount in amounts if amount > 0)
            assert row.debits_after == -sum(amount for amount in amounts if amount < 0)
            assert row.entries_after == sum(each.transaction_id is not None for each in rows[:count])
            assert row.credits_after - row.debits_after == row.posted_minor_after
        if rows:
            assert told(wallet) == (rows[-1].entries_after, rows[-1].credits_after, rows[-1].debits_after)
            assert (wallet.first_entry_at, wallet.last_entry_at) == (rows[0].occurred_at, rows[-1].occurred_at)


def told(wallet: WalletRow) -> tuple[int, int, int]:
    return wallet.entries, wallet.credits_total, wallet.debits_total


def test_a_fee_counts_among_debits_and_by_itself() -> None:
    stream, wallet = Stream(), wallet_in(3)
    events = [stream.opened(wallet), stream.deposited(wallet, 100)]
    fee = stream.fee(wallet, 7)
    back = stream.returned(FEE_RETURNED, wallet, 3, of=new_id(), entry=(new_id(), 0))

    known = after([*events, fee, back])[wallet]

    assert (known.credits_total, known.debits_total, known.fees_total, known.entries) == (103, 7, 4, 3)


def test_a_hold_is_told_whole_by_its_newest_event() -> None:
    stream, wallet, payee = Stream(), wallet_in(3), wallet_in(4)
    model = Model()
    model.apply([stream.opened(wallet), stream.deposited(wallet, 100), stream.opened(payee)])
    placed, increased, captured, paid, released = stream.held(wallet, payee, 10)
    for event in (placed, increased, captured, paid, released):
        model.apply([event])

    (hold,) = model.holds.values()
    assert (hold.amount_minor, hold.captured_minor, hold.released_minor, hold.remaining_minor) == (11, 1, 10, 0)
    assert (hold.status, hold.transactions, hold.version) == ("voided", (captured.transaction_id,), 6)
    assert (hold.placed_at, hold.last_at) == (placed.time, released.time)


def test_a_transaction_adds_up_what_its_entries_and_what_takes_it_back_tell_in_any_order() -> None:
    stream, payer, payee = Stream(), wallet_in(3), wallet_in(4)
    opened = [stream.opened(payer), stream.deposited(payer, 100), stream.opened(payee)]
    sent, received = stream.transfer(payer, payee, 30)
    assert sent.transaction_id is not None
    back = stream.returned(
        TRANSACTION_REVERSED, payer, 30, of=sent.transaction_id, entry=(new_id(), 0), refund=(30, 30)
    )

    for order in ([sent, back, received], [received, sent, back]):
        model = Model()
        model.apply(opened)
        for event in order:
            model.apply([event])
        row = model.transactions[sent.transaction_id]
        assert (row.type, row.entries_seen, row.entry_count, row.amounts) == ("transfer", 2, 2, {"USD": 30})
        assert (row.reversed_by, row.refunds) == (back.transaction_id, (back.transaction_id,))
        assert (row.refunded_minor, row.refundable_minor) == (30, 30)
