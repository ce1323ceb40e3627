"""One attempt: vet the URL, sign the body, send it. No transaction is open meanwhile."""

import asyncio

from notifications.application.ports import Sealer, Sender
from notifications.application.rows import Lease, Result
from notifications.application.vetting import Vetting
from notifications.domain.outcomes import Outcome
from notifications.domain.signing import signed_headers, webhook_id_of
from notifications.domain.targets import UrlRefused
from servicekit.clock import monotonic_s, utc_now
from servicekit.telemetry import current_traceparent


class Attempts:
    """Makes attempts; every one ends in a Result."""

    def __init__(self, *, vetting: Vetting, sealer: Sealer, sender: Sender, timeout_s: float) -> None:
        self._vetting = vetting
        self._sealer = sealer
        self._sender = sender
        self._timeout_s = timeout_s

    async def make(self, lease: Lease) -> Result:
        """Send the leased delivery once. A traced attempt hands its trace on to the receiver."""
        started_s = monotonic_s()
        try:
            async with asyncio.timeout(self._timeout_s):
                return await self._send(lease)
        except UrlRefused as error:
            return Result(outcome=Outcome.URL_REFUSED, duration_ms=_elapsed_ms(started_s), error=error.refusal)
        except TimeoutError:
            return Result(outcome=Outcome.TIMEOUT, duration_ms=_elapsed_ms(started_s), error="TotalTimeout")

    async def _send(self, lease: Lease) -> Result:
        target, addresses = await self._vetting.vet(lease.url)
        secrets = [self._sealer.open(sealed) for sealed in lease.secrets]
        headers = signed_headers(webhook_id_of(lease.message_id), lease.body, secrets=secrets, now=utc_now())
        traceparent = current_traceparent()
        if traceparent is not None:
            headers["traceparent"] = traceparent
        return await self._sender.send(target, addresses, headers=headers, body=lease.body)


def _elapsed_ms(started_s: float) -> int:
    return int((monotonic_s() - started_s) * 1_000)
