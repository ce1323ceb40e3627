"""How a stack looks at a terminal: a table that follows it, or one line per change without a terminal."""

import time
from typing import Self

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from local_stack.stack import Stack
from local_stack.supervisor import State

STYLES = {
    State.READY: "green",
    State.UNREADY: "yellow",
    State.CRASHED: "bold red",
    State.STOPPED: "dim",
}


class Display:
    """Follows one stack; use as a context, and call `refresh` on every change."""

    def __init__(self, console: Console) -> None:
        """Take where to write."""
        self._console = console
        self._live = Live(console=console, auto_refresh=False) if console.is_terminal else None
        self._said: dict[str, str] = {}

    def __enter__(self) -> Self:
        """Begin to follow."""
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Leave the last picture standing."""
        if self._live is not None:
            self._live.stop()

    def refresh(self, stack: Stack) -> None:
        """Show the stack as it is now."""
        if self._live is not None:
            self._live.update(_picture(stack), refresh=True)
        else:
            self._say_changes(stack)

    def _say_changes(self, stack: Stack) -> None:
        lines = {"stack": stack.step}
        for each in stack.supervised:
            lines[each.unit.name] = f"{each.state} {each.unit.address} {each.detail}".rstrip()
        for name, line in lines.items():
            if self._said.get(name) != line:
                self._said[name] = line
                self._console.print(
                    f"{time.strftime('%H:%M:%S')} {name}: {line}", highlight=False, markup=False, soft_wrap=True
                )


def _picture(stack: Stack) -> Group:
    table = Table("process", "state", "pid", "address", "restarts", "", box=None, header_style="bold")
    for each in stack.supervised:
        state = Text(each.state, style=STYLES.get(each.state, ""))
        pid = "" if each.pid is None else str(each.pid)
        table.add_row(each.unit.name, state, pid, each.unit.address, str(each.restarts or ""), Text(each.detail))
    hint = " · Ctrl-C stops it" if stack.step == "up" else ""
    return Group(table, Text(f"{stack.step}{hint} · logs in {stack.config.logs}", style="dim"))
