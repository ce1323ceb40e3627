"""Which server answers a read."""

from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.positions import covers
from transaction_history.domain.targets import Choice, Probe, Why, choose, is_near

LAG_MS_MAX = 1_000


def told(reach: Mapping[int, int] | None = None, *, lag_ms: int | None = 0, is_in_recovery: bool = True) -> Probe:
    return Probe(reach or {}, is_in_recovery, lag_ms)


def chosen(probes: Sequence[Probe | None], wanted: Mapping[int, int] | None = None, turn: int = 0) -> Choice:
    return choose(probes, wanted or {}, lag_ms_max=LAG_MS_MAX, turn=turn)


def test_without_replicas_the_primary_answers() -> None:
    assert chosen([]) == chosen([], {1: 5}) == Choice(None, Why.ONLY)


@pytest.mark.parametrize(
    "probe",
    [None, told(lag_ms=LAG_MS_MAX), told(lag_ms=None), told({1: 9}, is_in_recovery=False)],
    ids=["gone", "behind", "does not know", "promoted"],
)
def test_a_replica_that_is_not_near_is_not_asked(probe: Probe | None) -> None:
    assert chosen([probe]) == chosen([probe], {1: 5}) == Choice(None, Why.NONE_NEAR)
    assert chosen([probe, told()]) == Choice(1, Why.NEAR)


def test_replicas_that_are_near_take_turns() -> None:
    probes = [told(), None, told(lag_ms=LAG_MS_MAX - 1)]
    assert [chosen(probes, turn=turn).replica for turn in range(4)] == [0, 2, 0, 2]


def test_the_replica_that_has_the_position_is_asked() -> None:
    probes = [told({1: 4, 2: 9}), told({1: 5, 2: 1})]
    for turn in range(2):
        assert chosen(probes, {1: 5}, turn) == Choice(1, Why.COVERS)
        assert chosen(probes, {2: 2}, turn) == Choice(0, Why.COVERS)


def test_the_nearest_is_waited_for_where_none_has_the_position() -> None:
    probes = [told({1: 4}), told({1: 90}), told({1: 7, 3: 100})]
    assert chosen(probes, {1: 100}) == Choice(1, Why.WAITED, waits=True)
    assert chosen(probes, {1: 8, 3: 100}) == Choice(2, Why.WAITED, waits=True)


reaches = st.dictionaries(st.integers(0, 3), st.integers(0, 5), max_size=4)
probed = st.none() | st.builds(
    Probe, reach=reaches, is_in_recovery=st.booleans(), lag_ms=st.none() | st.integers(0, 2 * LAG_MS_MAX)
)


@given(st.lists(probed, max_size=4), reaches, st.integers(0, 10))
def test_whoever_is_asked_is_near_and_what_is_said_of_it_is_true(
    probes: Sequence[Probe | None], wanted: Mapping[int, int], turn: int
) -> None:
    near = [probe for probe in probes if probe is not None and is_near(probe, LAG_MS_MAX)]
    choice = chosen(probes, wanted, turn)
    assert (choice.replica is None) == (not near)
    if choice.replica is not None:
        probe = probes[choice.replica]
        assert probe in near
        assert probe is not None
        assert choice.waits != covers(probe.reach, wanted)
        assert choice.waits == (not any(covers(each.reach, wanted) for each in near))
