"""From events to the rows of the index. Pure: the same events make the same rows, however they are cut into runs."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Final
from uuid import UUID

from contracts.envelope import Envelope
from contracts.events import (
    EntryPosted,
    EventData,
    HoldCaptured,
    HoldChanged,
    HoldReleased,
    OwnerChanged,
    PolicyChanged,
    Private,
    SystemEntryPosted,
    WalletClosed,
    WalletOpened,
)
from contracts.money import parse_signed_minor
from transaction_history.domain.index_rows import (
    Counterparty,
    IndexRows,
    Opposite,
    SearchRow,
    ShardTotal,
    Traffic,
    WalletHour,
)
from transaction_history.domain.terms import TERMS_MAX, Field, Hasher, terms_of_text

AHEAD_MAX: Final = timedelta(days=40)
"""Nothing is dated further ahead of the database's clock: its segment would stand before all that is to come."""
MINUTES_KEPT: Final = timedelta(days=8)
_FIRST_ENTRY: Final = 0

EntryData = EntryPosted | HoldCaptured
HoldData = HoldChanged | HoldReleased
Parsed = tuple[Envelope, EventData, Private]
"""An event, its body, and its free text in clear."""


class DatedAhead(Exception):
    """The event is dated further ahead than anything can be."""


class Incomplete(Exception):
    """An event without its wallet's version, or an entry without its place in a transaction."""


def fold(parsed: Sequence[Parsed], held: Mapping[UUID, int], hasher: Hasher, *, now: datetime) -> IndexRows:
    """Return what *parsed* events write at the database's *now*, when what is held of wallets is as *held*.

    Minutes that are not kept any more are left out. Raises DatedAhead and Incomplete.
    """
    folding = _Folding(held, hasher, now)
    for event, data, private in parsed:
        folding.take(event, data, private)
    return folding.rows


