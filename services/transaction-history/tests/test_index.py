"""What events become in the index, without a database."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.envelope import Envelope
from contracts.events import Private, parse_data
from testkit.events import EPOCH, TENANT, Stream, wallet_in
from transaction_history.domain.index import DatedAhead, Incomplete, fold
from transaction_history.domain.index_rows import IndexRows, Opposite
from transaction_history.domain.private_text import NO_TEXT
from transaction_history.domain.terms import TERMS_MAX, Field, Hasher

NOW = EPOCH + timedelta(days=1)
HASHER = Hasher(b"a key of this test")
HOUR = datetime(2026, 1, 1, tzinfo=UTC)


def folded(events: Sequence[Envelope], held: dict[UUID, int] | None = None, now: datetime = NOW) -> IndexRows:
    parsed = [(event, parse_data(event.type, event.data)) for event in events]
    return fold(
        [(event, data, getattr(data, "private", None) or NO_TEXT) for event, data in parsed],
        held or {},
        HASHER,
        now=now,
    )


def life() -> tuple[UUID, UUID, list[Envelope]]:
    """Return two wallets and what happens to them."""
    stream, ours, theirs = Stream(), wallet_in(3), wallet_in(4)
    events = [stream.opened(ours, owner="ann"), stream.opened(theirs, owner="bob")]
    events += stream.deposit(ours, 1_000, owner="ann")
    events += stream.transfer(ours, theirs, 30, owners=("ann", "bob"))
    events += stream.held(ours, theirs)
    events += [stream.restricted(ours), *stream.terms(ours)]
    events += stream.transfer(theirs, ours, 5, owners=("bob", "ann"))
    return ours, theirs, events


def test_every_entry_is_found_again_and_so_is_what_changed_held_alone() -> None:
    ours, _, events = life()
    rows = folded(events).search

    assert [(row.version, row.amount_minor) for row in rows if row.wallet_id == ours] == [
        (2, 1_000),
        (3, -30),
        (4, 0),
        (5, 0),
        (6, -1),
        (7, 0),
        (12, 5),
    ]
    first, hasher = rows[0], HASHER.of(TENANT)
    assert (first.owner_id, first.currency, first.shard, first.seq) == ("ann", "USD", 3, 2)
    for field, value in [
        (Field.WALLET, str(ours)),
        (Field.OWNER, "ann"),
        (Field.TYPE, "wallet.funds_deposited.v1"),
        (Field.TRANSACTION_TYPE, "deposit"),
        (Field.COUNTERPARTY_ACCOUNT, "external:USD"),
        (Field.ID, str(first.event_id)),
        (Field.REFERENCE, "order-1"),
        (Field.METADATA, "shop\0north"),
        (Field.WORD, "thing"),
        (Field.PREFIX, "thi"),
    ]:
        assert hasher.term(field, value) in first.terms, (field, value)


def test_an_entry_has_no_more_terms_than_forty_and_the_first_words_stay() -> None:
    stream, ours, theirs = Stream(), wallet_in(3), wallet_in(4)
    text = Private(
        key_id=None,
        reference="begun",
        description=" ".join(f"word{number}" for number in range(100)),
        metadata=None,
        label=None,
        destination=None,
        reason=None,
    )
    sent, _ = stream.transfer(ours, theirs, private=text)

    (row,) = folded([sent]).search

    assert len(row.terms) == TERMS_MAX
    assert HASHER.of(TENANT).term(Field.WORD, "begun") in row.terms
    assert HASHER.of(TENANT).term(Field.WORD, "word99") not in row.terms


def test_entries_are_counted_by_hour_other_side_day_and_minute() -> None:
    ours, theirs, events = life()
    rows = folded(events)

    hour = rows.hours[ours, HOUR]
    assert (hour.entries, hour.credits_minor, hour.debits_minor, hour.owner_id) == (4, 1_005, 31, "ann")
    other = rows.counterparties[ours, Opposite(theirs, None)]
    assert (other.entries, other.credits_minor, other.debits_minor) == (3, 5, 31)
    assert other.counterparty_owner_id in {"bob", "owner"}
    assert other.first_at < other.last_at
    assert rows.counterparties[ours, Opposite(None, "external:USD")].credits_minor == 1_000
    transfers = [each for key, each in rows.days.items() if key[3] == "transfer"]
    assert sum(each.transactions for each in transfers) == 2
    assert sum(each.entries for each in transfers) == 4
    assert sum(each.transactions for each in rows.days.values()) == 4
    assert {key[1] for key in rows.minutes} == {HOUR}


def test_open_wallets_and_what_is_posted_and_held_are_counted_by_shard() -> None:
    ours, _, events = life()
    until_held = next(index for index, event in enumerate(events) if event.type == "wallet.hold_released.v1")
    before, after = folded(events[:until_held]), folded(events)

    assert before.shards[TENANT, "USD", 3].held_minor == 10
    assert before.held == {ours: 10}
    total = after.shards[TENANT, "USD", 3]
    assert (total.wallets, total.posted_minor, total.held_minor) == (1, 974, 0)
    assert after.held == {ours: 0}


def test_a_transaction_that_begins_with_a_system_account_is_counted_once() -> None:
    stream, ours = Stream(), wallet_in(3)
    entry, system = stream.deposit(ours)
    swapped = [msgspec.structs.replace(entry, entry_index=1), msgspec.structs.replace(system, entry_index=0)]

    (day,) = folded(swapped).days.values()

    assert (day.transactions, day.entries) == (1, 1)


def test_minutes_that_are_not_kept_are_left_out() -> None:
    _, _, events = life()

    assert not folded(events, now=EPOCH + timedelta(days=9)).minutes
    assert folded(events, now=EPOCH + timedelta(days=9)).days


def test_what_is_dated_too_far_ahead_is_refused() -> None:
    _, _, events = life()

    folded(events, now=EPOCH - timedelta(days=39))
    with pytest.raises(DatedAhead):
        folded(events, now=EPOCH - timedelta(days=41))


def test_an_entry_without_a_version_is_refused() -> None:
    stream, ours = Stream(), wallet_in(3)
    entry = msgspec.structs.replace(stream.deposited(ours), wallet_version=None)

    with pytest.raises(Incomplete):
        folded([entry])


def added(runs: Sequence[IndexRows]) -> dict[str, Any]:
    """Return what *runs* come to in the tables, one after another."""
    tables: dict[str, Any] = {"search": [row for run in runs for row in run.search], "held": {}}
    for run in runs:
        tables["held"] |= run.held
        for name in ("hours", "counterparties", "days", "minutes", "shards"):
            table = tables.setdefault(name, {})
            for key, row in getattr(run, name).items():
                table[key] = row if key not in table else _sum(table[key], row)
    return tables


def _sum(one: Any, other: Any) -> Any:
    fields = {}
    for name in one.__struct_fields__:
        mine, theirs = getattr(one, name), getattr(other, name)
        if name == "first_at":
            fields[name] = min(mine, theirs)
        elif name == "last_at":
            fields[name] = max(mine, theirs)
        else:
            fields[name] = mine + theirs if isinstance(mine, int) and name != "shard" else mine
    return type(one)(**fields)


@given(st.sets(st.integers(min_value=1, max_value=20)))
def test_runs_come_to_the_same_however_they_are_cut(cuts: set[int]) -> None:
    _, _, events = life()
    places = [0, *sorted(cut for cut in cuts if cut < len(events)), len(events)]
    held: dict[UUID, int] = {}
    runs = []
    for begin, end in pairwise(places):
        run = folded(events[begin:end], held)
        held |= run.held
        runs.append(run)

    assert added(runs) == added([folded(events)])
