"""Faults of the chaos runs, inflicted once each: what the gateway's clients notice, and who reads a rebuilt model."""

import asyncio
from typing import Any, Final

from tests.chaos.faults import gateway, rebuilding
from tests.chaos.platform.platform import open_site
from tests.chaos.run import judge
from tests.drills.failing import DrillFailed

from engines import accounts, temporary

LOAD_S: Final = 2.0
"""Of the bank's clients around it; the drill's own deposits take eleven."""
SEED: Final = 1
_BY_ID: Final = {fault.id: fault for fault in (*gateway.FAULTS, *rebuilding.FAULTS)}


def hold_kill() -> dict[str, Any]:
    """Kill an instance behind the gateway under load; return the figures. Raises DrillFailed."""
    return _held("F58")


def hold_reload() -> dict[str, Any]:
    """Reload the gateway again and again under load, then kill it; return the figures. Raises DrillFailed."""
    return _held("F59")


def hold_rebuild() -> dict[str, Any]:
    """Rebuild both read models under load, killed on the way, and switch; return the figures. Raises DrillFailed."""
    return _held("F28")


def _held(fault: str) -> dict[str, Any]:
    with (
        temporary.run_folder(accounts.home_for(accounts.unprivileged_account())) as folder,
        open_site(folder) as site,
    ):
        result = asyncio.run(judge(site, _BY_ID[fault], SEED, LOAD_S))
    print(f"   {result.what}", flush=True)
    if not result.holds:
        raise DrillFailed(f"{result.what}: {result.breaches}")
    return {**result.figures, "money_differs": bool(result.broken)}
