"""Searches over real tables: what is found, by whom, in how many pages, and what is refused."""

from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import urlencode
from uuid import UUID

import asyncpg
import msgspec
import pytest

from contracts.envelope import Envelope
from contracts.event_types import EventType
from contracts.events import Private, WalletClosed
from contracts.scopes import Kind
from servicekit.consumer.processing import Processor
from servicekit.principal import Principal
from testkit.access import principal_of
from testkit.databases import Database
from testkit.events import TENANT, received, wallet_in
from testkit.read_api import ReadApi
from transaction_history.config import HistorySettings
from transaction_history.domain.entry_filter import parse_filter
from transaction_history.domain.term_query import TermQuery, terms_of
from transaction_history.domain.terms import Hasher
from transaction_history.reads import search_index
from transaction_history.reads.search_index import END, Asked, Budget, Position, find

pytestmark = pytest.mark.integration

Index = Callable[..., Awaitable[None]]
UNKNOWN: Final = EventType(99, "wallet.unheard_of.v1", WalletClosed)


def text(description: str, reference: str | None = None) -> Private:
    return Private(
        key_id=None,
        reference=reference,
        description=description,
        metadata={"shop": "north"},
        label=None,
        destination=None,
        reason=None,
    )


def at(event: Envelope, days: float) -> Envelope:
    return msgspec.structs.replace(event, time=event.time + timedelta(days=days))


async def found(bench: ReadApi, q: str, **parameters: object) -> dict[str, Any]:
    page: dict[str, Any] = await bench.get(f"search?{urlencode({'q': q, **parameters})}")
    return page


async def ids(bench: ReadApi, q: str, **parameters: object) -> list[str]:
    """Return the ids of what is found, page by page."""
    pages: list[str] = []
    cursor: dict[str, str] = {}
    for _ in range(100):
        page = await found(bench, q, **parameters, **cursor)
        pages += [entry["id"] for entry in page["data"]]
        if page["next_cursor"] is None:
            assert page["searched_to"] is None
            return pages
        cursor = {"cursor": page["next_cursor"]}
    raise AssertionError("the pages have no end")


async def transfers(bench: ReadApi, index: Index, *texts: Private, days: float = 9) -> list[Envelope]:
    """Have Ann pay Bob once for each of *texts*, some days between; return the entries, payer's and payee's in turn."""
    anns, bobs, stream = wallet_in(3), wallet_in(4), bench.stream
    opened = [stream.opened(anns, owner="ann"), stream.opened(bobs, owner="bob")]
    opened += stream.deposit(anns, 100_000, owner="ann")
    entries: list[Envelope] = []
    for number, each in enumerate(texts):
        pair = stream.transfer(anns, bobs, 100 + number, owners=("ann", "bob"), private=each)
        entries += [at(event, days * number) for event in pair]
    await index(*opened, *entries)
    return entries


async def test_entries_are_found_newest_first_over_all_segments(bench: ReadApi, index: Index) -> None:
    entries = await transfers(bench, index, *(text(f"rent of month {number}") for number in range(7)))
    newest_first = sorted(entries, key=lambda event: (event.time, event.event_id), reverse=True)

    assert await ids(bench, "rent month", limit=3) == [str(event.event_id) for event in newest_first]
    assert await ids(bench, "rent 4") == [str(event.event_id) for event in newest_first if event in entries[8:10]]
    assert await ids(bench, "rents") == []


@pytest.mark.parametrize("rows_max", [1, 2, search_index.STRETCH_ROWS])
async def test_entries_of_one_instant_where_a_segment_begins_are_all_found(
    bench: ReadApi, index: Index, monkeypatch: pytest.MonkeyPatch, rows_max: int
) -> None:
    monkeypatch.setattr(search_index, "STRETCH_ROWS", rows_max)
    anns, stream = wallet_in(3), bench.stream
    opened = stream.opened(anns, owner="ann")
    monday = datetime(2026, 1, 5, tzinfo=UTC)
    entries = [msgspec.structs.replace(stream.deposited(anns, owner="ann"), time=monday) for _ in range(5)]
    before = at(stream.deposited(anns, owner="ann"), 0)
    await index(opened, *entries, before)

    assert set(await ids(bench, "thing", limit=1)) == {str(event.event_id) for event in [*entries, before]}
    assert len(await ids(bench, "thing -nothing", limit=2)) == 6


