"""A topic is lost: the journal is replayed to a fresh one, and relay and read model go on there as if nothing was."""

import pytest
from tests.e2e.streaming import Platform, trade

from engines import topics
from testkit.pytest_plugin import MakeTopic
from testkit.waiting import eventually
from testkit.wallet_api import Client

pytestmark = pytest.mark.e2e


async def test_everybody_goes_on_where_the_journal_was_replayed_to(
    platform: Platform, client: Client, make_topic: MakeTopic
) -> None:
    lost, fresh = await make_topic(16), await make_topic(16)
    async with platform.streaming(lost):
        await trade(client)
    await trade(client)
    async with topics.admin_client(platform.kafka) as admin:
        await admin.delete_topics([lost])

    said = await platform.told(lost, "wallet", "replay", "--to", fresh)
    async with platform.streaming(fresh):
        await trade(client)
        await eventually(platform.is_drained)
        compared = await platform.told(fresh, "transaction_history", "projections", "rebuild")

    assert f"events written to {fresh}" in said
    assert compared.strip().endswith("equal")
