"""The topic against the journal: I6 and I7, with header parsing of its own."""

from collections import deque
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from demo.figures import Durations
from demo.findings import Findings
from demo.reconcile.rows import Event, JournalRow

REMEMBERED: Final = 10_000  # events of a shard whose repeat is compared with the first; missing ones that may come late


class NoEventError(ValueError):
    """The record is not an event."""


@dataclass(slots=True)
class TopicFigures:
    """What was found in the topic."""

    records: int = 0
    duplicates: int = 0
    publish_lag: Durations = field(default_factory=Durations)


def parse_event(
    key: bytes | None, headers: Iterable[tuple[str, bytes]], value: bytes | None, broker_time_ms: int | None
) -> Event:
    """Return the event that a record carries; raise NoEventError."""
    try:
        fields = {name: text.decode() for name, text in headers}
        if key is None or value is None or fields["ce_specversion"] != "1.0":
            raise NoEventError("key, body or version is missing")
        return Event(
            shard=int(fields["ce_shard"]),
            seq=int(fields["ce_sequence"]),
            key=key.decode(),
            event_id=fields["ce_id"],
            type=fields["ce_type"],
            subject=fields["ce_subject"],
            version=_number(fields.get("ce_walletversion")),
            transaction_id=fields.get("ce_transactionid"),
            entry_index=_number(fields.get("ce_entryindex")),
            entry_count=_number(fields.get("ce_entrycount")),
            occurred_at=datetime.fromisoformat(fields["ce_time"]),
            published_at_s=None if broker_time_ms is None else broker_time_ms / 1_000,
            body=value,
        )
    except (KeyError, ValueError) as error:
        raise NoEventError(str(error)) from error


def _number(text: str | None) -> int | None:
    return None if text is None else int(text)


async def check_partition(
    events: AsyncIterator[Event],
    journals: Mapping[int, AsyncIterator[JournalRow]],
    findings: Findings,
    figures: TopicFigures,
) -> None:
    """Compare one partition with the *journals* of its shards, each in the order of its sequence."""
    shards = {shard: _ShardTopic(shard, rows, findings, figures) for shard, rows in journals.items()}
    async for event in events:
        figures.records += 1
        shard = shards.get(event.shard)
        if shard is None:
            findings.judge("I6", "shard {} in a partition of {}", event.shard, list(shards), is_right=False)
        else:
            await shard.take(event)
    for shard in shards.values():
        await shard.finish()


class _ShardTopic:
    """One shard's events beside its journal."""

    def __init__(
        self, shard: int, journal: AsyncIterator[JournalRow], findings: Findings, figures: TopicFigures
    ) -> None:
        self._shard = shard
        self._journal = journal
        self._findings = findings
        self._figures = figures
        self._last_seq = 0
        self._missing: set[int] = set()
        self._seen: deque[tuple[int, str]] = deque(maxlen=REMEMBERED)

    async def take(self, event: Event) -> None:
        """Compare the next *event*."""
        place = (self._shard, event.seq)
        is_late = event.seq in self._missing
        self._findings.judge("I7", "shard {}: {} came after {}", *place, self._last_seq, is_right=not is_late)
        if event.seq <= self._last_seq:
            self._repeated(event)
            return
        row = await self._row_of(event.seq)
        self._last_seq = event.seq
        self._seen.append((event.seq, event.event_id))
        if row is None:
            self._findings.judge("I6", "shard {}: {} is in the topic and not in the journal", *place, is_right=False)
            return
        actual, wanted = _comparable(event), _of_journal(row)
        what = "shard {} sequence {}: the event says {}, the journal {}"
        self._findings.judge("I6", what, *place, actual, wanted, is_right=actual == wanted)
        if event.published_at_s is not None:
            self._figures.publish_lag.add(event.published_at_s - event.occurred_at.timestamp())

    async def finish(self) -> None:
        """Report every row that never came."""
        async for row in self._journal:
            self._lacks(row)

    def _repeated(self, event: Event) -> None:
        if event.seq in self._missing:
            self._missing.discard(event.seq)
            return
        self._figures.duplicates += 1
        others = {event_id for seq, event_id in self._seen if seq == event.seq} - {event.event_id}
        what = "shard {}: {} came as different events"
        self._findings.judge("I6", what, self._shard, event.seq, is_right=not others)

    async def _row_of(self, seq: int) -> JournalRow | None:
        while (row := await anext(self._journal, None)) is not None:
            if row.seq == seq:
                return row
            self._lacks(row)
            if len(self._missing) < REMEMBERED:
                self._missing.add(row.seq)
        return None

    def _lacks(self, row: JournalRow) -> None:
        self._findings.judge("I6", "shard {}: {} is not in the topic", row.shard, row.seq, is_right=False)


Comparable = tuple[str, str, str, str, int | None, str | None, int | None, int | None, datetime, bytes]


def _comparable(event: Event) -> Comparable:
    return (
        event.event_id,
        event.type,
        event.key,
        event.subject,
        event.version,
        event.transaction_id,
        event.entry_index,
        event.entry_count,
        event.occurred_at,
        event.body,
    )


def _of_journal(row: JournalRow) -> Comparable:
    wallet = str(row.account_id)
    is_entry = row.transaction_id is not None
    return (
        str(row.event_id),
        row.type,
        wallet,
        wallet,
        row.version,
        str(row.transaction_id) if is_entry else None,
        row.entry_index if is_entry else None,
        row.entry_count if is_entry else None,
        row.occurred_at,
        row.payload,
    )
