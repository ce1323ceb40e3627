"""One attempt: vet the URL, sign the body, send it. No transaction is open meanwhile."""

import asyncio
from dataclasses import replace

from notifications.domain.outcomes import AttemptOutcome, Fault
from notifications.domain.signing import signed_headers, webhook_id_of
from notifications.endpoints.encryption import SecretCipher
from notifications.sending.rows import AttemptResult, Lease
from notifications.sending.sender_http import HttpSender
from servicekit.clock import monotonic_s, utc_now
from servicekit.outbound.targets import UrlRefusal, UrlRefused
from servicekit.outbound.vetting import Vetting
from servicekit.telemetry import current_traceparent, get_logger


class Attempts:
    """Makes attempts; every one ends in an AttemptResult."""

    def __init__(self, *, vetting: Vetting, cipher: SecretCipher, sender: HttpSender, timeout_s: float) -> None:
        self._vetting = vetting
        self._cipher = cipher
        self._sender = sender
        self._timeout_s = timeout_s

    async def make(self, lease: Lease) -> AttemptResult:
        """Send the leased delivery once. A traced attempt hands its trace on to the receiver."""
        started_s = monotonic_s()
        result = await self._result(lease, started_s)
        return replace(result, held_ms=_elapsed_ms(started_s))

    async def _result(self, lease: Lease, started_s: float) -> AttemptResult:
        try:
            async with asyncio.timeout(self._timeout_s):
                return await self._send(lease)
        except UrlRefused as error:
            return _ended(AttemptOutcome.URL_REFUSED, error.refusal, started_s)
        except TimeoutError:
            return _ended(AttemptOutcome.TIMEOUT, Fault.NO_ANSWER_IN_TIME, started_s)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            # Nobody cancelled the attempt: something within it was.
            return _crashed(lease, started_s)
        except Exception:  # noqa: BLE001 - the boundary of an attempt: a key that is gone, or any bug, is a failure too
            return _crashed(lease, started_s)

    async def _send(self, lease: Lease) -> AttemptResult:
        target, addresses = await self._vetting.vet(lease.url, lease.tenant_id)
        secrets = [self._cipher.decrypt(encrypted) for encrypted in lease.secrets]
        headers = signed_headers(webhook_id_of(lease.message_id), lease.body, secrets=secrets, now=utc_now())
        traceparent = current_traceparent()
        if traceparent is not None:
            headers["traceparent"] = traceparent
        return await self._sender.send(target, addresses, headers=headers, body=lease.body)


def _crashed(lease: Lease, started_s: float) -> AttemptResult:
    """Return that we failed, within an except clause, whose error is logged."""
    get_logger().exception(
        "webhook.attempt_crashed", delivery_id=str(lease.delivery_id), endpoint_id=str(lease.endpoint_id)
    )
    return _ended(AttemptOutcome.INTERNAL_ERROR, Fault.INTERNAL_ERROR, started_s)


def failed_within(result: AttemptResult) -> AttemptResult:
    """Return *result* as a failure of ours, with nothing in it that came from outside."""
    return AttemptResult(
        outcome=AttemptOutcome.INTERNAL_ERROR,
        duration_ms=result.duration_ms,
        error=Fault.INTERNAL_ERROR,
        held_ms=result.held_ms,
    )


def _ended(outcome: AttemptOutcome, error: Fault | UrlRefusal, started_s: float) -> AttemptResult:
    return AttemptResult(outcome=outcome, duration_ms=_elapsed_ms(started_s), error=error)


def _elapsed_ms(started_s: float) -> int:
    return int((monotonic_s() - started_s) * 1_000)
