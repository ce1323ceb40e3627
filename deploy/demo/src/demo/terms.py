"""The terms of the recorded day: what its operator puts in the policy before anything else happens."""

from typing import Any, Final

from demo.operations import Policy

MEMBER: Final = "member"
TRUSTED: Final = "trusted"
CARDS: Final = (
    {"scope": "wallet", "operation": "debit", "currency": "USD", "day_count": 14, "month_amount": "900.00"},
)
"""The limits of a card of its own."""


def _fee(name: str, operation: str, currency: str, bearer: str, **price: Any) -> dict[str, Any]:
    return {"id": name, "operation": operation, "currency": currency, "bearer": bearer, **price}


_FEES: Final = (
    _fee("card", "deposit", "GBP", "payee", rate_ppm=5_000, minimum="0.05", maximum="1.00"),
    _fee("bank", "withdrawal", "EUR", "payer", flat="0.25", rate_ppm=2_500),
    _fee("sent", "transfer", "JPY", "payer", rate_ppm=3_000, minimum="1"),
    _fee("sold", "transfer", "JPY", "payee", rate_ppm=10_000, maximum="500"),
    _fee(
        "split",
        "payment",
        "USD",
        "payer",
        bands=({"up_to": "20.00", "rate_ppm": 12_500}, {"flat": "0.05", "rate_ppm": 5_000}),
        banding="marginal",
    ),
    _fee("split-part", "payment", "USD", "payee", flat="0.01", rate_ppm=9_900),
    _fee("split-eur", "payment", "EUR", "payee", bands=({"up_to": "10.00", "flat": "0.02"}, {"rate_ppm": 7_500})),
    _fee("captured", "capture", "USD", "payer", flat="0.10", rate_ppm=29_000),
    _fee("captured-trusted", "capture", "USD", "payer", tier=TRUSTED, rate_ppm=11_500),
    _fee("captured-part", "capture", "USD", "payee", rate_ppm=15_000),
    _fee("exchange", "conversion", "USD", "payer", rate_ppm=2_000, minimum="0.01"),
    _fee("exchanged", "conversion", "EUR", "payee", flat="0.05"),
)
_TIERS: Final = (
    {
        "name": "default",
        "limits": (
            {"scope": "wallet", "operation": "withdrawal", "currency": "USD", "per_transaction": "400.00"},
            {"scope": "wallet", "operation": "deposit", "currency": "GBP", "per_transaction": "590.00"},
        ),
    },
    {
        "name": MEMBER,
        "limits": (
            {"scope": "owner", "operation": "payment", "currency": "USD", "day_amount": "1200.00", "day_count": 60},
            {"scope": "wallet", "operation": "transfer", "currency": "USD", "per_transaction": "75.00"},
            {"scope": "wallet", "operation": "conversion", "currency": "EUR", "month_amount": "300.00"},
        ),
    },
    {
        "name": TRUSTED,
        "limits": (
            {"scope": "owner", "operation": "debit", "currency": "USD", "day_amount": "90000.00"},
            {"scope": "wallet", "operation": "transfer", "currency": "USD", "per_transaction": "150.00"},
        ),
    },
)
_EXCHANGE: Final = {
    "spread_ppm": 5_000,
    "pairs": (
        {"source_currency": "USD", "destination_currency": "EUR", "spread_ppm": 3_000},
        {"source_currency": "EUR", "destination_currency": "USD"},
        {"source_currency": "USD", "destination_currency": "JPY"},
        {"source_currency": "JPY", "destination_currency": "EUR"},
    ),
}
NOT_OFFERED: Final = ("EUR", "JPY")
_HOLDS: Final = {"days": 2, "days_max": 3, "overcapture_ppm": 100_000}

POLICY: Final = (
    Policy("tiers", 0, _TIERS),
    Policy("fees", 1, _FEES),
    Policy("fx", 2, _EXCHANGE),
    Policy("holds", 3, _HOLDS),
)
