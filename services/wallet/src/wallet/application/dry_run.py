"""The dry run: what commands would come to, decided on a snapshot and written nowhere."""

import asyncio
from collections.abc import Collection, Sequence
from typing import Protocol
from uuid import UUID

from servicekit.clock import monotonic_s
from servicekit.failures import Overloaded
from wallet.application.plan import BatchPlan, Planning
from wallet.application.rows import BatchInput
from wallet.application.units import Outcome, Unit, named_by
from wallet.domain.policy import policy_name
from wallet.domain.rows import RowName, Rows


class Snapshots(Protocol):
    """Where a dry run finds its rows."""

    async def snapshot(self, tenant_id: UUID, names: Collection[RowName]) -> BatchInput:
        """Return those of the named rows that are the tenant's, and the time, as of one snapshot.

        Without a lock and without keys.
        """
        ...


class DryRun:
    """Decides units as a batch would, without a key, a lock or a place in the queue, until their deadline."""

    def __init__(self, snapshots: Snapshots, planning: Planning) -> None:
        self._snapshots = snapshots
        self._planning = planning

    async def outcomes(self, units: Sequence[Unit]) -> list[Outcome]:
        """Return what *units* of one tenant, one after another, would come to now.

        Raises Overloaded where that takes too long.
        """
        try:
            async with asyncio.timeout(units[0].deadline_s - monotonic_s()):
                return await self._outcomes(units)
        except TimeoutError as error:
            raise Overloaded("The dry run took too long and was given up.") from error

    async def _outcomes(self, units: Sequence[Unit]) -> list[Outcome]:
        """Decide on a snapshot of what *units* name; where its rows name others, on one of those too."""
        known = Rows()
        unnamed: set[RowName] = set()
        while True:
            names = named_by(units, known) | unnamed
            names.add(policy_name(units[0].tenant_id))
            found = await self._snapshots.snapshot(units[0].tenant_id, names)
            plan = BatchPlan(units, self._planning)
            plan(found)
            if not plan.unnamed:
                return plan.preview()
            known, unnamed = found.rows, unnamed | plan.unnamed
