"""The envelope of every record: CloudEvents 1.0 over Kafka in binary mode, with this platform's extensions."""

from collections.abc import Collection
from datetime import UTC, datetime
from functools import lru_cache
from typing import Annotated, Final
from uuid import UUID

import msgspec

from contracts.ids import SHARDS

_HEADERS: Final = {
    "shard": "ce_shard",
    "sequence": "ce_sequence",
    "event_id": "ce_id",
    "type": "ce_type",
    "source": "ce_source",
    "subject": "ce_subject",
    "tenant_id": "ce_tenantid",
    "time": "ce_time",
    "wallet_version": "ce_walletversion",
    "transaction_id": "ce_transactionid",
    "entry_index": "ce_entryindex",
    "entry_count": "ce_entrycount",
    "causation_id": "ce_causationid",
}
"""Which header each field of an envelope travels in; the others travel under their own names."""


_KNOWN: Final = frozenset({*_HEADERS.values(), "ce_specversion", "traceparent"})
_INT64_MAX: Final = 2**63 - 1


class EnvelopeError(ValueError):
    """The record is not an event of this platform: a header is missing or malformed."""


class Envelope(msgspec.Struct, frozen=True, kw_only=True, rename=_HEADERS):
    """One event as it travels. A subscriber deduplicates by (shard, sequence).

    *wallet_version* is None for an event that leaves the wallet's version alone; *transaction_id*, *entry_index* and
    *entry_count* are None for an event that is not an entry of a transaction.
    """

    shard: Annotated[int, msgspec.Meta(ge=0, lt=SHARDS)]
    sequence: Annotated[int, msgspec.Meta(ge=1, le=_INT64_MAX)]
    event_id: UUID
    type: str
    source: str
    subject: UUID
    tenant_id: UUID
    time: Annotated[datetime, msgspec.Meta(tz=True)]
    data: bytes
    wallet_version: int | None = None
    transaction_id: UUID | None = None
    entry_index: int | None = None
    entry_count: int | None = None
    causation_id: UUID | None = None
    traceparent: str | None = None


def rfc3339(instant: datetime) -> str:
    """Return *instant* in UTC with microseconds and a Z, the form of every time on the surface."""
    return _text_of(instant if instant.tzinfo is UTC else instant.astimezone(UTC))


@lru_cache(maxsize=4_096)
def _text_of(in_utc: datetime) -> str:
    """Return it as text; kept, because all that a batch does happens at one time."""
    return in_utc.isoformat(timespec="microseconds").removesuffix("+00:00") + "Z"


@lru_cache(maxsize=256)
def _constant_headers(type_name: str, source: str, schema_base: str) -> tuple[tuple[str, bytes], ...]:
    return (
        ("content-type", b"application/json"),
        ("ce_specversion", b"1.0"),
        ("ce_type", type_name.encode()),
        ("ce_source", source.encode()),
        ("ce_dataschema", f"{schema_base}{type_name}".encode()),
    )


def to_headers(event: Envelope, *, schema_base: str) -> list[tuple[str, bytes]]:
    """Return the record's headers; *schema_base* is the URL below which each type's JSON Schema is served."""
    headers = [
        *_constant_headers(event.type, event.source, schema_base),
        ("ce_id", str(event.event_id).encode()),
        ("ce_time", rfc3339(event.time).encode()),
        ("ce_subject", str(event.subject).encode()),
        ("ce_tenantid", str(event.tenant_id).encode()),
        ("ce_shard", b"%d" % event.shard),
        ("ce_sequence", b"%d" % event.sequence),
    ]
    if event.wallet_version is not None:
        headers.append(("ce_walletversion", b"%d" % event.wallet_version))
    if event.transaction_id is not None:
        headers.append(("ce_transactionid", str(event.transaction_id).encode()))
    if event.entry_index is not None:
        headers.append(("ce_entryindex", b"%d" % event.entry_index))
    if event.entry_count is not None:
        headers.append(("ce_entrycount", b"%d" % event.entry_count))
    if event.causation_id is not None:
        headers.append(("ce_causationid", str(event.causation_id).encode()))
    if event.traceparent is not None:
        headers.append(("traceparent", event.traceparent.encode()))
    return headers


def from_record(headers: Collection[tuple[str, bytes | None]], value: bytes | None) -> Envelope:
    """Return the event a Kafka record carries; raises EnvelopeError if it is not an event.

    A header that does not belong to the envelope may have any value, even null: mirrors and interceptors add their own.
    The body is not parsed here: its stream's `parse` does, so that a bad body is distinguished from a bad record.
    """
    fields: dict[str, str | bytes | None] = {}
    try:
        try:
            for name, raw in headers:
                fields[name] = raw.decode()  # type: ignore[union-attr]  # null is rare: it is looked for below
        except (AttributeError, UnicodeDecodeError):
            fields = {name: raw.decode() for name, raw in headers if raw is not None and name in _KNOWN}
        fields["data"] = value
        # One call into C reads and checks every field.
        event = msgspec.convert(fields, Envelope, strict=False)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise EnvelopeError(str(error)) from error
    if fields.get("ce_specversion") != "1.0":
        raise EnvelopeError("ce_specversion is not 1.0")
    return event
