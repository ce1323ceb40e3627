"""Exports as tests ask for them."""

import csv
import io
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import httpx2

from contracts.ids import new_id_text
from testkit.read_api import ReadApi
from testkit.waiting import eventually

EXPORTS = "/v1/history/exports"
JOBS = "/v1/history/jobs"
OpenWorker = Callable[..., AbstractAsyncContextManager[None]]


class ExportApi:
    """Asks the API behind *bench* for exports."""

    def __init__(self, bench: ReadApi) -> None:
        self.bench = bench

    async def send(self, path: str, body: Any = None, *, key: str | None = None) -> httpx2.Response:
        """Send a command, under *key* or one of its own."""
        headers = {"Idempotency-Key": key or new_id_text()}
        return await self.bench.client.post(path, json=body, headers=headers)

    async def ask(self, **body: Any) -> str:
        """Ask for an export, of entries as CSV unless *body* says otherwise; return its id."""
        answer = await self.send(EXPORTS, {"dataset": "entries", "format": "csv", **body})
        assert answer.is_success, answer.text
        assert answer.headers["location"] == f"{EXPORTS}/{answer.json()['id']}"
        return str(answer.json()["id"])

    async def ended(self, export_id: str, *, kind: str = "exports") -> Any:
        """Return the export, or the other job of *kind*, when it has ended."""
        found: dict[str, Any] = {}

        async def has_ended() -> bool:
            found.update(await self.bench.get(f"{kind}/{export_id}"))
            return found["status"] not in ("queued", "running")

        await eventually(has_ended)
        return found

    async def file(self, export_id: str) -> bytes:
        """Return the file of an export that has succeeded."""
        answer = await self.bench.ask(f"exports/{export_id}/file")
        assert answer.is_success, answer.text
        return answer.content

    async def made(self, open_worker: OpenWorker, **body: Any) -> bytes:
        """Return the file that an export makes."""
        export_id = await self.ask(**body)
        async with open_worker():
            ended = await self.ended(export_id)
        assert ended["status"] == "succeeded", ended
        return await self.file(export_id)

    async def rows(self, open_worker: OpenWorker, **body: Any) -> list[dict[str, str]]:
        """Return the rows of a CSV that an export makes."""
        return rows_of(await self.made(open_worker, **body))


def rows_of(data: bytes) -> list[dict[str, str]]:
    """Return the rows of a CSV."""
    return list(csv.DictReader(io.StringIO(data.decode(), newline="")))
