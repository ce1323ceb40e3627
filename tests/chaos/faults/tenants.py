"""A tenant whose receivers hang, are slow or cannot be found, beside a sound endpoint of another tenant."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from uuid import UUID

import asyncpg
from tests.chaos.load.client import HttpClient
from tests.chaos.platform.product import WEBHOOKS
from tests.chaos.run import Bite, Fault, Run

from contracts.ids import new_id
from engines.ports import LOOPBACK
from notifications.config import DEVELOPMENT_SECRET_KEYS
from notifications.domain.messages import test_body
from notifications.endpoints.encryption import SecretCipher, parse_keys
from servicekit.clock import utc_now
from testkit import access, receiver
from testkit.name_server import NameServer, serving_names
from testkit.receiver import Reply

WORKER = "worker-1"
ATTEMPT_TIMEOUT_S = 2
HOSTILE_ENDPOINTS = 100
HOSTILE_EACH = 150
"""Deliveries of a hostile endpoint: none runs out of them."""
SOUND_DELIVERIES = 30_000
SOUND_S = 0.1
"""How long the sound receiver thinks: its rate is what its attempts at once allow, not what two cores do."""
SLOW_S = 0.95 * ATTEMPT_TIMEOUT_S
SETTLE_IN_S = 2.5 * ATTEMPT_TIMEOUT_S
"""Until the hostile ones have taken all that they can, and some of it has come to an end."""
MEASURED_S = 5.0
KEPT_MIN = 0.8
RESUMED_AT_ONCE = 20
TENANT = UUID("01900000-0000-7000-8000-00000000f042")
"""The sound endpoint's."""
HOSTILE_TENANT = access.TENANT
"""The one that the API serves: it resumes its endpoints."""
CASES = ("hang", "by turns", "resumed", "slow", "unfound")

_ADD_ENDPOINT = """
    insert into notifications.endpoint
        (id, tenant_id, url, event_types, has_wallets, status, from_seqs, created_at, updated_at)
    values ($1, $2, $3, '{}', true, 'active', array_fill(0::bigint, array[64]), $4, $4)"""
_ADD_SECRET = """
    insert into notifications.endpoint_secret (id, endpoint_id, key_version, sealed, created_at)
    values ($1, $2, $3, $4, $5)"""
_ADD_MESSAGES = """
    insert into notifications.message (id, tenant_id, type, body, occurred_at)
    select uuidv7(), $1, 'webhook.test', $3, now() from generate_series(1, $2::integer)"""
_ADD_DELIVERIES = """
    insert into notifications.delivery
        (id, tenant_id, endpoint_id, message_id, type, status, next_attempt_at, created_at)
    select uuidv7(), e.tenant_id, e.id, m.id, m.type, 'pending', now(), now()
    from notifications.endpoint as e join notifications.message as m using (tenant_id)
    where e.id = any ($1) and m.type = 'webhook.test'"""
_FORGET = (
    "delete from notifications.delivery where tenant_id = $1",
    "delete from notifications.message where tenant_id = $1",
    """delete from notifications.endpoint_secret
       where endpoint_id in (select id from notifications.endpoint where tenant_id = $1)""",
    "delete from notifications.endpoint where tenant_id = $1",
)


class Receivers:
    """Sound and hostile receivers behind one port. *came* counts posts by path, *sound* those that were accepted."""

    def __init__(self) -> None:
        self.case = ""
        self.port = 0
        self.sound = 0
        self.hostile = 0

    def answer(self, post: receiver.Post) -> Reply:
        """Answer as the path and the case say."""
        if post.path == "/sound":
            return Reply(204, body=b"", after=self._after(SOUND_S))
        self.hostile += 1
        if self.case == "slow":
            return Reply(after=self._after(SLOW_S, counts=False))
        return Reply(hangs=self.case != "by turns" or self.hostile % 2 == 0)

    def _after(self, seconds: float, *, counts: bool = True) -> asyncio.Event:
        over = asyncio.Event()

        def end() -> None:
            self.sound += counts
            over.set()

        asyncio.get_running_loop().call_later(seconds, end)
        return over


