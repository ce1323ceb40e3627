"""A dry run on a database that no longer speaks is given up at the command's deadline."""

import asyncio
from collections.abc import Collection
from uuid import UUID

import pytest

from contracts.ids import new_id
from servicekit.clock import monotonic_s
from servicekit.failures import Overloaded
from wallet.adapters.ids import IDS
from wallet.application.dry_run import DryRun
from wallet.application.plan import Planning
from wallet.application.rows import BatchInput
from wallet.application.units import Unit, fingerprint
from wallet.bootstrap.catalog import CATALOG
from wallet.domain.mandate import platform_mandate
from wallet.domain.money import DepositFunds
from wallet.domain.rows import RowName
from wallet.entrypoints.rendering import JsonRenderer


class Silent:
    async def snapshot(self, _tenant_id: UUID, names: Collection[RowName]) -> BatchInput:
        await asyncio.sleep(60)
        raise AssertionError(names)


async def test_a_dry_run_that_hangs_is_refused() -> None:
    planning = Planning(
        ids=IDS, draw_stamp=lambda: 1, hash_reference=lambda *_: b"", renderer=JsonRenderer(CATALOG.answers)
    )
    commands = (DepositFunds(new_id(), 100, "USD"),)
    now_s = monotonic_s()
    unit = Unit(
        path="/v1/deposits",
        commands=commands,
        is_atomic_batch=False,
        mandate=platform_mandate(new_id()),
        actor="anna",
        key=(new_id(), "", 0),
        fingerprint=fingerprint("/v1/deposits", commands),
        deadline_s=now_s + 30,
    )

    with pytest.raises(Overloaded):
        await DryRun(Silent(), planning, deadline_s=0.05).outcomes([unit])
