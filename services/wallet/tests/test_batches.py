"""Batches: atomic ones as a whole, independent ones command by command."""

import asyncio
from itertools import permutations
from typing import Any

import asyncpg
import pytest

from testkit.databases import Database
from testkit.wallet_api import Client, deposit_of, transfer_of

pytestmark = pytest.mark.integration


def batch_of(mode: str, *commands: dict[str, Any]) -> dict[str, Any]:
    return {"mode": mode, "commands": list(commands)}


def deposit(wallet_id: str, amount: str, **more: Any) -> dict[str, Any]:
    return {"type": "deposit", **deposit_of(wallet_id, amount), **more}


def transfer(source: str, destination: str, amount: str, **more: Any) -> dict[str, Any]:
    return {"type": "transfer", **transfer_of(source, destination, amount), **more}


async def test_an_atomic_batch_happens_as_a_whole_and_is_replayed_as_one(client: Client) -> None:
    one, two = await client.open(), await client.open()
    body = batch_of("atomic", deposit(one, "10"), transfer(one, two, "4"), transfer(two, one, "1"))

    first = await client.post("/v1/batches", body, key="b")
    repeat = await client.post("/v1/batches", body, key="b")

    assert first.status_code == 200
    assert [result["status"] for result in first.json()["results"]] == [201, 201, 201]
    assert repeat.content == first.content
    assert repeat.headers["Ledger-Position"] == first.headers["Ledger-Position"]
    assert await client.posted(one) == "7.00"
    assert await client.posted(two) == "3.00"


async def test_a_refused_atomic_batch_does_nothing_and_names_the_first_refusal(client: Client) -> None:
    one, two = await client.open(), await client.open()
    body = batch_of("atomic", deposit(one, "10"), transfer(one, two, "11"), deposit(two, "1"))

    first = await client.post("/v1/batches", body, key="b")
    repeat = await client.post("/v1/batches", body, key="b")

    problem = first.json()
    assert (first.status_code, problem["code"], problem["index"]) == (409, "batch_refused", 1)
    assert problem["problem"]["code"] == "insufficient_funds"
    assert repeat.content == first.content
    assert (await client.wallet(one))["version"] == 1


async def test_a_wide_atomic_batch_tells_the_position_of_every_shard(client: Client) -> None:
    wallets = [await client.open() for _ in range(12)]

    first = await client.post("/v1/batches", batch_of("atomic", *(deposit(each, "1") for each in wallets)), key="b")
    repeat = await client.post("/v1/batches", batch_of("atomic", *(deposit(each, "1") for each in wallets)), key="b")

    shards = [int(pair.split("-")[0]) for pair in first.headers["Ledger-Position"].split(", ")]
    assert shards == sorted({int(each[-2:], 16) & 63 for each in wallets})
    assert repeat.headers["Ledger-Position"] == first.headers["Ledger-Position"]


async def test_an_unknown_wallet_in_an_atomic_batch_leaves_the_key_free(client: Client) -> None:
    known = await client.open()
    unknown = "01936f5e-7c4e-7a30-8f6e-2b1f0c9d4e00"

    missing = await client.post("/v1/batches", batch_of("atomic", deposit(known, "1"), deposit(unknown, "1")), key="b")
    valid = await client.post("/v1/batches", batch_of("atomic", deposit(known, "1")), key="b")

    assert (missing.status_code, missing.json()["index"]) == (404, 1)
    assert valid.status_code == 200


async def test_commands_of_an_independent_batch_stand_for_themselves(client: Client) -> None:
    one, two = await client.open(deposit="1"), await client.open()
    unknown = "01936f5e-7c4e-7a30-8f6e-2b1f0c9d4e00"
    body = batch_of("independent", transfer(one, two, "5"), deposit(two, "3"), deposit(unknown, "1"))

    first = await client.post("/v1/batches", body, key="b")
    repeat = await client.post("/v1/batches", body, key="b")

    results = first.json()["results"]
    assert first.status_code == 200
    assert [result["status"] for result in results] == [409, 201, 404]
    assert results[0]["problem"]["code"] == "insufficient_funds"
    assert results[0]["body"] is None
    assert results[1]["problem"] is None
    assert [result["replayed"] for result in repeat.json()["results"]] == [True, True, False]
    assert repeat.json()["results"][1]["body"] == results[1]["body"]
    assert await client.posted(two) == "3.00"


async def test_a_repeat_of_an_independent_batch_runs_what_was_not_done(client: Client, database: Database) -> None:
    one = await client.open()
    body = batch_of("independent", deposit(one, "1"), deposit(one, "2"))
    await client.post("/v1/batches", body, key="b")
    owner = await asyncpg.connect(database.dsn_owner)
    await owner.execute("delete from wallet.idempotency where key = 'b' and part = 2")  # as if it had not been done
    await owner.close()

    again = await client.post("/v1/batches", body, key="b")

    assert [result["replayed"] for result in again.json()["results"]] == [True, False]
    assert await client.posted(one) == "5.00"


