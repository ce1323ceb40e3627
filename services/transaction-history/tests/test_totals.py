"""What the index has counted, as a client sees it, and lists that it serves."""

from collections.abc import Awaitable, Callable
from uuid import UUID

import pytest

from contracts.envelope import Envelope
from testkit.access import principal_of
from testkit.events import wallet_in
from testkit.read_api import ReadApi
from transaction_history.reads import totals

pytestmark = pytest.mark.integration

Index = Callable[..., Awaitable[None]]
YEAR = "from=2026-01-01T00:00:00Z&to=2027-01-01T00:00:00Z"


@pytest.fixture
async def sent(bench: ReadApi, index: Index) -> tuple[UUID, UUID, list[Envelope]]:
    """Have Ann be given 10.00 and pay Bob 1.00 and 2.00; give both wallets and the payments' entries."""
    anns, bobs, stream = wallet_in(3), wallet_in(4), bench.stream
    opened = [stream.opened(anns, owner="ann"), stream.opened(bobs, owner="bob")]
    given = stream.deposit(anns, 1_000, owner="ann")
    paid = [
        *stream.transfer(anns, bobs, 100, owners=("ann", "bob")),
        *stream.transfer(anns, bobs, 200, owners=("ann", "bob")),
    ]
    await index(*opened, *given, *paid)
    return anns, bobs, paid


@pytest.mark.usefixtures("sent")
async def test_totals_are_told_apart_as_asked(bench: ReadApi) -> None:
    whole = (await bench.get(f"totals?{YEAR}&by=currency"))["data"]
    by_type = (await bench.get(f"totals?{YEAR}&by=type"))["data"]
    by_day = (await bench.get(f"totals?{YEAR}"))["data"]

    (one,) = whole
    assert (one["day"], one["type"], one["transactions"], one["entries"]) == (None, None, 3, 5)
    assert (one["credits"]["amount"], one["debits"]["amount"]) == ("13.00", "3.00")
    assert [(row["type"], row["transactions"], row["debits"]["amount"]) for row in by_type] == [
        ("deposit", 1, "0.00"),
        ("transfer", 2, "3.00"),
    ]
    assert [(row["day"], row["type"]) for row in by_day] == [("2026-01-01", "deposit"), ("2026-01-01", "transfer")]
    assert (await bench.get("totals?from=2027-01-01T00:00:00Z&to=2027-01-02T00:00:00Z"))["data"] == []


async def test_totals_are_of_every_owner(bench: ReadApi) -> None:
    with bench.asked_by(principal_of(acts_for=frozenset({"ann"}))):
        assert (await bench.get(f"totals?{YEAR}", 403))["code"] == "forbidden"


@pytest.mark.usefixtures("sent")
async def test_too_many_totals_are_refused(bench: ReadApi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(totals, "TOTALS_MAX", 1)

    assert (await bench.get(f"totals?{YEAR}", 400))["errors"][0]["code"] == "too_many"


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("from=2026-01-01T00:00:00Z&to=2027-01-03T00:00:00Z", "too_many"),
        ("from=2026-01-01T01:00:00Z&to=2026-01-03T00:00:00Z", "invalid_value"),
        ("from=2026-01-01T00:00:00Z", "missing"),
        (f"{YEAR}&by=owner", "invalid_value"),
    ],
)
async def test_bad_totals_are_named(bench: ReadApi, query: str, code: str) -> None:
    refused = await bench.get(f"totals?{query}", 400)

    assert [error["code"] for error in refused["errors"]] == [code]


async def test_a_wallets_other_sides_are_ranked(bench: ReadApi, sent: tuple[UUID, UUID, list[Envelope]]) -> None:
    anns, bobs, _ = sent
    path = f"wallets/{anns}/counterparties"

    by_volume = await bench.get(path)
    by_entries = await bench.get(f"{path}?sort=entries&limit=1")
    with bench.asked_by(principal_of(acts_for=frozenset({"ann"}))):
        hers = await bench.get(f"{path}?sort=last")

    first, second = by_volume["data"]
    assert by_volume["complete"]
    assert (first["counterparty"]["system_account"], first["credits"]["amount"]) == ("external:USD", "10.00")
    assert (second["counterparty"]["wallet_id"], second["debits"]["amount"], second["entries"]) == (
        str(bobs),
        "3.00",
        2,
    )
    assert second["counterparty"]["owner_id"] == "bob"
    assert by_entries["data"] == [second]
    assert [side["counterparty"]["owner_id"] for side in hers["data"]] == [None, None]


async def test_entries_are_filtered_by_the_index(bench: ReadApi, sent: tuple[UUID, UUID, list[Envelope]]) -> None:
    anns, bobs, paid = sent

    async def found(path: str) -> list[str]:
        return [row["id"] for row in (await bench.get(path))["data"]]

    newest = [str(event.event_id) for event in sorted(paid, key=lambda event: (event.time, event.event_id))[::-1]]
    assert await found("entries?transaction_type=transfer") == newest
    assert await found("entries?reference=order-1&direction=out") == [each for each in newest if each in ids(paid[::2])]
    assert await found(f"wallets/{anns}/entries?counterparty_wallet_id={bobs}") == ids([paid[2], paid[0]])
    assert await found("owners/bob/entries?currency=USD&amount_min=2.00") == ids([paid[3]])
    first = await bench.get("entries?metadata.shop=north&limit=2")
    assert len(first["data"]) == 2
    rest = await found(f"entries?metadata.shop=north&limit=9&cursor={first['next_cursor']}")
    assert len({*rest, *(row["id"] for row in first["data"])}) == 5


def ids(events: list[Envelope]) -> list[str]:
    return [str(event.event_id) for event in events]
