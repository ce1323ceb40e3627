"""What commands make of an endpoint, by its state alone."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from notifications.domain.endpoints import (
    Endpoint,
    Refused,
    TooOften,
    Wanted,
    decide_attempts,
    decide_change,
    decide_create,
    decide_pause,
    decide_resend,
    decide_resume,
)
from notifications.domain.outcomes import DisabledReason, EndpointStatus, RefusalCode
from notifications.domain.pacing import BURST, INTERVAL

BEFORE = datetime(2026, 1, 1, tzinfo=UTC)
NOW = BEFORE + timedelta(days=1)
WALLET = UUID(int=3)


def endpoint(status: EndpointStatus = EndpointStatus.ACTIVE, *, failing_since: datetime | None = None) -> Endpoint:
    return Endpoint(
        id=UUID(int=1),
        tenant_id=UUID(int=2),
        url="https://example.com/",
        description="d",
        event_types=("wallet.opened.v1",),
        wallet_ids=(WALLET,),
        status=status,
        disabled_reason=DisabledReason.GONE if status is EndpointStatus.DISABLED else None,
        failing_since=failing_since,
        created_at=BEFORE,
        updated_at=BEFORE,
    )


@pytest.mark.parametrize(("count", "is_refused"), [(0, False), (4, False), (5, True), (6, True)])
def test_a_tenant_has_only_so_many_endpoints(count: int, is_refused: bool) -> None:  # noqa: FBT001  a case
    wanted = Wanted(url="https://example.com/", description="")

    decided = decide_create(wanted, endpoint_id=UUID(int=1), tenant_id=UUID(int=2), count=count, count_max=5, now=NOW)

    if is_refused:
        detail = "A tenant has at most 5 endpoints."
        assert decided == Refused(RefusalCode.ENDPOINT_LIMIT_REACHED, detail, {"limit": 5})
    else:
        assert isinstance(decided, Endpoint)
        assert (decided.status, decided.description, decided.created_at) == (EndpointStatus.ACTIVE, None, NOW)


def test_a_change_replaces_what_is_named_and_leaves_the_rest() -> None:
    before = endpoint()

    assert decide_change(before, Wanted(), now=NOW) == replace(before, updated_at=NOW)
    assert decide_change(before, Wanted(description="", wallet_ids=()), now=NOW) == replace(
        before, description=None, wallet_ids=(), updated_at=NOW
    )


def test_only_a_disabled_endpoint_cannot_be_paused() -> None:
    for status in (EndpointStatus.ACTIVE, EndpointStatus.PAUSED):
        paused = decide_pause(endpoint(status), now=NOW)
        assert isinstance(paused, Endpoint)
        assert (paused.status, paused.updated_at) == (EndpointStatus.PAUSED, NOW)

    refused = decide_pause(endpoint(EndpointStatus.DISABLED), now=NOW)
    assert refused == Refused(RefusalCode.ENDPOINT_NOT_ACTIVE, "The endpoint is disabled.")


@pytest.mark.parametrize(
    ("status", "failing_since", "then"),
    [
        (EndpointStatus.ACTIVE, BEFORE, BEFORE),
        (EndpointStatus.ACTIVE, None, None),
        (EndpointStatus.PAUSED, BEFORE, NOW),
        (EndpointStatus.PAUSED, None, None),
        (EndpointStatus.DISABLED, BEFORE, None),
    ],
)
def test_a_resumed_endpoint_is_active_and_paid_for(
    status: EndpointStatus, failing_since: datetime | None, then: datetime | None
) -> None:
    resumed = decide_resume(endpoint(status, failing_since=failing_since), now=NOW)

    assert isinstance(resumed, Endpoint)
    assert (resumed.status, resumed.disabled_reason, resumed.failing_since) == (EndpointStatus.ACTIVE, None, then)
    assert resumed.paid_until == NOW + INTERVAL
    assert resumed.updated_at == (BEFORE if status is EndpointStatus.ACTIVE else NOW)


@pytest.mark.parametrize("status", EndpointStatus)
def test_commands_that_come_too_often_wait(status: EndpointStatus) -> None:
    spent = replace(endpoint(status), paid_until=NOW + INTERVAL * BURST)

    assert decide_resume(spent, now=NOW) == TooOften(INTERVAL)


@pytest.mark.parametrize("status", [EndpointStatus.PAUSED, EndpointStatus.DISABLED])
def test_only_an_active_endpoint_is_sent_to(status: EndpointStatus) -> None:
    refused = Refused(RefusalCode.ENDPOINT_NOT_ACTIVE, f"The endpoint is {status}.")
    spent = replace(endpoint(status), paid_until=NOW + INTERVAL * BURST)

    assert decide_attempts(spent, now=NOW) == refused, "a refusal costs nothing"
    assert decide_resend(endpoint(status)) == refused


def test_an_active_endpoint_pays_for_what_is_sent_to_it() -> None:
    spent = replace(endpoint(), paid_until=NOW + INTERVAL * BURST)

    assert decide_attempts(endpoint(), now=NOW) == replace(endpoint(), paid_until=NOW + INTERVAL)
    assert decide_attempts(spent, now=NOW) == TooOften(INTERVAL)
    assert decide_resend(endpoint()) is None


def test_a_delivery_to_a_deleted_endpoint_is_not_sent_again() -> None:
    assert decide_resend(None) == Refused(RefusalCode.ENDPOINT_NOT_ACTIVE, "The delivery's endpoint is deleted.")
