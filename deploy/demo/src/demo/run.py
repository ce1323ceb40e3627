"""One run of the demo: start a platform, play, drain, reconcile, stop, report."""

import asyncio
from collections.abc import Callable, Collection, Coroutine, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from demo import report, stack
from demo.attack_lane import AttackLane
from demo.http_client import HttpPool
from demo.operations import DAY, count_lines, read_day
from demo.player import CONNECTIONS, SPEED_UP, DayPlayer
from demo.rates import RATES
from demo.reconcile.drain import drain
from demo.reconcile.kafka import keep_broker_time
from demo.reconcile.postgres import heads
from demo.reconcile.run import Reconciled, Reconciliation
from demo.record import Record
from demo.row_player import RowPlayer
from demo.rows import read_rows, survey
from demo.session import Session
from demo.stack import DemoError, Platform
from demo.subscriber import Subscriber, subscribing
from engines.checkout import STATE
from local_stack.config import Config

RESULTS: Final = STATE / "results" / "demo.json"
RULES: Final = Path(__file__).resolve().parents[2] / "rules.yaml"
WATCHED_WHOLE_MAX: Final = 50_000
"""Rows of a file up to which the subscriber subscribes to every wallet; beyond, of one in a hundred."""


Watch = Callable[[Collection[UUID]], Coroutine[Any, Any, None]]
"""Subscribes to wallets, to all of them if none is named, before the first event that must be delivered."""
Play = Callable[[Session, Watch], Coroutine[Any, Any, None]]


@dataclass(frozen=True, slots=True)
class Traffic:
    """What is played: how many operations, by whom, and what the platform's environment says of it."""

    operations: int
    play: Play
    environment: Mapping[str, str]


def day(first: int | None) -> Traffic:
    """Return the recorded day, its *first* operations alone where that is given."""
    recorded = count_lines(DAY)

    async def play(session: Session, watch: Watch) -> None:
        await watch(())
        await DayPlayer(session).play(read_day(DAY, first=first))

    environment = {
        "FRAUD_RULES_FILE": str(RULES),
        "FRAUD_TIME_COMPRESSION": str(SPEED_UP),
        "WALLET_RATES_URL": RATES.as_uri(),
    }
    return Traffic(min(recorded, first or recorded), play, environment)


def rows_of(path: Path, first: int | None, console: Console) -> Traffic:
    """Return the traffic of a CSV file; every row is read once now, so that a bad one stops all before it begins.

    Raises RowError, which names the line.
    """
    if not path.is_file():
        raise DemoError(f"{path} is not a regular file: it is read twice, first to check it")
    with console.status(f"reading {path}"):
        count, sample = survey(read_rows(path, first=first))
    if count == 0:
        raise DemoError(f"{path} has no rows")
    console.print(f"{path}: {count:,} rows")

    async def play(session: Session, watch: Watch) -> None:
        player = RowPlayer(session)
        await watch(await player.open_ahead(sample) if count > WATCHED_WHOLE_MAX else ())
        await player.play(read_rows(path, first=first))

    return Traffic(count, play, {"FRAUD_SHADOW": "true"})


class DemoRun:
    """Plays *traffic* on a stack as *config* describes it. Call it once."""

    def __init__(self, config: Config, traffic: Traffic, console: Console) -> None:
        self._config = config
        self._traffic = traffic
        self._console = console

    async def __call__(self) -> bool:
        """Do everything and report; return whether every invariant holds."""
        async with (
            stack.running(self._config, self._console) as platform,
            subscribing(self._config.state / "data" / "received.sqlite") as subscriber,
        ):
            await self._prepare(platform)
            session = Session(
                HttpPool(platform.wallet_url, connections=CONNECTIONS, credential=platform.credential),
                self._record(),
                cache(platform.credentials.token),
                platform.operator,
            )
            lane = AttackLane(platform)
            await self._play(session, lambda wallets: subscriber.subscribe(platform, wallets), lane)
            await self._drain(platform)
            await subscriber.stop()
            reconciled = await self._reconcile(platform, session, subscriber)
            session.close()
        holds = session.findings.hold and lane.tally.holds
        report.show(self._console, session.findings, session.figures, reconciled, lane.tally)
        report.write(RESULTS, session.findings, session.figures, reconciled, lane.tally)
        if holds:
            stack.discard(self._config)
        else:
            self._console.print(f"the data and logs of this run are in {self._config.state}")
        return holds

    async def _prepare(self, platform: Platform) -> None:
        if await heads(platform.wallet_dsn):
            raise DemoError("the wallet's database is not empty: the demo compares all of it and needs one of its own")
        if self._config.outside_broker is None:
            await keep_broker_time(platform.kafka)

    def _record(self) -> Record:
        return Record(self._config.state / "data" / "record.sqlite")

    async def _play(self, session: Session, watch: Watch, lane: AttackLane) -> None:
        with _bar(self._console) as bar:
            task = bar.add_task("playing", total=self._traffic.operations, speed="")
            session.on_done = lambda operations: _advance(bar, task, operations)
            await beside(lane, self._traffic.play(session, watch))

    async def _drain(self, platform: Platform) -> None:
        with _bar(self._console) as bar:
            task = bar.add_task("draining", total=None, speed="")
            await drain(platform, lambda done, total: bar.update(task, completed=done, total=total))

    async def _reconcile(self, platform: Platform, session: Session, subscriber: Subscriber) -> Reconciled:
        with self._console.status("reconciling") as status:
            reconciliation = Reconciliation(
                platform, session, subscriber, lambda step: status.update(f"reconciling {step}")
            )
            return await reconciliation.run(self._config.environment, self._config.logs / "rebuild.log")


async def beside(lane: AttackLane, traffic: Coroutine[Any, Any, None]) -> None:
    """Play *traffic* and have it attacked meanwhile; the attackers stop where it fails."""
    attacking = asyncio.create_task(lane.run())
    try:
        await traffic
    except BaseException:
        attacking.cancel()
        await asyncio.wait({attacking})
        raise
    lane.is_played.set()
    await attacking


def _bar(console: Console) -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[speed]}"))
    return Progress(*columns, TimeElapsedColumn(), console=console)


def _advance(bar: Progress, task: TaskID, operations: int) -> None:
    played = bar.tasks[task]
    bar.update(task, advance=operations, speed=f"{played.completed / (played.elapsed or 1):,.0f}/s")
