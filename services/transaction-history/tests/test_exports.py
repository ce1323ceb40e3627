"""Exports from the request to the file: over real tables, by a worker in this process."""

import csv
import hashlib
import io
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest

from contracts.ids import new_id_text
from testkit.events import wallet_in
from testkit.read_api import ReadApi
from testkit.waiting import eventually

pytestmark = pytest.mark.integration

EXPORTS = "/v1/history/exports"
OpenWorker = Callable[..., AbstractAsyncContextManager[None]]


async def post(bench: ReadApi, path: str, body: Any = None, status: int = 202) -> Any:
    answer = await bench.client.post(path, json=body, headers={"Idempotency-Key": new_id_text()})
    assert answer.status_code == status, answer.text
    return answer.json()


async def ended(bench: ReadApi, export_id: str) -> Any:
    """Return the export when it has ended."""
    found: dict[str, Any] = {}

    async def has_ended() -> bool:
        found.update(await bench.get(f"exports/{export_id}"))
        return found["status"] not in ("queued", "running")

    await eventually(has_ended)
    return found


async def file_of(bench: ReadApi, export_id: str) -> bytes:
    answer = await bench.ask(f"exports/{export_id}/file")
    assert answer.status_code == 200, answer.text
    return answer.content


async def test_an_export_is_a_file_of_what_was_there(bench: ReadApi, open_worker: OpenWorker) -> None:
    wallet, other = sorted([wallet_in(3), wallet_in(4)])
    await bench.project(bench.stream.opened(wallet), bench.stream.opened(other))
    await bench.project(*bench.stream.deposit(wallet, 1_234), *bench.stream.transfer(wallet, other, 200))

    asked = await post(bench, EXPORTS, {"dataset": "entries", "format": "csv"})
    async with open_worker():
        made = await ended(bench, asked["id"])

    data = await file_of(bench, asked["id"])
    rows = list(csv.DictReader(io.StringIO(data.decode())))
    assert made["status"] == "succeeded"
    assert sorted(row["amount"] for row in rows) == sorted(["12.34", "-2.00", "2.00"])
    assert made["file"]["sha256"] == hashlib.sha256(data).hexdigest()
    assert (made["file"]["rows"], made["file"]["size_bytes"]) == (3, len(data))
