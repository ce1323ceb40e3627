"""Lists, walked both ways and filtered, and balances of any moment, as a client sees them."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote
from uuid import UUID

import pytest

from contracts.envelope import rfc3339
from contracts.event_types import EventType
from contracts.events import TRANSACTION_REVERSED, WalletClosed
from contracts.ids import new_id
from servicekit.principal import Principal
from testkit.access import principal_of
from testkit.events import EPOCH, wallet_in
from testkit.read_api import ReadApi
from transaction_history.entrypoints import entry_routes
from transaction_history.reads import listing

pytestmark = pytest.mark.integration

YEAR_2030 = rfc3339(EPOCH.replace(year=2030))
UNKNOWN = EventType(99, "wallet.unheard_of.v1", WalletClosed)


def limited(*owners: str) -> Principal:
    return principal_of(acts_for=frozenset(owners))


async def forwards(bench: ReadApi, path: str, limit: int = 3) -> list[dict[str, Any]]:
    """Return the pages of a list, to its end."""
    sign = "&" if "?" in path else "?"
    pages = [await bench.get(f"{path}{sign}limit={limit}")]
    while (cursor := pages[-1]["next_cursor"]) is not None:
        pages.append(await bench.get(f"{path}{sign}limit={limit}&cursor={cursor}"))
    return pages


async def backwards(bench: ReadApi, path: str, last: dict[str, Any], limit: int = 3) -> list[dict[str, Any]]:
    """Return the pages before *last*, to the list's beginning, in the order of the list."""
    sign = "&" if "?" in path else "?"
    pages: list[dict[str, Any]] = []
    page = last
    while (cursor := page["prev_cursor"]) is not None:
        page = await bench.get(f"{path}{sign}limit={limit}&cursor={cursor}")
        pages.insert(0, page)
    return pages


def ids(pages: list[dict[str, Any]]) -> list[str]:
    return [row["id"] for page in pages for row in page["data"]]


