"""Which server answers a read: a replica that is near enough, or the primary. Decided from what probes told."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from contracts.positions import covers


class Why(StrEnum):
    """Why a read was put to the server that it was put to."""

    ONLY = "only"
    """The primary: there are no replicas."""
    NEAR = "near"
    """A replica: it lags less than the bound."""
    COVERS = "covers"
    """A replica: it has the position that was asked for."""
    WAITED = "waited"
    """A replica: it came to the position while the read waited for it."""
    NONE_NEAR = "none_near"
    """The primary: no replica answers, is in recovery and lags less than the bound."""
    NONE_COVERS = "none_covers"
    """The primary: no replica came to the position in time."""
    REPLICA_FAILED = "replica_failed"
    """The primary: the replica that was asked first was gone, slow or cancelled the read."""


@dataclass(frozen=True, slots=True)
class Probe:
    """What a replica that answers told: its projection's last sequence by shard, and how far its replay is behind.

    *lag_ms* is None where it does not know that.
    """

    reach: Mapping[int, int]
    is_in_recovery: bool
    lag_ms: int | None


@dataclass(frozen=True, slots=True)
class Choice:
    """The number of the replica to ask, None for the primary; whether a position is to be waited for there first."""

    replica: int | None
    why: Why
    waits: bool = False


def choose(probes: Sequence[Probe | None], wanted: Mapping[int, int], *, lag_ms_max: int, turn: int) -> Choice:
    """Return whom a read asks that wants *wanted* (shard to sequence, empty for any position).

    *probes* are the replicas' newest, None for one that did not answer. Equally good ones take turns by *turn*.
    """
    if not probes:
        return Choice(None, Why.ONLY)
    near = [(number, probe) for number, probe in enumerate(probes) if probe is not None and is_near(probe, lag_ms_max)]
    if not near:
        return Choice(None, Why.NONE_NEAR)
    first = turn % len(near)
    near = near[first:] + near[:first]
    if not wanted:
        return Choice(near[0][0], Why.NEAR)
    number, nearest = min(near, key=lambda each: _missing(each[1].reach, wanted))
    return Choice(number, Why.COVERS) if covers(nearest.reach, wanted) else Choice(number, Why.WAITED, waits=True)


def is_near(probe: Probe, lag_ms_max: int) -> bool:
    """Return whether who told *probe* is a replica still, and lags less than *lag_ms_max*."""
    return probe.is_in_recovery and probe.lag_ms is not None and probe.lag_ms < lag_ms_max


def _missing(reach: Mapping[int, int], wanted: Mapping[int, int]) -> int:
    return sum(max(0, seq - reach.get(shard, 0)) for shard, seq in wanted.items())
