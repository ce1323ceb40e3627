"""What the mixed commands are made of, and how their batches are counted."""

from collections import Counter

from prometheus_client import CollectorRegistry
from tests.load import batches
from tests.load.batches import Batches
from tests.load.mixed import Mix, repeat_of

from contracts.ids import new_id
from wallet.application.metrics import BatchPath, BatchWhy, CommitterMetrics
from wallet.application.units import Done, Stored, Unit
from wallet.domain.money import TransferFunds
from wallet.domain.rows import Rows

DRAWN = 4_000


def acknowledge(unit: Unit) -> None:
    """Answer *unit* as the committer does."""
    unit.outcome.set_result(Stored(Done(), (201, b""), None, (), is_replayed=False))


async def test_the_mix_has_its_shares_and_names_each_unseen_wallet_once() -> None:
    known, unseen = [new_id() for _ in range(10)], [new_id() for _ in range(DRAWN)]
    mix = Mix(known, unseen)
    drawn = []

    for _ in range(DRAWN):
        drawn.append(mix())
        if not drawn[-1].outcome.done():
            acknowledge(drawn[-1])

    keys = Counter(unit.key for unit in drawn)
    firsts = {unit.key: unit for unit in drawn}.values()
    named = Counter(each for unit in firsts for each in unit.commands[0].names(Rows()) if each not in known)
    opens = sum(unit.path == "/v1/wallets" for unit in firsts)
    assert 0.035 * DRAWN < DRAWN - len(keys) < 0.065 * DRAWN
    assert 0.08 * DRAWN < len(named) < 0.12 * DRAWN
    assert set(named.values()) == {1}
    assert 0.03 * DRAWN < opens < 0.065 * DRAWN


async def test_what_is_not_acknowledged_is_not_repeated() -> None:
    mix = Mix([new_id(), new_id()], [new_id() for _ in range(DRAWN)])

    drawn = [mix() for _ in range(DRAWN // 4)]

    assert len({unit.key for unit in drawn}) == len(drawn)


async def test_a_repeat_is_the_same_request_with_an_outcome_of_its_own() -> None:
    unit = Mix([new_id(), new_id()], []).transfer()

    again = repeat_of(unit)

    assert isinstance(again.commands[0], TransferFunds)
    assert (again.key, again.fingerprint, again.path) == (unit.key, unit.fingerprint, unit.path)
    assert again.outcome is not unit.outcome


def test_batches_are_counted_by_the_committers_metric() -> None:
    registry = CollectorRegistry()
    metrics = CommitterMetrics(registry)
    for _ in range(19):
        metrics.batch(BatchPath.AHEAD, BatchWhy.KNOWN)
    metrics.batch(BatchPath.LOCKED, BatchWhy.STAMP)
    metrics.batch(BatchPath.NONE, BatchWhy.REPEATS)

    assert batches.committed(registry) == Batches(ahead=19, locked=1)
    assert batches.committed(registry).share_ahead == 0.95
