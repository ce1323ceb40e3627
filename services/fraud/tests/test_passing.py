"""Wallets that are only moved on end as the whole fold ends them."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from contracts.envelope import Envelope
from contracts.ids import new_id
from fraud.domain.observed import Debited, Kind, Observed, Opened, Other, to_us
from fraud.domain.passing import passages
from fraud.domain.profile import fold

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
WALLET, OTHER_WALLET, TENANT = new_id(), new_id(), new_id()


def observed(version: int, what: Opened | Debited | Other, *, seconds: int = 0, wallet_id: UUID = WALLET) -> Observed:
    time = NOON + timedelta(seconds=seconds)
    event = Envelope(
        shard=1,
        sequence=version,
        event_id=new_id(),
        type="wallet.funds_received.v1",
        source="/wallet",
        subject=wallet_id,
        tenant_id=TENANT,
        time=time,
        data=b"{}",
    )
    return Observed(wallet_id, TENANT, version, to_us(time), what, event)


@given(st.lists(st.integers(-60, 60), min_size=1, max_size=20))
def test_a_passage_ends_where_the_fold_ends(seconds: list[int]) -> None:
    opened = fold(None, observed(1, Opened("ann", "USD")))
    events = [observed(number, Other(), seconds=each) for number, each in enumerate(seconds, 2)]

    (passage,) = passages(events)

    folded = opened
    for event in events:
        folded = fold(folded, event)
    assert passage.before_version == opened.version
    assert (passage.version, max(opened.last_at_us, passage.at_us)) == (folded.version, folded.last_at_us)


def test_a_wallet_that_a_rule_looks_at_is_not_passed_over() -> None:
    events = [observed(2, Other()), observed(3, Debited(Kind.SENT, 1)), observed(9, Other(), wallet_id=OTHER_WALLET)]

    assert [passage.wallet_id for passage in passages(events)] == [OTHER_WALLET]


def test_versions_that_do_not_follow_are_left_to_the_fold() -> None:
    assert passages([observed(2, Other()), observed(4, Other())]) == []
