"""A Kafka record as the consumer handles it: where it belongs, and its event if it can be read."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol
from uuid import UUID

from contracts.envelope import Envelope, EnvelopeError, from_record
from contracts.ids import SHARDS

Headers = Sequence[tuple[str, bytes | None]]
_SEQUENCE_MAX: Final = 2**63 - 1


class KafkaRecord(Protocol):
    """What is used of the client's records."""

    @property
    def partition(self) -> int: ...
    @property
    def offset(self) -> int: ...
    @property
    def headers(self) -> Headers: ...
    @property
    def value(self) -> bytes | None: ...


@dataclass(slots=True)
class Received:
    """A record that has a place: *event* is None if the rest of its envelope cannot be read, *error* says why."""

    shard: int
    sequence: int
    event_id: UUID
    subject: UUID
    partition: int
    offset: int
    size_bytes: int
    event: Envelope | None
    error: str | None


def receive(record: KafkaRecord) -> Received | None:
    """Return the record with its place, or None if not even shard, sequence, id and subject can be read.

    A shard or a sequence out of range counts as missing.
    """
    event: Envelope | None = None
    error: str | None = None
    try:
        event = from_record(record.headers, record.value)
        shard, sequence, event_id, subject = event.shard, event.sequence, event.event_id, event.subject
    except EnvelopeError as unreadable:
        place = _place(record.headers)
        if place is None:
            return None
        shard, sequence, event_id, subject = place
        error = str(unreadable)
    return Received(
        shard,
        sequence,
        event_id,
        subject,
        record.partition,
        record.offset,
        len(record.value or b""),
        event,
        error,
    )


def _place(headers: Headers) -> tuple[int, int, UUID, UUID] | None:
    fields = {name: value for name, value in headers if value is not None}
    try:
        shard, sequence = _number(fields["ce_shard"]), _number(fields["ce_sequence"])
        event_id, subject = UUID(fields["ce_id"].decode()), UUID(fields["ce_subject"].decode())
    except (KeyError, ValueError):
        return None
    is_in_range = 0 <= shard < SHARDS and 1 <= sequence <= _SEQUENCE_MAX
    return (shard, sequence, event_id, subject) if is_in_range else None


def _number(raw: bytes) -> int:
    """Return the number in *raw*, which is digits and nothing else; raise ValueError."""
    if not raw.isdigit():
        raise ValueError("no number")
    return int(raw)
