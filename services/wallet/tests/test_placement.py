"""Where wallets stand: an owner's together, unless a placement group is named; what is made stands with its home."""

import asyncio
from uuid import UUID

import asyncpg
import pytest

from contracts.ids import home_shard, shard_of
from testkit.access import TENANT
from testkit.databases import Database
from testkit.wallet_api import Client, deposit_of, transfer_of

pytestmark = pytest.mark.integration


async def opened(client: Client, **body: str) -> UUID:
    answer = await client.post("/v1/wallets", {"owner_id": "ann", "currency": "USD", **body})
    assert answer.status_code == 201, answer.text
    return UUID(answer.json()["id"])


async def test_an_owners_wallets_stand_together(client: Client) -> None:
    wallets = await asyncio.gather(*(opened(client) for _ in range(8)))

    assert {shard_of(each) for each in wallets} == {home_shard(TENANT, "ann")}


async def test_a_placement_group_stands_together_whoever_owns_it(client: Client) -> None:
    wallets = [await opened(client, owner_id=owner, placement="game-7") for owner in ("ann", "bob", "carol")]

    assert {shard_of(each) for each in wallets} == {home_shard(TENANT, "game-7")}


@pytest.mark.parametrize("placement", ["", "x" * 129, 7])
async def test_a_placement_that_makes_no_sense_is_refused(client: Client, placement: object) -> None:
    body = {"owner_id": "ann", "currency": "USD", "placement": placement}

    answer = await client.post("/v1/wallets", body, key="the-key")

    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == "/placement"
    assert (await client.post("/v1/wallets", {**body, "placement": "x"}, key="the-key")).status_code == 201


async def test_another_placement_is_another_request(client: Client) -> None:
    body = {"owner_id": "ann", "currency": "USD", "placement": "one"}
    first = await client.post("/v1/wallets", body, key="k")

    repeated = await client.post("/v1/wallets", body, key="k")
    other = await client.post("/v1/wallets", {**body, "placement": "two"}, key="k")

    assert repeated.json() == first.json()
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")


async def test_what_is_made_stands_in_the_shard_of_its_home(client: Client, database: Database) -> None:
    payer, payee = await opened(client, placement="a"), await opened(client, placement="b")
    assert shard_of(payer) != shard_of(payee)
    await client.post("/v1/deposits", deposit_of(str(payer), "10"))

    answers = [
        await client.post("/v1/transfers", transfer_of(str(payer), str(payee), amount, reference=f"of {amount}"))
        for amount in ("4", "7")
    ]

    assert [answer.status_code for answer in answers] == [201, 409]
    assert shard_of(UUID(answers[0].json()["id"])) == shard_of(payer)
    connection = await asyncpg.connect(database.dsn_app)
    records = await connection.fetch("select distinct shard from wallet.idempotency")
    references = await connection.fetch("select shard from wallet.transaction_reference")
    await connection.close()
    assert {row["shard"] for row in records} == {shard_of(payer), shard_of(payee)}, "of the wallets that were opened"
    assert [row["shard"] for row in references] == [shard_of(payer)]