def of_one_key(one: str) -> dict[str, tuple[str, dict[str, Any]]]:
    """Return requests each of which differs from every other, though their commands overlap."""
    return {
        "single": ("/v1/deposits", deposit_of(one, "1")),
        "independent": ("/v1/batches", batch_of("independent", deposit(one, "1"))),
        "atomic": ("/v1/batches", batch_of("atomic", deposit(one, "1"))),
        "one more": ("/v1/batches", batch_of("independent", deposit(one, "1"), deposit(one, "2"))),
        "one with a key": ("/v1/batches", batch_of("independent", deposit(one, "1", idempotency_key="own"))),
        "another order": ("/v1/batches", batch_of("independent", deposit(one, "2"), deposit(one, "1"))),
    }


@pytest.mark.parametrize(("first", "second"), list(permutations(of_one_key(""), 2)))
async def test_one_key_is_for_one_request(client: Client, first: str, second: str) -> None:
    one = await client.open()
    requests = of_one_key(one)

    done = await client.post(*requests[first], key="k")
    before = await client.wallet(one)
    other = await client.post(*requests[second], key="k")
    again = await client.post(*requests[first], key="k")

    assert done.is_success
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    assert (again.status_code, again.headers["Idempotency-Replayed"]) == (done.status_code, "true")
    assert await client.wallet(one) == before


async def test_a_batch_of_which_nothing_was_done_leaves_its_key_free(client: Client) -> None:
    one = await client.open()
    unknown = "01936f5e-7c4e-7a30-8f6e-2b1f0c9d4e00"

    missing = await client.post("/v1/batches", batch_of("independent", deposit(unknown, "1")), key="b")
    valid = await client.post("/v1/deposits", deposit_of(one, "1"), key="b")

    assert [result["status"] for result in missing.json()["results"]] == [404]
    assert valid.status_code == 201


async def test_a_command_may_not_have_the_key_of_its_batch(client: Client) -> None:
    one = await client.open()

    answer = await client.post("/v1/batches", batch_of("independent", deposit(one, "1", idempotency_key="b")), key="b")

    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (422, "duplicate_key")


async def test_one_key_is_for_one_request_of_many_at_once(client: Client) -> None:
    one = await client.open()
    requests = list(of_one_key(one).values())

    answers = await asyncio.gather(*(client.post(*each, key="k") for each in requests * 3))

    done = [answer for answer in answers if answer.is_success]
    assert 0 < len(done) <= 3
    assert {answer.json()["code"] for answer in answers if not answer.is_success} == {"idempotency_key_reused"}
    (version,) = {
        1 + len(request[1].get("commands", [0]))
        for request, each in zip(requests * 3, answers, strict=True)
        if each.is_success
    }
    assert (await client.wallet(one))["version"] == version


async def test_a_command_with_its_own_key_is_the_same_command_everywhere(client: Client) -> None:
    one = await client.open()
    single = batch_of("independent", deposit(one, "1", idempotency_key="own"))
    await client.post("/v1/batches", single)

    again = await client.post("/v1/batches", single)

    assert again.json()["results"][0]["replayed"] is True
    assert again.headers["Idempotency-Replayed"] == "true"
    assert await client.posted(one) == "1.00"


async def test_a_batch_of_a_thousand_is_carried_out(client: Client) -> None:
    one = await client.open()

    atomic = await client.post("/v1/batches", batch_of("atomic", *(deposit(one, "1") for _ in range(1000))))
    independent = await client.post("/v1/batches", batch_of("independent", *(deposit(one, "1") for _ in range(1000))))

    assert atomic.status_code == independent.status_code == 200
    assert {result["status"] for result in independent.json()["results"]} == {201}
    assert (await client.wallet(one))["version"] == 2001
    assert await client.posted(one) == "2000.00"


async def test_wallets_are_opened_and_frozen_in_batches_too(client: Client) -> None:
    one = await client.open()
    body = batch_of(
        "atomic",
        {"type": "open_wallet", "owner_id": "o", "currency": "EUR"},
        {"type": "freeze", "wallet_id": one, "reason": "check", "scope": "debits"},
        {"type": "unfreeze", "wallet_id": one},
        {"type": "close", "wallet_id": one},
    )

    answer = await client.post("/v1/batches", body)

    assert [result["status"] for result in answer.json()["results"]] == [201, 200, 200, 200]
    assert (await client.wallet(one))["status"] == "closed"


async def test_a_dry_run_of_a_batch_sees_its_earlier_commands(client: Client) -> None:
    one, two = await client.open(), await client.open()
    body = batch_of("independent", deposit(one, "5"), transfer(one, two, "5"), transfer(one, two, "1"))

    answer = await client.post("/v1/batches", body, dry_run="true")

    assert [result["status"] for result in answer.json()["results"]] == [201, 201, 409]
    assert await client.posted(one) == "0.00"
