"""The dry run: what commands would come to, decided on a snapshot and written nowhere."""

import asyncio
from collections.abc import Sequence

from servicekit.failures import Overloaded
from wallet.application.plan import BatchPlan, Planning
from wallet.application.ports import Snapshots
from wallet.application.units import Outcome, Unit
from wallet.domain.commands import wallets_named


class DryRun:
    """Decides units as a batch would, without a key, a lock or a place in the queue, within *deadline_s*."""

    def __init__(self, snapshots: Snapshots, planning: Planning, *, deadline_s: float) -> None:
        self._snapshots = snapshots
        self._planning = planning
        self._deadline_s = deadline_s

    async def outcomes(self, units: Sequence[Unit]) -> list[Outcome]:
        """Return what *units*, one after another, would come to now; raise Overloaded where that takes too long."""
        named = {wallet_id for unit in units for command in unit.commands for wallet_id in wallets_named(command)}
        plan = BatchPlan(units, self._planning)
        try:
            async with asyncio.timeout(self._deadline_s):
                found = await self._snapshots.snapshot(list(named))
        except TimeoutError as error:
            raise Overloaded("The dry run took too long and was given up.") from error
        plan(found)
        return plan.preview()
