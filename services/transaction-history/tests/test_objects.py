"""Where files are kept: a folder, and a bucket of a real S3 server; both may refuse."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import httpx2
import pytest
from pydantic import SecretStr

from engines.ports import free_ports
from testkit.access import TENANT
from testkit.events import wallet_in
from testkit.export_api import ExportApi, OpenWorker
from testkit.read_api import ReadApi
from testkit.waiting import eventually
from transaction_history.jobs.objects import Objects, ObjectsUnavailable, objects_check

pytestmark = pytest.mark.integration

BUCKET = "history"
DATA = bytes(range(256)) * (6 * 4_096)  # 6 MiB


class S3:
    """moto's S3 server as a process."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.options = {
            "endpoint": self.url,
            "region": "us-east-1",
            "access_key_id": "test",
            "secret_access_key": "test",
            "allow_http": "true",
        }


@pytest.fixture
async def s3() -> AsyncIterator[S3]:
    (port,) = free_ports(1)
    server = S3(port)
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        async with httpx2.AsyncClient() as client:

            async def has_bucket() -> bool:
                with suppress(httpx2.TransportError):
                    return (await client.put(f"{server.url}/{BUCKET}")).is_success
                return False

            await eventually(has_bucket)
        yield server
    finally:
        with suppress(ProcessLookupError):
            child.kill()
        await child.wait()


async def read(objects: Objects, name: str, start: int, end: int) -> bytes:
    return b"".join([data async for data in objects.read(name, start, end)])


@pytest.fixture
def large(tmp_path: Path) -> Path:
    """Give a file of several parts of an upload."""
    (tmp_path / "large").write_bytes(DATA)
    return tmp_path / "large"


@pytest.fixture
def empty(tmp_path: Path) -> Path:
    (tmp_path / "empty").write_bytes(b"")
    return tmp_path / "empty"


async def keep_and_delete(objects: Objects, large: Path, empty: Path) -> None:
    """Keep objects, read ranges of them, delete some."""
    await objects.put("tenant/one/a/000000", large)
    await objects.put("tenant/one/a/000001", empty)
    await objects.put("tenant/only/a/000000", empty)

    assert await read(objects, "tenant/one/a/000000", 0, len(DATA)) == DATA
    assert await read(objects, "tenant/one/a/000000", 300, 700_000) == DATA[300:700_000]
    assert await objects.delete_below("tenant/one/") == 2
    assert await objects.delete_below("tenant/one/") == 0
    assert await objects.delete_below("tenant/only/") == 1
    with pytest.raises(ObjectsUnavailable):
        await read(objects, "tenant/one/a/000000", 0, 5)


async def test_a_folder_keeps_objects(tmp_path: Path, large: Path, empty: Path) -> None:
    objects = Objects(str(tmp_path / "objects"), {})

    await keep_and_delete(objects, large, empty)

    assert (await objects_check(objects))["objects"].ok


async def test_a_bucket_keeps_objects(s3: S3, large: Path, empty: Path) -> None:
    objects = Objects(f"s3://{BUCKET}/files", s3.options)

    await keep_and_delete(objects, large, empty)

    assert (await objects_check(objects))["objects"].ok


async def test_a_bucket_that_is_not_there_is_told_as_unavailable(s3: S3, empty: Path) -> None:
    objects = Objects("s3://nothing/files", s3.options)

    with pytest.raises(ObjectsUnavailable):
        await objects.put("a", empty)
    assert not (await objects_check(objects))["objects"].ok


async def test_an_export_goes_through_a_bucket(bench: ReadApi, open_worker: OpenWorker, s3: S3) -> None:
    wallet = wallet_in(3)
    await bench.project(bench.stream.opened(wallet), *bench.stream.deposit(wallet, 7))
    api = ExportApi(bench)
    export_id = await api.ask(gzip=True)
    async with open_worker(
        transaction_history_objects_url=f"s3://{BUCKET}/files",
        transaction_history_objects_options=SecretStr(json.dumps(s3.options)),
    ):
        ended = await api.ended(export_id)

    assert (ended["status"], ended["file"]["rows"]) == ("succeeded", 1)
    objects = Objects(f"s3://{BUCKET}/files", s3.options)
    assert await objects.delete_below(f"{TENANT}/{export_id}/") == 1
