"""The records of `wallet.watermarks`: up to where the topic of events is complete, and as of when."""

from datetime import datetime
from typing import Annotated, Final

import msgspec

from contracts.ids import SHARDS


class Watermark(msgspec.Struct, frozen=True, kw_only=True):
    """Of *shard*, `wallet.events` has all that the wallet's database showed at *read_at*: the sequences up to *seq*.

    *read_at* is by the clock of that database. Of a shard the last record counts, whatever it says.
    """

    shard: Annotated[int, msgspec.Meta(ge=0, lt=SHARDS)]
    seq: Annotated[int, msgspec.Meta(ge=0)]
    read_at: Annotated[datetime, msgspec.Meta(tz=True)]


class WatermarkError(ValueError):
    """The record is no watermark."""


_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(Watermark).decode


def to_record(watermark: Watermark) -> tuple[bytes, bytes]:
    """Return the record's key, which is the shard, and its value."""
    return str(watermark.shard).encode(), _encode(watermark)


def from_record(value: bytes | None) -> Watermark:
    """Return what a record says; raises WatermarkError."""
    try:
        return _decode(value or b"")
    except msgspec.DecodeError as error:
        raise WatermarkError(str(error)) from error
