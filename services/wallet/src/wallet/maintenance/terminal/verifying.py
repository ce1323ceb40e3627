"""`wallet verify`: a progress bar while the ledger is folded anew, then figures and what was found."""

from rich.console import Console
from rich.table import Table

from contracts.money import format_minor
from servicekit.clock import monotonic_s
from wallet.maintenance.terminal.progress import CountRows, JournalPass, with_journal_bar
from wallet.maintenance.verify import Report


async def show_verification(count_rows: CountRows, verify: JournalPass[Report]) -> bool:
    """Verify with a progress bar and print what was found; return whether the ledger holds."""
    console = Console()
    started_s = monotonic_s()
    report = await with_journal_bar(console, count_rows, verify)
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
