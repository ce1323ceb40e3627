"""An authority on a database of its own, with a clock that a test moves."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from prometheus_client import CollectorRegistry

from contracts import scopes
from contracts.scopes import Kind
from servicekit.access.admission import (
    Access,
    Cost,
    NotAuthenticated,
)
from servicekit.access.authority import AuthorityClocks, CredentialAuthority
from servicekit.access.cache import CredentialCache
from servicekit.access.directory import Directory
from servicekit.access.limiting import CallerLimits
from servicekit.access.metrics import AccessMetrics
from servicekit.client_address import Client, Clients
from servicekit.limits import Limits
from servicekit.postgres import Pool, PoolSettings, open_pool
from servicekit.principal import Principal
from testkit.identities import TestKey, introduce, make_test_key, tenant_event

READS = Access(scopes.WALLETS_READ, None, Cost.READ)
NAME = "test-access"
NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = NOW
        self.monotonic = 0.0

    def pass_by(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)
        self.monotonic += seconds

    @property
    def clocks(self) -> AuthorityClocks:
        return AuthorityClocks(unix_s=self.unix_s, now=lambda: self.now, monotonic_s=lambda: self.monotonic)

    def unix_s(self) -> float:
        return self.now.timestamp()


def client(peer: str | None) -> Client:
    return Clients(()).client(peer)


@dataclass(frozen=True, slots=True)
class Bench:
    """An authority on a database of its own."""

    authority: CredentialAuthority
    clock: Clock
    pool: Pool
    dsn: str

    async def tell(self, *events: object) -> None:
        """Project *events*, and have the authority look."""
        await introduce(self.dsn, *events)  # type: ignore[arg-type]
        await self.authority.look()

    async def admit(
        self, credential: str, *, peer: str | None = "192.0.2.1", access: Access = READS, **headers: str
    ) -> Principal:
        sent = {name.replace("_", "-").encode(): value.encode() for name, value in headers.items()}
        given = {b"authorization": f"Bearer {credential}".encode(), **sent}
        return (await self.authority.admit(given, client(peer), access)).principal

    async def code(self, credential: str, *, peer: str = "192.0.2.1") -> str:
        with pytest.raises(NotAuthenticated) as refused:
            await self.admit(credential, peer=peer)
        return refused.value.code.code


async def known_key(bench: Bench, kind: Kind = Kind.SERVICE, **given: object) -> TestKey:
    key = make_test_key(kind, **given)  # type: ignore[arg-type]
    await bench.tell(*key.events())
    return key


@asynccontextmanager
async def open_bench(dsn: str) -> AsyncIterator[Bench]:
    """Give a bench on the database at *dsn*, whose one tenant is known."""
    clock = Clock()
    async with await open_pool(PoolSettings(dsn=dsn, application_name="test")) as pool:
        limits = Limits(clock=lambda: int(clock.monotonic * 1_000_000))
        limits.buckets.instances = 1
        authority = CredentialAuthority(
            Directory(pool, NAME),
            metrics=AccessMetrics(CollectorRegistry()),
            cache=CredentialCache(credentials_max=4, refusals_max=4),
            limits=CallerLimits(limits),
            clocks=clock.clocks,
        )
        made = Bench(authority, clock, pool, dsn)
        await made.tell(tenant_event())
        yield made
