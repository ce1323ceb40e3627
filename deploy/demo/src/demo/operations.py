"""What a recorded day consists of: one JSON object a line, wallets by name, amounts as decimal strings."""

import gzip
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, Final, Literal

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


class Payee(msgspec.Struct, frozen=True, omit_defaults=True):
    """Who is paid, somebody outside where *wallet* is None: an *amount*, a share in parts per million, or the rest."""

    wallet: str | None = None
    amount: str | None = None
    share_ppm: int | None = None


class Payment(_Command, frozen=True):
    """Pay from *source* to several."""

    source: str
    amount: str
    currency: str
    payees: tuple[Payee, ...]


class Hold(_Command, frozen=True):
    """Set money aside; *lasts_s* after it was asked for it ends by itself, else long after the day."""

    wallet: str
    amount: str
    currency: str
    lasts_s: int | None = None


class Increase(_Command, frozen=True):
    """Hold more in the hold of line *of*."""

    of: int
    amount: str
    currency: str


class Capture(_Command, frozen=True):
    """Pay *amount* of the hold of line *of*, all that remains unless it is given; *is_final* releases the rest."""

    of: int
    payees: tuple[Payee, ...]
    currency: str
    amount: str | None = None
    is_final: bool = False


class Void(_Command, frozen=True):
    """Release the hold of line *of*."""

    of: int


class Lapse(_Command, frozen=True):
    """Wait until the hold of line *of*, which nobody settled, was released by the platform itself."""

    of: int


class Refund(_Command, frozen=True):
    """Give *amount* of the transaction of line *of* back, all that is left unless it is given."""

    of: int
    currency: str
    amount: str | None = None
    with_fees: bool = False


class Reverse(_Command, frozen=True):
    """Take back all that is left of the transaction of line *of*, fees included."""

    of: int


class ChargeBack(_Command, frozen=True):
    """Take *amount* of the deposit of line *of* back, as its bank did."""

    of: int
    amount: str
    currency: str


class Quote(_Command, frozen=True):
    """Ask what an amount of *source* comes to in *target*; one of both amounts is given."""

    source: str
    target: str
    source_amount: str | None = None
    target_amount: str | None = None


class Convert(_Command, frozen=True):
    """Use the quote of line *of* between two wallets."""

    of: int
    source: str
    target: str


class Policy(_Command, frozen=True):
    """Put a section of the policy, at *version*. Stands before anything else in the day."""

    section: Literal["fees", "tiers", "fx", "holds"]
    version: int
    document: Any


class Tier(_Command, frozen=True):
    """Give an owner a tier of the policy."""

    owner: str
    tier: str


class Limits(_Command, frozen=True):
    """Set a wallet's own limits, and a zone in which it is noon: no window of the day ends while it is played."""

    wallet: str
    limits: tuple[dict[str, Any], ...] = ()


class Overdraft(_Command, frozen=True):
    """Let a wallet go so far below zero."""

    wallet: str
    limit: str
    currency: str


class Describe(_Command, frozen=True):
    """Change a wallet's label."""

    wallet: str
    label: str


OfHold = Increase | Capture | Void | Lapse
TakeBack = Refund | Reverse | ChargeBack
ByStaff = Policy | Tier | Limits | Overdraft | ChargeBack
Single = Payment | Hold | OfHold | TakeBack | Quote | Convert | Policy | Tier | Limits | Overdraft | Describe
"""What is asked for in a request of its own."""


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


Asked = Command | Single | Batch
"""What the model has an answer to."""
Operation = Asked | Repeat | Reuse


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
