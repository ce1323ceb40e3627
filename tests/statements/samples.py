"""A statement as an example: of a shop in Lisbon, with whatever a statement can have."""

import hashlib
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Final
from uuid import UUID

from contracts.zones import midnight
from transaction_history.domain.statement import OpenHold, StatementFigures, StatementLine, TypeTotal
from transaction_history.rendering import render
from transaction_history.rendering.wording import WORDINGS

BYTES: Final = Path(__file__).with_name("bytes.json")
"""What the samples' bytes are, by `sample_hashes`, and by which version of the template."""
ZONE: Final = "Europe/Lisbon"
_OPENING: Final = 1_204_350
_TEXTS: Final = {
    "en": ("Order 7741, two chairs", "Weekly payout"),
    "de": ("Bestellung 7741, zwei Stühle", "Wöchentliche Auszahlung"),
    "ar": ("طلب رقم 7741، كرسيان", "الدفعة الأسبوعية"),
}
_FIRST: Final = datetime(2026, 10, 1, 8, 15, tzinfo=UTC)


def lines_of(count: int, *, locale: str = "en") -> list[StatementLine]:
    """Return *count* entries, of all kinds; the first one came late."""
    sold, paid_out = _TEXTS[locale]
    kinds = [
        ("transfer", "wallet.funds_received.v1", sold, "shop-7", 18_450, 0),
        ("transfer", "wallet.fee_charged.v1", None, None, -277, 277),
        ("capture", "wallet.funds_received.v1", sold, "ann", 9_900, 150),
        ("refund", "wallet.refund_sent.v1", None, "ann", -9_900, 0),
        ("withdrawal", "wallet.funds_withdrawn.v1", paid_out, "external:EUR", -150_000, 0),
        ("deposit", "wallet.funds_deposited.v1", None, "external:EUR", 123_456, 0),
    ]
    balance = _OPENING
    lines: list[StatementLine] = []
    for at in range(count):
        transaction_type, event_type, description, counterparty, amount, fee = kinds[at % len(kinds)]
        balance += amount
        lines.append(
            StatementLine(
                version=at + 2,
                occurred_at=_FIRST + timedelta(hours=11 * at) if at else _FIRST - timedelta(hours=10),
                transaction_type=transaction_type,
                event_type=event_type,
                description=description,
                reference=f"INV-2026/{at:05d}" if at % 2 == 0 else None,
                counterparty=counterparty,
                amount=amount,
                balance_after=balance,
                fee=fee,
            )
        )
    return lines


def figures_of(lines: list[StatementLine], *, locale: str = "en") -> StatementFigures:
    """Return the statement whose entries are *lines*."""
    types = sorted({line.transaction_type for line in lines})
    return StatementFigures(
        number=12,
        wallet_id=UUID("01920000-0000-7000-8000-00000000c0de"),
        owner_id="shop-7/lisbon",
        label={"en": "Daily takings", "de": "Tageseinnahmen", "ar": "إيرادات يومية"}[locale],
        currency="EUR",
        exponent=2,
        time_zone=ZONE,
        locale=locale,
        period_from=date(2026, 10, 1),
        period_to=date(2026, 11, 1),
        from_instant=midnight(ZONE, date(2026, 10, 1)),
        to_instant=midnight(ZONE, date(2026, 11, 1)),
        first_version=2,
        last_version=len(lines) + 1,
        opening=_OPENING,
        closing=_OPENING + sum(line.amount for line in lines),
        credits=sum(line.amount for line in lines if line.amount > 0),
        debits=-sum(line.amount for line in lines if line.amount < 0),
        fees=sum(line.fee for line in lines),
        entries=len(lines),
        by_type=tuple(_total(name, [line for line in lines if line.transaction_type == name]) for name in types),
        holds=(
            OpenHold(
                hold_id=UUID("01920000-0000-7000-8000-000000000a11"),
                placed_at=datetime(2026, 10, 30, 9, 30, tzinfo=UTC),
                amount=25_000,
                expires_at=datetime(2026, 11, 6, 9, 30, tzinfo=UTC),
            ),
            OpenHold(
                hold_id=UUID("01920000-0000-7000-8000-000000000a12"),
                placed_at=datetime(2026, 10, 31, 17, 5, tzinfo=UTC),
                amount=1_999,
                expires_at=None,
            ),
        ),
        holds_left_out=0,
        closed_at=datetime(2026, 11, 1, 0, 1, 25, tzinfo=UTC),
        issue=1,
    )


def _total(name: str, lines: list[StatementLine]) -> TypeTotal:
    return TypeTotal(
        transaction_type=name,
        entries=len(lines),
        credits=sum(line.amount for line in lines if line.amount > 0),
        debits=-sum(line.amount for line in lines if line.amount < 0),
    )


def with_text(line: StatementLine, text: str) -> StatementLine:
    """Return *line* with *text* as everything that people write."""
    return replace(line, description=text, reference=text, counterparty=text)


def sample_hashes() -> dict[str, str]:
    """Return the SHA-256 of a statement of 50 entries in each locale."""
    lines = {locale: lines_of(50, locale=locale) for locale in sorted(WORDINGS)}
    return {
        locale: hashlib.sha256(render(figures_of(each, locale=locale), each, 1, 1).pdf).hexdigest()
        for locale, each in lines.items()
    }
