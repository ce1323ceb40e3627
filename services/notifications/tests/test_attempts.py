"""Every attempt ends in a result, whatever was raised, unless the worker itself is ended."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from cryptography.exceptions import InvalidTag

from contracts.ids import new_id
from notifications.application.attempts import Attempts
from notifications.application.rows import EncryptedSecret, Lease, Result
from notifications.application.vetting import Vetting
from notifications.domain.addresses import Address
from notifications.domain.outcomes import Outcome
from notifications.domain.targets import Target

LEASE = Lease(
    token=new_id(),
    delivery_id=new_id(),
    attempt=1,
    failures=0,
    tenant_id=new_id(),
    endpoint_id=new_id(),
    is_lagging=False,
    url="https://93.184.215.14/",
    secrets=(EncryptedSecret(id=new_id(), key_version=1, ciphertext=b""),),
    message_id=new_id(),
    type="wallet.opened.v1",
    wallet_id=None,
    body=b"{}",
    traceparent=None,
)


class Nothing:
    """Every part that an attempt needs; *send* is what sending does."""

    def __init__(self, send: Any) -> None:
        self._send = send

    async def resolve(self, host: str, port: int) -> Sequence[Address]:
        raise AssertionError(host, port)

    def new_secret(self) -> str:
        raise AssertionError

    def encrypt(self, secret_id: object, secret: str) -> EncryptedSecret:
        raise AssertionError(secret_id, secret)

    def decrypt(self, encrypted: EncryptedSecret) -> str:
        del encrypted
        return "whsec_AAAA"

    async def send(
        self, target: Target, addresses: Sequence[Address], *, headers: Mapping[str, str], body: bytes
    ) -> Result:
        del target, addresses, headers, body
        result: Result = await self._send()
        return result


def attempts(send: Any) -> Attempts:
    parts = Nothing(send)
    return Attempts(vetting=Vetting(parts, allow_loopback=False), cipher=parts, sender=parts, timeout_s=30.0)


@pytest.mark.parametrize("error", [KeyError(7), InvalidTag(), RecursionError(), asyncio.CancelledError()], ids=repr)
async def test_whatever_is_raised_is_a_result(error: BaseException) -> None:
    async def send() -> Result:
        raise error

    result = await attempts(send).make(LEASE)
    assert (result.outcome, result.error, result.status_code) == (Outcome.INTERNAL_ERROR, "internal_error", None)


async def test_the_end_of_the_worker_ends_an_attempt() -> None:
    begun = asyncio.Event()

    async def send() -> Result:
        begun.set()
        await asyncio.Event().wait()
        raise AssertionError

    task = asyncio.create_task(attempts(send).make(LEASE))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
