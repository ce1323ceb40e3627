"""`wallet archive`: partition after partition, oldest first, until one has to stay."""

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from wallet.maintenance.archive import Partition, why_kept
from wallet.maintenance.archive_postgres import Archiver


async def show_archiving(archive: Archiver, *, keep: int, dry_run: bool = False) -> int:
    """Archive every partition that may be, with a progress bar; return how many that were. A dry run names them alone.

    Raises as `Archiver.archive` does: what was archived before stays so.
    """
    console = Console()
    archived = 0
    while True:
        oldest = await archive.oldest()
        partition = oldest.later(archived) if dry_run else oldest
        reason = why_kept(partition, await archive.states(), keep=keep)
        if await archive.is_halted():
            reason = "the relay is halted: the topic is ahead of the journal"
        if reason is not None:
            console.print(f"Partition {partition.number} stays attached: {reason}.")
            return archived
        if dry_run:
            console.print(f"Partition {partition.number} would be archived.")
        else:
            rows, name = await _archive(archive, partition, console), f"wallet.journal_{partition.number}"
            console.print(f"Partition {partition.number} is archived: {rows:,} rows in {name}.")
        archived += 1


async def _archive(archive: Archiver, partition: Partition, console: Console) -> int:
    columns = (TextColumn("partition"), BarColumn(), TextColumn("{task.completed:,} rows"), TimeElapsedColumn())
    with Progress(*columns, console=console) as bar:
        task = bar.add_task("", total=None)
        return await archive.archive(partition, lambda rows: bar.update(task, advance=rows))
