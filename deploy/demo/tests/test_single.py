from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest

from demo.ids import Ids
from demo.operations import (
    Capture,
    ChargeBack,
    Convert,
    Hold,
    Increase,
    Lapse,
    Limits,
    Payee,
    Payment,
    Policy,
    Quote,
    Refund,
    Reverse,
    Single,
    Tier,
    Void,
)
from demo.single import form_of, noon_zone

NOW = datetime(2026, 3, 1, 5, 30, tzinfo=UTC)
A, B, MADE = (str(UUID(int=number)) for number in (1, 2, 3))


@pytest.fixture
def ids() -> Ids:
    """Return the ids of two wallets, and of what line 7 made."""
    ids = Ids()
    ids.learn("a", UUID(A))
    ids.learn("b", UUID(B))
    ids.learn_made(7, UUID(MADE))
    return ids


def usd(amount: str) -> dict[str, str]:
    return {"amount": amount, "currency": "USD"}


@pytest.mark.parametrize(
    ("command", "method", "path", "members"),
    [
        (
            Payment("a", "5.00", "USD", (Payee("b", "1.00"), Payee("b", share_ppm=9), Payee())),
            "POST",
            "/v1/payments",
            {
                "source_wallet_id": A,
                "amount": usd("5.00"),
                "destinations": [
                    {"wallet_id": B, "amount": usd("1.00")},
                    {"wallet_id": B, "share_ppm": 9},
                    {"external": {}, "rest": True},
                ],
            },
        ),
        (Hold("a", "1.00", "USD"), "POST", "/v1/holds", {"wallet_id": A, "amount": usd("1.00")}),
        (
            Hold("a", "1.00", "USD", 6),
            "POST",
            "/v1/holds",
            {"wallet_id": A, "amount": usd("1.00"), "expires_at": "2026-03-01T05:30:06+00:00"},
        ),
        (Increase(7, "1.00", "USD"), "POST", f"/v1/holds/{MADE}/increase", {"amount": usd("1.00")}),
        (
            Capture(7, (Payee("b"),), "USD", is_final=True),
            "POST",
            f"/v1/holds/{MADE}/capture",
            {"destinations": [{"wallet_id": B, "rest": True}], "final": True},
        ),
        (Void(7), "POST", f"/v1/holds/{MADE}/void", {}),
        (Lapse(7), "GET", f"/v1/holds/{MADE}", {}),
        (
            Refund(7, "USD", "1.00", with_fees=True),
            "POST",
            f"/v1/transactions/{MADE}/refunds",
            {"amount": usd("1.00"), "reason": "returned", "refund_fees": True},
        ),
        (Reverse(7), "POST", f"/v1/transactions/{MADE}/reversal", {"reason": "mistaken"}),
        (
            ChargeBack(7, "1.00", "USD"),
            "POST",
            f"/v1/transactions/{MADE}/chargebacks",
            {"amount": usd("1.00"), "reason": "disputed"},
        ),
        (
            Quote("USD", "EUR", target_amount="1.00"),
            "POST",
            "/v1/fx/quotes",
            {"source_currency": "USD", "destination_currency": "EUR", "destination_amount": "1.00", "valid_s": 300},
        ),
        (
            Convert(7, "a", "b"),
            "POST",
            "/v1/conversions",
            {"quote_id": MADE, "source_wallet_id": A, "destination_wallet_id": B},
        ),
        (Policy("holds", 3, {"days": 2}), "PUT", "/v1/policy/holds", {"expected_version": 3, "document": {"days": 2}}),
        (Tier("o", "gold"), "PUT", "/v1/owners/o/tier", {"tier": "gold", "reason": "known well"}),
        (Limits("a"), "PUT", f"/v1/wallets/{A}/limits", {"time_zone": "Etc/GMT-7"}),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Single) else "",
)
def test_what_is_asked_for_alone_is_asked_as_the_api_takes_it(
    ids: Ids, command: Single, method: str, path: str, members: dict[str, Any]
) -> None:
    assert form_of(command, ids, NOW) == (method, path, members)


@pytest.mark.parametrize("hour", range(24))
def test_no_day_of_a_wallet_ends_while_it_is_played(hour: int) -> None:
    now = NOW + timedelta(hours=hour)

    assert now.astimezone(ZoneInfo(noon_zone(now))).hour == 12