async def test_filters_narrow_what_is_found(bench: ReadApi, index: Index) -> None:
    entries = await transfers(bench, index, *(text("rent", f"R-{number}") for number in range(4)))
    sent, received_ = (str(event.event_id) for event in entries[4:6])
    day = min(entries[4].time, entries[5].time)

    for parameters in (
        {"reference": "R-2"},
        {"amount_min": "1.02", "amount_max": "1.02", "currency": "USD"},
        {"from": day.isoformat(), "to": (day + timedelta(hours=1)).isoformat()},
        {"transaction_id": str(entries[4].transaction_id)},
        {"metadata.shop": "north", "reference": "R-2,R-9"},
    ):
        assert set(await ids(bench, "rent", **parameters)) == {sent, received_}, parameters
        assert await ids(bench, "rent", direction="in", **parameters) == [received_]
        assert await ids(bench, "rent", wallet_id=str(entries[4].subject), **parameters) == [sent]
        assert await ids(bench, "rent", owner_id="bob,carol", **parameters) == [received_]
    assert await ids(bench, "rent", **{"metadata.shop": "south"}) == []
    assert await ids(bench, "rent", type="wallet.funds_withdrawn.v1") == []


async def test_relevance_ranks_what_is_found(bench: ReadApi, index: Index) -> None:
    texts = [text("rental of may"), text("something", "rent"), text("rent of may")]
    entries = [str(event.event_id) for event in await transfers(bench, index, *texts)]

    ranked = await ids(bench, "rent", sort="relevance", direction="out", limit=1)

    assert ranked == [entries[2], entries[4], entries[0]]


async def test_who_acts_for_some_owners_finds_theirs_and_no_names(bench: ReadApi, index: Index) -> None:
    entries = await transfers(bench, index, text("rent"), text("rent"))
    anns = [str(event.event_id) for event in reversed(entries[::2])]
    with bench.asked_by(principal_of(kind=Kind.USER, acts_for=frozenset({"ann"}))):
        assert await ids(bench, "rent", limit=1) == anns
        assert await ids(bench, "rent owner:bob") == []
        assert await ids(bench, "rent", owner_id="bob") == []
        assert await ids(bench, "rent counterparty:bob") == []
        assert await ids(bench, f"counterparty:{entries[1].subject}") == anns
    for nobody in (
        principal_of(kind=Kind.USER, acts_for=frozenset()),
        principal_of(kind=Kind.USER, acts_for=frozenset(f"owner {number}" for number in range(50))),
        principal_of(tenant_id=wallet_in(0)),
    ):
        with bench.asked_by(nobody):
            assert await ids(bench, "rent") == []
    many = frozenset({"ann", *(f"owner {number}" for number in range(50))})
    with bench.asked_by(principal_of(kind=Kind.SERVICE, acts_for=many)):
        assert await ids(bench, "rent") == anns


async def test_a_cursor_is_for_its_own_query(bench: ReadApi, index: Index) -> None:
    await transfers(bench, index, *(text("rent") for _ in range(3)))
    page = await found(bench, "rent", limit=1)

    for q, parameters in (("rents", {}), ("rent", {"direction": "in"}), ("rent", {"sort": "relevance"})):
        query = urlencode({"q": q, "cursor": page["next_cursor"], **parameters})
        assert (await bench.ask(f"search?{query}")).json()["code"] == "invalid_cursor"


