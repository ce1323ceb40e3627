"""The same key: the same status, body, Location and position, and one effect."""

import asyncio

import pytest

from testkit.wallet_api import Client, deposit_of, money, transfer_of

pytestmark = pytest.mark.integration


async def test_a_repeat_is_answered_as_the_first_was(client: Client) -> None:
    wallet_id = await client.open()
    first = await client.post("/v1/deposits", deposit_of(wallet_id, "12.3", metadata={"a": "1", "b": "2"}), key="k")

    repeat = await client.post("/v1/deposits", deposit_of(wallet_id, "12.30", metadata={"b": "2", "a": "1"}), key="k")

    assert repeat.content == first.content
    assert repeat.status_code == first.status_code == 201
    for name in ("Location", "Ledger-Position"):
        assert repeat.headers[name] == first.headers[name]
    assert repeat.headers["Idempotency-Replayed"] == "true"
    assert "Idempotency-Replayed" not in first.headers
    assert await client.posted(wallet_id) == "12.30"


async def test_a_refusal_is_replayed_even_when_it_would_succeed_now(client: Client) -> None:
    payer, payee = await client.open(), await client.open()
    body = transfer_of(payer, payee, "1")
    first = await client.post("/v1/transfers", body, key="k")
    await client.post("/v1/deposits", deposit_of(payer, "5"))

    repeat = await client.post("/v1/transfers", body, key="k")

    assert first.status_code == 409
    assert repeat.content == first.content
    assert repeat.headers["Idempotency-Replayed"] == "true"
    assert "Ledger-Position" not in repeat.headers


async def test_another_request_under_the_key_is_refused(client: Client) -> None:
    wallet_id = await client.open()
    await client.post("/v1/deposits", deposit_of(wallet_id, "1"), key="k")

    other_amount = await client.post("/v1/deposits", deposit_of(wallet_id, "2"), key="k")
    other_route = await client.post("/v1/withdrawals", {"wallet_id": wallet_id, "amount": money("1")}, key="k")

    assert (other_amount.status_code, other_amount.json()["code"]) == (422, "idempotency_key_reused")
    assert (other_route.status_code, other_route.json()["code"]) == (422, "idempotency_key_reused")
    assert await client.posted(wallet_id) == "1.00"


async def test_a_hundred_at_once_under_one_key_have_one_effect(client: Client) -> None:
    wallet_id = await client.open()

    answers = await asyncio.gather(
        *(client.post("/v1/deposits", deposit_of(wallet_id, "1"), key="k") for _ in range(100))
    )

    assert {(answer.status_code, answer.content) for answer in answers} == {(201, answers[0].content)}
    assert sum("Idempotency-Replayed" not in answer.headers for answer in answers) == 1
    assert await client.posted(wallet_id) == "1.00"


async def test_what_is_not_found_or_invalid_leaves_the_key_free(client: Client) -> None:
    wallet_id = await client.open()
    unknown = "01936f5e-7c4e-7a30-8f6e-2b1f0c9d4e00"

    missing = await client.post("/v1/deposits", deposit_of(unknown, "1"), key="k")
    invalid = await client.post("/v1/deposits", deposit_of(wallet_id, "0"), key="k")
    valid = await client.post("/v1/deposits", deposit_of(wallet_id, "1"), key="k")

    assert missing.status_code == 404
    assert invalid.status_code == 422
    assert valid.status_code == 201


async def test_an_opened_wallet_is_replayed_with_the_id_it_got(client: Client) -> None:
    body = {"owner_id": "o", "currency": "USD", "label": "savings", "metadata": {"tier": "gold"}}

    first = await client.post("/v1/wallets", body, key="k")
    repeat = await client.post("/v1/wallets", body, key="k")

    assert first.status_code == repeat.status_code == 201
    assert first.content == repeat.content
    assert first.headers["Location"] == repeat.headers["Location"] == f"/v1/wallets/{first.json()['id']}"
    assert (await client.wallet(first.json()["id"]))["label"] == "savings"


@pytest.mark.parametrize(("verb", "body"), [("freeze", {"reason": "r", "scope": "debits"}), ("close", {})])
async def test_an_id_in_capitals_is_the_same_request(client: Client, verb: str, body: dict[str, str]) -> None:
    one = await client.open()

    first = await client.post(f"/v1/wallets/{one}/{verb}", body, key="k")
    repeat = await client.post(f"/v1/wallets/{one.upper()}/{verb}", body, key="k")

    assert first.status_code == 200
    assert (repeat.content, repeat.headers["Idempotency-Replayed"]) == (first.content, "true")


async def test_a_refusal_names_the_path_alike_however_its_id_is_spelt(client: Client) -> None:
    one = await client.open(deposit="1")

    first = await client.post(f"/v1/wallets/{one.upper()}/close", {}, key="k")
    repeat = await client.post(f"/v1/wallets/{one}/close", {}, key="k")

    assert (first.status_code, first.json()["instance"]) == (409, f"/v1/wallets/{one}/close")
    assert repeat.content == first.content


async def test_a_body_spelt_otherwise_is_the_same_request(client: Client) -> None:
    one = await client.open()
    first = await client.post("/v1/deposits", deposit_of(one, "1.50", metadata={"a": "1", "b": "2"}), key="k")

    otherwise = deposit_of(one.upper(), "1.5", reference=None, description=None, metadata={"b": "2", "a": "1"})
    repeat = await client.post("/v1/deposits", otherwise, key="k")

    assert repeat.content == first.content
    assert await client.posted(one) == "1.50"
