"""`wallet rebuild`: a progress bar while the rows are derived, then what differs."""

from rich.console import Console
from rich.table import Table

from wallet.domain.rows import RowName, StateName
from wallet.maintenance.rebuild import RebuildReport
from wallet.maintenance.terminal.progress import CountRows, JournalPass, with_journal_bar


async def show_rebuild(count_rows: CountRows, rebuild: JournalPass[RebuildReport]) -> bool:
    """Rebuild with a progress bar and print what differs; return whether every row is what the journal makes of it."""
    console = Console()
    report = await with_journal_bar(console, count_rows, rebuild)
    console.print(
        f"{report.rows:,} journal rows, {report.wallets:,} wallets, {report.states:,} other rows: "
        f"{report.differing:,} differ, {report.repaired:,} repaired."
    )
    if report.differences:
        console.print(_differences(report))
    for breach in report.breaches:
        console.print(f"[red]journal[/red] {breach}")
    return report.is_equal


def _differences(report: RebuildReport) -> Table:
    table = Table("name", "column", "row", "journal")
    for found in report.differences:
        table.add_row(_shown(found.name), found.column, found.live, found.derived)
    return table


def _shown(name: RowName) -> str:
    return f"{name.id} (kind {name.kind})" if isinstance(name, StateName) else str(name)
