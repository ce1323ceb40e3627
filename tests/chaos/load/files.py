"""What a client asks of the history's jobs and statements, and how it sees that it was given what was promised."""

import asyncio
import csv
import hashlib
import io
import time
import zipfile
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final

from tests.chaos.load.client import HttpClient, Response, Unanswered
from tests.chaos.run import Run

CSV: Final = "csv"
XLSX: Final = "xlsx"
FORMS: Final = (CSV, XLSX)
ENDED_WITHIN_S = 60.0
ANSWERED_WITHIN_S = 30.0
POLL_S = 0.1
_UNAVAILABLE: Final = 500
_ROWS_AS_OF: Final = """
    select count(*) from history_jobs.job as j join transaction_history.entry as e
        on e.tenant_id = j.tenant_id and e.owner_id = $2 and e.entry_index is not null and e.seq <= j.as_of[1 + e.shard]
    where j.id = $1::text::uuid"""


async def asked(run: Run, method: str, path: str, body: Any = None, *, key: str | None = None) -> Response:
    """Ask the history until it answers anything but a failure of its own; raises TimeoutError."""
    http = HttpClient(run.platform.port("history"))
    try:
        async with asyncio.timeout(ANSWERED_WITHIN_S):
            while True:
                with suppress(Unanswered):
                    answer = await http.request(method, path, body, key=key)
                    if answer.status < _UNAVAILABLE:
                        return answer
                await asyncio.sleep(POLL_S)
    finally:
        http.close()


async def export(run: Run, form: str, owner: str) -> str:
    """Have an owner's entries exported; return the job's id."""
    body = {"dataset": "entries", "format": form, "filters": {"owner_id": [owner]}}
    answer = await asked(run, "POST", "/v1/history/exports", body, key=run.bank.key("export"))
    assert answer.status == 202, answer.body
    job_id: str = answer.json()["id"]
    return job_id


async def told(run: Run, job_id: str) -> dict[str, Any]:
    """Return what is told of an export."""
    answer = await asked(run, "GET", f"/v1/history/exports/{job_id}")
    assert answer.status == 200, answer.body
    job: dict[str, Any] = answer.json()
    return job


async def ended(run: Run, job_ids: Sequence[str], *, within_s: float = ENDED_WITHIN_S) -> list[str]:
    """Wait until exports have ended, and return what is wrong with each that has, and with its file."""
    breaches = []
    until_s = time.monotonic() + within_s
    for job_id in job_ids:
        job = await told(run, job_id)
        while job["finished_at"] is None and time.monotonic() < until_s:
            await asyncio.sleep(POLL_S)
            job = await told(run, job_id)
        breaches += [f"export {job_id} {each}" for each in await _wrong(run, job)]
    return breaches


async def _wrong(run: Run, job: dict[str, Any]) -> list[str]:
    if job["status"] != "succeeded":
        return [f"is {job['status']} ({job['failure']}) after {job['attempts']} attempts"]
    path, file, request = f"/v1/history/exports/{job['id']}", job["file"], job["request"]
    content = (await asked(run, "GET", f"{path}/file")).body
    link = await asked(run, "POST", f"{path}/link", {"expires_in_s": 600}, key=run.bank.key("link"))
    linked = (await asked(run, "GET", link.json()["path"])).body
    found = []
    if (hashlib.sha256(content).hexdigest(), len(content)) != (file["sha256"], file["size_bytes"]):
        found.append("has another file than it tells of")
    if linked != content:
        found.append("has another file behind its link")
    async with run.platform.connections() as connections:
        owner = request["filters"]["owner_id"][0]
        due = await connections["transaction_history"].fetchval(_ROWS_AS_OF, job["id"], owner)
    if file["rows"] != due:
        found.append(f"has {file['rows']} rows, of {due} that there were")
    return [*found, *(_wrong_rows(content, due) if request["format"] == CSV else _wrong_book(content))]


def _wrong_rows(content: bytes, due: int) -> list[str]:
    ids = [row["id"] for row in csv.DictReader(io.StringIO(content.decode(), newline=""))]
    if (len(ids), len(set(ids))) != (due, due):
        return [f"has {len(ids)} lines with {len(set(ids))} ids, of {due} rows"]
    return []


def _wrong_book(content: bytes) -> list[str]:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as book:
            broken = book.testzip()
    except zipfile.BadZipFile:
        return ["is no workbook"]
    return [] if broken is None else [f"is a workbook with a broken {broken}"]
