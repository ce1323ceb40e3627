"""A client of the wallet API, as tests speak to it."""

import asyncio
from collections.abc import Sequence
from typing import Any, Final

import httpx2

from contracts.ids import new_id_text
from testkit.identities import CLIENTS_HEADERS

Json = dict[str, Any]
AT_ONCE: Final = 100
COME_AGAIN: Final = frozenset({"overloaded", "unavailable", "outcome_unknown"})
"""The codes that a client repeats its command after: a machine that stood still for a second is no finding."""
REPEATS_MAX: Final = 20
REPEATED_AFTER_S: Final = 0.2


class Client:
    """An API client with a fresh idempotency key per command, and a backend's credential unless *http* has its own."""

    def __init__(self, http: httpx2.AsyncClient, *, keys: str = "key") -> None:
        self.http = http
        http.headers.setdefault("authorization", CLIENTS_HEADERS["authorization"])
        self._prefix = keys
        self._keys = 0

    def key(self) -> str:
        """Return a key never used before."""
        self._keys += 1
        return f"{self._prefix}-{self._keys}"

    async def post(self, path: str, body: Json, *, key: str | None = None, **query: str) -> httpx2.Response:
        """Send a command under *key*, or under a fresh one."""
        return await self.http.post(path, json=body, headers={"Idempotency-Key": key or self.key()}, params=query)

    async def put(self, path: str, body: Json, *, key: str | None = None, **query: str) -> httpx2.Response:
        """Send a command that sets something under *key*, or under a fresh one."""
        return await self.http.put(path, json=body, headers={"Idempotency-Key": key or self.key()}, params=query)

    async def set_policy(self, section: str, document: Any) -> int:
        """Set a section of the policy as it is now; return its version."""
        version = (await self.get("/v1/policy")).json()["version"]
        answer = await self.put(f"/v1/policy/{section}", {"expected_version": version, "document": document})
        assert answer.is_success, answer.text
        after: int = answer.json()["version"]
        return after

    async def post_all(self, commands: Sequence[tuple[str, Json]]) -> list[httpx2.Response]:
        """Settle each (path, body) under a fresh key, some at a time; return the answers in their order."""
        answers: list[httpx2.Response] = []
        for start in range(0, len(commands), AT_ONCE):
            answers.extend(await asyncio.gather(*(self._settle(*each) for each in commands[start : start + AT_ONCE])))
        return answers

    async def _settle(self, path: str, body: Json) -> httpx2.Response:
        """Send a command, again under its key while it is told to come again, and return its last answer."""
        key = self.key()
        answer = await self.post(path, body, key=key)
        for _ in range(REPEATS_MAX):
            if answer.is_success or answer.json()["code"] not in COME_AGAIN:
                break
            await asyncio.sleep(REPEATED_AFTER_S)
            answer = await self.post(path, body, key=key)
        return answer

    async def get(self, path: str, **query: str) -> httpx2.Response:
        """Read."""
        return await self.http.get(path, params=query)

    async def open(self, currency: str = "USD", deposit: str | None = None, owner_id: str = "owner") -> str:
        """Open a wallet in a shard by chance, put *deposit* into it, and return its id."""
        body = {"owner_id": owner_id, "currency": currency, "placement": new_id_text()}
        opened = await self.post("/v1/wallets", body)
        assert opened.is_success, opened.text
        wallet_id: str = opened.json()["id"]
        if deposit is not None:
            paid = await self.post("/v1/deposits", deposit_of(wallet_id, deposit, currency))
            assert paid.is_success, paid.text
        return wallet_id

    async def wallet(self, wallet_id: str) -> Json:
        """Return the wallet as it is."""
        found = await self.get(f"/v1/wallets/{wallet_id}")
        assert found.is_success, found.text
        body: Json = found.json()
        return body

    async def posted(self, wallet_id: str) -> str:
        """Return the wallet's posted balance."""
        amount: str = (await self.wallet(wallet_id))["balance"]["posted"]["amount"]
        return amount


def money(amount: str, currency: str = "USD") -> Json:
    """Return an amount as clients send it."""
    return {"amount": amount, "currency": currency}


def deposit_of(wallet_id: str, amount: str, currency: str = "USD", **more: Any) -> Json:
    """Return the body of a deposit."""
    return {"wallet_id": wallet_id, "amount": money(amount, currency), **more}


def transfer_of(source: str, destination: str, amount: str, currency: str = "USD", **more: Any) -> Json:
    """Return the body of a transfer."""
    return {
        "source_wallet_id": source,
        "destination_wallet_id": destination,
        "amount": money(amount, currency),
        **more,
    }
