"""Wallets whose version alone advances end as the whole fold ends them."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from contracts.envelope import Envelope
from contracts.ids import new_id
from fraud.domain.advancing import version_advances
from fraud.domain.profile import fold
from fraud.domain.wallet_events import Debited, Kind, Opened, Other, WalletEvent, to_us

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
WALLET, OTHER_WALLET, TENANT = new_id(), new_id(), new_id()


def event_of(
    version: int, payload: Opened | Debited | Other, *, seconds: int = 0, wallet_id: UUID = WALLET
) -> WalletEvent:
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
    return WalletEvent(wallet_id, TENANT, version, to_us(time), payload, event)


@given(st.lists(st.integers(-60, 60), min_size=1, max_size=20))
def test_an_advance_ends_where_the_fold_ends(seconds: list[int]) -> None:
    opened = fold(None, event_of(1, Opened("ann", "USD")))
    events = [event_of(number, Other(), seconds=each) for number, each in enumerate(seconds, 2)]

    (advance,) = version_advances(events)

    folded = opened
    for event in events:
        folded = fold(folded, event)
    assert advance.before_version == opened.version
    assert (advance.version, max(opened.last_at_us, advance.at_us)) == (folded.version, folded.last_at_us)


def test_a_wallet_that_a_rule_looks_at_is_not_merely_advanced() -> None:
    events = [event_of(2, Other()), event_of(3, Debited(Kind.SENT, 1)), event_of(9, Other(), wallet_id=OTHER_WALLET)]

    assert [advance.wallet_id for advance in version_advances(events)] == [OTHER_WALLET]


def test_versions_that_do_not_follow_are_left_to_the_fold() -> None:
    assert version_advances([event_of(2, Other()), event_of(4, Other())]) == []
