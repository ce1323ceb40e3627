"""Writing the journal to a fresh topic again: the same events, with the same sequences, ids and headers."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from prometheus_client import CollectorRegistry

from contracts.envelope import Envelope
from contracts.ids import SHARDS
from contracts.registry import TYPES_BY_NUMBER
from servicekit.brokers import Brokers
from servicekit.postgres import Connection
from servicekit.relay.journal import SqlJournal
from servicekit.relay.metrics import RelayMetrics
from servicekit.relay.publisher import Publisher, PublishError
from servicekit.relay.settings import PublisherSettings
from servicekit.relay.topic_positions import ShardRun, count_partitions, read_positions
from wallet.maintenance.journal_reads import Progress, reading

EVENTS_PER_READ_MAX: Final = 16_384
SEND_TIMEOUT_S: Final = 30.0
ATTEMPTS: Final = 8
BACKOFF_S: Final = 0.25

_NAME: Final = "wallet-replay"
_SHARDS: Final = """
    select l.shard, coalesce(f.seq, 0) as archive_end,
           greatest((select j.seq from wallet.journal j where j.shard = l.shard order by j.seq desc limit 1), f.seq, 0)
               as head,
           l.cursor
      from servicekit.relay_lease l
      left join (select shard, max(seq) as seq from wallet.archive_end group by shard) f using (shard)"""
_AWAY: Final = """
    select a.number, a.end_seq from wallet.archived_partition a
     where not exists (select from pg_inherits i where i.inhparent = 'wallet.archived_journal'::regclass
                          and i.inhrelid = to_regclass('wallet.journal_' || a.number))
     order by a.number"""


class ReplayError(Exception):
    """The replay cannot begin or go on; the message says why. What is in the topic already stays there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplaySettings:
    """What is replayed, and where to. *live_topic* is the relay's own, which is never written here."""

    dsn: str
    brokers: Brokers
    topic: str
    live_topic: str
    source: str
    schema_base: str
    resume: bool = False
    without_missing: bool = False


@dataclass(slots=True)
class _Shard:
    """*written* is the last sequence in the topic, *archive_end* the last archived one, *head* the one to reach."""

    written: int
    archive_end: int
    head: int


class Replayed(NamedTuple):
    """How many events a replay wrote, and how many the relay published to the live topic alone meanwhile."""

    events: int
    missed: int


