"""What a recorded day consists of: one JSON object a line, wallets by name, amounts as decimal strings."""

import gzip
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Final, Literal

import msgspec

Scope = Literal["debits", "all"]


class _Command(msgspec.Struct, tag_field="do", tag=lambda name: name.lower(), frozen=True, omit_defaults=True):
    pass


class Open(_Command, frozen=True):
    """Open *wallet* for *owner*."""

    wallet: str
    owner: str
    currency: str


class Deposit(_Command, frozen=True):
    """Take money in."""

    wallet: str
    amount: str
    currency: str
    note: str | None = None


class Withdrawal(_Command, frozen=True):
    """Pay money out."""

    wallet: str
    amount: str
    currency: str
    note: str | None = None


class Transfer(_Command, frozen=True):
    """Move money from *source* to *target*."""

    source: str
    target: str
    amount: str
    currency: str
    note: str | None = None


class Freeze(_Command, frozen=True):
    """Restrict a wallet."""

    wallet: str
    scope: Scope


class Unfreeze(_Command, frozen=True):
    """Lift the restriction."""

    wallet: str


class Close(_Command, frozen=True):
    """Close an empty wallet."""

    wallet: str


MoneyCommand = Deposit | Withdrawal | Transfer
Command = Open | MoneyCommand | Freeze | Unfreeze | Close


class Batch(_Command, frozen=True):
    """Several commands in one request."""

    mode: Literal["atomic", "independent"]
    commands: tuple[Command, ...]


class Repeat(_Command, frozen=True):
    """The request of line *of* once more under its key, after it was answered: the answer must be the same."""

    of: int


class Reuse(_Command, frozen=True):
    """Another request under the key of line *of*, after it was answered: it must be refused."""

    of: int
    command: Deposit


Operation = Command | Batch | Repeat | Reuse


class Line(msgspec.Struct, frozen=True, omit_defaults=True):
    """The *n*-th operation of the day (from 1), recorded *at* that time of day.

    *copies* is how often the client sends the request at once under its key; *is_answer_kept* is true if a later line
    names this one. *trips* is the wallet that this line must have the fraud service restrict.
    """

    n: int
    at: str
    op: Operation
    copies: int = 1
    is_answer_kept: bool = False
    trips: str | None = None

    @property
    def at_s(self) -> int:
        """When it was recorded, in seconds of the day."""
        hours, minutes, seconds = map(int, self.at.split(":"))
        return (hours * 60 + minutes) * 60 + seconds


DAY: Final = Path(__file__).resolve().parents[2] / "data" / "day.jsonl.gz"
_decode = msgspec.json.Decoder(Line).decode


def read_day(path: Path, *, first: int | None = None) -> Iterator[Line]:
    """Give the lines of a recorded day in order, the *first* ones alone where that is given."""
    with gzip.open(path, "rb") as recorded:
        for text in islice(recorded, first):
            yield _decode(text)


def count_lines(path: Path) -> int:
    """Return how many operations were recorded."""
    with gzip.open(path, "rb") as recorded:
        return sum(1 for _ in recorded)


def touched(operation: Command | Batch) -> tuple[frozenset[str], frozenset[str]]:
    """Return the wallets that *operation* must have to itself, and those it may share.

    Credits of one wallet may come in any order: nothing that any of them answers depends on it. A debit or a change of
    state depends on all that came before.
    """
    commands = operation.commands if isinstance(operation, Batch) else (operation,)
    alone: set[str] = set()
    shared: set[str] = set()
    for command in commands:
        match command:
            case Deposit():
                shared.add(command.wallet)
            case Transfer():
                alone.add(command.source)
                shared.add(command.target)
            case _:
                alone.add(command.wallet)
    return frozenset(alone), frozenset(shared - alone)
