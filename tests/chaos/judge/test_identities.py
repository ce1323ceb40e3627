"""What is judged of keys: a breach of each kind is found."""

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from tests.chaos.judge.identities import keys_apart, not_dense

from contracts.access import API_KEY_CHANGED, ApiKeyChanged
from contracts.envelope import rfc3339

ENDS_AT = datetime(2026, 3, 1, tzinfo=UTC)


def row(key_id: str, **changed: Any) -> dict[str, Any]:
    key = {"id": key_id, "service_account_id": "a", "ends_at": ENDS_AT, "is_revoked": False, "digest": b"1"}
    return {**key, "is_live": True, **changed}


def event(key_id: str, *, is_revoked: bool = False) -> dict[str, Any]:
    state = ApiKeyChanged(
        key_id=key_id,
        service_account_id="a",
        subject="svc:a",
        kind="service",
        scopes=[],
        acts_for=None,
        ranges=[],
        digest=b"1".hex(),
        created_at=rfc3339(ENDS_AT),
        ends_at=rfc3339(ENDS_AT),
        is_revoked=is_revoked,
    )
    return {"subject": key_id, "type": API_KEY_CHANGED.number, "payload": msgspec.json.encode(state)}


def test_keys_that_are_as_told_are_sound() -> None:
    assert keys_apart([row("k")], [event("k", is_revoked=True), event("k")]) == []


@pytest.mark.parametrize(
    ("keys", "events", "why"),
    [
        (["k"], [], "a row and no event"),
        ([], ["k"], "an event and no row"),
        (["k", "l", "m"], ["k", "l", "m"], "3 live keys"),
    ],
)
def test_what_only_one_side_has_and_too_many_keys_are_found(keys: list[str], events: list[str], why: str) -> None:
    (found,) = keys_apart([row(key) for key in keys], [event(key) for key in events])
    assert why in found


def test_a_row_that_forgot_its_revocation_is_found() -> None:
    (found,) = keys_apart([row("k")], [event("k"), event("k", is_revoked=True)])
    assert "another row than its last event" in found


def test_places_are_dense_or_told() -> None:
    assert not_dense({(1, 1), (1, 2), (7, 1)}) == []
    assert len(not_dense({(1, 1), (1, 3), (7, 2)})) == 2