class Scene:
    """Endpoints of both tenants, written beside the API: a hundred by HTTP would take longer than the run."""

    def __init__(self, run: Run, connection: asyncpg.Connection, receivers: Receivers, names: NameServer) -> None:
        self.run = run
        self.receivers = receivers
        self.names = names
        self._connection = connection
        self._cipher = SecretCipher(parse_keys(DEVELOPMENT_SECRET_KEYS))

    async def add(self, tenant_id: UUID, urls: list[str], deliveries: int) -> list[UUID]:
        """Add endpoints of one tenant with *deliveries* due to each; return their ids."""
        ids, now = [new_id() for _ in urls], utc_now()
        secrets = [self._cipher.encrypt(new_id(), self._cipher.new_secret()) for _ in urls]
        async with self._connection.transaction():
            await self._connection.executemany(
                _ADD_ENDPOINT, [(each, tenant_id, url, now) for each, url in zip(ids, urls, strict=True)]
            )
            await self._connection.executemany(
                _ADD_SECRET,
                [(s.id, each, s.key_version, s.ciphertext, now) for each, s in zip(ids, secrets, strict=True)],
            )
            await self._connection.execute(_ADD_MESSAGES, tenant_id, deliveries, test_body(ids[0], now))
            await self._connection.execute(_ADD_DELIVERIES, ids)
        await self._connection.execute("analyze notifications.delivery")
        return ids

    async def forget(self, tenant_id: UUID) -> None:
        """Remove all that is a tenant's: the checker knows of no endpoints but the inbox's."""
        for statement in _FORGET:
            await self._connection.execute(statement, tenant_id)

    def url(self, path: str, host: str = "sound.example.com") -> str:
        """Return where *path* is served."""
        return f"http://{host}:{self.receivers.port}/{path}"

    async def rate(self) -> float:
        """Return how many webhooks a second the sound endpoint accepts."""
        await asyncio.sleep(SETTLE_IN_S)
        began, began_s = self.receivers.sound, time.monotonic()
        await asyncio.sleep(MEASURED_S)
        return (self.receivers.sound - began) / (time.monotonic() - began_s)


def _resolved(name: str) -> list[str] | None:
    return None if "unfound" in name else [LOOPBACK]


@asynccontextmanager
async def _scene(run: Run) -> AsyncIterator[Scene]:
    """Have both receivers, a name server, and a worker that asks it."""
    receivers = Receivers()
    async with (
        receiver.receiving(receivers.answer) as server,
        serving_names(_resolved) as names,
        run.platform.connections() as connections,
    ):
        receivers.port = server.port
        await run.platform.start(WORKER, env={"NOTIFICATIONS_DNS_SERVERS": f"{LOOPBACK}:{names.port}"})
        yield Scene(run, connections["notifications"], receivers, names)


async def isolate(run: Run) -> Bite:
    """F42: the sound endpoint's rate, alone and beside each kind of hostile tenant."""
    async with _scene(run) as scene:
        await scene.add(TENANT, [scene.url("sound")], SOUND_DELIVERIES)
        alone, kept, begun = await scene.rate(), {}, {}
        for case in CASES:
            before = scene.receivers.hostile + len(scene.names.asked)
            kept[case] = await _beside(scene, case) / alone
            begun[case] = scene.receivers.hostile + len(scene.names.asked) - before
        mended_s = time.monotonic()
        again = await scene.rate()
        await scene.forget(TENANT)
    told = ", ".join(f"{share:.2f} beside {case}" for case, share in kept.items())
    return Bite(
        what=f"{alone:.0f} a second alone ({again:.0f} at the end), of that {told}",
        count=min(begun.values()),
        recovery_s=time.monotonic() - mended_s,
        breaches=[f"{share:.2f} of its rate beside {case}" for case, share in _too_low(kept).items()],
    )


def _too_low(kept: Mapping[str, float]) -> dict[str, float]:
    return {case: share for case, share in kept.items() if share < KEPT_MIN}


async def _beside(scene: Scene, case: str) -> float:
    """Return the sound endpoint's rate beside a hundred hostile ones of another tenant."""
    scene.receivers.case = case
    hosts = [f"{n}.{'unfound' if case == 'unfound' else 'hostile'}.example.com" for n in range(HOSTILE_ENDPOINTS)]
    hostile = await scene.add(HOSTILE_TENANT, [scene.url("hostile", host) for host in hosts], HOSTILE_EACH)
    resuming = asyncio.create_task(_resume(scene, hostile)) if case == "resumed" else None
    try:
        return await scene.rate()
    finally:
        if resuming is not None:
            resuming.cancel()
            await asyncio.gather(resuming, return_exceptions=True)
        await scene.forget(HOSTILE_TENANT)


async def _resume(scene: Scene, endpoints: list[UUID]) -> None:
    """Resume some of *endpoints* every second, as their owner may."""
    http = HttpClient(scene.run.platform.port("webhooks-api"))
    try:
        for number in range(len(endpoints)):
            for endpoint in scene.run.chance.sample(endpoints, RESUMED_AT_ONCE):
                key = f"resume-{number}-{endpoint}"
                await http.request("POST", f"/v1/webhook-endpoints/{endpoint}/resume", key=key)
            await asyncio.sleep(1)
    finally:
        http.close()


FAULTS = (
    Fault(
        id="F42",
        title="a tenant of hanging, slow and unfound receivers",
        inflict=isolate,
        also=WEBHOOKS | {WORKER},
        clients=1,
        env={
            "NOTIFICATIONS_ATTEMPT_TIMEOUT_S": str(ATTEMPT_TIMEOUT_S),
            "NOTIFICATIONS_LEASE_S": "8",
        },
        is_alone=True,
    ),
)
