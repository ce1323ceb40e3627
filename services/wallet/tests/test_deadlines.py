"""A database that no longer speaks: what is read for a command is given up at the command's deadline."""

import asyncio
from collections.abc import Collection, Sequence
from typing import Any, Final
from uuid import UUID

import pytest
from prometheus_client import CollectorRegistry

from contracts.ids import new_id
from servicekit.access.admission import UNLIMITED
from servicekit.clock import monotonic_s
from servicekit.failures import Overloaded
from servicekit.http.edge.command import CommandRequest
from testkit.access import principal_of
from wallet.adapters.ids import IDS
from wallet.application.dry_run import DryRun
from wallet.application.metrics import CommitterMetrics
from wallet.application.plan import Planning
from wallet.application.queue import CommandQueue, QueueLimits
from wallet.application.rows import BatchInput
from wallet.application.units import Unit, fingerprint
from wallet.bootstrap.catalog import CATALOG
from wallet.domain.commands import Command
from wallet.domain.mandate import Mandate, platform_mandate
from wallet.domain.money import DepositFunds
from wallet.domain.refund_commands import RefundTransaction
from wallet.domain.rows import RowName
from wallet.entrypoints.batches import BatchMembers
from wallet.entrypoints.commands import CommandHandlers
from wallet.entrypoints.refunds import RefundRequest
from wallet.entrypoints.rendering import JsonRenderer
from wallet.entrypoints.slices import Lookups

SOON_S: Final = 0.05


class Silent:
    async def snapshot(self, _tenant_id: UUID, names: Collection[RowName]) -> BatchInput:
        await asyncio.sleep(60)
        raise AssertionError(names)


async def _look_for_ever(_lookups: Lookups, _mandate: Mandate, commands: Sequence[Any]) -> Sequence[Command]:
    await asyncio.sleep(60)
    raise AssertionError(commands)


def _dry_run() -> DryRun:
    planning = Planning(
        ids=IDS, draw_stamp=lambda: 1, hash_reference=lambda *_: b"", renderer=JsonRenderer(CATALOG.answers)
    )
    return DryRun(Silent(), planning)


async def test_a_dry_run_that_hangs_is_refused() -> None:
    commands = (DepositFunds(new_id(), 100, "USD"),)
    unit = Unit(
        path="/v1/deposits",
        commands=commands,
        is_atomic_batch=False,
        mandate=platform_mandate(new_id()),
        actor="anna",
        key=(new_id(), "", 0),
        fingerprint=fingerprint("/v1/deposits", commands),
        deadline_s=monotonic_s() + SOON_S,
    )

    with pytest.raises(Overloaded):
        await _dry_run().outcomes([unit])


async def test_a_command_whose_look_up_hangs_is_refused_and_not_queued() -> None:
    queue = CommandQueue(QueueLimits(), metrics=CommitterMetrics(CollectorRegistry()))
    nothing: Any = None
    handlers = CommandHandlers(
        queue=queue,
        dry_run=_dry_run(),
        members=BatchMembers(CATALOG),
        preparing={RefundTransaction: _look_for_ever},
        lookups=nothing,
        deadline_s=SOON_S,
    )
    (refund,) = (each for each in CATALOG.slices if each.command is RefundTransaction)
    transaction_id = str(new_id())
    request = CommandRequest(
        body=RefundRequest(reason="a broken cup"),
        idempotency_key="refund-1",
        dry_run=False,
        principal=principal_of(),
        allowance=UNLIMITED,
        request_id="1",
        traceparent=None,
        received_s=monotonic_s(),
        path=f"/v1/transactions/{transaction_id}/refunds",
        path_params={"transaction_id": transaction_id},
    )

    with pytest.raises(Overloaded):
        await handlers.single(refund)(request)

    assert queue.commands == 0
