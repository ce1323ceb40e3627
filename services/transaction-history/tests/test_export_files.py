"""Files of exports: ranges, links, what there is none of, and that a second attempt makes the same bytes."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from contracts.ids import new_id_text
from servicekit.postgres import Pool
from testkit.access import principal_of
from testkit.events import wallet_in
from testkit.export_api import EXPORTS, JOBS, ExportApi, OpenWorker
from testkit.read_api import ReadApi
from testkit.waiting import eventually
from transaction_history.jobs.objects import Objects, ObjectsUnavailable

pytestmark = pytest.mark.integration

PART_ROWS = 3
_DUE = "update history_jobs.job set due_at = now(), attempts = 1 where status = 'queued'"
_ASKED_AT = "update history_jobs.job set created_at = '2026-01-01T00:00:00Z'"


@pytest.fixture
async def api(bench: ReadApi) -> ExportApi:
    wallet = wallet_in(3)
    await bench.project(bench.stream.opened(wallet))
    for amount in range(1, 9):
        await bench.project(*bench.stream.deposit(wallet, amount))
    return ExportApi(bench)


async def made(api: ExportApi, open_worker: OpenWorker, **body: Any) -> str:
    """Return an export that has succeeded, of three parts."""
    export_id = await api.ask(**body)
    async with open_worker(part_rows=PART_ROWS):
        assert (await api.ended(export_id))["status"] == "succeeded"
    return export_id


async def test_a_range_of_the_file_may_cross_its_parts(api: ExportApi, open_worker: OpenWorker) -> None:
    path = f"exports/{await made(api, open_worker)}/file"
    whole = await api.bench.ask(path)
    data, tag = whole.content, whole.headers["etag"]
    middle = f"bytes=10-{len(data) - 11}"

    part = await api.bench.ask(path, Range=middle)
    same = await api.bench.ask(path, Range=middle, **{"If-Range": tag})
    changed = await api.bench.ask(path, Range=middle, **{"If-Range": '"other"'})
    end = await api.bench.ask(path, Range="bytes=-5")
    beyond = await api.bench.ask(path, Range=f"bytes={len(data)}-")
    several = await api.bench.ask(path, Range="bytes=0-1,3-4")

    assert (part.status_code, part.content) == (206, data[10:-10])
    assert part.headers["content-range"] == f"bytes 10-{len(data) - 11}/{len(data)}"
    assert (same.status_code, same.content) == (206, data[10:-10])
    assert (changed.status_code, changed.content) == (200, data)
    assert (end.status_code, end.content) == (206, data[-5:])
    assert (beyond.status_code, beyond.json()["code"]) == (416, "range_not_satisfiable")
    assert beyond.headers["content-range"] == f"bytes */{len(data)}"
    assert (several.status_code, several.content) == (200, data)
    assert whole.headers["content-disposition"].startswith('attachment; filename="entries-')
    assert (whole.headers["accept-ranges"], whole.headers["content-length"]) == ("bytes", str(len(data)))
    assert tag == f'"{hashlib.sha256(data).hexdigest()}"'


async def test_a_link_leads_to_the_file_without_a_credential(
    api: ExportApi, open_worker: OpenWorker, capsys: pytest.CaptureFixture[str]
) -> None:
    export_id, key = await made(api, open_worker), new_id_text()
    linked = await api.send(f"{EXPORTS}/{export_id}/link", {"expires_in_s": 60}, key=key)
    again = await api.send(f"{EXPORTS}/{export_id}/link", {"expires_in_s": 60}, key=key)
    path = linked.json()["path"]

    with api.bench.asked_by(principal_of(scopes=0)):
        found = await api.bench.client.get(path)
        part = await api.bench.client.get(path, headers={"Range": "bytes=0-3"})
        wrong = await api.bench.client.get(path, headers={"Range": "bytes=99999999-"})

    assert linked.status_code == 201
    assert (again.json()["path"], again.json()["expires_at"]) == (None, linked.json()["expires_at"])
    assert found.content == await api.file(export_id)
    assert (part.status_code, part.content) == (206, found.content[:4])
    assert wrong.json()["instance"] == "/v1/history/downloads/{token}"
    lines = capsys.readouterr().out
    assert lines.count("path=/v1/history/downloads/{token} ") == 3
    assert path.rpartition("/")[2] not in lines


async def test_links_that_are_over_lead_nowhere(api: ExportApi, open_worker: OpenWorker, pool: Pool) -> None:
    export_id = await made(api, open_worker)

    async def link() -> str:
        path: str = (await api.send(f"{EXPORTS}/{export_id}/link", {"expires_in_s": 3_600})).json()["path"]
        return path

    async def told(path: str) -> tuple[int, str]:
        answer = await api.bench.client.get(path)
        return answer.status_code, answer.json()["code"] if answer.status_code != 200 else "file"

    late, revoked = await link(), await link()
    async with pool.connection() as connection:
        await connection.execute(
            """update history_jobs.link set expires_at = now()
               where id = (select id from history_jobs.link order by id limit 1)"""
        )
    assert [await told(late), await told(revoked)] == [(410, "link_ended"), (200, "file")]
    assert (await api.bench.client.delete(f"{EXPORTS}/{export_id}/links")).status_code == 204
    fresh = await link()

    assert await told(revoked) == (410, "link_ended")
    assert await told(fresh) == (200, "file")
    for forged in (fresh[:-1] + ("A" if fresh[-1] != "A" else "B"), fresh + "A", "/v1/history/downloads/x"):
        assert await told(forged) == (404, "link_not_found")
    async with pool.connection() as connection:
        await connection.execute("update history_jobs.job set status = 'expired'")
    assert await told(fresh) == (410, "file_expired")


@pytest.mark.parametrize("expires_in_s", [0, 3_601, "60", None])
async def test_a_link_is_for_an_hour_at_most(api: ExportApi, expires_in_s: Any) -> None:
    answer = await api.send(f"{EXPORTS}/{await api.ask()}/link", {"expires_in_s": expires_in_s})

    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/expires_in_s")


async def test_a_job_without_a_file_says_why(api: ExportApi, open_worker: OpenWorker, pool: Pool) -> None:
    export_id = await api.ask()

    async def told() -> list[tuple[int, str]]:
        answers = [
            await api.bench.ask(f"exports/{export_id}/file"),
            await api.send(f"{EXPORTS}/{export_id}/link", {"expires_in_s": 60}),
        ]
        return [(answer.status_code, answer.json()["code"]) for answer in answers]

    assert await told() == [(409, "file_not_ready")] * 2
    assert (await api.send(f"{JOBS}/{export_id}/cancel")).json()["status"] == "cancelled"
    assert await told() == [(409, "no_file")] * 2
    export_id = await made(api, open_worker)
    ended = await api.send(f"{JOBS}/{export_id}/cancel")
    assert (ended.status_code, ended.json()["code"]) == (409, "job_ended")
    async with pool.connection() as connection:
        await connection.execute("update history_jobs.job set status = 'expired' where id = $1", UUID(export_id))
    assert await told() == [(410, "file_expired")] * 2
    export_id = new_id_text()
    assert await told() == [(404, "export_not_found")] * 2
    assert (await api.bench.client.delete(f"{EXPORTS}/{export_id}/links")).status_code == 404
    assert (await api.send(f"{JOBS}/{export_id}/cancel")).json()["code"] == "job_not_found"


@pytest.mark.parametrize("body", [{"gzip": True}, {"format": "jsonl"}, {"format": "xlsx"}], ids=str)
async def test_who_goes_on_makes_the_same_bytes(
    api: ExportApi, open_worker: OpenWorker, monkeypatch: pytest.MonkeyPatch, pool: Pool, body: dict[str, Any]
) -> None:
    """An attempt ends behind each part, and between an object and its row; the next one goes on."""

    async def asked() -> str:
        export_id = await api.ask(**body)
        async with pool.connection() as connection:
            await connection.execute(_ASKED_AT)  # which a workbook tells
        return export_id

    export_id = await asked()
    async with open_worker(part_rows=PART_ROWS):
        whole = await api.ended(export_id)
    export_id, put, puts = await asked(), Objects.put, 0

    async def fail_every_other(self: Objects, name: str, file: Path) -> None:
        nonlocal puts
        puts += 1
        if puts % 3 == 1:
            raise ObjectsUnavailable("refused")
        await put(self, name, file)
        if puts % 3 == 2:
            raise ObjectsUnavailable("it is there, and nobody knows")

    async def due_at_once() -> None:
        while True:
            await asyncio.sleep(0.05)
            async with pool.connection() as connection:
                await connection.execute(
                    "update history_jobs.job set due_at = now(), attempts = 1 where status = 'queued'"
                )

    monkeypatch.setattr(Objects, "put", fail_every_other)
    hurrying = asyncio.create_task(due_at_once())
    try:
        async with open_worker(part_rows=PART_ROWS):
            ended = await api.ended(export_id)
    finally:
        hurrying.cancel()
    monkeypatch.undo()

    assert ended["status"] == "succeeded"
    assert puts > 6
    assert {**ended["file"], "expires_at": ""} == {**whole["file"], "expires_at": ""}
    assert await api.file(export_id) == await api.file(whole["id"])


async def test_a_worker_that_ends_gives_its_job_back(
    api: ExportApi, open_worker: OpenWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    export_id, put = await api.ask(), Objects.put
    entered = asyncio.Event()

    async def slow(self: Objects, name: str, file: Path) -> None:
        entered.set()
        await asyncio.sleep(0.5)
        await put(self, name, file)

    monkeypatch.setattr(Objects, "put", slow)
    async with open_worker(part_rows=1):
        await entered.wait()
    given_back = await api.bench.get(f"exports/{export_id}")
    monkeypatch.undo()
    async with open_worker(part_rows=1):
        ended = await api.ended(export_id)

    assert (given_back["status"], given_back["attempts"]) == ("queued", 0)
    assert (ended["status"], ended["attempts"], ended["file"]["rows"]) == ("succeeded", 1, 8)


async def test_a_job_that_is_cancelled_under_way_stops(
    api: ExportApi, open_worker: OpenWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    export_id, put, puts = await api.ask(), Objects.put, 0

    async def slow(self: Objects, name: str, file: Path) -> None:
        nonlocal puts
        puts += 1
        await asyncio.sleep(0.2)
        await put(self, name, file)

    monkeypatch.setattr(Objects, "put", slow)
    async with open_worker(part_rows=1, transaction_history_job_lease_s=0.5):

        async def is_under_way() -> bool:
            return puts > 1

        await eventually(is_under_way)
        answer = await api.send(f"{JOBS}/{export_id}/cancel")
        before = puts
        await asyncio.sleep(1.0)

    assert answer.json()["status"] == "cancelled"
    assert puts <= before + 1
    assert (await api.bench.get(f"exports/{export_id}"))["status"] == "cancelled"


async def test_a_store_that_does_not_answer_is_told_as_that(
    api: ExportApi, open_worker: OpenWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    export_id = await made(api, open_worker)

    async def gone(*_: object) -> AsyncIterator[bytes]:
        for error in [ObjectsUnavailable("gone")]:
            raise error
        yield b""

    monkeypatch.setattr(Objects, "read", gone)

    answer = await api.bench.ask(f"exports/{export_id}/file")

    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
