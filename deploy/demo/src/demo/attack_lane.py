"""The attack lane: while traffic is played, attackers ask for what is not theirs, and each must be refused."""

import asyncio
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from contracts.api_keys import make_key
from contracts.ids import new_id
from contracts.scopes import WALLETS_READ, Kind
from demo import attacks
from demo.attacks import Attack, AttackTally, Service, Victim
from demo.http_client import HttpPool, Response
from demo.stack import DemoError, Platform
from local_stack.credentials import LIFETIME_S_MAX

MALLORY: Final = "mallory"
"""An owner without wallets: whatever it names is another's."""
ROUNDS_MAX: Final = 100
BETWEEN_ROUNDS_S: Final = 2.0
BETWEEN_S: Final = 0.02
"""Slow enough to stay below a user's limit: what is refused is refused for what it asks."""
TRIES_MAX: Final = 20
TRY_AGAIN_S: Final = 0.2
KNOWN_TRIES_MAX: Final = 5
KNOWN_AGAIN_S: Final = 1.0
"""Few tries, far apart: each that fails is a failed authentication of this address, limited to 60 a minute."""
_OK, _CREATED, _UNAUTHENTICATED, _BUSY, _LIMITED = 200, 201, 401, 503, 429
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


@dataclass(frozen=True, slots=True)
class Lent:
    """A key that the access API made, and the position from which it is known."""

    id: str
    key: str = field(repr=False)
    position: str


