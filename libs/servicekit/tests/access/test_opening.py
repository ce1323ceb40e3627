"""An API in production believes no issuer whose key everybody has, neither at its start nor later."""

from dataclasses import replace

import pytest
from prometheus_client import CollectorRegistry

from servicekit.access.directory import Directory
from servicekit.access.opening import DevelopmentIssuerError, Knowing, open_authority
from servicekit.settings import Mode
from testkit.authority_bench import NAME, Bench
from testkit.identities import TestIssuer, introduce

pytestmark = pytest.mark.integration


@pytest.fixture
def knowing(bench: Bench) -> Knowing:
    return Knowing(dsn=bench.dsn, service="test", stale_s=300.0, mode=Mode.PRODUCTION)


async def opens(knowing: Knowing) -> bool:
    """Return whether an authority is opened, which settles no limits."""
    async with open_authority(knowing, CollectorRegistry()) as authority:
        return authority is not None


async def test_an_api_does_not_start_with_an_issuer_that_is_for_development(bench: Bench, knowing: Knowing) -> None:
    issuer = TestIssuer(name="dev", url="https://dev.example/")
    await introduce(bench.dsn, issuer.event(is_development=True))

    with pytest.raises(DevelopmentIssuerError, match=r"the issuer dev of https://dev\.example/ is for development"):
        await opens(knowing)
    assert await opens(replace(knowing, mode=Mode.DEVELOPMENT))


async def test_a_deleted_one_and_those_of_others_are_in_nobodys_way(bench: Bench, knowing: Knowing) -> None:
    await introduce(bench.dsn, TestIssuer().event(), TestIssuer().event(is_development=True, status="deleted"))

    assert await opens(knowing)


async def test_one_that_becomes_known_later_is_not_believed(bench: Bench) -> None:
    issuer = TestIssuer()
    await introduce(bench.dsn, issuer.event(is_development=True))
    wary = Directory(bench.pool, NAME, believes_development=False)

    assert await wary.issuers(issuer.url) == []
    assert len(await Directory(bench.pool, NAME).issuers(issuer.url)) == 1
    await introduce(bench.dsn, issuer.event(is_development=False))
    assert len(await wary.issuers(issuer.url)) == 1
