"""`make demo`: play a recorded day, or a CSV file, on a platform of its own, and reconcile everything."""

import asyncio
import os
import signal
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Annotated, Any

import typer
import uvloop
from rich.console import Console

from demo import stack
from demo.rows import RowError
from demo.run import DemoRun, day, rows_of
from demo.stack import DemoError
from demo.wire import NotSettledError
from engines.errors import EngineError
from local_stack.errors import StackError

app = typer.Typer(add_completion=False, help=__doc__, pretty_exceptions_enable=False)


@app.command()
def demo(
    *,
    input: Annotated[  # noqa: A002 - the option's name
        Path | None, typer.Option(exists=True, dir_okay=False, help="A CSV of time, from, to, amount, currency.")
    ] = None,
    operations: Annotated[int | None, typer.Option(min=1, help="Play the first operations alone.")] = None,
) -> None:
    """Play and reconcile; the exit code is 0 only if every invariant holds."""
    console = Console()
    traffic = day(operations) if input is None else rows_of(input, operations, console)
    environment = {**stack.ENVIRONMENT, **traffic.environment, **os.environ}
    run = DemoRun(stack.config_for(environment, console), traffic, console)
    sys.exit(0 if uvloop.run(_until_told_to_stop(run())) else 1)


async def _until_told_to_stop(work: Coroutine[Any, Any, bool]) -> bool:
    """Run *work*; SIGTERM and Ctrl-C cancel it, so that the stack is stopped on the way out."""
    task = asyncio.ensure_future(work)
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    try:
        return await task
    except asyncio.CancelledError:
        raise DemoError("stopped before the end") from None


def main() -> None:
    """Run the program; an error that the reader can mend is printed as a sentence, without a traceback."""
    try:
        app()
    except (EngineError, StackError, DemoError, RowError, NotSettledError) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
