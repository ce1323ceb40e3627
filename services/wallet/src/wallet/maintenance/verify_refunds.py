"""Verifying refunded transactions: each one's row compared with the events that took it back."""

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple
from uuid import UUID

import msgspec

from contracts.events import CHARGEBACK_DEBITED, REFUND_RECEIVED, REFUND_SENT, TRANSACTION_REVERSED, RefundPosted
from contracts.money import parse_signed_minor
from wallet.maintenance.verify import Report

REFUNDS: Final = tuple(
    event.number for event in (REFUND_SENT, REFUND_RECEIVED, TRANSACTION_REVERSED, CHARGEBACK_DEBITED)
)
"""The numbers of the types that take a transaction back."""
_decode: Final = msgspec.json.Decoder(RefundPosted).decode


class RefundedState(NamedTuple):
    """How much of a transaction was taken back, and by which, in their order; folded or stored."""

    used_minor: int
    refunds: tuple[str, ...]


_NOTHING: Final = RefundedState(0, ())


class RefundFold:
    """Adds up what one shard's events took back, from *opening* on, which the archived ones made."""

    def __init__(self, opening: Mapping[UUID, RefundedState]) -> None:
        self._folded = dict(opening)

    def add(self, payloads: Iterable[bytes]) -> None:
        """Add the bodies of the next events that take transactions back."""
        for payload in payloads:
            told = _decode(payload)
            if told.refund is None or told.related_transaction_id is None:
                continue
            key = UUID(told.related_transaction_id)
            before = self._folded.get(key, _NOTHING)
            used_minor = before.used_minor + parse_signed_minor(told.refund.amount)
            self._folded[key] = RefundedState(used_minor, (*before.refunds, told.transaction_id))

    def compare(self, stored: Mapping[UUID, RefundedState], report: Report) -> None:
        """Compare the sums with the *stored* rows: every refunded transaction of the shard."""
        for key in sorted(self._folded.keys() | stored.keys()):
            folded, actual = self._folded.get(key, _NOTHING), stored.get(key, _NOTHING)
            if folded.used_minor != actual.used_minor:
                told = f"its row says {actual.used_minor} minor units were refunded, its events {folded.used_minor}"
                report.find("I11", f"transaction {key}", told)
            if folded.refunds != actual.refunds:
                told = f"its row tells {len(actual.refunds)} refunds, its events {len(folded.refunds)}, or others"
                report.find("I11", f"transaction {key}", told)