@pytest.mark.parametrize(
    ("query", "pointer", "code"),
    [
        ("", "/q", "missing"),
        ("q=", "/q", "too_short"),
        ("q=...", "/q", "too_short"),
        ("q=" + "a" * 201, "/q", "too_long"),
        ("q=a+b+c+d+e+f+g+h+i", "/q", "too_many"),
        ("q=%22a", "/q", "invalid_value"),
        ("q=a%00", "/q", "invalid_text"),
        ("q=%ED%A0%80", "/q", "invalid_text"),
        ("q=a&sort=oldest", "/sort", "invalid_value"),
        ("q=a&limit=0", "/limit", "invalid_value"),
        ("q=a&limit=201", "/limit", "invalid_value"),
        ("q=a&colour=red", "/colour", "unknown_field"),
        ("q=a&amount_min=1", "/amount_min", "missing"),
        ("q=a&from=2026-01-01T00:00:00", "/from", "invalid_value"),
        ("q=a&" + "&".join(f"metadata.{number}=x" for number in range(6)), "/metadata.5", "too_many"),
    ],
)
async def test_what_cannot_be_asked_is_refused(bench: ReadApi, query: str, pointer: str, code: str) -> None:
    answer = await bench.ask(f"search?{query}")

    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_query")
    assert [(error["pointer"], error["code"]) for error in answer.json()["errors"]] == [(pointer, code)]


async def test_an_answer_tells_the_position_of_both_projections(
    bench: ReadApi, index: Index, indexer: Processor
) -> None:
    entries = await transfers(bench, index, text("rent"))
    later = bench.stream.deposited(entries[0].subject, owner="ann")
    await bench.project(later)

    answer = await bench.ask("search?q=rent")
    assert f"3-{later.sequence - 1}" in answer.headers["Ledger-Position"]
    assert "Projection-Lag-Ms" in answer.headers
    late = await bench.ask("search?q=rent", **{"Min-Position": f"3-{later.sequence}"})
    assert late.json()["code"] == "position_not_reached"
    await indexer.process([received(later, later.sequence)])
    assert (await bench.ask("search?q=rent", **{"Min-Position": f"3-{later.sequence}"})).status_code == 200


async def test_a_parked_wallet_is_left_out_or_refused(bench: ReadApi, index: Index) -> None:
    entries = await transfers(bench, index, text("rent"))
    anns = entries[0].subject
    await index(bench.stream.event(UNKNOWN, anns, b"{}"))

    page = await found(bench, "rent", direction="in")
    assert len(page["data"]) == 1
    assert page["parked"] == {"count": 1, "wallet_ids": [str(anns)]}
    for parameters in ({"wallet_id": str(anns)}, {"owner_id": "ann"}):
        query = urlencode({"q": "rent", **parameters})
        assert (await bench.ask(f"search?{query}")).json()["code"] == "wallet_parked"
    assert (await found(bench, "rent", owner_id="bob"))["parked"]["count"] == 0


# -- the plan


def asked(hasher: Hasher, q: str, caller: Principal, **scope: Any) -> Asked:
    terms = terms_of(parse_filter({"q": q}), hasher.of(TENANT))
    given = {"owners": None, "wallets": None, **scope}
    return Asked(tenant_id=caller.tenant_id, asked=parse_filter({"q": q}), terms=terms, scoped=terms, **given)


@pytest.fixture
def hasher() -> Hasher:
    return Hasher(HistorySettings(transaction_history_database_url="unused").search_key)


async def session(database: Database) -> asyncpg.Connection:
    settings: Mapping[str, str] = {**search_index.SESSION, "app.tenant_id": str(TENANT)}
    return await asyncpg.connect(database.dsn_reader, server_settings=dict(settings))


async def add_strangers(database: Database) -> None:
    """Add entries of many other wallets of the tenant, so that the planner has something to choose between."""
    owner = await asyncpg.connect(database.dsn_owner)
    await owner.execute(
        f"""insert into history_index.search_entry
            select '2026-01-01T00:00:00Z'::timestamptz + n * interval '1 second', 3, n, '{TENANT}',
                   'owner ' || n % 1000, uuidv7(), 2, uuidv7(), 'USD', 1, array[n] from generate_series(1, 5000) as n;
            analyze history_index.search_entry"""
    )
    await owner.close()


