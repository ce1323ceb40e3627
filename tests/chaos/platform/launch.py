"""Run a process of the product with a gate at a precise point: `python -m tests.chaos.platform.launch SERVICE KIND`.

The process is joined by the service's own `bootstrap`; one part of it is a subclass that asks the gate. The packages
know nothing of this.
"""

import asyncio
import json
import os
import ssl
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final
from uuid import UUID

import msgspec
from aiokafka import AIOKafkaProducer
from aiokafka.errors import NotLeaderForPartitionError
from tests.chaos.platform.gate import POISON, SLOW_S, Gate
from tests.chaos.platform.gated_access import GatedOnce, gate_all, gate_commands
from tests.chaos.platform.gated_ledger import GatedLedger
from tests.chaos.platform.gated_maintenance import GatedRun, briefly_led
from tests.chaos.platform.gated_worker import PART_ROWS, GatedObjects, gate_jobs

import access.bootstrap
import fraud.bootstrap
import notifications.bootstrap
import transaction_history.bootstrap as history
import wallet.bootstrap.api
import wallet.bootstrap.background
import wallet.bootstrap.housekeeping
from access.config import AccessSettings
from contracts.envelope import Envelope
from fraud.config import FraudSettings
from notifications.config import NotificationsSettings
from notifications.sending.rows import AttemptResult
from notifications.sending.sender_http import HttpSender, Timeouts
from servicekit.consumer.projection import Projection
from servicekit.consumer.runner import ConsumerRunner, Processed
from servicekit.lifecycle import run
from servicekit.outbound.addresses import Address
from servicekit.outbound.targets import Target
from servicekit.postgres import Transaction
from servicekit.relay.publisher import REQUEST_TIMEOUT_MS, Publisher, Sending
from transaction_history.config import HistorySettings
from wallet.bootstrap.parts import Parts
from wallet.config import WalletSettings

SLEEP_S_MAX: Final = 3.0
"""Shorter than the database lets a transaction idle."""


class GatedPublisher(Publisher):
    """Asks the gate when records are acknowledged and no cursor has moved yet (`acknowledged`).

    While `leaderless` is armed with a partition, that one takes nothing, as one without a leader.
    """

    async def send(self, events: Iterable[Envelope], **bounds: Any) -> list[Sending]:
        sent = await super().send(events, **bounds)
        records = sum(sending.acknowledged for sending in sent)
        if records:
            await Gate.of_process().reach("acknowledged", {"records": records})
        return sent

    async def _send(self, producer: AIOKafkaProducer, sending: Sending) -> None:
        if Gate.of_process().waits_for("leaderless", {"keys": [str(sending.partition)]}):
            await asyncio.sleep(REQUEST_TIMEOUT_MS / 1000)
            raise NotLeaderForPartitionError
        await super()._send(producer, sending)


class GatedRunner(ConsumerRunner):
    """Asks the gate when a poll is committed in the database and the broker was told nothing of it (`applied`)."""

    async def _process(self, batch: Any) -> Processed:
        processed = await super()._process(batch)
        if batch.received:
            await Gate.of_process().reach("applied", {"records": len(batch.received)})
        return processed


class GatedSender(HttpSender):
    """Asks the gate when a receiver has answered and nothing of it is written (`answered`), with what is under way."""

    def __init__(self, timeouts: Timeouts, *, tls: ssl.SSLContext | None = None) -> None:
        super().__init__(timeouts, tls=tls)
        self._under_way: set[tuple[str, str]] = set()

    async def send(
        self, target: Target, addresses: Sequence[Address], *, headers: Mapping[str, str], body: bytes
    ) -> AttemptResult:
        sending = (target.path_and_query, headers["webhook-id"])
        self._under_way.add(sending)
        try:
            result = await super().send(target, addresses, headers=headers, body=body)
            await Gate.of_process().reach("answered", {"answered": sending, "under_way": sorted(self._under_way)})
        finally:
            self._under_way.discard(sending)
        return result


class HandlerCrash(Exception):
    """The planted bug of a handler."""


class PoisonedProjection:
    """Takes the events of chosen wallets, from their second one, for what a broken release or record would make them.

    `CHAOS_POISON` is a JSON object of wallet id to `json`, `type`, `version` or `crash`. What has no version, a system
    account's entry or a decision, is left alone by `version`.
    """

    def __init__(self, inner: Projection, poison: Mapping[str, str]) -> None:
        self.name = inner.name
        self.topic = inner.topic
        self._inner = inner
        self._kinds = {UUID(wallet_id): kind for wallet_id, kind in poison.items()}

    async def apply(self, tx: Transaction, events: Sequence[Envelope]) -> None:
        await self._inner.apply(tx, [self._spoilt(event) for event in events])

    def _spoilt(self, event: Envelope) -> Envelope:
        kind = self._kinds.get(event.subject)
        if kind is None or event.wallet_version == 1:
            return event
        match kind:
            case "json":
                return msgspec.structs.replace(event, data=event.data[:-1])
            case "type":
                return msgspec.structs.replace(event, type="wallet.teleported.v9")
            case "version":
                if event.wallet_version is None:
                    return event
                return msgspec.structs.replace(event, wallet_version=event.wallet_version + 1)
            case _:
                raise HandlerCrash(str(event.event_id))


