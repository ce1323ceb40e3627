"""What operators see of a rebuild."""

from typing import Self

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars
from rich.table import Table
from rich.text import Text

from transaction_history.maintenance.rebuild import Comparison, Progress


class _Speed(ProgressColumn):
    """Events a second."""

    def render(self, task: Task) -> Text:
        return Text(f"{task.speed or 0:,.0f} events/s")


class Bar:
    """A bar with events a second and the time that is left; on a terminal alone it moves."""

    def __init__(self) -> None:
        console = Console(stderr=True)
        columns = (TextColumn("filling"), BarColumn(), MofNCompleteColumn(), _Speed(), TimeRemainingColumn())
        self._bars = Bars(*columns, console=console)
        self._task = self._bars.add_task("filling", total=None)

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def told(self, progress: Progress) -> None:
        """Show *progress*."""
        self._bars.update(self._task, completed=progress.read, total=progress.read + progress.left)


def show_comparison(comparison: Comparison) -> None:
    """Print the hashes of both schemas, and what became of it."""
    table = Table("table", "rows live", "rows rebuilt", "hash live", "hash rebuilt")
    for name, live in comparison.live.items():
        rebuilt = comparison.rebuilt[name]
        table.add_row(name, str(live.rows), str(rebuilt.rows), live.digest, rebuilt.digest)
    Console().print(table)
    if comparison.is_outdated:
        typer.echo("the live tables are those of the release before: what must agree was compared instead")
    for what, count in comparison.disagreements.items():
        typer.echo(f"{what}: {count}")
    typer.echo(f"the live projection waited {comparison.held_s:.1f} s")
    typer.echo("switched" if comparison.is_switched else "equal" if comparison.is_equal else "they differ")