class AttackLane:
    """Attacks *platform*. Call `run` once, beside the traffic, and set *is_played* when that has ended."""

    def __init__(self, platform: Platform) -> None:
        self.tally = AttackTally()
        self.is_played = asyncio.Event()
        self._platform = platform
        urls: dict[Service, str] = {
            "wallet": platform.wallet_url,
            "history": platform.history_url,
            "fraud": platform.fraud_url,
            "notifications": platform.notifications_url,
            "access": platform.access_url,
        }
        self._pools = {name: HttpPool(url, connections=1, credential=platform.credential) for name, url in urls.items()}
        self._sent = 0

    async def run(self) -> None:
        """Attack until the traffic has ended, once at least.

        Raises DemoError where an attack cannot be prepared: a key is not made or not known in time.
        """
        try:
            victims = await self._victims()
            revoked, ranged = await self._lend(), await self._lend(ranges=[attacks.ELSEWHERE])
            await self._expect_known(revoked.key, revoked.position)
            strangers = self._platform.strangers
            await self._expect_known(strangers.key(Kind.SERVICE), revoked.position)
            ended = await self._revoke(revoked)
            await self._attack(attacks.with_revoked(revoked.key, ended))
            await self._attack(attacks.from_forged_address(ranged.key, ranged.position))
            await self._attack(self._without_proof(victims[0]))
            for _ in range(ROUNDS_MAX):
                await self._attack(self._round(victims))
                if self.is_played.is_set():
                    return
                await self._pause(BETWEEN_ROUNDS_S)
        finally:
            for pool in self._pools.values():
                pool.close()

    def _round(self, victims: tuple[Victim, Victim]) -> Iterator[Attack]:
        """Give the attacks of callers who are who they say they are."""
        ours, strangers = self._platform.credentials, self._platform.strangers
        who = "another owner"
        mallory = ours.token(MALLORY)
        yield from attacks.on_others_wallets(who, mallory, Kind.USER, victims)
        yield from attacks.beyond_a_user(who, mallory, victims[0])
        namesake = strangers.token(victims[0].owner)
        yield from attacks.on_others_wallets("another tenant's user", namesake, Kind.USER, victims)
        backend = strangers.key(Kind.SERVICE)
        yield from attacks.on_others_wallets("another tenant's backend", backend, Kind.SERVICE, victims)

    def _without_proof(self, victim: Victim) -> Iterator[Attack]:
        ours = self._platform.credentials
        yield attacks.without_proof("no credential", None, victim)
        yield attacks.without_proof("another scheme", "Basic bWFsbG9yeTptYWxsb3J5", victim)
        yield attacks.without_proof("a key of no account", f"Bearer {make_key(new_id(), bytes(32))}", victim)
        misspelt = attacks.misspelt(self._platform.credential)
        yield attacks.without_proof("a misspelt key", f"Bearer {misspelt}", victim)
        for who, token in attacks.tampered(ours.token(MALLORY), victim.owner, ours.public_key).items():
            yield attacks.without_proof(who, f"Bearer {token}", victim)
        forged = self._platform.forger.token(victim.owner)
        yield attacks.without_proof("a token signed with a key of one's own", f"Bearer {forged}", victim)
        expired = ours.token(victim.owner, ttl_s=-LIFETIME_S_MAX // 2)
        yield attacks.without_proof("an expired token", f"Bearer {expired}", victim, attacks.EXPIRED)
        eternal = ours.token(victim.owner, ttl_s=2 * LIFETIME_S_MAX)
        yield attacks.without_proof("a token that lives too long", f"Bearer {eternal}", victim)

    async def _attack(self, several: Iterable[Attack]) -> None:
        for attack in several:
            answer = await self._send(attack)
            self.tally.count(attack.complaint(answer.status, _code_of(answer)))
            await asyncio.sleep(BETWEEN_S)

    async def _send(self, attack: Attack) -> Response:
        """Send *attack*; who is told that the platform is busy, or is not answered, comes again for a while."""
        headers = dict(attack.headers)
        if attack.authorization is not None:
            headers["authorization"] = attack.authorization
        return await self._settled(attack.service, attack.method, attack.path, headers, attack.body)

    async def _settled(
        self, service: Service, method: str, path: str, headers: dict[str, str], body: Any = None
    ) -> Response:
        self._sent += 1
        if method == "POST":
            headers |= {"content-type": "application/json", "idempotency-key": f"attack-{self._sent}"}
        content = b"" if body is None else _encode(body)
        answer: Response | None = None
        for _ in range(TRIES_MAX):
            try:
                answer = await self._pools[service].request(method, path, headers, content)
            except ConnectionError:
                await asyncio.sleep(TRY_AGAIN_S)
                continue
            if answer.status not in (_BUSY, _LIMITED):
                break
            await asyncio.sleep(float(answer.headers.get("retry-after", TRY_AGAIN_S)))
        if answer is None:
            raise DemoError(f"{service} does not answer {method} {path}")
        return answer

    async def _victims(self) -> tuple[Victim, Victim]:
        """Return two wallets of the traffic; one twice, where it has ended and there is no other."""
        while True:
            answer = await self._pools["wallet"].get("/v1/wallets?limit=2")
            found = _decode(answer.body)["data"] if answer.status == _OK else []
            if len(found) > 1 or (found and self.is_played.is_set()):
                victims = [Victim(wallet=each["id"], owner=each["owner_id"]) for each in found]
                return victims[0], victims[-1]
            if self.is_played.is_set():
                raise DemoError("the traffic has left no wallet to attack")
            await self._pause(TRY_AGAIN_S)

    async def _lend(self, ranges: Iterable[str] = ()) -> Lent:
        """Return a new key of a new account that may read wallets, from *ranges* alone if there are any."""
        account = await self._make("/v1/service-accounts", {"name": "the lane's"})
        scopes = [WALLETS_READ.name]
        path = f"/v1/service-accounts/{account[0]['id']}/keys"
        made, position = await self._make(path, {"scopes": scopes, "acts_for": None, "ranges": list(ranges)})
        return Lent(made["id"], made["key"], position)

    async def _revoke(self, lent: Lent) -> str:
        """Revoke the key; return the position from which that is known."""
        return (await self._make(f"/v1/api-keys/{lent.id}/revoke", {}))[1]

    async def _make(self, path: str, body: dict[str, Any]) -> tuple[dict[str, Any], str]:
        headers = {"authorization": f"Bearer {self._platform.credential}"}
        answer = await self._settled("access", "POST", path, headers, body or None)
        if answer.status not in (_OK, _CREATED):
            raise DemoError(f"access answered {answer.status} {_code_of(answer)} to POST {path}")
        return _decode(answer.body), answer.headers["access-position"]

    async def _expect_known(self, key: str, position: str) -> None:
        """Wait until the wallet API admits *key*: what is refused later is refused for another reason."""
        headers = {"authorization": f"Bearer {key}", "min-access-position": position}
        for _ in range(KNOWN_TRIES_MAX):
            answer = await self._settled("wallet", "GET", attacks.READERS["wallet"], dict(headers))
            if answer.status == _OK:
                return
            if answer.status != _UNAUTHENTICATED:
                break
            await asyncio.sleep(KNOWN_AGAIN_S)
        raise DemoError(f"the lane's key was not admitted: {answer.status} {_code_of(answer)}")

    async def _pause(self, seconds: float) -> None:
        """Wait *seconds*, or until the traffic has ended."""
        try:
            async with asyncio.timeout(seconds):
                await self.is_played.wait()
        except TimeoutError:
            pass


def _code_of(answer: Response) -> str | None:
    return attacks.code_of(answer.headers.get("content-type", ""), answer.body)
