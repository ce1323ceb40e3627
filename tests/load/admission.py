"""What guards cost: transfers over HTTP with an authority that admits whoever asks, and with the product's.

The product's side is asked under one backend's key, under the tokens of many users, and with one request in twenty
under a token that the process has never seen. Beside that, four instances with limits and without, and reads with
row-level security and without. Both sides of a comparison follow one another in each round, each on a database of its
own: what one writes would make the other's memory of wallets wrong.
"""

import secrets
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from tests.load import cells
from tests.load.database import Bench, connected, prepared
from tests.load.generator import Load
from tests.load.processes import apis
from tests.load.series import Series

from contracts.access import ClaimMapping
from contracts.ids import new_id
from engines.postgres import PostgresServer
from testkit.identities import CLIENTS_KEY, TestIssuer, introduce, make_test_key, rates_event, tenant_event

USERS: Final = 1_000
PRIMING_CONNECTIONS: Final = 16
PRIMING_S: Final = 4.0
"""Long enough for every user to have asked once before anything is timed."""
FRESH_PER_S: Final = 600
"""Tokens never seen; more than a twentieth of what one process answers in a second."""
OWNER: Final = "bench"
"""Of every wallet of the benchmark."""
INSTANCES: Final = 4
TENANTS: Final = 100
READERS: Final = 32
"""Connections that read: more than the pool of reads lends at a time, and so few that none is refused."""
_SIDES: Final = ("open", "key", "users", "fresh")
_UNLIMITED: Final = (1_000_000, 2_000_000)
# Users come through a gateway, each from an address of its own.
_SETTINGS: Final = {"TRUSTED_PROXIES": "127.0.0.0/8"}
_ADD_WALLETS: Final = """
    insert into wallet.wallet (id, tenant_id, owner_id, currency, status, posted_minor, held_minor,
                               overdraft_limit_minor, version, opened_at, last_at, operator_version, stamp)
    select uuidv7(), tenant_id, $2, 'USD', 0, 0, 0, 0, 1, now(), now(), 0, random(0, 9223372036854775807)
      from unnest($1::uuid[]) as of_each (tenant_id)
    returning tenant_id, id"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """How often each side runs, how long, and over how many connections."""

    rounds: int
    seconds: float
    connections: int


async def measure(running: PostgresServer, series: Series, timing: Timing) -> None:
    """Add a rate per side and round."""
    async with prepared(running) as without, prepared(running) as bench:
        await _admitted(without, bench, series, timing)
        await _limited(without, bench, series, timing)
        await _secured(bench, series, timing)


async def _admitted(without: Bench, bench: Bench, series: Series, timing: Timing) -> None:
    issuer = TestIssuer(claims=ClaimMapping(owners_claim="owners"))
    await introduce(bench.database.dsn_app, issuer.event())
    users = [caller(issuer.token(f"user-{number}", owners=[OWNER]), number) for number in range(USERS)]
    async with (
        apis(without.database, module=("tests.load.without", "authority")) as opened,
        apis(bench.database, settings=_SETTINGS) as admitting,
    ):
        known = Load(wallet_ids=bench.wallet_ids, connections=PRIMING_CONNECTIONS, seconds=PRIMING_S, callers=users)
        await cells.http(admitting, known)
        for _ in range(timing.rounds):
            for side in _SIDES:
                on, processes = (without, opened) if side == "open" else (bench, admitting)
                load = Load(
                    wallet_ids=on.wallet_ids,
                    connections=timing.connections,
                    seconds=timing.seconds,
                    callers=users if side in {"users", "fresh"} else [caller(CLIENTS_KEY.text)],
                    fresh=_fresh(issuer, timing.seconds) if side == "fresh" else None,
                )
                series.add(f"access {side}", await cells.http(processes, load))


async def _limited(without: Bench, bench: Bench, series: Series, timing: Timing) -> None:
    async with (
        apis(without.database, INSTANCES, module=("tests.load.without", "limits")) as unlimited,
        apis(bench.database, INSTANCES) as limited,
    ):
        for _ in range(timing.rounds):
            for side, on, processes in (("unlimited", without, unlimited), ("limited", bench, limited)):
                load = Load(wallet_ids=on.wallet_ids, connections=timing.connections, seconds=timing.seconds)
                series.add(f"access {side}", await cells.http(processes, load))


async def _secured(bench: Bench, series: Series, timing: Timing) -> None:
    reads = await _reads(bench)
    plain_reader = {"WALLET_READER_DATABASE_URL": bench.database.dsn_app}
    async with (
        apis(bench.database, settings=plain_reader, module=("tests.load.without", "row_security")) as plain,
        apis(bench.database) as secured,
    ):
        for processes in (plain, secured):
            primed = Load(wallet_ids=(), connections=READERS, seconds=PRIMING_S / 4, reads=reads, may_be_refused=True)
            await cells.http(processes, primed)
        for _ in range(timing.rounds):
            for tenants, requests in {"one": reads[:1], "hundred": reads}.items():
                load = Load(wallet_ids=(), connections=READERS, seconds=timing.seconds, reads=requests)
                series.add(f"access plain {tenants}", await cells.http(plain, load))
                series.add(f"access secured {tenants}", await cells.http(secured, load))


async def _reads(bench: Bench) -> Sequence[bytes]:
    """Return a request that reads a wallet for each of TENANTS tenants, each under its own key."""
    keys = {tenant: make_test_key(tenant_id=tenant) for tenant in (new_id() for _ in range(TENANTS))}
    rates = {"tenant": _UNLIMITED, "service": _UNLIMITED}
    for tenant, key in keys.items():
        await introduce(bench.database.dsn_app, tenant_event(tenant), rates_event(rates, tenant), *key.events())
    wallets = await _wallets_of(bench, keys)
    return [
        f"GET /v1/wallets/{wallets[tenant]} HTTP/1.1\r\nHost: wallet\r\n{caller(key.text)}\r\n".encode()
        for tenant, key in keys.items()
    ]


async def _wallets_of(bench: Bench, tenants: Iterable[UUID]) -> Mapping[UUID, UUID]:
    """Open a wallet for each tenant; return its id by the tenant's."""
    async with connected(bench.database.dsn_admin) as connection:
        return {row["tenant_id"]: row["id"] for row in await connection.fetch(_ADD_WALLETS, list(tenants), OWNER)}


def caller(credential: str, number: int | None = None) -> str:
    """Return the lines of a request's head that say who sends it."""
    forwarded = (
        "" if number is None else f"X-Forwarded-For: 10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}\r\n"
    )
    return f"Authorization: Bearer {credential}\r\n{forwarded}"


def _fresh(issuer: TestIssuer, seconds: float) -> deque[str]:
    made = secrets.token_hex(4)
    return deque(
        caller(issuer.token(f"fresh-{made}-{number}", owners=[OWNER]), USERS + number)
        for number in range(int(FRESH_PER_S * seconds) + 100)
    )
