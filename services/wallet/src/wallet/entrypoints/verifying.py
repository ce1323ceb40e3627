"""`wallet verify`: a progress bar while the ledger is folded anew, then figures and what was found."""

from collections.abc import Awaitable, Callable

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from contracts.money import format_minor
from servicekit.clock import monotonic_s
from wallet.application.verify import Report

CountRows = Callable[[], Awaitable[int]]
Verify = Callable[[Callable[[int], None]], Awaitable[Report]]


async def show_verification(count_rows: CountRows, verify: Verify) -> bool:
    """Verify, telling how far it is and what came out; return whether the ledger holds."""
    console = Console()
    started_s = monotonic_s()
    columns = (TextColumn("journal"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as bar:
        task = bar.add_task("journal", total=await count_rows())
        report = await verify(lambda rows: bar.update(task, advance=rows))
    console.print(_figures(report, monotonic_s() - started_s))
    for finding in report.findings:
        console.print(f"[red]{finding.invariant}[/red] {finding.place}: {finding.detail}")
    if report.findings_total > len(report.findings):
        console.print(f"and {report.findings_total - len(report.findings)} more")
    console.print("The ledger holds." if report.holds else f"{report.findings_total} breaches were found.")
    return report.holds


def _figures(report: Report, seconds: float) -> Table:
    table = Table(show_header=False)
    table.add_row("journal rows", f"{report.rows:,}")
    if report.archived_rows:
        table.add_row("archived rows", f"{report.archived_rows:,}")
    table.add_row("wallets", f"{report.wallets:,}")
    table.add_row("transactions", f"{report.transactions:,}")
    for account, total_minor in sorted(report.system_totals_minor.items()):
        currency = account.rpartition(":")[2]
        table.add_row(account, f"{format_minor(total_minor, currency)} {currency}")
    table.add_row("seconds", f"{seconds:.1f}")
    return table
