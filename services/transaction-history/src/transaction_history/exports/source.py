"""Where the rows of a file come from."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from transaction_history.domain.exports import FileForm
from transaction_history.domain.tables import Cell, Head
from transaction_history.jobs.working import Work


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some rows, and the place behind them, None where there is nothing behind; *rows* is for any thread."""

    count: int
    rows: Callable[[], list[list[Cell]]]
    after: str | None


class Source(Protocol):
    """Rows in chunks, each read in a short transaction. *heads* are their columns."""

    heads: Sequence[Head]

    async def chunk(self, after: str | None, room: int) -> Chunk:
        """Return up to *room* rows behind *after*, None for the first."""
        ...


@dataclass(frozen=True, slots=True)
class Order:
    """A file that is wanted: *name* is what its own begins with."""

    name: str
    form: FileForm
    source: Source


class Orders(Protocol):
    """What jobs of a kind want."""

    async def order(self, work: Work, /) -> Order:
        """Return what *work*'s job wants, the same rows in each of its attempts; raises as `JobKind.carry_out`."""
        ...