class Replay:
    """One replay of the journal as it is when it begins."""

    def __init__(
        self,
        settings: ReplaySettings,
        *,
        publisher_class: type[Publisher] = Publisher,
        events_per_read_max: int = EVENTS_PER_READ_MAX,
        backoff_s: float = BACKOFF_S,
    ) -> None:
        self._settings = settings
        self._events_per_read_max = events_per_read_max
        self._backoff_s = backoff_s
        self._publisher = publisher_class(
            PublisherSettings(
                brokers=settings.brokers,
                topic=settings.topic,
                client_id=_NAME,
                schema_base=settings.schema_base,
            ),
            RelayMetrics(CollectorRegistry()),
        )
        archive = "wallet.archived_journal"
        self._archive = SqlJournal(
            table=archive, types=TYPES_BY_NUMBER, source=settings.source, subject_column="account_id"
        )
        self._journal = SqlJournal(
            table="wallet.journal",
            types=TYPES_BY_NUMBER,
            source=settings.source,
            subject_column="account_id",
            archive=archive,
        )
        self._shards: dict[int, _Shard] = {}

    async def count(self) -> int:
        """Return how many events the journal has, for the progress bar."""
        async with reading(self._settings.dsn, application_name=_NAME) as connection:
            return sum(row["head"] for row in await connection.fetch(_SHARDS))

    async def run(self, progress: Progress) -> Replayed:
        """Write what the topic lacks, ascending in each shard; every event is acknowledged on return.

        Raises ReplayError, UnknownTopic, BrokenTopic and JournalBusyError.
        """
        try:
            there = await self._require_topic()
            async with reading(self._settings.dsn, application_name=_NAME) as connection:
                await self._begin(connection, there)
                progress(sum(shard.written for shard in self._shards.values()))
                written = 0
                while events := await self._read(connection):
                    await self._publish(events)
                    for event in events:
                        self._shards[event.shard].written = event.sequence
                    written += len(events)
                    progress(len(events))
                return Replayed(written, await self._missed(connection))
        except PublishError as error:
            raise ReplayError(f"the broker did not accept the records ({error}): run again with --resume") from error
        finally:
            await self._publisher.close()

    async def _require_topic(self) -> Mapping[int, ShardRun]:
        """Return what is in the topic; raise ReplayError unless it may be written."""
        settings = self._settings
        if settings.topic == settings.live_topic:
            raise ReplayError(f"{settings.topic} is the topic the relay publishes to: replay to a fresh one")
        partitions = await count_partitions(settings.brokers, settings.topic)
        if SHARDS % partitions:
            raise ReplayError(f"{settings.topic} has {partitions} partitions, which do not divide {SHARDS} shards")
        there = await read_positions(settings.brokers, settings.topic, partitions)
        if there and not settings.resume:
            raise ReplayError(f"{settings.topic} has records: make a fresh one, or go on with --resume")
        return there

    async def _begin(self, connection: Connection, there: Mapping[int, ShardRun]) -> None:
        known = await self._journal.event_ids(connection, [(shard, run.last) for shard, run in there.items()])
        for row in await connection.fetch(_SHARDS):
            shard, run = row["shard"], there.get(row["shard"])
            self._shards[shard] = _Shard(0 if run is None else run.last, row["archive_end"], row["head"])
            # What is archived elsewhere cannot be compared.
            is_away = run is not None and run.last <= row["archive_end"] and (shard, run.last) not in known
            if run is not None and not is_away and known.get((shard, run.last)) != run.event_id:
                raise ReplayError(
                    f"{self._settings.topic} holds another journal: shard {shard} ends with another event"
                )
            if run is not None and run.first > 1 and not self._settings.without_missing:
                raise ReplayError(f"{self._settings.topic} begins at sequence {run.first} of shard {shard}")
        await self._pass_missing(connection)

    async def _pass_missing(self, connection: Connection) -> None:
        for partition in await connection.fetch(_AWAY):
            last_seq = partition["end_seq"] - 1
            behind = [shard for shard in self._shards.values() if shard.written < min(last_seq, shard.archive_end)]
            if behind and not self._settings.without_missing:
                raise ReplayError(
                    f"archived partition {partition['number']} is not there: bring it back, "
                    "or begin behind it with --without-missing"
                )
            for shard in behind:
                shard.written = min(last_seq, shard.archive_end)

    async def _read(self, connection: Connection) -> list[Envelope]:
        """Return what follows in every shard, up to the heads found at the beginning; nothing where all is written."""
        open_shards = {shard: each for shard, each in self._shards.items() if each.written < each.head}
        if not open_shards:
            return []
        rows = max(1, self._events_per_read_max // len(open_shards))
        archived = {shard: each.written for shard, each in open_shards.items() if each.written < each.archive_end}
        attached = {shard: each.written for shard, each in open_shards.items() if each.written >= each.archive_end}
        events = [
            event
            for journal, cursors in ((self._archive, archived), (self._journal, attached))
            if cursors
            for event in await journal.read(connection, cursors, rows)
            if event.sequence <= self._shards[event.shard].head
        ]
        self._require_dense(events, open_shards)
        return events

    def _require_dense(self, events: Sequence[Envelope], open_shards: Mapping[int, _Shard]) -> None:
        next_seq = {shard: each.written + 1 for shard, each in open_shards.items()}
        for event in events:
            if event.sequence != next_seq[event.shard]:
                raise ReplayError(f"the journal lacks sequence {next_seq[event.shard]} of shard {event.shard}")
            next_seq[event.shard] += 1
        stuck = [shard for shard, each in open_shards.items() if next_seq[shard] == each.written + 1]
        if stuck:
            raise ReplayError(f"the journal lacks sequence {next_seq[stuck[0]]} of shard {stuck[0]}")

    async def _publish(self, events: Sequence[Envelope]) -> None:
        """Publish with a fresh producer after each failure: what it may have delivered comes again, as a repeat."""
        for attempt in range(ATTEMPTS):
            try:
                await self._publisher.publish(events, timeout_s=SEND_TIMEOUT_S)
            except PublishError:
                if attempt == ATTEMPTS - 1:
                    raise
                await asyncio.sleep(self._backoff_s * 2**attempt)
            else:
                return

    async def _missed(self, connection: Connection) -> int:
        cursors = {row["shard"]: row["cursor"] for row in await connection.fetch(_SHARDS)}
        return sum(max(0, cursors[shard] - each.written) for shard, each in self._shards.items())
