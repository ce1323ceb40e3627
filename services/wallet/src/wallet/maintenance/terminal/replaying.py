"""`wallet replay`: a progress bar while the journal is written again, then what was."""

from rich.console import Console

from wallet.maintenance.terminal.progress import CountRows, JournalPass, with_journal_bar


async def show_replay(count_rows: CountRows, replay: JournalPass[tuple[int, int]], topic: str) -> bool:
    """Replay with a progress bar; return whether the topic has all that was ever published.

    *replay* returns how many events it wrote, and how many were published to the live topic alone meanwhile.
    """
    console = Console()
    written, missed = await with_journal_bar(console, count_rows, replay)
    console.print(f"{written:,} events written to {topic}.")
    if missed:
        console.print(f"{missed:,} more were published meanwhile: stop the relays and run again with --resume.")
    return missed == 0