async def test_a_stretch_reads_its_rows_in_the_order_of_an_index(
    bench: ReadApi, index: Index, database: Database, hasher: Hasher
) -> None:
    entries = await transfers(bench, index, text("rent"))
    await add_strangers(database)
    connection = await session(database)
    begins_at = await connection.fetchval("select min(begins_at) from history_index.search_segment")
    scopes: dict[str, dict[str, Any]] = {
        "tenant_id_occurred_at_event_id_idx": {},
        "tenant_id_owner_id_occurred_at_event__idx": {"owners": ("ann", "bob")},
        "pkey": {"wallets": (entries[0].subject, entries[1].subject)},
    }

    for name, scope in scopes.items():
        statement, values = search_index.stretch_statement(
            asked(hasher, "rent", principal_of(), **scope), begins_at, END, 50
        )
        plan = await connection.fetchval(f"explain (format json, analyze) {statement}", *values)
        nodes = list(_nodes(msgspec.json.decode(plan)[0]["Plan"]))
        scans = [node for node in nodes if "Relation Name" in node]
        assert {node["Node Type"] for node in scans} == {"Index Scan"}
        assert {node["Index Name"].split("_", 3)[3] for node in scans} == {name}, name
        sorted_rows = [node for node in nodes if node["Node Type"] == "Sort" and _reads_table(node)]
        assert not sorted_rows, name
    await connection.close()


async def test_terms_are_found_by_their_index_alone(
    bench: ReadApi, index: Index, database: Database, hasher: Hasher
) -> None:
    await transfers(bench, index, *(text(f"rent {number}") for number in range(30)), days=0.01)
    admin = await asyncpg.connect(database.dsn_admin)
    plans: list[str] = []
    admin.add_log_listener(lambda _, message: plans.append(message.message))
    await admin.execute(
        f"""load 'auto_explain'; set auto_explain.log_min_duration = 0; set auto_explain.log_nested_statements = on;
            set client_min_messages = log; set app.tenant_id = '{TENANT}'"""
    )
    terms = terms_of(parse_filter({"q": "rent 7"}), hasher.of(TENANT))

    rows = await admin.fetch(
        "select * from history_index.entries_with_terms($1, null, null, null, null, null, null, 0, 1000000, null,"
        " '-infinity', 'infinity', '00000000-0000-0000-0000-000000000000', 9, 50, 1000)",
        list(terms.required),
    )
    await admin.close()

    assert len(rows) == 3
    (found_by,) = (plan for plan in plans if "with hit as" in plan)
    assert "_terms_idx" in found_by
    assert "Seq Scan" not in found_by
    assert found_by.count("Index Scan") == found_by.count("Bitmap Index Scan") == 1


async def test_a_search_goes_on_where_its_budget_ended(
    bench: ReadApi, index: Index, database: Database, hasher: Hasher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search_index, "STRETCH_ROWS", 3)
    monkeypatch.setattr(search_index, "BUDGET_S", -1.0)
    monkeypatch.setattr(search_index, "TERMS_BEGIN_S", -1.0)
    entries = await transfers(bench, index, *(text("rent" if number == 0 else "fee") for number in range(6)))
    connection = await session(database)
    position: Position | None = END
    keys: list[UUID] = []
    steps = 0

    while position is not None:
        result = await find(connection, asked(hasher, "rent -x", principal_of()), position, 9, Budget())
        keys += [key.event_id for key in result.keys]
        assert result.position is None or result.position < position
        position, steps = result.position, steps + 1
    await connection.close()

    assert set(keys) == {event.event_id for event in entries[:2]}
    assert steps > 4


def test_nothing_is_asked_of_terms_without_any() -> None:
    assert TermQuery().is_empty
    assert not TermQuery((1,)).is_vain
    assert TermQuery(any_of=((),)).is_vain


def _nodes(node: dict[str, Any]) -> Any:
    yield node
    for below in node.get("Plans", []):
        yield from _nodes(below)


def _reads_table(node: dict[str, Any]) -> bool:
    return any("Relation Name" in each for each in _nodes(node))
