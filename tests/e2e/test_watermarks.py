"""From the relay over its topic to a read model: how complete it is, and how far behind while the relay stands."""

from collections.abc import AsyncIterator

import pytest
from tests.e2e.streaming import Platform, trade

from contracts.topics import WALLET_WATERMARKS
from engines import topics
from servicekit.consumer.checkpoints import LAG_STALE_MS
from servicekit.postgres import PoolSettings, open_pool
from servicekit.read_model.projected import Freshness, Projected
from testkit.pytest_plugin import MakeTopic
from testkit.waiting import eventually
from testkit.wallet_api import Client

pytestmark = pytest.mark.e2e

NAME = "transaction_history"


@pytest.fixture
async def projected(platform: Platform) -> AsyncIterator[Projected]:
    """Give the read model as its API sees it: as the reader."""
    settings = PoolSettings(dsn=platform.history.dsn_reader, application_name="test")
    async with await open_pool(settings) as pool, Projected(pool, NAME) as opened:
        yield opened


@pytest.fixture
async def watermarks(platform: Platform) -> AsyncIterator[None]:
    """Have the topic of watermarks."""
    async with topics.admin_client(platform.kafka) as admin:
        configuration = WALLET_WATERMARKS.configuration
        await topics.create_topic(admin, platform.watermarks_topic, WALLET_WATERMARKS.partitions, configuration)
    yield
    async with topics.admin_client(platform.kafka) as admin:
        await admin.delete_topics([platform.watermarks_topic])


async def is_fresh(projected: Projected, before: Freshness | None = None) -> bool:
    """Return whether there is no lag, and all is complete up to later than *before*."""
    now = await projected.freshness()
    since = None if before is None else before.complete_until
    return now.lag_ms == 0 and now.complete_until is not None and (since is None or now.complete_until > since)


async def is_behind(projected: Projected) -> bool:
    return (await projected.freshness()).lag_ms > 2 * LAG_STALE_MS


@pytest.mark.usefixtures("watermarks")
async def test_lag_grows_while_the_relay_stands_and_what_is_complete_stands_with_it(
    platform: Platform, client: Client, projected: Projected, make_topic: MakeTopic
) -> None:
    topic = await make_topic(16)
    async with platform.running(topic, NAME, "projector"):
        async with platform.running(topic, "wallet", "relay"):
            await trade(client)
            await eventually(lambda: is_fresh(projected))
            await eventually(platform.is_drained)
            fresh = await projected.freshness()
        await trade(client)  # nobody publishes it
        await eventually(lambda: is_behind(projected))
        behind = await projected.freshness()

        await eventually(lambda: has_more_lag(projected, behind.lag_ms + LAG_STALE_MS))
        stands = await projected.freshness()
        assert behind.position == stands.position == fresh.position
        assert behind.complete_until == stands.complete_until is not None

        async with platform.running(topic, "wallet", "relay"):
            await eventually(lambda: is_fresh(projected, behind))
            await eventually(platform.is_drained)


async def has_more_lag(projected: Projected, lag_ms: int) -> bool:
    return (await projected.freshness()).lag_ms > lag_ms


async def test_without_its_topic_nothing_is_complete_and_nothing_fails(
    platform: Platform, client: Client, projected: Projected, make_topic: MakeTopic
) -> None:
    async with platform.streaming(await make_topic(16)):
        await trade(client)

    assert (await projected.freshness()).complete_until is None
