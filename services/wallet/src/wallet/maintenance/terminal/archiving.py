"""`wallet archive`: partition after partition, oldest first, until one has to stay."""

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from wallet.maintenance.archive import Partition, why_kept
from wallet.maintenance.archive_postgres import Archiver


async def show_archiving(archive: Archiver, *, keep: int) -> int:
    """Archive every partition that may be, with a progress bar; return how many that were.

    Raises as `Archiver.archive` does: what was archived before stays so.
    """
    console = Console()
    archived = 0
    while True:
        partition = await archive.oldest()
        reason = why_kept(partition, await archive.states(), keep=keep)
        if await archive.is_halted():
            reason = "the relay is halted: the topic is ahead of the journal"
        if reason is not None:
            console.print(f"Partition {partition.number} stays attached: {reason}.")
            return archived
        rows = await _archive(archive, partition, console)
        console.print(f"Partition {partition.number} is archived: {rows:,} rows in wallet.journal_{partition.number}.")
        archived += 1


async def _archive(archive: Archiver, partition: Partition, console: Console) -> int:
    columns = (TextColumn("partition"), BarColumn(), TextColumn("{task.completed:,} rows"), TimeElapsedColumn())
    with Progress(*columns, console=console) as bar:
        task = bar.add_task("", total=None)
        return await archive.archive(partition, lambda rows: bar.update(task, advance=rows))
