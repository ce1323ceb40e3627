"""Keys of a run's own, made as an installation makes its first ones, and how an API takes them."""

import asyncio
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from tests.chaos.load.client import HttpClient, Response, Unanswered
from tests.chaos.platform.platform import Platform

from testkit.access import TENANT

KNOWN_WITHIN_S: Final = 30.0
POLL_S: Final = 0.01
OPERATOR: Final = "operator"
OPERATIONS: Final = ("create", "rotate", "revoke")
"""On keys."""
_UNAUTHENTICATED: Final = 401
_NOT_ADMITTED: Final = frozenset({_UNAUTHENTICATED, 403, 429})
_KNOWN: Final = "select count(*) from servicekit.access_entity where id::text = any ($1::text[])"


@dataclass(frozen=True, slots=True)
class Key:
    """A key: its *id*, its *text*, its *account*, and the loopback *address* that its holder has to itself.

    Refused credentials are counted by address: one holder's do not limit another.
    """

    id: str
    text: str
    address: str
    account: str = ""

    def client(self, port: int) -> HttpClient:
        """Return a client that sends the key to *port*."""
        return HttpClient(port, authorization=f"Bearer {self.text}", address=self.address)


@dataclass(frozen=True, slots=True)
class Keys:
    """An *operator's* key with every scope, and *backends'* keys that may read."""

    operator: Key
    backends: Sequence[Key]


async def made_known(platform: Platform, backends: int) -> Keys:
    """Make an operator's key and those of *backends*, and wait until every service knows them.

    Raises TimeoutError beyond KNOWN_WITHIN_S.
    """
    plan = platform.folder / "identities.toml"
    await asyncio.to_thread(plan.write_text, _plan(backends))
    output = await platform.operate("access", "bootstrap", "--file", str(plan))
    made = [told for line in output.splitlines() if line.startswith("{") and "key_id" in (told := json.loads(line))]
    keys = {each["service_account"]: _key(each, number) for number, each in enumerate(made)}
    async with platform.connections() as connections, asyncio.timeout(KNOWN_WITHIN_S):
        ids = [key.id for key in keys.values()]
        for connection in connections.values():
            while await connection.fetchval(_KNOWN, ids) < len(ids):  # noqa: ASYNC110  in another process
                await asyncio.sleep(POLL_S)
    return Keys(keys.pop(OPERATOR), list(keys.values()))


def _key(told: dict[str, Any], number: int) -> Key:
    return Key(told["key_id"], told["key"], f"127.0.{1 + number // 250}.{number % 250 + 1}", told["service_account_id"])


def _plan(backends: int) -> str:
    accounts = [_account(OPERATOR, "operator", "all_scopes = true")]
    accounts += [
        _account(f"backend-{number}", "service", 'scopes = ["wallets:read", "history:read"]')
        for number in range(backends)
    ]
    return f'[[tenants]]\nid = "{TENANT}"\nname = "Chaos"\n' + "".join(accounts)


def _account(name: str, kind: str, grants: str) -> str:
    return f'[[tenants.service_accounts]]\nname = "{name}"\nkind = "{kind}"\nkey = {{ {grants} }}\n'


@dataclass(slots=True)
class Door:
    """An API as the holder of a key finds it. *path* is what is asked for; *taken* counts requests admitted."""

    name: str
    path: str
    http: HttpClient
    taken: int = 0
    taken_last_s: float = field(default_factory=time.monotonic)
    """On the monotonic clock, when the last request was admitted."""

    async def knock(self) -> Response | None:
        """Ask once; return what came instead of admission, None where the key was taken or no answer came."""
        try:
            response = await self.http.request("GET", self.path)
        except Unanswered:
            return None
        if response.status in _NOT_ADMITTED:
            return response
        self.taken, self.taken_last_s = self.taken + 1, time.monotonic()
        return None

    async def until_refused(self, within_s: float) -> str:
        """Ask again and again until the key is refused; return the refusal's code.

        Raises TimeoutError where it is not within *within_s* seconds.
        """
        async with asyncio.timeout(within_s):
            while (refusal := await self.knock()) is None:  # noqa: ASYNC110  in another process
                await asyncio.sleep(POLL_S)
        return code_of(refusal)


def code_of(refusal: Response) -> str:
    """Return the problem's code."""
    return str(refusal.json()["code"])


def doors(platform: Platform, key: Key, wallet_id: str) -> list[Door]:
    """Return every API that knows identities from the stream, for the holder of *key*, who reads a wallet there."""
    paths = {
        "api-1": f"/v1/wallets/{wallet_id}",
        "api-2": f"/v1/wallets/{wallet_id}",
        "history": f"/v1/history/wallets/{wallet_id}/entries",
    }
    return [Door(name, path, key.client(platform.port(name))) for name, path in paths.items()]


async def revoke(platform: Platform, keys: Keys, key: Key) -> None:
    """Revoke *key* as the operator. Raises AssertionError unless the API has done it."""
    http = keys.operator.client(platform.port("access-api"))
    try:
        answer = await http.request("POST", f"/v1/api-keys/{key.id}/revoke", key=f"revoke-{key.id}")
    finally:
        http.close()
    assert answer.status == 200, f"revoking is answered {answer.status}: {answer.body!r}"
