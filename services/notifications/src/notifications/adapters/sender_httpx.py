"""HTTP to receivers: to the vetted address itself, with the name kept for TLS and the Host header."""

import asyncio
import ssl
from collections.abc import Mapping, Sequence
from contextlib import suppress
from ipaddress import IPv6Address
from typing import Final, Self

import httpx2

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


class HttpxSender:
    """Posts webhooks. Each attempt has a connection of its own.

    A connection kept open could be used for another host at the same address, whose certificate was never looked at.
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
        self._client = httpx2.AsyncClient(
            timeout=httpx2.Timeout(attempt_timeout_s, connect=connect_timeout_s),
            limits=httpx2.Limits(max_connections=attempts_max, max_keepalive_connections=0),
            verify=tls or ssl.create_default_context(),
            follow_redirects=False,
            trust_env=False,  # a proxy would connect in our place, to wherever it likes
        )

    async def send(
        self, target: Target, addresses: Sequence[Address], *, headers: Mapping[str, str], body: bytes
    ) -> Result:
        """Post *body*; an address that does not accept the connection gives way to the next one."""
        started_s = monotonic_s()
        result = Result(outcome=Outcome.CONNECTION_FAILED, duration_ms=0)
        with suppress(TimeoutError):
            async with asyncio.timeout(self._attempt_timeout_s):
                for address in addresses[:ADDRESSES_TRIED_MAX]:
                    result = await self._post(target, address, headers, body, started_s)
                    if result.outcome is not Outcome.CONNECTION_FAILED or result.error not in _NOT_CONNECTED:
                        break
                return result
        return _failed(Outcome.TIMEOUT, "TotalTimeout", started_s)

    async def aclose(self) -> None:
        """Close every connection."""
        await self._client.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def _post(
        self, target: Target, address: Address, headers: Mapping[str, str], body: bytes, started_s: float
    ) -> Result:
        try:
            request = self._request(target, address, headers, body)
            response = await self._client.send(request, stream=True)
        except httpx2.ConnectError as error:
            is_tls = isinstance(_root_of(error), ssl.SSLError)
            outcome = Outcome.TLS_FAILED if is_tls else Outcome.CONNECTION_FAILED
            return _failed(outcome, "TlsError" if is_tls else type(error).__name__, started_s)
        except httpx2.ConnectTimeout as error:
            return _failed(Outcome.CONNECTION_FAILED, type(error).__name__, started_s)
        except httpx2.TimeoutException as error:
            return _failed(Outcome.TIMEOUT, type(error).__name__, started_s)
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            return _failed(Outcome.CONNECTION_FAILED, type(error).__name__, started_s)
        duration_ms = _elapsed_ms(started_s)
        try:
            head = await _head(response)
        finally:
            await _close(response)
        return Result(
            outcome=outcome_of_status(response.status_code),
            duration_ms=duration_ms,
            status_code=response.status_code,
            response_head=head,
            retry_after_ms=retry_after_ms_of(response.headers.get("retry-after"), now=utc_now()),
        )

    def _request(self, target: Target, address: Address, headers: Mapping[str, str], body: bytes) -> httpx2.Request:
        literal = f"[{address}]" if isinstance(address, IPv6Address) else str(address)
        return self._client.build_request(
            "POST",
            f"{target.scheme}://{literal}:{target.port}{target.path_and_query}",
            content=body,
            headers={
                "host": target.host_header,
                "content-type": "application/json",
                "user-agent": USER_AGENT,
                "accept": "*/*",
                "accept-encoding": "identity",
                **headers,
            },
            # What the certificate is verified against; for a literal address that is the address itself.
            extensions={"sni_hostname": target.host},
        )


_NOT_CONNECTED: Final = ("ConnectError", "ConnectTimeout")


async def _head(response: httpx2.Response) -> str:
    """Return the first characters of the body, whatever follows and however slowly; nothing more is read."""
    head = bytearray()
    with suppress(TimeoutError, httpx2.HTTPError, httpx2.StreamError):
        async with asyncio.timeout(HEAD_TIMEOUT_S):
            async for chunk in response.aiter_raw():
                head += chunk[: HEAD_BYTES_MAX - len(head)]
                if len(head) >= HEAD_BYTES_MAX:
                    break
    return printable(bytes(head))


async def _close(response: httpx2.Response) -> None:
    with suppress(httpx2.HTTPError, OSError):
        await response.aclose()


def printable(raw: bytes) -> str:
    """Return *raw* as text that a database and a terminal can hold: no control character but line breaks and tabs."""
    text = raw.decode("utf-8", "replace")
    return "".join(character if character.isprintable() or character in "\n\t" else "\ufffd" for character in text)


def _root_of(error: BaseException) -> BaseException:
    while (cause := error.__cause__ or error.__context__) is not None:
        if isinstance(error, ssl.SSLError):
            break
        error = cause
    return error


def _failed(outcome: Outcome, error: str, started_s: float) -> Result:
    return Result(outcome=outcome, duration_ms=_elapsed_ms(started_s), error=error)


def _elapsed_ms(started_s: float) -> int:
    return int((monotonic_s() - started_s) * 1_000)
