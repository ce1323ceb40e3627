"""Every attempt ends in a result, whatever was raised, unless the worker itself is ended."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from cryptography.exceptions import InvalidTag

from contracts.ids import new_id
from notifications.domain.outcomes import AttemptOutcome
from notifications.endpoints.encryption import SecretCipher
from notifications.sending.attempts import Attempts
from notifications.sending.rows import AttemptResult, Lease
from notifications.sending.sender_http import HttpSender, Timeouts
from servicekit.outbound.addresses import Address
from servicekit.outbound.targets import Target
from servicekit.outbound.vetting import Vetting

CIPHER = SecretCipher({1: b"k" * 32})
LEASE = Lease(
    token=new_id(),
    delivery_id=new_id(),
    attempt=1,
    failures=0,
    tenant_id=new_id(),
    endpoint_id=new_id(),
    is_lagging=False,
    url="https://93.184.215.14/",
    secrets=(CIPHER.encrypt(new_id(), CIPHER.new_secret()),),
    message_id=new_id(),
    type="wallet.opened.v1",
    wallet_id=None,
    body=b"{}",
    traceparent=None,
)


class Unasked:
    """DNS, of no use to an address."""

    async def resolve(self, host: str, port: int) -> Sequence[Address]:
        raise AssertionError(host, port)


class Sending(HttpSender):
    """HTTP that does what a test says."""

    def __init__(self, send: Any) -> None:
        super().__init__(Timeouts(connect_s=1.0, attempt_s=30.0))
        self._send = send

    async def send(
        self, target: Target, addresses: Sequence[Address], *, headers: Mapping[str, str], body: bytes
    ) -> AttemptResult:
        del target, addresses, headers, body
        result: AttemptResult = await self._send()
        return result


def attempts(send: Any) -> Attempts:
    vetting = Vetting(Unasked(), allow_loopback=False)
    return Attempts(vetting=vetting, cipher=CIPHER, sender=Sending(send), timeout_s=30.0)


@pytest.mark.parametrize("error", [KeyError(7), InvalidTag(), RecursionError(), asyncio.CancelledError()], ids=repr)
async def test_whatever_is_raised_is_a_result(error: BaseException) -> None:
    async def send() -> AttemptResult:
        raise error

    result = await attempts(send).make(LEASE)
    assert (result.outcome, result.error, result.status_code) == (AttemptOutcome.INTERNAL_ERROR, "internal_error", None)


async def test_the_end_of_the_worker_ends_an_attempt() -> None:
    begun = asyncio.Event()

    async def send() -> AttemptResult:
        begun.set()
        await asyncio.Event().wait()
        raise AssertionError

    task = asyncio.create_task(attempts(send).make(LEASE))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
