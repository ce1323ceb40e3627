"""Statements as clients ask for them: settings, lists, off-schedule closings, issues and files."""

import csv
import io
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx2
import pytest

from contracts.ids import new_id_text
from contracts.scopes import Kind
from servicekit.postgres import Pool
from testkit.access import principal_of
from testkit.events import wallet_in
from testkit.export_api import OpenWorker
from testkit.read_api import ReadApi
from testkit.waiting import eventually
from testkit.watermarks import complete

pytestmark = pytest.mark.integration

FEBRUARY = datetime(2026, 2, 1, tzinfo=UTC)
SETTINGS = {"time_zone": "Europe/Berlin", "locale": "de", "schedule": "monthly", "formats": ["csv"]}
OTHERS = frozenset({"somebody-else"})


class StatementApi:
    """Asks the API behind *bench* for statements."""

    def __init__(self, bench: ReadApi, pool: Pool) -> None:
        self.bench = bench
        self.pool = pool

    async def send(
        self, path: str, body: Any = None, *, method: str = "POST", key: str | None = None
    ) -> httpx2.Response:
        headers = {"Idempotency-Key": key or new_id_text()}
        return await self.bench.client.request(method, f"/v1/history/{path}", json=body, headers=headers)

    async def put(self, **changes: Any) -> httpx2.Response:
        return await self.send("statement-settings", {**SETTINGS, **changes}, method="PUT")

    async def settle(self, until: datetime) -> None:
        async with self.pool.connection() as connection:
            await complete(connection, until + timedelta(seconds=80))

    async def wallet(self, deposits: int = 1, *, owner: str = "owner") -> UUID:
        """Return a wallet to which something has happened, of a ledger that is complete up to March."""
        wallet, stream = wallet_in(3), self.bench.stream
        await self.bench.project(stream.opened(wallet, owner=owner))
        for _ in range(deposits):
            await self.bench.project(*stream.deposit(wallet, 1_000, owner=owner))
        await self.settle(datetime(2026, 3, 1, tzinfo=UTC))
        return wallet

    async def close(self, wallet: UUID, to: str = "2026-02-01", **options: Any) -> httpx2.Response:
        return await self.send("statements", {"wallet_id": str(wallet), "to": to}, **options)

    async def closed(self, wallet: UUID, to: str = "2026-02-01") -> Any:
        answer = await self.close(wallet, to)
        assert answer.status_code == 201, answer.text
        return answer.json()

    async def counted(self) -> object:
        async with self.pool.connection() as connection:
            return await connection.fetchval("select count(*) from history_jobs.statement")