@contextmanager
def looking_at(count: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patch:
        patch.setattr(listing, "LOOKED_AT_MAX", count)
        yield


@pytest.fixture
async def wallets(bench: ReadApi) -> list[UUID]:
    """Give three wallets, two of Ann's and one of Bob's, and what moved between them."""
    made = [wallet_in(3), wallet_in(4), wallet_in(5)]
    owners = ("ann", "ann", "bob")
    for wallet, owner in zip(made, owners, strict=True):
        await bench.project(bench.stream.opened(wallet, owner=owner))
    for number in range(8):
        await bench.project(*bench.stream.deposit(made[0], 1_000 + number, owner="ann"))
        await bench.project(*bench.stream.transfer(made[0], made[2], 10 + number, owners=("ann", "bob")))
    return made


async def test_every_list_is_the_same_walked_either_way(bench: ReadApi, wallets: list[UUID]) -> None:
    for _ in range(4):
        await bench.project(*bench.stream.held(wallets[0], wallets[1], 5))
        await bench.project(bench.stream.restricted(wallets[0]), bench.stream.restricted(wallets[0], lifted=True))
    of_one = f"wallets/{wallets[0]}"
    for path in (
        *("wallets", "wallets?owner_id=ann", "transactions", "transactions?order=oldest", "owners/ann/entries"),
        *(
            "entries",
            "entries?order=oldest",
            f"entries?wallet_id={wallets[0]},{wallets[2]}",
            "entries?owner_id=ann,bob",
        ),
        *(f"{of_one}/entries", f"{of_one}/holds", f"{of_one}/state-changes"),
    ):
        pages = await forwards(bench, path, limit=2)
        walked = ids(pages)

        assert len(set(walked)) == len(walked) > 1, path
        assert ids([*await backwards(bench, path, pages[-1], limit=2), pages[-1]]) == walked, path
        assert pages[0]["prev_cursor"] is None, path
        assert ids([await bench.get(path)]) == walked, path


@pytest.mark.usefixtures("wallets")
async def test_a_cursor_belongs_to_its_filter_and_its_list(bench: ReadApi) -> None:
    cursor = (await bench.get("transactions?limit=1"))["next_cursor"]

    for other in ("transactions?type=deposit", "transactions?order=oldest", "wallets?limit=1"):
        assert (await bench.get(f"{other}&cursor={cursor}", 400))["code"] == "invalid_cursor"


async def test_transactions_are_filtered(bench: ReadApi, wallets: list[UUID]) -> None:
    sent, received = bench.stream.transfer(wallets[0], wallets[2], 500, owners=("ann", "bob"))
    assert sent.transaction_id is not None
    await bench.project(sent)  # the other entry is still to come
    every = ids(await forwards(bench, "transactions"))
    transfers = ids(await forwards(bench, "transactions?type=transfer"))
    deposits = ids(await forwards(bench, "transactions?type=deposit,nothing"))

    assert sorted([*transfers, *deposits]) == sorted(every)
    assert ids([await bench.get("transactions?complete=false")]) == [str(sent.transaction_id)]
    assert len(ids(await forwards(bench, "transactions?currency=USD&amount_min=10.02&amount_max=10.04"))) == 3
    assert ids([await bench.get("transactions?currency=EUR")]) == []
    await bench.project(received)
    (whole,) = (await bench.get("transactions?currency=USD&amount_min=5&amount_max=5.00"))["data"]
    assert (whole["complete"], whole["amounts"]) == (True, [{"amount": "5.00", "currency": "USD"}])
    at = quote(whole["created_at"])
    assert whole["id"] in ids(await forwards(bench, f"transactions?from={at}&to={quote(YEAR_2030)}"))
    assert whole["id"] not in ids([await bench.get(f"transactions?to={at}")])


async def test_entries_are_filtered_by_their_keys_and_counted(bench: ReadApi, wallets: list[UUID]) -> None:
    every = [row for page in await forwards(bench, "entries") for row in page["data"]]
    one = every[3]
    at = quote(one["occurred_at"])

    assert (await bench.get("entries?include=total&limit=1"))["total"] == {"count": 24, "exact": True}
    assert (await bench.get(f"wallets/{wallets[2]}/entries?include=total"))["total"] == {"count": 8, "exact": True}
    assert ids([await bench.get(f"entries?transaction_id={one['transaction_id']}")]) == [
        row["id"] for row in every if row["transaction_id"] == one["transaction_id"]
    ]
    assert ids(await forwards(bench, f"entries?from={at}")) == [
        row["id"] for row in every if row["occurred_at"] >= one["occurred_at"]
    ]
    assert ids(await forwards(bench, f"entries?to={at}&wallet_id={wallets[0]}")) == [
        row["id"] for row in every if row["occurred_at"] < one["occurred_at"] and row["wallet_id"] == str(wallets[0])
    ]


async def test_entries_are_counted_up_to_a_bound(
    bench: ReadApi, wallets: list[UUID], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(entry_routes, "COUNTED_MAX", 7)

    assert (await bench.get("entries?include=total"))["total"] == {"count": 7, "exact": False}
    assert (await bench.get(f"wallets/{wallets[2]}/entries?include=total&limit=1"))["total"]["exact"] is False


async def test_a_caller_of_some_owners_lists_their_entries(bench: ReadApi, wallets: list[UUID]) -> None:
    with bench.asked_by(limited("bob")):
        assert {row["owner_id"] for row in (await bench.get("entries"))["data"]} == {"bob"}
        assert (await bench.get("entries?include=total"))["total"]["count"] == 8
        assert (await bench.get(f"entries?wallet_id={wallets[0]}"))["data"] == []
        assert (await bench.get("entries?owner_id=ann"))["data"] == []


async def test_a_reversal_shows_on_both_transactions(bench: ReadApi, wallets: list[UUID]) -> None:
    entry, _ = deposit = bench.stream.deposit(wallets[1], 300, owner="ann")
    assert entry.transaction_id is not None
    back = new_id()
    await bench.project(
        *deposit,
        bench.stream.returned(
            TRANSACTION_REVERSED, wallets[1], -300, of=entry.transaction_id, entry=(back, 0), refund=(300, 300)
        ),
    )

    (reversed_,) = (await bench.get("transactions?status=reversed"))["data"]
    reversal = await bench.get(f"transactions/{back}")

    assert (reversed_["id"], reversed_["reversed_by"]) == (str(entry.transaction_id), str(back))
    assert reversed_["refunded"] == {"amount": "3.00", "currency": "USD"}
    assert reversal["related_transaction_id"] == reversed_["id"]


async def test_a_caller_of_some_owners_lists_their_transactions_once(bench: ReadApi, wallets: list[UUID]) -> None:
    await bench.project(*bench.stream.transfer(wallets[0], wallets[1], 7, owners=("ann", "ann")))
    every = set(ids(await forwards(bench, "transactions")))
    with bench.asked_by(limited("ann")):
        anns = ids(await forwards(bench, "transactions"))
    with bench.asked_by(limited("bob")):
        bobs = ids(await forwards(bench, "transactions", limit=2))
        pages = await forwards(bench, "transactions", limit=2)
        assert ids([*await backwards(bench, "transactions", pages[-1], limit=2), pages[-1]]) == bobs
        mine = ids(await forwards(bench, "wallets"))
    with bench.asked_by(limited("carol")):
        assert ids(await forwards(bench, "transactions")) == []
        assert ids(await forwards(bench, "wallets?owner_id=bob")) == []
    with bench.asked_by(limited("ann", "bob")):
        both = ids(await forwards(bench, "transactions", limit=2))

    assert len(set(anns)) == len(anns)
    assert set(anns) == every
    assert len(set(bobs)) == len(bobs) == 8
    assert sorted(both) == sorted(every)
    assert mine == [str(wallets[2])]


async def test_wallets_are_filtered(bench: ReadApi, wallets: list[UUID]) -> None:
    await bench.project(bench.stream.restricted(wallets[1]))

    async def found(query: str) -> set[str]:
        return set(ids(await forwards(bench, f"wallets?{query}")))

    one, two, three = map(str, wallets)
    assert await found("owner_id=ann") == {one, two}
    assert await found("restricted=true") == {two}
    assert await found("restricted=false&currency=USD") == {one, three}
    assert await found("status=closed") == set()
    assert await found(f"idle_since={quote(YEAR_2030)}") == {one, two, three}
    assert await found(f"opened_from={quote(YEAR_2030)}") == set()
    assert await found(f"opened_to={quote(YEAR_2030)}") == {one, two, three}


@pytest.mark.usefixtures("wallets")
async def test_a_page_that_looks_no_further_is_short_and_the_next_goes_on(
    bench: ReadApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = "transactions?type=transfer"
    every = ids(await forwards(bench, path))
    with looking_at(3, monkeypatch):
        pages = await forwards(bench, path)
        back = await backwards(bench, path, pages[-1])

    assert ids(pages) == every
    assert len(pages) > len(every) / 3
    assert ids([*back, pages[-1]]) == every


async def test_what_is_parked_is_left_out_and_told(bench: ReadApi, wallets: list[UUID]) -> None:
    await bench.project(bench.stream.event(UNKNOWN, wallets[1], b"{}"))

    page = await bench.get("wallets")

    assert ids([page]) == [str(wallets[2]), str(wallets[0])]
    assert page["parked"] == {"count": 1, "wallet_ids": [str(wallets[1])]}
    assert (await bench.get("transactions"))["parked"]["count"] == 1
    assert (await bench.get(f"wallets/{wallets[1]}", 503))["code"] == "wallet_parked"


async def test_a_wallet_an_owner_and_holds_are_told(bench: ReadApi, wallets: list[UUID]) -> None:
    placed, increased, *_ = bench.stream.held(wallets[0], wallets[1], 10)
    await bench.project(placed, increased)

    wallet = await bench.get(f"wallets/{wallets[0]}")
    owner = await bench.get("owners/ann/balances")
    (hold,) = (await bench.get(f"wallets/{wallets[0]}/holds?state=open"))["data"]

    assert (wallet["entries"], wallet["credits"]["amount"], wallet["debits"]["amount"]) == (16, "80.28", "1.08")
    assert wallet["balance"]["held"]["amount"] == hold["remaining"]["amount"] == "0.11"
    assert owner["data"] == [{"currency": "USD", "wallets": 2, "balance": wallet["balance"]}]
    assert (await bench.get(f"wallets/{wallets[0]}/holds?state=captured,voided"))["data"] == []
    assert (await bench.get(f"wallets/{wallets[0]}/entries"))["data"][0]["transaction_id"] is not None


async def test_the_balance_of_every_version_is_that_of_its_entry(bench: ReadApi, wallets: list[UUID]) -> None:
    await bench.project(bench.stream.restricted(wallets[0]), *bench.stream.held(wallets[0], wallets[1], 10))
    path = f"wallets/{wallets[0]}"
    entries = {
        row["version"]: row["balance"] for page in await forwards(bench, f"{path}/entries") for row in page["data"]
    }
    newest = (await bench.get(path))["version"]

    for version in range(1, newest + 1):
        told = await bench.get(f"{path}/balance?version={version}")
        assert told["version"] <= version
        if version in entries:
            assert (told["version"], told["balance"]) == (version, entries[version])
    assert (await bench.get(f"{path}/balance?version={newest + 1}", 400))["code"] == "invalid_query"


async def test_a_series_adds_up_and_its_days_are_the_balances_of_their_ends(
    bench: ReadApi, wallets: list[UUID]
) -> None:
    path, ends = f"wallets/{wallets[0]}", "from=2025-12-31T12:00:00Z&to=2026-01-02T12:00:00Z"
    series = await bench.get(f"{path}/balance-series?{ends}&bucket=day&time_zone=Europe/Berlin")
    owner = await bench.get(f"owners/ann/balance-series?{ends}&bucket=week")
    (of_wallet,), (of_owner,) = series["data"], owner["data"]

    assert [bucket["begin"] for bucket in of_wallet["buckets"]] == [
        "2025-12-31T12:00:00.000000Z",
        "2025-12-31T23:00:00.000000Z",
        "2026-01-01T23:00:00.000000Z",
    ]
    day = of_wallet["buckets"][1]
    assert (day["opening"]["amount"], day["closing"]["amount"], day["entries"]) == ("0.00", "79.20", 16)
    assert (day["credits"]["amount"], day["debits"]["amount"], day["fees"]["amount"]) == ("80.28", "1.08", "0.00")
    at = await bench.get(f"{path}/balance?date=2026-01-01&time_zone=Europe/Berlin")
    assert at["balance"]["posted"] == day["closing"]
    assert of_owner["buckets"][-1]["closing"] == day["closing"]


BAD = {
    "entries?order=oldest&direction=in": "invalid_value",
    "entries?include=total&direction=in": "invalid_value",
    "entries?include=sum": "invalid_value",
    "entries?amount_min=1": "missing",
    "wallets/{id}/entries?wallet_id=01a22a8a-ba02-7154-b61d-d72005872e3e": "contradiction",
    "wallets?currency=XXX": "unknown_currency",
    "wallets?status=gone": "invalid_value",
    "wallets?restricted=perhaps": "invalid_type",
    "wallets?opened_from=2026-01-01": "invalid_value",
    "wallets?colour=red": "unknown_field",
    "wallets?limit=0": "invalid_value",
    "wallets?limit=201": "invalid_value",
    "transactions?status=odd": "invalid_value",
    "transactions?amount_min=1": "missing",
    "transactions?currency=USD&amount_min=1e3": "invalid_amount",
    "transactions?currency=USD&amount_max=1.234": "too_many_decimals",
    "transactions?currency=USD&amount_min=2&amount_max=1": "invalid_value",
    "transactions?from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z": "invalid_value",
    "transactions?from=2026-01-01T00:00:00Z&to=2026-01-01T00:00:00Z": "invalid_value",
    "transactions?from=2026-01-01T00:00:00": "invalid_value",
    "transactions?order=random": "invalid_value",
    "wallets/{id}/holds?state=lost": "invalid_value",
    "wallets/{id}/balance": "one_measure",
    "wallets/{id}/balance?version=1&date=2026-01-01": "one_measure",
    "wallets/{id}/balance?version=0": "invalid_value",
    "wallets/{id}/balance?date=2026-1-1": "invalid_value",
    "wallets/{id}/balance?date=2026-01-01&time_zone=Mars/Base": "unknown_time_zone",
    "wallets/{id}/balance-series?from=2026-01-01T00:00:00Z&to=2027-01-01T00:00:00Z&bucket=hour": "too_many",
    "wallets/{id}/balance-series?from=2026-01-01T00:00:00Z&to=2027-01-01T00:00:00Z&bucket=year": "invalid_value",
    "wallets/{id}/balance-series?from=2026-01-01T00:00:00Z&to=2027-01-01T00:00:00Z": "missing",
}


@pytest.mark.parametrize("path", BAD)
async def test_bad_input_is_named(bench: ReadApi, wallets: list[UUID], path: str) -> None:
    refused = await bench.get(path.replace("{id}", str(wallets[0])), 400)

    assert refused["code"] == "invalid_query"
    assert [error["code"] for error in refused["errors"]] == [BAD[path]]
