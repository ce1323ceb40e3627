"""One run of the demo: start a platform, play, drain, reconcile, stop, report."""

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from demo import report, stack
from demo.http_client import HttpPool
from demo.operations import DAY, count_lines, read_day
from demo.player import CONNECTIONS, DayPlayer
from demo.reconcile.drain import drain
from demo.reconcile.kafka import keep_broker_time
from demo.reconcile.postgres import heads
from demo.reconcile.run import Reconciled, Reconciliation
from demo.record import Record
from demo.row_player import RowPlayer
from demo.rows import read_rows
from demo.session import Session
from demo.stack import DemoError, Platform
from local_stack.checkout import STATE
from local_stack.config import Config

RESULTS: Final = STATE / "results" / "demo.json"


@dataclass(frozen=True, slots=True)
class Traffic:
    """What is played: how many operations, and by whom."""

    operations: int
    play: Callable[[Session], Coroutine[Any, Any, None]]


def day(first: int | None) -> Traffic:
    """Return the recorded day, its *first* operations alone where that is given."""
    recorded = count_lines(DAY)
    return Traffic(
        min(recorded, first or recorded), lambda session: DayPlayer(session).play(read_day(DAY, first=first))
    )


def rows_of(path: Path, first: int | None, console: Console) -> Traffic:
    """Return the traffic of a CSV file; every row is read once now, so that a bad one stops all before it begins.

    Raises RowError, which names the line.
    """
    if not path.is_file():
        raise DemoError(f"{path} is no file: it is read twice, first to check it")
    with console.status(f"reading {path}"):
        count = sum(1 for _ in read_rows(path, first=first))
    if count == 0:
        raise DemoError(f"{path} has no rows")
    console.print(f"{path}: {count:,} rows")
    return Traffic(count, lambda session: RowPlayer(session).play(read_rows(path, first=first)))


class DemoRun:
    """Plays *traffic* on a stack as *config* describes it. Call it once."""

    def __init__(self, config: Config, traffic: Traffic, console: Console) -> None:
        self._config = config
        self._traffic = traffic
        self._console = console

    async def __call__(self) -> bool:
        """Do everything and report; return whether every invariant holds."""
        async with stack.running(self._config, self._console) as platform:
            await self._prepare(platform)
            session = Session(HttpPool(platform.wallet_url, connections=CONNECTIONS), self._record())
            await self._play(session)
            await self._drain(platform)
            reconciled = await self._reconcile(platform, session)
            session.close()
        report.show(self._console, session.findings, session.figures, reconciled)
        report.write(RESULTS, session.findings, session.figures, reconciled)
        if session.findings.hold:
            stack.discard(self._config)
        else:
            self._console.print(f"the data and logs of this run stand in {self._config.state}")
        return session.findings.hold

    async def _prepare(self, platform: Platform) -> None:
        if await heads(platform.wallet_dsn):
            raise DemoError("the wallet's database is not empty: the demo compares all of it and needs one of its own")
        if self._config.outside_broker is None:
            await keep_broker_time(platform.kafka)

    def _record(self) -> Record:
        return Record(self._config.state / "data" / "record.sqlite")

    async def _play(self, session: Session) -> None:
        with _bar(self._console) as bar:
            task = bar.add_task("playing", total=self._traffic.operations, speed="")
            session.on_done = lambda operations: _advance(bar, task, operations)
            await self._traffic.play(session)

    async def _drain(self, platform: Platform) -> None:
        with _bar(self._console) as bar:
            task = bar.add_task("draining", total=None, speed="")
            await drain(platform, lambda done, total: bar.update(task, completed=done, total=total))

    async def _reconcile(self, platform: Platform, session: Session) -> Reconciled:
        with self._console.status("reconciling") as status:
            reconciliation = Reconciliation(
                platform, session.record, session.findings, lambda step: status.update(f"reconciling {step}")
            )
            return await reconciliation.run(self._config.environment, self._config.logs / "rebuild.log")


def _bar(console: Console) -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[speed]}"))
    return Progress(*columns, TimeElapsedColumn(), console=console)


def _advance(bar: Progress, task: TaskID, operations: int) -> None:
    played = bar.tasks[task]
    bar.update(task, advance=operations, speed=f"{played.completed / (played.elapsed or 1):,.0f}/s")