def told(answer: httpx2.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


@pytest.fixture
def api(bench: ReadApi, pool: Pool) -> StatementApi:
    return StatementApi(bench, pool)


async def test_a_period_is_closed_listed_and_fetched(api: StatementApi, open_worker: OpenWorker) -> None:
    wallet, stream = wallet_in(3), api.bench.stream
    await api.bench.project(stream.opened(wallet), *stream.deposit(wallet, 1_000), stream.fee(wallet, 30))
    put = await api.put()
    await api.settle(FEBRUARY)

    async with open_worker():

        async def is_closed() -> bool:
            return len((await api.bench.get("statements"))["data"]) == 1

        await eventually(is_closed)
        (statement,) = (await api.bench.get(f"statements?wallet_id={wallet}"))["data"]
        file = await api.bench.ask(f"statements/{statement['id']}/file?format=csv")
        document = await api.bench.ask(f"statements/{statement['id']}/file?format=pdf", Range="bytes=0-3")

    assert put.status_code == 200, put.text
    assert (statement["number"], statement["period_from"], statement["period_to"]) == (1, "2026-01-01", "2026-02-01")
    assert (statement["opening"]["amount"], statement["closing"]["amount"]) == ("0.00", "9.70")
    assert (statement["fees"]["amount"], statement["entries"], statement["locale"]) == ("0.30", 2, "de")
    rows = list(csv.DictReader(io.StringIO(file.text, newline="")))
    assert [(row["amount"], row["fee"], row["balance_after"]) for row in rows] == [
        ("10.00", "0.00", "10.00"),
        ("-0.30", "0.30", "9.70"),
    ]
    assert rows[0]["occurred_at"].endswith("+01:00")
    assert file.headers["content-disposition"] == 'attachment; filename="statement-0001.csv"'
    assert (document.status_code, document.content, document.headers["content-type"]) == (
        206,
        b"%PDF",
        "application/pdf",
    )


async def test_settings_are_an_owners_or_the_tenants_or_the_usual(api: StatementApi) -> None:
    usual = await api.bench.get("statement-settings")
    key = new_id_text()
    tenants = await api.send("statement-settings", SETTINGS, method="PUT", key=key)
    again = await api.send("statement-settings", SETTINGS, method="PUT", key=key)
    inherited = await api.bench.get("owners/shop%2F7/statement-settings")
    own = {**SETTINGS, "schedule": "weekly", "formats": ["pdf", "csv"]}
    put = await api.send("owners/shop%2F7/statement-settings", own, method="PUT")

    assert (usual["schedule"], usual["is_own"], usual["updated_at"]) == ("none", False, None)
    assert (inherited["schedule"], inherited["is_own"]) == ("monthly", False)
    assert await api.bench.get("owners/shop%2F7/statement-settings") == put.json()
    assert (put.json()["schedule"], put.json()["formats"], put.json()["is_own"]) == ("weekly", ["csv", "pdf"], True)
    assert (await api.bench.get("statement-settings"))["schedule"] == "monthly"
    assert (tenants.json(), again.headers["idempotency-replayed"]) == (again.json(), "true")


@pytest.mark.parametrize(
    ("changes", "pointer", "code"),
    [
        ({"time_zone": "Europe/Atlantis"}, "/time_zone", "unknown_time_zone"),
        ({"locale": "fr"}, "/locale", "invalid_value"),
        ({"schedule": "daily"}, "/schedule", "invalid_value"),
        ({"formats": ["docx"]}, "/formats/0", "invalid_value"),
        ({"formats": ["pdf", "pdf"]}, "/formats", "contradiction"),
        ({"formats": ["pdf", "csv", "pdf"]}, "/formats", "too_many"),
        ({"time_zone": None}, "/time_zone", "invalid_type"),
        ({"colour": "red"}, "/colour", "unknown_field"),
    ],
    ids=str,
)
async def test_settings_that_are_none_change_nothing(
    api: StatementApi, changes: Mapping[str, Any], pointer: str, code: str
) -> None:
    answer = await api.put(**changes)

    assert told(answer) == (422, "invalid_request")
    assert [(each["pointer"], each["code"]) for each in answer.json()["errors"]] == [(pointer, code)]
    assert (await api.bench.get("statement-settings"))["updated_at"] is None


async def test_who_acts_for_some_owners_says_nothing_of_others(api: StatementApi) -> None:
    with api.bench.asked_by(principal_of(kind=Kind.SERVICE, acts_for=OTHERS)):
        tenants = await api.put()
        anothers = await api.send("owners/owner/statement-settings", SETTINGS, method="PUT")
        read = await api.bench.ask("owners/owner/statement-settings")
        own = await api.send("owners/somebody-else/statement-settings", SETTINGS, method="PUT")
    with api.bench.asked_by(principal_of(kind=Kind.USER, acts_for=OTHERS)):
        users = await api.send("owners/somebody-else/statement-settings", SETTINGS, method="PUT")

    assert [told(answer) for answer in (tenants, anothers, read, users)] == [(403, "forbidden")] * 4
    assert own.status_code == 200


async def test_a_period_is_closed_off_schedule_up_to_a_day_or_an_instant(api: StatementApi) -> None:
    await api.put(schedule="none")
    wallet, key = await api.wallet(), new_id_text()

    first = await api.close(wallet, key=key)
    again = await api.close(wallet, key=key)
    second = await api.closed(wallet, "2026-02-15T12:00:00+01:00")

    statement = first.json()
    assert first.headers["location"] == f"/v1/history/statements/{statement['id']}"
    assert (again.status_code, again.headers["idempotency-replayed"], again.json()) == (201, "true", statement)
    assert statement["to_instant"] == "2026-01-31T23:00:00.000000Z", "a day begins in the zone of the settings"
    assert (second["number"], second["from_instant"], second["to_instant"]) == (
        2,
        statement["to_instant"],
        "2026-02-15T11:00:00.000000Z",
    )
    assert (second["period_from"], second["period_to"]) == ("2026-02-01", "2026-02-16")
    assert second["opening"] == statement["closing"]
    assert await api.bench.get(f"statements/{statement['id']}") == statement


async def test_a_period_that_cannot_be_closed_is_refused_and_leaves_no_row(api: StatementApi) -> None:
    wallet = await api.wallet()
    refused = {
        "2099-01-01": (409, "period_not_over"),
        "2026-03-02T00:00:00Z": (409, "period_not_over"),
        "2026-01-01": (404, "wallet_not_open_yet"),
        "1999-01-01T00:00:00Z": (404, "wallet_not_open_yet"),
        "2026-02-30": (422, "invalid_request"),
        "2026-02-01T00:00:00": (422, "invalid_request"),
        "9999-12-31": (422, "invalid_request"),
        "": (422, "invalid_request"),
    }

    found = {to: await api.close(wallet, to) for to in refused}
    unknown = await api.close(wallet_in(3))
    malformed = await api.send("statements", {"wallet_id": "x" * 36, "to": "2026-02-01"})
    with api.bench.asked_by(principal_of(acts_for=OTHERS)):
        anothers = await api.close(wallet)

    assert {to: told(answer) for to, answer in found.items()} == refused
    assert "retry-after" in found["2026-03-02T00:00:00Z"].headers
    assert "retry-after" not in found["2099-01-01"].headers
    assert [told(unknown), told(anothers)] == [(404, "wallet_not_found")] * 2
    assert malformed.json()["errors"][0] == {
        "pointer": "/wallet_id",
        "code": "invalid_id",
        "detail": "The value is not a wallet's id.",
    }
    assert await api.counted() == 0


async def test_a_period_that_is_closed_is_not_closed_again(api: StatementApi) -> None:
    wallet, ended = await api.wallet(), wallet_in(9)
    await api.bench.project(api.bench.stream.opened(ended), api.bench.stream.closed(ended))
    for each in (wallet, ended):
        await api.closed(each)

    earlier = [await api.close(wallet, to) for to in ("2026-02-01", "2026-01-15")]
    behind_the_last = await api.close(ended, "2026-02-20")

    assert [told(answer) for answer in (*earlier, behind_the_last)] == [(409, "period_closed")] * 3
    assert earlier[0].json()["ended_at"] == "2026-02-01T00:00:00.000000Z"
    assert await api.counted() == 2


async def test_a_parked_wallet_is_not_closed(api: StatementApi) -> None:
    wallet = await api.wallet()
    async with api.pool.connection() as connection:
        await connection.execute(
            """insert into servicekit.parked_subject (projection, subject, shard, seq, reason)
               values ('transaction_history', $1, 3, 9, 'a test')""",
            wallet,
        )

    assert told(await api.close(wallet)) == (503, "wallet_parked")
    assert await api.counted() == 0


async def test_statements_are_listed_both_ways_and_by_period(api: StatementApi) -> None:
    wallet = await api.wallet()
    other = await api.wallet(owner="somebody-else")
    ids = [(await api.closed(wallet, f"2026-02-{day:02}"))["id"] for day in range(1, 6)][::-1]
    others = (await api.closed(other))["id"]

    def of(page: Any) -> list[str]:
        return [each["id"] for each in page["data"]]

    first = await api.bench.get(f"statements?wallet_id={wallet}&limit=2")
    second = await api.bench.get(f"statements?wallet_id={wallet}&limit=2&cursor={first['next_cursor']}")
    back = await api.bench.get(f"statements?wallet_id={wallet}&limit=2&cursor={second['prev_cursor']}")
    period = await api.bench.get("statements?owner_id=owner&from=2026-02-02T00:00:00Z&to=2026-02-04T00:00:00Z")
    wrong = await api.bench.ask(f"statements?limit=2&cursor={first['next_cursor']}")
    nowhere = await api.bench.ask("statements?from=2026-02-02T00:00:00Z&to=2026-02-02T00:00:00Z")
    with api.bench.asked_by(principal_of(kind=Kind.USER, acts_for=OTHERS)):
        theirs = await api.bench.get("statements")
        none = await api.bench.get("statements?owner_id=owner")

    assert (of(first), of(second), of(back)) == (ids[:2], ids[2:4], ids[:2])
    assert of(period) == ids[1:3]
    assert (of(theirs), of(none)) == ([others], [])
    assert (told(wrong), told(nowhere)) == ((400, "invalid_cursor"), (400, "invalid_query"))


async def test_a_statement_is_told_anew_in_the_language_that_holds_and_the_old_one_stays(
    api: StatementApi, open_worker: OpenWorker
) -> None:
    await api.put()
    statement = await api.closed(await api.wallet())
    await api.put(locale="ar")

    path = f"statements/{statement['id']}"
    again = await api.send(f"{path}/reissue")
    async with open_worker():
        files = [await _fetched(api, f"{path}/file?format=pdf{query}") for query in ("&issue=1", "&issue=2", "")]
    beyond = await api.bench.ask(f"{path}/file?format=pdf&issue=3")

    body = again.json()
    assert (again.status_code, body["issue"]) == (201, 2)
    assert [(each["issue"], each["locale"]) for each in body["issues"]] == [(1, "de"), (2, "ar")]
    told_anew = {"issue", "issues", "files"}
    assert {k: v for k, v in body.items() if k not in told_anew} == {
        k: v for k, v in statement.items() if k not in told_anew
    }
    assert files[1] == files[2] != files[0]
    assert told(beyond) == (400, "invalid_query")


async def _fetched(api: StatementApi, path: str) -> bytes:
    """Return a file when it is there."""
    found: list[httpx2.Response] = []

    async def is_there() -> bool:
        found[:] = [await api.bench.ask(path)]
        assert found[0].is_success or told(found[0]) == (409, "file_not_ready"), found[0].text
        return found[0].is_success

    await eventually(is_there)
    return found[0].content


async def test_anothers_statement_is_not_there(api: StatementApi) -> None:
    statement = (await api.closed(await api.wallet()))["id"]
    other_tenant = principal_of(tenant_id=UUID(int=2))

    for caller in (principal_of(acts_for=OTHERS), other_tenant):
        with api.bench.asked_by(caller):
            answers = [
                await api.bench.ask(f"statements/{statement}"),
                await api.bench.ask(f"statements/{statement}/file?format=csv"),
                await api.send(f"statements/{statement}/reissue"),
            ]
        assert [told(answer) for answer in answers] == [(404, "statement_not_found")] * 3
    assert (await api.bench.get(f"statements/{statement}"))["issue"] == 1
    assert told(await api.send(f"statements/{new_id_text()}/reissue")) == (404, "statement_not_found")


async def test_a_file_that_nobody_makes_is_told_to_be_asked_for_again(api: StatementApi) -> None:
    statement = await api.closed(await api.wallet())
    path = f"statements/{statement['id']}"

    answer = await api.bench.ask(f"{path}/file?format=pdf")
    wrong = [await api.bench.ask(f"{path}/file{query}") for query in ("", "?format=docx", "?format=pdf&volume=2")]

    assert (told(answer), answer.headers["retry-after"]) == ((409, "file_not_ready"), "1")
    assert [told(each) for each in wrong] == [(400, "invalid_query")] * 3
    assert [file["status"] for file in (await api.bench.get(path))["files"]] == ["queued"]
