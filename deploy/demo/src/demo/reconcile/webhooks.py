"""The webhooks against the journal: a delivery for every event of the subscribed wallets, received once (I13)."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final
from uuid import UUID

import asyncpg

from contracts.registry import TYPES_BY_NUMBER
from demo.figures import Durations
from demo.findings import Findings
from demo.reconcile.postgres import snapshot, stream
from demo.reconcile.streams import each, grouped, merged
from demo.stack import Platform
from demo.subscriber import Received, Subscriber

_FROM: Final = "select from_seqs from notifications.endpoint where id = $1"
_WANTED: Final = """
    select event_id from wallet.journal
     where system_account is null and type <> all ($3::smallint[]) and seq > ($1::bigint[])[shard + 1]
       and ($2::uuid[] is null or account_id = any ($2))
     order by event_id"""
_DELIVERIES: Final = """
    select message_id, status, attempts from notifications.delivery where endpoint_id = $1 order by message_id"""
_ATTEMPTS: Final = """
    select count(*) from notifications.attempt join notifications.delivery on delivery.id = delivery_id
     where endpoint_id = $1"""


_NOT_OFFERED: Final = [number for number, each in TYPES_BY_NUMBER.items() if each.name.startswith("ledger.")]
"""What is told of no wallet."""


@dataclass(slots=True)
class WebhookFigures:
    """What was delivered, and how long after each event it arrived."""

    deliveries: int = 0
    attempts: int = 0
    received: int = 0
    lag: Durations = field(default_factory=Durations)


class WebhookCheck:
    """Compares journal, deliveries and what the *subscriber* received, once all is drained and the subscriber ended."""

    def __init__(self, platform: Platform, subscriber: Subscriber, findings: Findings) -> None:
        self._platform = platform
        self._subscriber = subscriber
        self._findings = findings
        self._figures = WebhookFigures()

    async def run(self) -> WebhookFigures:
        """Compare; return the figures."""
        async with (
            snapshot(self._platform.wallet_dsn) as journal,
            snapshot(self._platform.notifications_dsn) as notifications,
        ):
            from_seqs = await notifications.fetchval(_FROM, self._subscriber.endpoint_id)
            await self._check_deliveries(self._wanted(journal, from_seqs), notifications)
        async with snapshot(self._platform.wallet_dsn) as journal:
            await self._check_received(self._wanted(journal, from_seqs))
        refused, what = self._subscriber.refused(), "{} webhooks came with a wrong signature"
        self._findings.judge("I13", what, refused, is_right=refused == 0)
        actual = (self._figures.attempts, self._figures.deliveries, self._figures.received)
        what = "attempts, deliveries and received webhooks are {}"
        self._findings.judge("I13", what, actual, is_right=len(set(actual)) == 1)
        return self._figures

    async def _check_deliveries(self, wanted: AsyncIterator[UUID], notifications: asyncpg.Connection) -> None:
        endpoint_id = self._subscriber.endpoint_id
        deliveries = stream(notifications, _DELIVERIES, tuple, endpoint_id)
        async for event_id, delivery in merged(wanted, deliveries, _bytes, lambda row: row[0].bytes):
            self._figures.deliveries += delivery is not None
            actual = None if delivery is None else delivery[1:]
            what = "event {}: its delivery has status and attempts {}"
            named = event_id or (delivery and delivery[0])
            is_right = event_id is not None and actual == ("delivered", 1)
            self._findings.judge("I13", what, named, actual, is_right=is_right)
        self._figures.attempts = await notifications.fetchval(_ATTEMPTS, endpoint_id)

    async def _check_received(self, wanted: AsyncIterator[UUID]) -> None:
        received = grouped(each(self._subscriber.received()), lambda webhook: webhook.event_id.bytes)
        async for event_id, group in merged(wanted, received, _bytes, lambda group: group[0]):
            webhooks = [] if group is None else group[1]
            self._figures.received += len(webhooks)
            for webhook in webhooks[:1]:
                self._figures.lag.add(_lag_s(webhook))
            what = "event {}: received {} times, under the ids {}"
            named = event_id or webhooks[0].event_id
            ids = {webhook.webhook_id for webhook in webhooks}
            is_right = event_id is not None and len(webhooks) == 1
            self._findings.judge("I13", what, named, len(webhooks), ids, is_right=is_right)

    def _wanted(self, journal: asyncpg.Connection, from_seqs: list[int]) -> AsyncIterator[UUID]:
        wallet_ids = list(self._subscriber.wallet_ids) or None
        return stream(journal, _WANTED, lambda row: row[0], from_seqs, wallet_ids, _NOT_OFFERED)


def _bytes(event_id: UUID) -> bytes:
    return event_id.bytes


def _lag_s(webhook: Received) -> float:
    return webhook.arrived_at_s - datetime.fromisoformat(webhook.occurred_at).timestamp()
