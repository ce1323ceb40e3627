"""Real faults, and the alerts that come of them through a real Prometheus and a real Alertmanager."""

import asyncio
import json
import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from tests.drills.failing import DrillFailed
from tests.drills.faults import PHASES, AlertDrill, Expected
from tests.drills.stack import DrillStack, running_stack

from servicekit.clock import utc_now

CLEARED_WITHIN_S: Final = 180.0
CALM_WITHIN_S: Final = 120.0
POLL_S: Final = 0.5
HEARTBEAT: Final = "DeadMansSwitch"

Figures = dict[str, dict[str, Any]]


def hold(phases: Sequence[Sequence[AlertDrill]] = PHASES) -> Figures:
    """Inflict every fault; return `fired_s` and `cleared_s` by the alert's name. Raises DrillFailed.

    The stack is one of their own: what others have cost of the error budgets would fire for long.
    """
    with running_stack() as stack:
        return asyncio.run(_hold(stack, phases))


def hold_first() -> Figures:
    """Inflict the faults of the first phase alone; as `hold`."""
    return hold(PHASES[:1])


async def _hold(stack: DrillStack, phases: Sequence[Sequence[AlertDrill]]) -> Figures:
    figures: Figures = {}
    failures: list[str] = []
    await _until_watched(stack)
    await _until_calm(stack)
    for phase in phases:
        for drill, found in zip(phase, await asyncio.gather(*(_tried(stack, each) for each in phase)), strict=True):
            if isinstance(found, DrillFailed):
                failures.append(f"{drill.what}: {found}")
            else:
                figures |= found
        await _until_calm(stack)
    if failures:
        raise DrillFailed("; ".join(failures))
    return figures


async def _tried(stack: DrillStack, drill: AlertDrill) -> Figures | DrillFailed:
    """Hold a drill; what fails is told, so that the others of its phase go on and all of them are mended."""
    try:
        return await _drill(stack, drill)
    except DrillFailed as error:
        print(f"   {drill.what}: {error}", flush=True)
        return error


async def _until_watched(stack: DrillStack) -> None:
    """Wait until Prometheus has asked everybody twice: a counter that is first seen after a fault has not grown."""
    wanted = len(stack.targets())
    deadline = time.monotonic() + CALM_WITHIN_S
    while len(stack.figures("count_over_time(up[1m]) >= 2")) < wanted:
        if time.monotonic() > deadline:
            raise DrillFailed(f"Prometheus did not ask all of {wanted} targets twice")
        await asyncio.sleep(POLL_S)


async def _until_calm(stack: DrillStack) -> None:
    """Wait until nothing fires but the heartbeat: what a fault has set off must not be taken for the next one's."""
    query = f'ALERTS{{alertstate="firing",alertname!="{HEARTBEAT}"}} == 1'
    deadline = time.monotonic() + CALM_WITHIN_S
    while found := stack.figures(query):
        if time.monotonic() > deadline:
            raise DrillFailed(f"still firing: {sorted({labels['alertname'] for labels, _ in found})}")
        await asyncio.sleep(POLL_S)


async def _drill(stack: DrillStack, drill: AlertDrill) -> Figures:
    began = utc_now()
    async with drill.inflict(stack):
        fired = [await _told(stack, each, "firing", began, drill.within_s) for each in drill.alerts]
        ended = utc_now()
    cleared = [await _told(stack, each, "resolved", ended, CLEARED_WITHIN_S) for each in drill.alerts]
    figures = {
        each.name: {"what": drill.what, "fired_s": _seconds(began, at), "cleared_s": _seconds(ended, over)}
        for each, at, over in zip(drill.alerts, fired, cleared, strict=True)
    }
    for name, found in figures.items():
        print(
            f"{name:<28} {drill.what:<44} fired {found['fired_s']:>6.1f} s  cleared {found['cleared_s']:>6.1f} s",
            flush=True,
        )
    return figures


async def _told(stack: DrillStack, expected: Expected, status: str, since: datetime, within_s: float) -> datetime:
    """Wait until the sink has *expected* with *status*; return when it came. Raises DrillFailed."""
    deadline = time.monotonic() + within_s
    while True:
        for line in _lines(stack):
            at = datetime.fromisoformat(line["received_at"])
            if line["status"] == status and at >= since and expected.is_told_by(line):
                return at
        if time.monotonic() > deadline:
            raise DrillFailed(f"{expected.name} {dict(expected.labels)} was not {status} within {within_s:.0f} s")
        await asyncio.sleep(POLL_S)


def _lines(stack: DrillStack) -> list[Mapping[str, Any]]:
    try:
        text = stack.alerts.read_text()
    except FileNotFoundError:
        return []
    return [json.loads(line) for line in text.splitlines()]


def _seconds(begin: datetime, end: datetime) -> float:
    return round((end - begin).total_seconds(), 1)