class _Folding:
    """The rows of the events taken so far."""

    def __init__(self, held: Mapping[UUID, int], hasher: Hasher, now: datetime) -> None:
        self.rows = IndexRows()
        self._held = dict(held)
        self._hasher = hasher
        self._latest = now + AHEAD_MAX
        self._minutes_from = now - MINUTES_KEPT

    def take(self, event: Envelope, data: EventData, private: Private) -> None:
        """Take the next event of its shard."""
        if event.time > self._latest:
            raise DatedAhead(f"dated {event.time.isoformat()}, more than {AHEAD_MAX.days} days ahead")
        match data:
            case OwnerChanged() | PolicyChanged():
                return
            case SystemEntryPosted():
                if event.entry_index == _FIRST_ENTRY:
                    for traffic in self._traffic(event, data.amount.currency, data.transaction_type):
                        traffic.transactions += 1
                return
            case EntryPosted() | HoldCaptured():
                self._entry(event, data, private)
            case HoldChanged() | HoldReleased():
                self.rows.search.append(self._search_row(event, data, 0, private))
            case _:
                pass
        self._state(event, data)

    def _entry(self, event: Envelope, data: EntryData, private: Private) -> None:
        amount_minor, currency = parse_signed_minor(data.amount), data.amount.currency
        self.rows.search.append(self._search_row(event, data, amount_minor, private))
        hour = (event.subject, event.time.astimezone(UTC).replace(minute=0, second=0, microsecond=0))
        found = self.rows.hours.get(hour)
        if found is None:
            found = self.rows.hours[hour] = WalletHour(
                shard=event.shard, tenant_id=event.tenant_id, owner_id=data.owner_id, currency=currency
            )
        found.add(amount_minor)
        self._counterparty(event, data, amount_minor)
        for traffic in self._traffic(event, currency, data.transaction_type):
            traffic.add(amount_minor)
            if event.entry_index == _FIRST_ENTRY:
                traffic.transactions += 1

    def _counterparty(self, event: Envelope, data: EntryData, amount_minor: int) -> None:
        other = data.counterparty
        if other is None:
            return
        opposite = Opposite(None if other.wallet_id is None else UUID(other.wallet_id), other.system_account)
        key = (event.subject, opposite)
        found = self.rows.counterparties.get(key)
        if found is None:
            found = self.rows.counterparties[key] = Counterparty(
                counterparty_owner_id=other.owner_id,
                shard=event.shard,
                tenant_id=event.tenant_id,
                owner_id=data.owner_id,
                currency=data.amount.currency,
                first_at=event.time,
                last_at=event.time,
            )
        found.add(amount_minor)
        found.first_at, found.last_at = min(found.first_at, event.time), max(found.last_at, event.time)

    def _traffic(self, event: Envelope, currency: str, transaction_type: str) -> Iterator[Traffic]:
        """Yield what the event is counted in, by day and by minute."""
        at = event.time.astimezone(UTC)
        rest = (currency, transaction_type, event.shard)
        yield self.rows.days.setdefault((event.tenant_id, at.date(), *rest), Traffic())
        minute = at.replace(second=0, microsecond=0)
        if minute >= self._minutes_from:
            yield self.rows.minutes.setdefault((event.tenant_id, minute, *rest), Traffic())

    def _state(self, event: Envelope, data: EventData) -> None:
        """Count what the event changes of its wallet: whether it is open, and what is posted and held in it."""
        assert not isinstance(data, SystemEntryPosted | OwnerChanged | PolicyChanged), "these are no wallet's"
        key = (event.tenant_id, data.balance.posted.currency, event.shard)
        total = self.rows.shards.setdefault(key, ShardTotal())
        if isinstance(data, WalletOpened):
            total.wallets += 1
        elif isinstance(data, WalletClosed):
            total.wallets -= 1
        elif isinstance(data, EntryPosted | HoldCaptured):
            total.posted_minor += parse_signed_minor(data.amount)
        held_minor = parse_signed_minor(data.balance.held)
        before = self._held.get(event.subject)
        if held_minor != (before or 0):
            self._held[event.subject] = self.rows.held[event.subject] = held_minor
            total.held_minor += held_minor - (before or 0)

    def _search_row(
        self, event: Envelope, data: EntryData | HoldData, amount_minor: int, private: Private
    ) -> SearchRow:
        if event.wallet_version is None:
            raise Incomplete("an entry without its wallet's version")
        return SearchRow(
            occurred_at=event.time,
            shard=event.shard,
            seq=event.sequence,
            tenant_id=event.tenant_id,
            owner_id=data.owner_id,
            wallet_id=event.subject,
            version=event.wallet_version,
            event_id=event.event_id,
            currency=data.balance.posted.currency,
            amount_minor=amount_minor,
            terms=self._terms(event, data, private),
        )

    def _terms(self, event: Envelope, data: EntryData | HoldData, private: Private) -> list[int]:
        hasher = self._hasher.of(event.tenant_id)
        named = [hasher.term(field, value) for field, value in _named(event, data)]
        return list(islice(dict.fromkeys((*named, *terms_of_text(hasher, private))), TERMS_MAX))


def _named(event: Envelope, data: EntryData | HoldData) -> Iterator[tuple[str, str]]:
    """Yield what an entry is found by beside its free text."""
    yield Field.WALLET, str(event.subject)
    yield Field.OWNER, data.owner_id
    yield Field.TYPE, event.type
    ids = [str(event.event_id)]
    hold_id = _hold_of(data)
    if hold_id is not None:
        yield Field.HOLD, hold_id
        ids.append(hold_id)
    if isinstance(data, EntryPosted | HoldCaptured):
        yield Field.TRANSACTION_TYPE, data.transaction_type
        yield Field.TRANSACTION, data.transaction_id
        ids.append(data.transaction_id)
        if isinstance(data, EntryPosted) and data.related_transaction_id is not None:
            ids.append(data.related_transaction_id)
        if data.counterparty is not None:
            other = data.counterparty
            if other.wallet_id is not None:
                yield Field.COUNTERPARTY_WALLET, other.wallet_id
            if other.owner_id is not None:
                yield Field.COUNTERPARTY_OWNER, other.owner_id
            if other.system_account is not None:
                yield Field.COUNTERPARTY_ACCOUNT, other.system_account
    for each in ids:
        yield Field.ID, each


def _hold_of(data: EntryData | HoldData) -> str | None:
    return data.hold_id if isinstance(data, EntryPosted) else data.hold.id
