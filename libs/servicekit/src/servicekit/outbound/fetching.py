"""Fetches a document from a stranger's URL: from the vetted addresses alone, without redirects, within bounds.

Each request has a connection of its own, and proxies of the environment are not asked.
"""

import asyncio
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final
from uuid import UUID

from servicekit.outbound.addresses import Address
from servicekit.outbound.connecting import ADDRESSES_TRIED_MAX, Streams, connect
from servicekit.outbound.response import NotHttp, Response, read_body_head, read_fields, read_status
from servicekit.outbound.targets import Target, UrlRefused
from servicekit.outbound.vetting import Vetting

OK: Final = 200
NOT_MODIFIED: Final = 304
ETAG_CHARACTERS_MAX: Final = 200


class FetchFault(StrEnum):
    """Why there is no document."""

    URL_REFUSED = "url_refused"
    CANNOT_CONNECT = "cannot_connect"
    TLS_FAILED = "tls_failed"
    NO_ANSWER_IN_TIME = "no_answer_in_time"
    NOT_HTTP = "not_http"
    STATUS = "status"
    """Any but 200 and 304, a redirect among them."""
    TOO_LARGE = "too_large"


@dataclass(frozen=True, slots=True)
class Fetched:
    """The document; with its *etag* the next request asks for what has changed since."""

    body: bytes
    etag: str | None


@dataclass(frozen=True, slots=True)
class NotModified:
    """The document is the one whose etag was sent."""


@dataclass(frozen=True, slots=True)
class FetchFailed:
    """There is no document, now."""

    fault: FetchFault


class _Failed(Exception):
    def __init__(self, fault: FetchFault) -> None:
        super().__init__(fault.value)
        self.fault = fault


class Fetcher:
    """Fetches documents of at most *bytes_max*, each within *timeout_s* from DNS to its last byte."""

    def __init__(
        self,
        vetting: Vetting,
        *,
        bytes_max: int,
        timeout_s: float,
        agent: str,
        accept: str = "application/json",
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._vetting = vetting
        self._bytes_max = bytes_max
        self._timeout_s = timeout_s
        self._agent = agent
        self._accept = accept
        self._tls = tls or ssl.create_default_context()

    async def fetch(self, url: str, tenant_id: UUID, *, etag: str | None) -> Fetched | NotModified | FetchFailed:
        """Fetch *url*, which *tenant_id* gave; any failure is a FetchFailed."""
        try:
            async with asyncio.timeout(self._timeout_s):
                target, addresses = await self._vetting.vet(url, tenant_id)
                reader, writer = await self._connected(target, addresses[:ADDRESSES_TRIED_MAX])
                try:
                    writer.write(_request(target, self._agent, self._accept, etag))
                    return await self._read(reader)
                finally:
                    writer.transport.abort()
        except _Failed as failed:
            return FetchFailed(failed.fault)
        except UrlRefused:
            return FetchFailed(FetchFault.URL_REFUSED)
        except TimeoutError:
            return FetchFailed(FetchFault.NO_ANSWER_IN_TIME)
        except ssl.SSLError:
            return FetchFailed(FetchFault.TLS_FAILED)
        except (NotHttp, asyncio.IncompleteReadError, OSError):
            return FetchFailed(FetchFault.NOT_HTTP)

    async def _connected(self, target: Target, addresses: Sequence[Address]) -> Streams:
        for address in addresses:
            try:
                return await connect(target, address, self._tls)
            except ssl.SSLError:
                raise _Failed(FetchFault.TLS_FAILED) from None
            except OSError:
                continue
        raise _Failed(FetchFault.CANNOT_CONNECT)

    async def _read(self, reader: asyncio.StreamReader) -> Fetched | NotModified:
        response = Response(status=await read_status(reader))
        if response.status == NOT_MODIFIED:
            return NotModified()
        if response.status != OK:
            raise _Failed(FetchFault.STATUS)
        await read_fields(reader, response)
        await read_body_head(reader, response, self._bytes_max + 1)
        if len(response.body_head) > self._bytes_max:
            raise _Failed(FetchFault.TOO_LARGE)
        return Fetched(bytes(response.body_head), _etag(response.fields.get("etag")))


def _request(target: Target, agent: str, accept: str, etag: str | None) -> bytes:
    fields = {
        "host": target.host_header,
        "user-agent": agent,
        "accept": accept,
        "accept-encoding": "identity",
        "connection": "close",
        **({} if etag is None else {"if-none-match": etag}),
    }
    lines = [f"GET {target.path_and_query} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items())]
    return "\r\n".join([*lines, "", ""]).encode("ascii")


def _etag(text: str | None) -> str | None:
    """Return an etag that can be sent back as it is, None without one."""
    is_one = text is not None and 0 < len(text) <= ETAG_CHARACTERS_MAX and text.isascii() and text.isprintable()
    return text if is_one else None
