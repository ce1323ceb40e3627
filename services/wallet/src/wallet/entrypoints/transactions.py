"""What a client is told of transactions that the journal has, and what they are to commands that take them back."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import Final
from uuid import UUID

import msgspec
from msgspec import UNSET

from contracts.envelope import rfc3339
from contracts.events import FEE_CHARGED, FEE_RETURNED, EntryPosted
from contracts.money import money
from wallet.domain.originals import FEES, Original, OriginalEntry, closed
from wallet.domain.refunds import RefundStatus, refunded_of
from wallet.domain.rows import StateRow
from wallet.domain.texts import NO_TEXT
from wallet.entrypoints.bodies import EntryBody, FeeBody, TransactionBody
from wallet.reads.queries import JournalEntry

_POSTED: Final = "posted"
_decode = msgspec.json.Decoder(EntryPosted).decode


def transaction_bodies(entries: Iterable[JournalEntry], refunded: Mapping[UUID, StateRow]) -> list[TransactionBody]:
    """Return the transactions that *entries*, grouped by transaction and in entry order, make up.

    *refunded* are the rows of those of which something was taken back.
    """
    return [
        _body(list(group), refunded.get(transaction_id))
        for transaction_id, group in groupby(entries, key=lambda entry: entry.transaction_id)
    ]


def original_of(entries: Sequence[JournalEntry]) -> Original:
    """Return the transaction that *entries*, all of one in their order, make up, as it is taken back."""
    return Original(_decode_first(entries).transaction_type, closed([_original_entry(entry) for entry in entries]))


def _original_entry(entry: JournalEntry) -> OriginalEntry:
    amount_minor, account = entry.amount_minor, entry.system_account
    if entry.type == FEE_CHARGED.number:
        fee = _decode(entry.payload)
        rule = fee.fee_rule, fee.policy_version
        return OriginalEntry(entry.wallet_id, None, entry.currency, amount_minor, True, *rule)
    is_fee = account is not None and account.startswith(FEES)
    return OriginalEntry(entry.wallet_id, account, entry.currency, amount_minor, is_fee)


def _decode_first(entries: Sequence[JournalEntry]) -> EntryPosted:
    return next(_decode(entry.payload) for entry in entries if entry.system_account is None)


def _body(entries: list[JournalEntry], taken: StateRow | None) -> TransactionBody:
    body = _decode_first(entries)
    private = body.private or NO_TEXT
    first = next(entry for entry in entries if entry.type != FEE_RETURNED.number)
    related = body.related_transaction_id
    return TransactionBody(
        id=first.transaction_id,
        type=body.transaction_type,
        status=_POSTED if taken is None else RefundStatus(taken.status).label,
        amount=money(abs(first.amount_minor), first.currency),
        entries=[_entry_body(entry) for entry in entries],
        refunded=money(0, first.currency) if taken is None else money(taken.used_minor, refunded_of(taken).currency),
        fees=[fee for entry in entries for fee in _fees_of(entry)],
        reference=private.reference,
        description=private.description,
        metadata=private.metadata,
        destination=private.destination,
        created_at=rfc3339(first.occurred_at),
        refunds=() if taken is None else refunded_of(taken).refunds,
        related_transaction_id=UNSET if related is None else UUID(related),
        reason=UNSET if related is None or private.reason is None else private.reason,
    )


def _fees_of(entry: JournalEntry) -> Iterable[FeeBody]:
    """Yield the fee that the entry is, if it is one that the reader may see."""
    if entry.type != FEE_CHARGED.number or not entry.is_covered:
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
