"""Identity providers of a run's own: where their key sets are served, and how the APIs take their tokens."""

import asyncio
import itertools
import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Final

from tests.chaos.load.client import Response
from tests.chaos.load.credentials import Door, Key, code_of, doors
from tests.chaos.platform.platform import Platform

from contracts.ids import new_id
from engines.ports import LOOPBACK
from servicekit.clock import utc_now
from testkit.receiver import Post, Receiver, Reply
from testkit.tokens import AUDIENCE, Signer, claims_at

ASK_EVERY_S: Final = 0.2
"""Of each API: far below what a user may ask."""
SUBJECTS: Final = 20
SCOPES: Final = "wallets:read history:read"
NO_ANSWER: Final = "no answer"
PATH: Final = "/keys"


def key_set(*signers: Signer) -> bytes:
    """Return the document with the public keys of *signers*."""
    return json.dumps({"keys": [signer.jwk for signer in signers]}).encode()


class Source:
    """Serves a key set under PATH: *reply* is what it answers there; it is asked for nothing else."""

    def __init__(self, *signers: Signer) -> None:
        self.reply = Reply(body=key_set(*signers))
        self.receiver = Receiver(self._answer)
        self._server: asyncio.Server | None = None

    @property
    def paths(self) -> set[str]:
        """What it was asked for so far."""
        return {post.path for post in self.receiver.posts}

    def _answer(self, _: Post) -> Reply:
        return self.reply

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[str]:
        """Serve while the body runs; give the URL."""
        await self.start()
        try:
            yield self.receiver.url(PATH)
        finally:
            self.stop()

    async def start(self) -> None:
        """Serve, where it has served before."""
        self._server = await asyncio.start_server(self.receiver.serve, LOOPBACK, self.receiver.port)
        self.receiver.port = self._server.sockets[0].getsockname()[1]

    def stop(self) -> None:
        """Have connections refused. Does nothing when it does not serve."""
        if self._server is not None:
            self._server.close()
            self._server = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """An issuer registered at *platform*, as the *operator* sees it; *wallet_id* is what its users ask for."""

    platform: Platform
    operator: Key
    id: str
    url: str
    wallet_id: str
    _numbers: "itertools.count[int]" = field(default_factory=itertools.count)

    def key(self, signer: Signer) -> Key:
        """Return a new token under *signer*'s key, of one user in turn, from an address of its own."""
        number = next(self._numbers)
        claims = claims_at(
            int(utc_now().timestamp()),
            iss=self.url,
            aud=AUDIENCE,
            sub=f"user-{number % SUBJECTS}",
            scope=SCOPES,
            jti=str(number),
        )
        # Refused credentials are counted by address: a new key is refused until it is known.
        return Key(self.id, signer.token(claims), f"127.0.{2 + number % SUBJECTS}.{1 + number // SUBJECTS % 200}")

    def doors(self, signer: Signer) -> Sequence[Door]:
        """Return every API for the holder of one new token under *signer*'s key."""
        return doors(self.platform, self.key(signer), self.wallet_id)

    async def fetching(self) -> Mapping[str, Any]:
        """Return how fetching its key set goes, as it is told."""
        told: Mapping[str, Any] = (await self._asked("GET", "")).json()["fetching"]
        return told

    async def kids(self) -> list[str]:
        """Return the ids of the keys that it has."""
        return [key["kid"] for key in (await self._asked("GET", "")).json()["keys"]]

    async def refresh(self) -> None:
        """Have its key set fetched by the next look of a worker."""
        await self._asked("POST", "/refresh", key=str(new_id()))

    async def _asked(self, method: str, path: str, *, key: str | None = None) -> Response:
        http = self.operator.client(self.platform.port("access-api"))
        try:
            answer = await http.request(method, f"/v1/issuers/{self.id}{path}", key=key)
        finally:
            http.close()
        assert answer.status == 200, f"{method} {path} of an issuer is answered {answer.status}: {answer.body!r}"
        return answer


async def register(platform: Platform, operator: Key, name: str, key_set_url: str, wallet_id: str) -> Provider:
    """Register an issuer of users whose keys are fetched from *key_set_url*. Raises AssertionError unless it is."""
    url = f"https://{name}.example.com/"
    wanted = {"name": name, "issuer": url, "audience": AUDIENCE, "kinds": ["user"], "key_set_url": key_set_url}
    http = operator.client(platform.port("access-api"))
    try:
        answer = await http.request("POST", "/v1/issuers", wanted, key=f"register-{name}")
    finally:
        http.close()
    assert answer.status == 201, f"registering is answered {answer.status}: {answer.body!r}"
    return Provider(platform=platform, operator=operator, id=answer.json()["id"], url=url, wallet_id=wallet_id)


async def refusals(provider: Provider, signer: Signer) -> dict[str, str]:
    """Ask every API once with a new token under *signer*'s key; return the codes of those that did not take it."""
    return await asked_once(provider.doors(signer))


async def asked_once(doors_: Sequence[Door]) -> dict[str, str]:
    """Ask at each of *doors_*, whose connection ends; return by name what came instead of admission."""
    told = {}
    for door in doors_:
        taken = door.taken
        refusal = await door.knock()
        door.http.close()
        if refusal is not None:
            told[door.name] = code_of(refusal)
        elif door.taken == taken:
            told[door.name] = NO_ANSWER
    return told


async def until_taken(provider: Provider, signer: Signer, within_s: float) -> float:
    """Ask with new tokens until every API takes one; return the seconds it took. Raises TimeoutError."""
    began_s = time.monotonic()
    async with asyncio.timeout(within_s):
        while await refusals(provider, signer):  # noqa: ASYNC110  in another process
            await asyncio.sleep(ASK_EVERY_S)
    return time.monotonic() - began_s


async def until_refused(doors_: Sequence[Door], within_s: float) -> tuple[float, set[str]]:
    """Ask with the one token of *doors_* until every API refuses it; return the seconds, and the codes.

    Raises TimeoutError.
    """
    began_s, left, codes = time.monotonic(), list(doors_), set()
    async with asyncio.timeout(within_s):
        while left:
            told = {name: code for name, code in (await asked_once(left)).items() if code != NO_ANSWER}
            left = [door for door in left if door.name not in told]
            codes |= set(told.values())
            await asyncio.sleep(ASK_EVERY_S)
    return time.monotonic() - began_s, codes


@dataclass(slots=True)
class Visits:
    """What users of a provider were answered, each with a token that no API has seen before."""

    taken: int = 0
    refused: Counter[str] = field(default_factory=Counter)

    @property
    def goodput(self) -> float:
        """The part that was admitted and answered."""
        return self.taken / max(1, self.taken + self.refused.total())


@asynccontextmanager
async def visiting(provider: Provider, signer: Signer) -> AsyncIterator[Visits]:
    """Have users of *provider* ask every API again and again while the body runs."""
    visits = Visits()
    task = asyncio.create_task(_visit_for_ever(provider, signer, visits))
    try:
        yield visits
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def _visit_for_ever(provider: Provider, signer: Signer, visits: Visits) -> None:
    while True:
        doors_ = provider.doors(signer)
        told = await asked_once(doors_)
        visits.refused.update(told.values())
        visits.taken += len(doors_) - len(told)
        await asyncio.sleep(ASK_EVERY_S)
