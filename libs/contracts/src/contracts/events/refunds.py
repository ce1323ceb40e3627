"""Money goes back: refunds, reversals and chargebacks."""

from typing import Final

import msgspec

from contracts.event_types import EventType
from contracts.events.money import EntryPosted
from contracts.money import Money


class ReturnedEntry(msgspec.Struct, frozen=True, kw_only=True):
    """What goes back of the entry at *index* of the transaction: *amount* has the other sign than the entry."""

    index: int
    amount: Money


class Refund(msgspec.Struct, frozen=True, kw_only=True):
    """What becomes of the transaction that is taken back: *amount* of it now, *refunded* in all of *refundable*.

    *status* is `partially_refunded`, `refunded` or `reversed`. *entries* add up to what was taken back of each entry;
    one that was never posted, a rounding account's, may stand behind the transaction's own.
    """

    amount: Money
    refunded: Money
    refundable: Money
    status: str
    entries: tuple[ReturnedEntry, ...]


class RefundPosted(EntryPosted, frozen=True, kw_only=True, omit_defaults=True):
    """A wallet's entry of the ledger transaction that takes *related_transaction_id* back, wholly or in part.

    *refund* stands in one entry of it: that of the wallet in whose shard the transaction stands.
    """

    refund: Refund | None = None


REFUND_SENT: Final = EventType(25, "wallet.refund_sent.v1", RefundPosted)
REFUND_RECEIVED: Final = EventType(26, "wallet.refund_received.v1", RefundPosted)
TRANSACTION_REVERSED: Final = EventType(27, "wallet.transaction_reversed.v1", RefundPosted)
CHARGEBACK_DEBITED: Final = EventType(28, "wallet.chargeback_debited.v1", RefundPosted)
TYPES: Final = (REFUND_SENT, REFUND_RECEIVED, TRANSACTION_REVERSED, CHARGEBACK_DEBITED)
