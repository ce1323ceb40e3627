"""Entries as one answer that streams."""

import json
from collections.abc import Awaitable, Callable

import httpx2
import pytest

from servicekit.failures import Overloaded
from testkit.access import principal_of
from testkit.events import wallet_in
from testkit.export_api import ExportApi, OpenWorker, rows_of
from testkit.read_api import ReadApi
from transaction_history.entrypoints import entry_routes, entry_streams

pytestmark = pytest.mark.integration

Index = Callable[..., Awaitable[None]]
CSV, LINES = "text/csv", "application/jsonl"


@pytest.fixture
async def wallet(bench: ReadApi, index: Index) -> str:
    """Have Ann be given amounts and pay Bob; give her wallet."""
    anns, bobs, stream = wallet_in(3), wallet_in(4), bench.stream
    await index(stream.opened(anns, owner="ann"), stream.opened(bobs, owner="=bob"))
    for amount in (100, 200, 300):
        await index(*stream.deposit(anns, amount, owner="ann"))
    await index(*stream.transfer(anns, bobs, 50, owners=("ann", "=bob")))
    return str(anns)


async def streamed(bench: ReadApi, path: str, accept: str = CSV) -> httpx2.Response:
    return await bench.ask(path, accept=accept)


async def test_what_streams_is_what_an_export_has(
    bench: ReadApi, wallet: str, open_worker: OpenWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(entry_routes, "CHUNK_ROWS", 2)
    filters = {"wallet_id": [wallet]}
    for accept, form in ((CSV, "csv"), (LINES, "jsonl")):
        answer = await streamed(bench, f"wallets/{wallet}/entries?order=oldest", accept)

        assert answer.headers["content-type"].startswith(accept)
        assert answer.content == await ExportApi(bench).made(open_worker, filters=filters, format=form)
        assert answer.headers["ledger-position"] == "3-8"
    others = {row["counterparty_owner_id"] for row in rows_of((await streamed(bench, "entries")).content)}
    assert others == {"", "ann", "'=bob"}


async def test_entries_of_other_filters_stream_from_the_index(bench: ReadApi, wallet: str) -> None:
    path = f"wallets/{wallet}/entries?transaction_type=deposit"
    shown = (await bench.get(path))["data"]

    lines = (await streamed(bench, path, f"application/json;q=0.1, {LINES}")).content.splitlines()

    assert [json.loads(line)["id"] for line in lines] == [entry["id"] for entry in shown]
    assert len(lines) == 3


async def test_nothing_streams_as_the_names_of_columns(bench: ReadApi) -> None:
    answer = await streamed(bench, "owners/nobody/entries")

    assert (answer.status_code, rows_of(answer.content)) == (200, [])
    assert answer.content.startswith(b"id,occurred_at,wallet_id,")
    assert (await streamed(bench, "owners/nobody/entries", LINES)).content == b""
    assert (await bench.get("entries"))["data"] == []


@pytest.mark.usefixtures("wallet")
async def test_more_than_one_answer_has_is_refused_or_broken_off(
    bench: ReadApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (entry_routes, entry_streams):
        monkeypatch.setattr(module, "ROWS_MAX", 2)

    by_key, by_terms = await streamed(bench, "entries"), await streamed(bench, "entries?transaction_type=deposit")

    assert (by_key.status_code, by_key.json()["code"]) == (400, "too_many_rows")
    assert by_terms.json()["code"] == "too_many_rows"


async def test_a_tenant_has_so_many_streams_and_no_more(bench: ReadApi) -> None:
    streams = entry_streams.Streams()
    one, other = principal_of().tenant_id, wallet_in(1)
    with streams.one(one), streams.one(one):
        with pytest.raises(Overloaded), streams.one(one):
            pass
        with streams.one(other):
            pass
    with streams.one(one):
        assert (await streamed(bench, "entries")).status_code == 200


@pytest.mark.usefixtures("wallet")
async def test_who_acts_for_an_owner_streams_its_entries(bench: ReadApi) -> None:
    with bench.asked_by(principal_of("ann", acts_for=frozenset({"ann"}))):
        rows = rows_of((await streamed(bench, "entries")).content)

    assert {row["owner_id"] for row in rows} == {"ann"}
    assert {row["counterparty_owner_id"] for row in rows} == {""}


@pytest.mark.parametrize("query", ["include=total", "cursor=AAAA"])
async def test_what_a_stream_has_not_is_refused(bench: ReadApi, query: str) -> None:
    refused = await streamed(bench, f"entries?{query}")

    assert (refused.status_code, refused.json()["code"]) == (400, "invalid_query")
