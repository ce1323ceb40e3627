"""A progress bar over the journal's rows, for what operators run."""

from collections.abc import Awaitable, Callable
from typing import TypeAlias, TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

T = TypeVar("T")
CountRows: TypeAlias = Callable[[], Awaitable[int]]
JournalPass: TypeAlias = Callable[[Callable[[int], None]], Awaitable[T]]
"""Reads the journal; calls its argument with how many rows it read since the last call."""


async def with_journal_bar(console: Console, count_rows: CountRows, work: JournalPass[T]) -> T:
    """Return what *work* returns, showing how far it is."""
    columns = (TextColumn("journal"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as bar:
        task = bar.add_task("journal", total=await count_rows())
        return await work(lambda rows: bar.update(task, advance=rows))
