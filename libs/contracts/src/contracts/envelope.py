"""The envelope of every record: CloudEvents 1.0 over Kafka in binary mode, with this platform's extensions."""

from collections.abc import Iterable
from datetime import UTC, datetime
from functools import lru_cache
from uuid import UUID

import msgspec

from contracts.events import EVENT_TYPES

_REQUIRED = ("ce_specversion", "ce_id", "ce_source", "ce_type", "ce_time", "ce_subject", "ce_shard", "ce_sequence")


class EnvelopeError(ValueError):
    """The record is no event of this platform: a header is missing or malformed."""


class Envelope(msgspec.Struct, frozen=True, kw_only=True):
    """One event as it travels. A subscriber deduplicates by (shard, sequence).

    *wallet_version* is None for an event that leaves the wallet's version alone; *transaction_id*, *entry_index* and
    *entry_count* are None for an event that is no entry of a transaction.
    """

    shard: int
    sequence: int
    event_id: UUID
    type: str
    source: str
    subject: UUID
    tenant_id: UUID
    time: datetime
    data: bytes
    wallet_version: int | None = None
    transaction_id: UUID | None = None
    entry_index: int | None = None
    entry_count: int | None = None
    causation_id: UUID | None = None
    traceparent: str | None = None


def rfc3339(instant: datetime) -> str:
    """Return *instant* in UTC with microseconds and a Z, the form of every time on the surface."""
    in_utc = instant if instant.tzinfo is UTC else instant.astimezone(UTC)
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


def from_record(headers: Iterable[tuple[str, bytes]], value: bytes | None) -> Envelope:
    """Return the event a Kafka record carries; raise EnvelopeError where it is none.

    The body is not parsed here: `contracts.events.parse_data` does, so that a bad body can be told from a bad record.
    """
    try:
        return _parse({name: raw.decode() for name, raw in headers}, value)
    except (ValueError, KeyError) as error:
        raise EnvelopeError(str(error)) from error


def _parse(fields: dict[str, str], value: bytes | None) -> Envelope:
    missing = [name for name in _REQUIRED if name not in fields]
    if missing or value is None:
        raise EnvelopeError(f"missing: {', '.join(missing) or 'the body'}")
    if fields["ce_specversion"] != "1.0":
        raise EnvelopeError("ce_specversion is not 1.0")

    def number(name: str) -> int | None:
        return int(fields[name]) if name in fields else None

    def uuid(name: str) -> UUID | None:
        return UUID(fields[name]) if name in fields else None

    return Envelope(
        shard=int(fields["ce_shard"]),
        sequence=int(fields["ce_sequence"]),
        event_id=UUID(fields["ce_id"]),
        type=fields["ce_type"],
        source=fields["ce_source"],
        subject=UUID(fields["ce_subject"]),
        tenant_id=UUID(fields["ce_tenantid"]),
        time=datetime.fromisoformat(fields["ce_time"]),
        data=value,
        wallet_version=number("ce_walletversion"),
        transaction_id=uuid("ce_transactionid"),
        entry_index=number("ce_entryindex"),
        entry_count=number("ce_entrycount"),
        causation_id=uuid("ce_causationid"),
        traceparent=fields.get("traceparent"),
    )


def is_known(event: Envelope) -> bool:
    """Tell whether this version of the contracts has the event's type."""
    return event.type in EVENT_TYPES
