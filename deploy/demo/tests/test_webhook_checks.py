"""The checks of webhooks and decisions find what is missing, doubled or made up."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import pytest

from demo.findings import Findings
from demo.reconcile import webhooks
from demo.reconcile.webhooks import WebhookCheck
from demo.subscriber import Received

FIRST, SECOND, STRANGE = (UUID(int=number) for number in (1, 2, 3))


class Subscriber:
    """What a subscriber tells afterwards."""

    endpoint_id = UUID(int=9)
    wallet_ids: frozenset[UUID] = frozenset()

    def __init__(self, events: list[UUID], refused: int = 0) -> None:
        self._events = events
        self._refused = refused

    def received(self) -> Iterator[Received]:
        for event_id in self._events:
            yield Received(event_id, f"msg_{event_id}", "2026-01-01T00:00:00Z", 1_767_225_600.5)

    def refused(self) -> int:
        return self._refused


class Database:
    """Answers the queries of the check: the journal has FIRST and SECOND."""

    def __init__(self, deliveries: list[tuple[UUID, str, int]]) -> None:
        self.deliveries = deliveries

    async def fetchval(self, query: str, *_: object) -> Any:
        return [0] * 64 if "from_seqs" in query else sum(attempts for _, _, attempts in self.deliveries)


async def breaches(
    monkeypatch: pytest.MonkeyPatch, deliveries: list[tuple[UUID, str, int]], received: list[UUID], refused: int = 0
) -> list[str]:
    database = Database(deliveries)

    @asynccontextmanager
    async def snapshot(_dsn: str) -> AsyncIterator[Database]:
        yield database

    async def stream(_connection: object, query: str, make: Any, *_: object) -> AsyncIterator[Any]:
        for row in [(FIRST,), (SECOND,)] if "journal" in query else database.deliveries:
            yield make(row)

    monkeypatch.setattr(webhooks, "snapshot", snapshot)
    monkeypatch.setattr(webhooks, "stream", stream)
    findings = Findings()
    platform: Any = type("Platform", (), {"wallet_dsn": "", "notifications_dsn": ""})
    subscriber: Any = Subscriber(received, refused)
    await WebhookCheck(platform, subscriber, findings).run()
    return findings.invariants["I13"].examples


DELIVERED = [(FIRST, "delivered", 1), (SECOND, "delivered", 1)]


async def test_one_of_each_is_right(monkeypatch: pytest.MonkeyPatch) -> None:
    assert await breaches(monkeypatch, DELIVERED, [FIRST, SECOND]) == []


@pytest.mark.parametrize(
    ("deliveries", "received"),
    [
        (DELIVERED[:1], [FIRST, SECOND]),
        (DELIVERED, [FIRST]),
        (DELIVERED, [FIRST, FIRST, SECOND]),
        (DELIVERED, [FIRST, SECOND, STRANGE]),
        ([*DELIVERED, (STRANGE, "delivered", 1)], [FIRST, SECOND]),
        ([DELIVERED[0], (SECOND, "pending", 0)], [FIRST, SECOND]),
        ([DELIVERED[0], (SECOND, "delivered", 2)], [FIRST, SECOND]),
    ],
    ids=["no delivery", "not received", "twice", "a strange one", "delivered for nothing", "pending", "two attempts"],
)
async def test_anything_else_is_a_breach(
    monkeypatch: pytest.MonkeyPatch, deliveries: list[tuple[UUID, str, int]], received: list[UUID]
) -> None:
    assert await breaches(monkeypatch, deliveries, received)


async def test_a_wrong_signature_is_a_breach(monkeypatch: pytest.MonkeyPatch) -> None:
    assert await breaches(monkeypatch, DELIVERED, [FIRST, SECOND], refused=1)
