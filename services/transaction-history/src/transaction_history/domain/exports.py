"""What an export is asked for, as it is stored with its job."""

from datetime import datetime
from enum import StrEnum
from typing import Final

import msgspec

PART_ROWS: Final = 100_000
"""Of a part, behind which another attempt goes on."""
ROWS_MAX: Final = 10_000_000
"""Of one file; a period narrows what is more."""


class Format(StrEnum):
    """What a file is."""

    CSV = "csv"
    XLSX = "xlsx"
    JSONL = "jsonl"


class Direction(StrEnum):
    """Whether money came into the wallet, or went out of it."""

    IN = "in"
    OUT = "out"


class ExportFilters(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Which rows are exported; what is not given does not filter. Amounts are without sign, of one *currency*."""

    owner_id: tuple[str, ...] = ()
    wallet_id: tuple[str, ...] = ()
    type: tuple[str, ...] = ()
    transaction_type: tuple[str, ...] = ()
    currency: tuple[str, ...] = ()
    status: tuple[str, ...] = ()
    counterparty_wallet_id: tuple[str, ...] = ()
    direction: Direction | None = None
    amount_min_minor: int | None = None
    amount_max_minor: int | None = None
    since: datetime | None = None
    until: datetime | None = None


class FileForm(msgspec.Struct, frozen=True, kw_only=True):
    """How the rows of a file are written; instants are told in *time_zone*."""

    format: Format
    time_zone: str
    gzip: bool

    @property
    def is_assembled(self) -> bool:
        """Whether the file is made of all parts at the end, and not their sequence."""
        return self.format is Format.XLSX

    @property
    def extension(self) -> str:
        """What the file's name ends with."""
        return f".{self.format}.gz" if self.gzip else f".{self.format}"


class ExportRequest(FileForm, frozen=True, kw_only=True):
    """An export: *columns* of the rows of *dataset* that *filters* let through."""

    dataset: str
    filters: ExportFilters
    columns: tuple[str, ...]


_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(ExportRequest).decode


def request_text(request: ExportRequest) -> str:
    """Return *request* as it is stored."""
    return _encode(request).decode()


def request_of(text: str) -> ExportRequest:
    """Return the request that *text* is."""
    return _decode(text)