class GatedProjection:
    """Takes its time over each event where it is told to, and asks the gate before COMMIT (`uncommitted`)."""

    def __init__(self, inner: Projection, slow_s: float) -> None:
        self.name = inner.name
        self.topic = inner.topic
        self._inner = inner
        self._slow_s = slow_s

    async def apply(self, tx: Transaction, events: Sequence[Envelope]) -> None:
        await self._inner.apply(tx, events)
        await asyncio.sleep(min(SLEEP_S_MAX, self._slow_s * len(events)))
        facts = {"events": len(events), "backend": tx.connection.get_server_pid()}
        await Gate.of_process().reach("uncommitted", facts)


def _poisoned(projection: Projection) -> Projection:
    return PoisonedProjection(projection, json.loads(os.environ.get(POISON, "{}")))


def _api() -> int:
    settings = WalletSettings()
    ledger = GatedLedger(settings.wallet_database_url, gate=Gate.of_process(), commit_lock=settings.wallet_commit_lock)
    return run(
        lambda shutdown: wallet.bootstrap.api.serve_api(settings, shutdown, parts=Parts(ledger=ledger)),
        drain_s=settings.drain_s,
    )


def _relay() -> int:
    settings = WalletSettings()
    return run(
        lambda shutdown: wallet.bootstrap.background.run_relay(settings, shutdown, publisher_class=GatedPublisher),
        drain_s=settings.drain_s,
    )


def _projector() -> int:
    settings = HistorySettings()
    projection = GatedProjection(_poisoned(history.make_projection(settings)), float(os.environ.get(SLOW_S, "0")))
    return run(
        lambda shutdown: history.run_projector(settings, shutdown, projection=projection, runner_class=GatedRunner),
        drain_s=settings.drain_s,
    )


def _indexer() -> int:
    settings = HistorySettings()
    projection = GatedProjection(_poisoned(history.make_index_projection(settings)), 0.0)
    return run(
        lambda shutdown: history.run_indexer(settings, shutdown, projection=projection, runner_class=GatedRunner),
        drain_s=settings.drain_s,
    )


def _history_worker() -> int:
    settings = HistorySettings()
    gate_jobs()
    objects = GatedObjects(settings.objects_url, settings.objects_options)
    return run(
        lambda shutdown: history.run_worker(settings, shutdown, objects=objects, part_rows=PART_ROWS),
        drain_s=settings.drain_s,
    )


def _maintenance() -> int:
    settings = WalletSettings()
    return run(
        lambda shutdown: wallet.bootstrap.housekeeping.run_maintenance(
            settings, shutdown, jobs_as=briefly_led(GatedRun)
        ),
        drain_s=settings.drain_s,
    )


def _decisions() -> int:
    settings = WalletSettings()
    return run(
        lambda shutdown: wallet.bootstrap.background.run_decisions(settings, shutdown, projection_of=_poisoned),
        drain_s=settings.drain_s,
    )


def _webhooks_projector() -> int:
    settings = NotificationsSettings()
    projection = _poisoned(notifications.bootstrap.make_projection(settings))
    return run(
        lambda shutdown: notifications.bootstrap.run_projector(settings, shutdown, projection=projection),
        drain_s=settings.drain_s,
    )


def _worker() -> int:
    settings = NotificationsSettings()
    return run(
        lambda shutdown: notifications.bootstrap.run_worker(settings, shutdown, sender_class=GatedSender),
        drain_s=settings.drain_s,
    )


def _fraud_projector() -> int:
    settings = FraudSettings()
    return run(
        lambda shutdown: fraud.bootstrap.run_projector(settings, shutdown, projection_of=_poisoned),
        drain_s=settings.drain_s,
    )


def _access_api() -> int:
    settings = AccessSettings()
    gate_commands()
    return run(
        lambda shutdown: access.bootstrap.serve_api(settings, shutdown, once_class=GatedOnce), drain_s=settings.drain_s
    )


def _access_relay() -> int:
    settings = AccessSettings()
    gate_all("access-relay")
    return run(lambda shutdown: access.bootstrap.run_relay(settings, shutdown), drain_s=settings.drain_s)


def _access_worker() -> int:
    settings = AccessSettings()
    gate_all("access-worker")
    return run(lambda shutdown: access.bootstrap.run_worker(settings, shutdown), drain_s=settings.drain_s)


_MAIN: Final = {
    ("access", "api"): _access_api,
    ("access", "relay"): _access_relay,
    ("access", "worker"): _access_worker,
    ("wallet", "api"): _api,
    ("wallet", "relay"): _relay,
    ("wallet", "decisions"): _decisions,
    ("wallet", "maintenance"): _maintenance,
    ("transaction_history", "projector"): _projector,
    ("transaction_history", "indexer"): _indexer,
    ("transaction_history", "worker"): _history_worker,
    ("notifications", "projector"): _webhooks_projector,
    ("notifications", "worker"): _worker,
    ("fraud", "projector"): _fraud_projector,
}


if __name__ == "__main__":
    sys.exit(_MAIN[sys.argv[1], sys.argv[2]]())
