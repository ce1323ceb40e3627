"""Where documents of rates come from: a file, or an address that is fetched within bounds and without redirects."""

import asyncio
from pathlib import Path
from typing import Final, Protocol
from uuid import UUID

from servicekit.outbound.fetching import Fetched, Fetcher, FetchFault, NotModified
from wallet.rates.documents import DOCUMENT_BYTES_MAX

_NO_TENANT: Final = UUID(int=0)
CANNOT_READ: Final = "cannot_read"


class NotFetched(Exception):
    """There is no document, now; *why* is of a closed set."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


class RateSource(Protocol):
    """Where a document of rates comes from."""

    async def fetch(self) -> bytes:
        """Return the document, of DOCUMENT_BYTES_MAX bytes at most; raises NotFetched."""
        ...


class FileSource:
    """Reads the file at *path*."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def fetch(self) -> bytes:
        """Return the file."""
        try:
            body = await asyncio.to_thread(self._read)
        except OSError as error:
            raise NotFetched(CANNOT_READ) from error
        if len(body) > DOCUMENT_BYTES_MAX:
            raise NotFetched(FetchFault.TOO_LARGE)
        return body

    def _read(self) -> bytes:
        with self._path.open("rb") as file:
            return file.read(DOCUMENT_BYTES_MAX + 1)


class HttpSource:
    """Fetches *url* by *fetcher*, which bounds size and time and follows no redirect."""

    def __init__(self, fetcher: Fetcher, url: str) -> None:
        self._fetcher = fetcher
        self._url = url

    async def fetch(self) -> bytes:
        """Return what stands at the URL."""
        fetched = await self._fetcher.fetch(self._url, _NO_TENANT, etag=None)
        match fetched:
            case Fetched(body=body):
                return body
            case NotModified():  # nobody asked for that
                raise NotFetched(FetchFault.STATUS)
            case failed:
                raise NotFetched(failed.fault)
