"""What a client is told of transactions that the journal has."""

from collections.abc import Iterable
from itertools import groupby

import msgspec

from contracts.envelope import rfc3339
from contracts.events import EntryPosted
from contracts.money import money
from wallet.domain.texts import NO_TEXT
from wallet.entrypoints.bodies import EntryBody, FeeBody, TransactionBody
from wallet.reads.queries import JournalEntry

_decode = msgspec.json.Decoder(EntryPosted).decode


def transaction_bodies(entries: Iterable[JournalEntry]) -> list[TransactionBody]:
    """Return the transactions that *entries*, grouped by transaction and in entry order, make up."""
    return [_body(list(group)) for _, group in groupby(entries, key=lambda entry: entry.transaction_id)]


def _body(entries: list[JournalEntry]) -> TransactionBody:
    body = next(_decode(entry.payload) for entry in entries if entry.system_account is None)
    private = body.private or NO_TEXT
    first = entries[0]
    return TransactionBody(
        id=first.transaction_id,
        type=body.transaction_type,
        status="posted",
        amount=money(abs(first.amount_minor), first.currency),
        entries=[_entry_body(entry) for entry in entries],
        refunded=money(0, first.currency),
        fees=[fee for entry in entries for fee in _fees_of(entry)],
        reference=private.reference,
        description=private.description,
        metadata=private.metadata,
        destination=private.destination,
        created_at=rfc3339(first.occurred_at),
    )


def _fees_of(entry: JournalEntry) -> Iterable[FeeBody]:
    """Yield the fee that the entry is, if it is one that the reader may see."""
    if entry.system_account is not None or not entry.is_covered:
        return
    rule = _decode(entry.payload).fee_rule
    if rule is not None:
        yield FeeBody(entry.wallet_id, money(-entry.amount_minor, entry.currency), rule)


def _entry_body(entry: JournalEntry) -> EntryBody:
    amount = money(entry.amount_minor, entry.currency)
    if entry.system_account is not None:
        return EntryBody(amount, system_account=entry.system_account)
    if not entry.is_covered:
        return EntryBody(amount, entry.wallet_id)
    assert entry.posted_minor_after is not None
    assert entry.version is not None
    return EntryBody(amount, entry.wallet_id, money(entry.posted_minor_after, entry.currency), entry.version)
