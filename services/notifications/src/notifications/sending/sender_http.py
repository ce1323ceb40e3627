"""HTTP to receivers: to the vetted addresses themselves, with the name kept for TLS and the Host header.

Each attempt has a connection of its own. One that was kept open would go to an address that was vetted for an earlier
attempt. Proxies of the environment are not asked: one would connect in our place, to wherever it likes.
"""

import asyncio
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from notifications.domain.outcomes import AttemptOutcome, Fault, outcome_of_status
from notifications.domain.schedule import retry_after_ms_of
from notifications.sending.rows import AttemptResult
from servicekit.clock import monotonic_s, utc_now
from servicekit.outbound.addresses import Address
from servicekit.outbound.connecting import ADDRESSES_TRIED_MAX, Streams, connect
from servicekit.outbound.response import NotHttp, Response, read_body_head, read_fields, read_status
from servicekit.outbound.targets import Target

REST_TIMEOUT_S: Final = 2.0
"""The status has decided; header fields and the head of the body wait no longer than this."""
USER_AGENT: Final = "wallet-platform-webhooks/1"
_CANNOT_CONNECT: Final = {
    ConnectionRefusedError: Fault.CONNECTION_REFUSED,
    TimeoutError: Fault.CONNECT_TIMEOUT,
}


class _Failed(Exception):
    """The attempt ended without a status."""

    def __init__(self, outcome: AttemptOutcome, fault: Fault) -> None:
        super().__init__(fault.value)
        self.outcome = outcome
        self.fault = fault


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """How long a receiver may take: *connect_s* to accept a connection, *attempt_s* from DNS to the status."""

    connect_s: float
    attempt_s: float


class HttpSender:
    """Posts webhooks by HTTP/1.1."""

    def __init__(self, timeouts: Timeouts, *, tls: ssl.SSLContext | None = None) -> None:
        self._timeouts = timeouts
        self._tls = tls or ssl.create_default_context()

    async def send(
        self, target: Target, addresses: Sequence[Address], *, headers: Mapping[str, str], body: bytes
    ) -> AttemptResult:
        """Post *body* to *target* at one of the vetted *addresses*; any failure is an AttemptResult too.

        An address that does not accept the connection gives way to the next one.
        """
        started_s = monotonic_s()
        try:
            async with asyncio.timeout(self._timeouts.attempt_s):
                reader, writer = await self._connected(target, addresses[:ADDRESSES_TRIED_MAX])
                try:
                    status = await _post(reader, writer, _request(target, headers, body))
                    answered_s = monotonic_s()
                    response = await _rest(reader, status)
                finally:
                    writer.transport.abort()
        except _Failed as failed:
            return AttemptResult(outcome=failed.outcome, duration_ms=_ms(started_s, monotonic_s()), error=failed.fault)
        except TimeoutError:
            fault = Fault.NO_ANSWER_IN_TIME
            return AttemptResult(outcome=AttemptOutcome.TIMEOUT, duration_ms=_ms(started_s, monotonic_s()), error=fault)
        return AttemptResult(
            outcome=outcome_of_status(response.status),
            duration_ms=_ms(started_s, answered_s),
            status_code=response.status,
            response_head=printable(bytes(response.body_head)),
            retry_after_ms=retry_after_ms_of(response.fields.get("retry-after"), now=utc_now()),
        )

    async def _connected(self, target: Target, addresses: Sequence[Address]) -> Streams:
        fault = Fault.CONNECTION_FAILED
        for address in addresses:
            try:
                async with asyncio.timeout(self._timeouts.connect_s):
                    return await connect(target, address, self._tls)
            except ssl.SSLCertVerificationError:
                raise _Failed(AttemptOutcome.TLS_FAILED, Fault.CERTIFICATE_REFUSED) from None
            except ssl.SSLError:
                raise _Failed(AttemptOutcome.TLS_FAILED, Fault.TLS_FAILED) from None
            except OSError as error:
                fault = _CANNOT_CONNECT.get(type(error), Fault.CONNECTION_FAILED)
        raise _Failed(AttemptOutcome.CONNECTION_FAILED, fault)


async def _post(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes) -> int:
    """Send *request* and return the status; raise _Failed where none comes."""
    try:
        writer.write(request)
        return await read_status(reader)
    except NotHttp:
        raise _Failed(AttemptOutcome.CONNECTION_FAILED, Fault.NOT_HTTP) from None
    except asyncio.IncompleteReadError as error:
        fault = Fault.NOT_HTTP if error.partial else Fault.CLOSED_WITHOUT_ANSWER
        raise _Failed(AttemptOutcome.CONNECTION_FAILED, fault) from None
    except ssl.SSLError:
        raise _Failed(AttemptOutcome.TLS_FAILED, Fault.TLS_FAILED) from None
    except ConnectionError:
        raise _Failed(AttemptOutcome.CONNECTION_FAILED, Fault.CLOSED_WITHOUT_ANSWER) from None


async def _rest(reader: asyncio.StreamReader, status: int) -> Response:
    """Read what may follow the status; whatever does, and however slowly, it changes nothing."""
    response = Response(status=status)
    try:
        async with asyncio.timeout(REST_TIMEOUT_S):
            await read_fields(reader, response)
            await read_body_head(reader, response)
    except (TimeoutError, OSError, NotHttp, asyncio.IncompleteReadError):
        pass
    return response


def _request(target: Target, headers: Mapping[str, str], body: bytes) -> bytes:
    fields = {
        "host": target.host_header,
        "content-type": "application/json",
        "content-length": str(len(body)),
        "user-agent": USER_AGENT,
        "accept": "*/*",
        "accept-encoding": "identity",
        "connection": "close",
        **headers,
    }
    lines = [f"POST {target.path_and_query} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items())]
    return "\r\n".join([*lines, "", ""]).encode("ascii") + body


def printable(raw: bytes) -> str:
    """Return *raw* as text that a database and a terminal can hold: no control character but line breaks and tabs."""
    text = raw.decode("utf-8", "replace")
    return "".join(character if character.isprintable() or character in "\n\t" else "\ufffd" for character in text)


def _ms(from_s: float, to_s: float) -> int:
    return int((to_s - from_s) * 1_000)
