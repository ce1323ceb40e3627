"""HTTP to receivers: to the vetted addresses themselves, with the name kept for TLS and the Host header."""

import asyncio
import socket
import ssl
from collections.abc import Mapping, Sequence
from contextlib import suppress
from contextvars import ContextVar
from ipaddress import IPv6Address
from typing import Final, Self

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from notifications.application.rows import Result
from notifications.domain.addresses import Address
from notifications.domain.outcomes import Outcome, outcome_of_status
from notifications.domain.schedule import retry_after_ms_of
from notifications.domain.targets import Target
from servicekit.clock import monotonic_s, utc_now

HEAD_BYTES_MAX: Final = 1_024
HEAD_TIMEOUT_S: Final = 2.0
"""The status has decided; the head of the body is for people, and waits no longer than this."""
ADDRESSES_TRIED_MAX: Final = 3
USER_AGENT: Final = "wallet-platform-webhooks/1"

_vetted: ContextVar[Sequence[Address]] = ContextVar("vetted")
"""The addresses of the attempt under way, each of which was judged."""


class AiohttpSender:
    """Posts webhooks. Each attempt has a connection of its own, to an address that was vetted for it.

    A connection kept open would go to an address that was vetted for an earlier attempt.
    """

    def __init__(
        self,
        *,
        attempts_max: int,
        connect_timeout_s: float,
        attempt_timeout_s: float,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._attempt_timeout_s = attempt_timeout_s
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                resolver=_VettedResolver(),
                use_dns_cache=False,
                ssl=tls or ssl.create_default_context(),
                limit=attempts_max,
                force_close=True,
            ),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=connect_timeout_s),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,  # a proxy would connect in our place, to wherever it likes
        )

    async def send(
        self, target: Target, addresses: Sequence[Address], *, headers: Mapping[str, str], body: bytes
    ) -> Result:
        """Post *body*; an address that does not accept the connection gives way to the next one."""
        started_s = monotonic_s()
        _vetted.set(addresses[:ADDRESSES_TRIED_MAX])
        try:
            async with asyncio.timeout(self._attempt_timeout_s):
                return await self._post(target, headers, body, started_s)
        except TimeoutError:
            return _failed(Outcome.TIMEOUT, "TotalTimeout", started_s)

    async def aclose(self) -> None:
        """Close every connection."""
        await self._session.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def _post(self, target: Target, headers: Mapping[str, str], body: bytes, started_s: float) -> Result:
        try:
            response = await self._session.post(
                _url_of(target), data=body, headers=_headers_of(target, headers), allow_redirects=False
            )
        except aiohttp.ClientSSLError:
            return _failed(Outcome.TLS_FAILED, "TlsError", started_s)
        except aiohttp.ConnectionTimeoutError:
            return _failed(Outcome.CONNECTION_FAILED, "ConnectTimeout", started_s)
        except aiohttp.ClientConnectorError:
            return _failed(Outcome.CONNECTION_FAILED, "ConnectError", started_s)
        except aiohttp.ClientError as error:
            return _failed(Outcome.CONNECTION_FAILED, type(error).__name__, started_s)
        duration_ms = _elapsed_ms(started_s)
        try:
            head = await _head(response)
        finally:
            response.close()
        return Result(
            outcome=outcome_of_status(response.status),
            duration_ms=duration_ms,
            status_code=response.status,
            response_head=head,
            retry_after_ms=retry_after_ms_of(response.headers.get("retry-after"), now=utc_now()),
        )


class _VettedResolver(AbstractResolver):
    """Knows the addresses of the attempt under way, and no others."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        del family  # of both kinds, as they were vetted
        return [
            ResolveResult(
                hostname=host,
                host=str(address),
                port=port,
                family=socket.AF_INET6 if isinstance(address, IPv6Address) else socket.AF_INET,
                proto=socket.IPPROTO_TCP,
                flags=socket.AI_NUMERICHOST,
            )
            for address in _vetted.get()
        ]

    async def close(self) -> None:
        """Nothing is open."""


def _url_of(target: Target) -> URL:
    literal = f"[{target.host}]" if isinstance(target.address, IPv6Address) else target.host
    return URL(f"{target.scheme}://{literal}:{target.port}{target.path_and_query}", encoded=True)


def _headers_of(target: Target, headers: Mapping[str, str]) -> dict[str, str]:
    return {
        "host": target.host_header,
        "content-type": "application/json",
        "user-agent": USER_AGENT,
        "accept": "*/*",
        "accept-encoding": "identity",
        **headers,
    }


async def _head(response: aiohttp.ClientResponse) -> str:
    """Return the first characters of the body, whatever follows and however slowly; nothing more is read."""
    head = bytearray()
    with suppress(TimeoutError, aiohttp.ClientError):
        async with asyncio.timeout(HEAD_TIMEOUT_S):
            while len(head) < HEAD_BYTES_MAX and (chunk := await response.content.read(HEAD_BYTES_MAX - len(head))):
                head += chunk
    return printable(bytes(head))


def printable(raw: bytes) -> str:
    """Return *raw* as text that a database and a terminal can hold: no control character but line breaks and tabs."""
    text = raw.decode("utf-8", "replace")
    return "".join(character if character.isprintable() or character in "\n\t" else "\ufffd" for character in text)


def _failed(outcome: Outcome, error: str, started_s: float) -> Result:
    return Result(outcome=outcome, duration_ms=_elapsed_ms(started_s), error=error)


def _elapsed_ms(started_s: float) -> int:
    return int((monotonic_s() - started_s) * 1_000)
