"""Where files are kept: a folder, or a bucket, behind one port."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import obstore
from obstore.exceptions import BaseError
from obstore.store import LocalStore, S3Store

from servicekit.failures import Unavailable
from servicekit.health import Check

PIECE_BYTES: Final = 256 * 1024
"""Read and sent at a time."""
UPLOAD_BYTES: Final = 5 * 1024 * 1024
"""The least that S3 takes as a part of an upload but the last."""
WRITE_S_MAX: Final = 120.0
READ_S_MAX: Final = 30.0
_CONNECT_S: Final = 3
_REQUEST_S: Final = 20
_RETRY_S: Final = 10
_LISTED_MAX: Final = 1_000
_CHECKED: Final = "is-there"


class ObjectsUnavailable(Unavailable):
    """The store refuses, is full, or does not answer in time."""


class Objects:
    """Objects by name, in the store that *url* names: a path, `file://…` or `s3://bucket/prefix`.

    *options* are the store's own settings, such as its endpoint and its keys.
    """

    def __init__(self, url: str, options: Mapping[str, str]) -> None:
        self._store = _open(url, options)

    async def put(self, name: str, file: Path) -> None:
        """Keep the bytes of *file*; raises ObjectsUnavailable."""
        with _raises_unavailable():
            async with asyncio.timeout(WRITE_S_MAX):
                await obstore.put_async(self._store, name, file, chunk_size=UPLOAD_BYTES, max_concurrency=2)

    async def read(self, name: str, start: int, end: int) -> AsyncIterator[bytes]:
        """Yield the bytes of an object from *start* up to *end*, some at a time; raises ObjectsUnavailable."""
        while start < end:
            until = min(end, start + PIECE_BYTES)
            with _raises_unavailable():
                async with asyncio.timeout(READ_S_MAX):
                    found = await obstore.get_range_async(self._store, name, start=start, end=until)
            if len(found) != until - start:
                raise ObjectsUnavailable("An object is shorter than it was.")
            yield bytes(found)
            start = until

    async def delete_below(self, prefix: str) -> int:
        """Delete every object whose name begins with *prefix*, a folder; return how many; raises ObjectsUnavailable."""
        deleted = 0
        with _raises_unavailable():
            async with asyncio.timeout(WRITE_S_MAX):
                async for some in obstore.list(self._store, prefix, chunk_size=_LISTED_MAX):
                    names = [each["path"] for each in some]
                    await obstore.delete_async(self._store, names)
                    deleted += len(names)
        return deleted

    async def check(self) -> None:
        """Look whether the store answers; raises ObjectsUnavailable."""
        with _raises_unavailable():
            async with asyncio.timeout(_CONNECT_S):
                async for _ in obstore.list(self._store, _CHECKED, chunk_size=1):
                    pass


async def objects_check(objects: Objects) -> Mapping[str, Check]:
    """Return, for a deep look, whether the store answers."""
    try:
        await objects.check()
    except ObjectsUnavailable as error:
        return {"objects": Check(ok=False, detail=str(error))}
    return {"objects": Check(ok=True, detail="answers")}


def _open(url: str, options: Mapping[str, str]) -> Any:
    if url.startswith("s3://"):
        given: Any = dict(options)  # of the names that the store knows
        client: Any = {"connect_timeout": timedelta(seconds=_CONNECT_S), "timeout": timedelta(seconds=_REQUEST_S)}
        if given.pop("allow_http", "") == "true":
            client["allow_http"] = True
        retries: Any = {"max_retries": 3, "retry_timeout": timedelta(seconds=_RETRY_S)}
        return S3Store.from_url(url, config=given, client_options=client, retry_config=retries)
    folder = Path(url.removeprefix("file://")).absolute()
    folder.mkdir(parents=True, exist_ok=True)
    return LocalStore(folder)


@contextmanager
def _raises_unavailable() -> Iterator[None]:
    try:
        yield
    except (BaseError, OSError) as error:  # TimeoutError is an OSError
        raise ObjectsUnavailable("The object store did not do what it was asked for.") from error
