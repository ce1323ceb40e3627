"""Reports from the request to the file: over real tables, by a worker in this process."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from contracts.envelope import Envelope, rfc3339
from servicekit.clock import utc_now
from servicekit.consumer.watermarks import TRANSACTION_BOUND
from servicekit.postgres import Pool
from testkit.access import principal_of
from testkit.events import wallet_in
from testkit.export_api import ExportApi, OpenWorker, rows_of
from testkit.read_api import ReadApi
from transaction_history.domain import jobs
from transaction_history.reports import totals, trial_balance

pytestmark = pytest.mark.integration

Index = Callable[..., Awaitable[None]]
REPORTS = "/v1/history/reports"
NOW = utc_now()
"""Ids of transactions are made now, and their entries are of January."""
IN_TIME = NOW + timedelta(hours=1)
TOO_EARLY = datetime(2026, 1, 1, 0, 0, 10, tzinfo=UTC)
_COMPLETE = """
    insert into servicekit.watermark (projection, shard, known_seq, known_at, covered_seq, covered_at)
    select name, shard, 0, $1, 0, $1 from generate_series(0, 63) as shard,
           unnest(array['transaction_history', 'history_index']) as name
    on conflict (projection, shard) do update set known_at = excluded.known_at, covered_at = excluded.covered_at"""


class ReportApi:
    """Asks for reports."""

    def __init__(self, bench: ReadApi, open_worker: OpenWorker) -> None:
        self._bench = bench
        self._open_worker = open_worker
        self._exports = ExportApi(bench)

    async def send(self, body: Any) -> Any:
        """Ask for a report, as CSV unless *body* says otherwise."""
        return await self._exports.send(REPORTS, {"format": "csv", **body})

    async def ended(self, **body: Any) -> Any:
        """Return a report that a worker has ended."""
        answer = await self.send(body)
        assert answer.status_code == 202, answer.text
        assert answer.headers["location"] == f"{REPORTS}/{answer.json()['id']}"
        async with self._open_worker(part_rows=2):
            return await self._exports.ended(answer.json()["id"], kind="reports")

    async def rows(self, **body: Any) -> list[dict[str, str]]:
        """Return the rows of a report."""
        made = await self.ended(**body)
        assert made["status"] == "succeeded", made
        return rows_of((await self._bench.ask(f"reports/{made['id']}/file")).content)


@pytest.fixture
def reports(bench: ReadApi, open_worker: OpenWorker) -> ReportApi:
    return ReportApi(bench, open_worker)


@pytest.fixture
async def complete(pool: Pool) -> Callable[[datetime], Awaitable[None]]:
    """Give what has all that occurred before an instant be there."""

    async def mark(until: datetime) -> None:
        async with pool.connection() as connection:
            await connection.execute(_COMPLETE, until)

    return mark


@pytest.fixture
async def happened(
    bench: ReadApi, index: Index, complete: Callable[[datetime], Awaitable[None]]
) -> tuple[UUID, UUID, list[Envelope]]:
    """Have Ann be given 10.00, pay Bob 1.00, and both bear fees; give the wallets and the payment's entries."""
    anns, bobs, stream = wallet_in(3), wallet_in(4), bench.stream
    await index(stream.opened(anns, owner="ann"), stream.opened(bobs, owner="bob"))
    await index(*stream.deposit(anns, 1_000, owner="ann"))
    paid = list(stream.transfer(anns, bobs, 100, owners=("ann", "bob")))
    await index(*paid)
    await index(stream.fee(anns, 7))
    await complete(IN_TIME)
    return anns, bobs, paid


def told(rows: list[dict[str, str]], *names: str) -> list[tuple[str, ...]]:
    return [tuple(row[name] for name in names) for row in rows]


