"""A moment of a wrong clock freezes nobody: the shipped rules on the events that the ledger makes of it."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from contracts.decisions import DecisionOutcome
from contracts.envelope import Envelope
from contracts.ids import new_id
from fraud.bootstrap import read_rules
from fraud.config import packaged_rules
from fraud.domain.judge import step
from fraud.domain.wallet_events import Debited, Kind, Opened, WalletEvent, to_us

BEGAN = datetime(2026, 1, 1, 12, tzinfo=UTC)
EVERY = timedelta(seconds=40)
DEBITS_ASKED = 400
AHEAD_MAX = timedelta(seconds=10)
"""As the ledger has it: a wallet farther ahead of the clock has its money stand still."""


def stamped(wrong: dict[int, timedelta]) -> Iterator[datetime]:
    """Give when each debit occurred that the ledger takes of those asked for; the clock is *wrong* at some of them."""
    last = BEGAN
    for number in range(DEBITS_ASKED):
        clock = BEGAN + number * EVERY + wrong.get(number, timedelta())
        if last - clock > AHEAD_MAX:
            continue
        last = max(last, clock)
        yield last


@pytest.mark.parametrize("hours", [0, 1, -1])
def test_a_debit_in_40_seconds_is_never_blocked(hours: int) -> None:
    rules = read_rules(packaged_rules(), time_compression=1)
    wallet_id, tenant_id = new_id(), new_id()
    wrong = {100: timedelta(hours=hours)}

    profile, _ = step(None, event_of(wallet_id, tenant_id, 1, BEGAN, Opened("ann", "USD")), rules)
    outcomes = []
    for version, at in enumerate(stamped(wrong), 2):
        event = event_of(wallet_id, tenant_id, version, at, Debited(Kind.SENT, 100))
        profile, decision = step(profile, event, rules)
        outcomes += [] if decision is None else [decision.outcome]

    assert profile.version > DEBITS_ASKED // 2
    assert DecisionOutcome.BLOCK not in outcomes


def event_of(wallet_id: UUID, tenant_id: UUID, version: int, at: datetime, payload: Opened | Debited) -> WalletEvent:
    event = Envelope(
        shard=1,
        sequence=version,
        event_id=new_id(),
        type="wallet.funds_sent.v1",
        source="/wallet",
        subject=wallet_id,
        tenant_id=tenant_id,
        time=at,
        data=b"{}",
    )
    return WalletEvent(wallet_id, tenant_id, version, to_us(at), payload, event)
