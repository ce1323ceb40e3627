"""A dry run on a database that no longer speaks is given up at the command's deadline."""

import asyncio
from collections.abc import Sequence
from typing import Any, cast
from uuid import UUID

import pytest

from servicekit.clock import monotonic_s
from servicekit.failures import Overloaded
from servicekit.http import HotRequest
from servicekit.principal import Principal
from wallet.adapters.ledger_postgres import make_id
from wallet.application.plan import Planning
from wallet.application.rows import Locked
from wallet.entrypoints.commands import CommandHandlers
from wallet.entrypoints.rendering import JsonRenderer
from wallet.entrypoints.requests import Amount, DepositRequest


class Silent:
    async def snapshot(self, wallet_ids: Sequence[UUID]) -> Locked:
        await asyncio.sleep(60)
        raise AssertionError(wallet_ids)


async def test_a_dry_run_that_hangs_is_refused() -> None:
    handlers = CommandHandlers(
        queue=cast("Any", None),
        snapshots=Silent(),
        planning=Planning(make_id=make_id, hash_reference=lambda *_: b"", renderer=JsonRenderer()),
        deadline_s=0.05,
    )
    body = DepositRequest(wallet_id=make_id(), amount=Amount(amount="1.00", currency="USD"))
    principal = Principal(make_id(), "anna", make_id())
    request = HotRequest(body, None, True, principal, "id", None, monotonic_s(), "/v1/deposits", None)

    with pytest.raises(Overloaded):
        await handlers.move_money(request)