@pytest.mark.usefixtures("happened")
async def test_the_trial_balance_sums_up_all_accounts(reports: ReportApi) -> None:
    both_sides = ("account", "debit", "credit", "balance")
    rows = await reports.rows(report="trial_balance", at=rfc3339(NOW))
    before = await reports.rows(report="trial_balance", at="2026-01-01T00:00:00Z")

    assert {row["currency"] for row in rows} == {"USD"}
    assert told(rows, *both_sides) == [
        ("wallets", "0.00", "9.93", "9.93"),
        ("external:USD", "10.00", "0.00", "-10.00"),
        ("total", "10.00", "9.93", "-0.07"),  # the fee's other side is not in this stream
    ]
    assert before == []


@pytest.mark.usefixtures("happened")
async def test_system_accounts_are_read_span_by_span(reports: ReportApi, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = await reports.rows(report="trial_balance", at=rfc3339(NOW))
    monkeypatch.setattr(trial_balance, "QUICK_S", 0.0)
    monkeypatch.setattr(trial_balance, "SLOW_S", 0.0)
    monkeypatch.setattr(trial_balance, "SPAN_MIN", trial_balance.SPAN_MAX)

    assert await reports.rows(report="trial_balance", at=rfc3339(NOW)) == whole


async def test_balances_are_those_of_a_day(
    reports: ReportApi, bench: ReadApi, happened: tuple[UUID, UUID, list[Envelope]]
) -> None:
    anns, bobs, _ = happened
    columns = ("wallet_id", "owner_id", "balance_posted", "status")

    rows = await reports.rows(report="balances", date="2026-01-01", time_zone="Europe/Berlin")
    before = await reports.rows(report="balances", date="2025-12-31", time_zone="Europe/Berlin")
    shown = (await bench.get(f"wallets/{anns}/balance?at=2026-01-01T23:00:00Z"))["balance"]["posted"]

    assert told(rows, *columns) == [(str(anns), "ann", "8.93", "open"), (str(bobs), "bob", "1.00", "open")]
    assert rows[0]["balance_posted"] == shown["amount"]
    assert before == []


async def test_fees_are_those_of_the_period(reports: ReportApi, happened: tuple[UUID, UUID, list[Envelope]]) -> None:
    anns, _, paid = happened
    behind = rfc3339(paid[0].time)

    rows = await reports.rows(report="fees", **{"from": behind, "to": "2026-02-01T00:00:00Z"})
    none = await reports.rows(report="fees", **{"from": "2026-01-01T00:00:00Z", "to": behind})

    assert told(rows, "wallet_id", "owner_id", "fees", "entries") == [(str(anns), "ann", "0.07", "2")]
    assert none == []


async def test_wallets_that_nothing_moves_are_dormant(
    reports: ReportApi, bench: ReadApi, happened: tuple[UUID, UUID, list[Envelope]]
) -> None:
    anns, bobs, _ = happened
    closed = wallet_in(5)
    await bench.project(bench.stream.opened(closed), bench.stream.closed(closed))

    every = await reports.rows(report="dormant_wallets", idle_since="2026-02-01T00:00:00Z")
    none = await reports.rows(report="dormant_wallets", idle_since="2026-01-01T00:00:00Z")

    assert told(every, "wallet_id", "balance_posted") == [(str(anns), "8.93"), (str(bobs), "1.00")]
    assert none == []


@pytest.mark.usefixtures("happened")
async def test_totals_are_those_of_the_index(
    reports: ReportApi, bench: ReadApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    year = {"from": "2026-01-01T00:00:00Z", "to": "2026-05-01T00:00:00Z"}
    counted = (await bench.get(f"totals?from={year['from']}&to={year['to']}"))["data"]

    whole = await reports.rows(report="ledger_totals", **year)
    monkeypatch.setattr(totals, "CHUNK_DAYS", 1)
    day_by_day = await reports.rows(report="ledger_totals", **year)

    assert told(whole, "day", "type", "transactions", "credits", "debits") == [
        (row["day"], row["type"], str(row["transactions"]), row["credits"]["amount"], row["debits"]["amount"])
        for row in counted
    ]
    assert len(counted) == 2
    assert day_by_day == whole


@pytest.mark.usefixtures("happened")
async def test_a_report_waits_until_all_is_there(
    reports: ReportApi,
    complete: Callable[[datetime], Awaitable[None]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(jobs, "ATTEMPTS_MAX", 1)
    await complete(TOO_EARLY)

    early = await reports.ended(report="trial_balance", at="2026-01-02T00:00:00Z")
    counted = await reports.ended(
        report="ledger_totals", **{"from": "2026-01-01T00:00:00Z", "to": "2026-01-02T00:00:00Z"}
    )
    await complete(IN_TIME)
    made = await reports.ended(report="trial_balance", at="2026-01-02T00:00:00Z")

    assert (early["status"], early["failure"], early["as_of"]) == ("failed", "not_complete", None)
    assert (counted["status"], counted["failure"]) == ("failed", "not_complete")
    assert (made["status"], made["complete_until"]) == ("succeeded", rfc3339(IN_TIME - TRANSACTION_BOUND))


async def test_reports_are_of_every_owner_and_of_one_tenant(reports: ReportApi, bench: ReadApi) -> None:
    asked = (await reports.send({"report": "balances", "date": "2026-01-01"})).json()

    assert [job["id"] for job in (await bench.get("reports"))["data"]] == [asked["id"]]
    assert (await bench.get(f"reports/{asked['id']}"))["kind"] == "report"
    await bench.get(f"exports/{asked['id']}", 404)
    assert (await bench.get(f"reports/{asked['id']}/file", 409))["code"] == "file_not_ready"
    assert (await bench.get("reports/nothing", 404))["code"] == "report_not_found"
    with bench.asked_by(principal_of(acts_for=frozenset({"ann"}))):
        assert (await reports.send({"report": "balances", "date": "2026-01-01"})).status_code == 403
        await bench.get(f"reports/{asked['id']}", 403)


@pytest.mark.parametrize(
    ("body", "pointer", "code"),
    [
        ({"report": "secrets"}, "/report", "invalid_value"),
        ({"report": "trial_balance"}, "/at", "missing"),
        ({"report": "trial_balance", "at": "2999-01-01T00:00:00Z"}, "/at", "invalid_value"),
        ({"report": "trial_balance", "at": "2026-01-01T00:00:00"}, "/at", "invalid_value"),
        ({"report": "trial_balance", "at": "2026-01-01T00:00:00Z", "date": "2026-01-01"}, "/date", "contradiction"),
        ({"report": "balances", "date": "2026-02-30"}, "/date", "invalid_value"),
        ({"report": "balances", "date": "2026-01-01", "time_zone": "Mars/Base"}, "/time_zone", "unknown_time_zone"),
        ({"report": "fees", "from": "2026-01-02T00:00:00Z", "to": "2026-01-02T00:00:00Z"}, "/to", "contradiction"),
        (
            {"report": "ledger_totals", "from": "2026-01-01T01:00:00Z", "to": "2026-01-02T00:00:00Z"},
            "/from",
            "invalid_value",
        ),
        ({"report": "balances", "date": "2026-01-01", "format": "xlsx", "gzip": True}, "/gzip", "contradiction"),
        ({"report": "balances", "date": "2026-01-01", "format": "pdf"}, "/format", "invalid_value"),
        ({"report": "balances", "date": "2026-01-01", "owner_id": "ann"}, "/owner_id", "unknown_field"),
    ],
)
async def test_what_cannot_be_reported_is_refused(
    reports: ReportApi, bench: ReadApi, body: dict[str, Any], pointer: str, code: str
) -> None:
    refused = await reports.send(body)

    assert (refused.status_code, refused.json()["code"]) == (422, "invalid_request")
    assert [(error["pointer"], error["code"]) for error in refused.json()["errors"]] == [(pointer, code)]
    assert (await bench.get("reports"))["data"] == []
