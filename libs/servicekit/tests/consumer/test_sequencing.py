"""What is new, what was seen, what is missing: decided without a database or a broker."""

from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from contracts.ids import new_id
from servicekit.consumer.gaps import Gaps
from servicekit.consumer.records import Received
from servicekit.consumer.sequencing import Checkpoint, Stop, sequence

IDS = [new_id() for _ in range(40)]


def record(seq: int, *, shard: int = 1, event_id: UUID | None = None, offset: int | None = None) -> Received:
    event_id = event_id or IDS[seq]
    return Received(shard, seq, event_id, IDS[0], 0, seq if offset is None else offset, 2, None, None)


def at(seq: int, *, shard: int = 1, stopped: Stop | None = None) -> dict[int, Checkpoint]:
    return {shard: Checkpoint(shard, seq, IDS[seq] if seq else None, 0, seq + 1, stopped)}


def test_the_next_sequence_is_fresh_and_moves_the_checkpoint() -> None:
    checkpoints = at(4)

    sequenced = sequence(checkpoints, [record(5), record(6)])

    assert [fresh.sequence for fresh in sequenced.fresh] == [5, 6]
    assert checkpoints[1] == Checkpoint(1, 6, IDS[6], 0, 7, None)


def test_what_was_applied_is_skipped() -> None:
    sequenced = sequence(at(4), [record(3), record(4)])

    assert (sequenced.fresh, sequenced.skipped, sequenced.gaps) == ([], 2, {})


def test_a_gap_is_told_and_nothing_behind_it_is_applied() -> None:
    checkpoints = at(4)

    sequenced = sequence(checkpoints, [record(6), record(7)])

    assert (sequenced.fresh, sequenced.gaps, checkpoints[1].last_seq) == ([], {1: 6}, 4)


def test_a_gap_that_is_filled_lets_the_shard_go_on() -> None:
    checkpoints = at(4, stopped=Stop.GAP)

    sequenced = sequence(checkpoints, [record(7), record(5), record(6), record(7)])

    assert [fresh.sequence for fresh in sequenced.fresh] == [5, 6, 7]
    assert (sequenced.gaps, checkpoints[1].stopped) == ({}, None)


def test_the_last_sequence_with_another_id_stops_the_shard_for_good() -> None:
    checkpoints = at(4)

    sequenced = sequence(checkpoints, [record(4, event_id=new_id()), record(5)])

    assert (sequenced.fresh, sequenced.diverged, checkpoints[1].stopped) == ([], {1}, Stop.DIVERGED)


@given(st.lists(st.integers(1, 30), max_size=200), st.data())
def test_whatever_comes_is_applied_once_and_in_order(arrivals: list[int], data: st.DataObject) -> None:
    checkpoints = at(0)
    applied: list[int] = []
    while arrivals:
        size = data.draw(st.integers(1, len(arrivals)))
        sequenced = sequence(checkpoints, [record(seq) for seq in arrivals[:size]])
        applied += [fresh.sequence for fresh in sequenced.fresh]
        arrivals = arrivals[size:]

    assert applied == list(range(1, len(applied) + 1))
    assert checkpoints[1].last_seq == len(applied)


ORDERS = st.permutations([(shard, seq) for shard in (1, 2) for seq in range(1, 8)])


@given(ORDERS, st.lists(st.tuples(st.integers(1, 2), st.integers(1, 7)), max_size=8), st.integers(1, 6), st.data())
def test_one_reading_of_a_partition_applies_all_whatever_the_order_it_stands_in(
    places: list[tuple[int, int]], repeats: list[tuple[int, int]], size: int, data: st.DataObject
) -> None:
    log = [record(seq, shard=shard, offset=offset) for offset, (shard, seq) in enumerate([*places, *repeats])]
    begin = data.draw(st.integers(0, len(log) // 2))  # what is before it was deleted, and stands at the end again
    log += [record(each.sequence, shard=each.shard, offset=len(log) + each.offset) for each in log[:begin]]
    checkpoints = {**at(0, shard=1), **at(0, shard=2)}
    gaps, position, polls = Gaps(), begin, 0

    while position < len(log):
        polls += 1
        polled = log[position : position + size]
        decision = gaps.decide(checkpoints, sequence(checkpoints, polled))
        gaps.remember(decision)
        position = min([position + len(polled), *(max(begin, look.offset) for look in decision.again)])

    assert {shard: checkpoint.last_seq for shard, checkpoint in checkpoints.items()} == {1: 7, 2: 7}
    assert {checkpoint.stopped for checkpoint in checkpoints.values()} == {None}
    assert polls < len(log) * len(log)
