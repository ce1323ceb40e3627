"""Several API instances on one database: one ledger, one effect per key."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from decimal import Decimal
from typing import Any

import httpx2
import pytest
from prometheus_client import CollectorRegistry

from servicekit.telemetry import Telemetry, Tracing
from testkit.access import AdmitsAs
from testkit.databases import Database
from testkit.wallet_api import Client, deposit_of, transfer_of
from wallet.bootstrap.api import open_api
from wallet.config import WalletSettings
from wallet.maintenance.verify_postgres import verify

pytestmark = pytest.mark.integration


@pytest.fixture(params=[True, False], ids=["with the commit lock", "without it"])
async def clients(database: Database, request: pytest.FixtureRequest) -> AsyncIterator[list[Client]]:
    """Give a client of each of two instances."""
    async with AsyncExitStack() as stack:
        made = []
        for _ in range(2):
            telemetry = Telemetry("wallet", "test", "0", CollectorRegistry(), Tracing("wallet", 0.0))
            settings = WalletSettings(
                wallet_database_url=database.dsn_app,
                wallet_reader_database_url=database.dsn_reader,
                wallet_commit_lock=request.param,
            )
            app = await stack.enter_async_context(open_api(settings, telemetry, authority=AdmitsAs()))
            transport = httpx2.ASGITransport(app=app)
            http = await stack.enter_async_context(httpx2.AsyncClient(transport=transport, base_url="http://wallet"))
            made.append(Client(http))
        yield made


async def test_transfers_through_both_keep_every_invariant(clients: list[Client], database: Database) -> None:
    chance = random.Random(7)
    wallets = [await clients[0].open(deposit="100") for _ in range(6)]

    async def transfer(number: int) -> httpx2.Response:
        source, destination = chance.sample(wallets, 2)
        body = transfer_of(source, destination, f"{chance.randint(1, 60)}")
        return await clients[number % 2].post("/v1/transfers", body, key=f"transfer-{number}")

    answers = await asyncio.gather(*(transfer(number) for number in range(300)))

    assert {answer.status_code for answer in answers} <= {201, 409}
    total = sum([Decimal(await clients[1].posted(wallet)) for wallet in wallets])
    assert total == 600
    report = await verify(database.dsn_app, lambda _rows: None)
    assert report.holds, report.findings


async def test_one_key_through_both_has_one_effect(clients: list[Client]) -> None:
    wallet_id = await clients[0].open()

    answers = await asyncio.gather(
        *(clients[number % 2].post("/v1/deposits", deposit_of(wallet_id, "1"), key="k") for number in range(40))
    )

    assert {(answer.status_code, answer.content, answer.headers["Ledger-Position"]) for answer in answers} == {
        (201, answers[0].content, answers[0].headers["Ledger-Position"])
    }
    assert await clients[1].posted(wallet_id) == "1.00"


async def test_one_key_is_for_one_request_through_both(clients: list[Client]) -> None:
    wallet_id = await clients[0].open()
    batched = {"type": "deposit", **deposit_of(wallet_id, "10")}
    requests = [
        ("/v1/deposits", deposit_of(wallet_id, "1")),
        ("/v1/batches", {"mode": "independent", "commands": [batched] * 600}),  # more than one commit takes
        ("/v1/batches", {"mode": "atomic", "commands": [batched] * 3}),
    ]

    for number in range(12):
        before = Decimal(await clients[0].posted(wallet_id))
        chosen = [requests[(number + place) % 3] for place in range(6)]
        answers = await asyncio.gather(
            *(clients[place % 2].post(*each, key=f"k-{number}") for place, each in enumerate(chosen))
        )
        after = Decimal(await clients[1].posted(wallet_id))

        done = {
            answer.request.url.path + str(len(each[1].get("commands", [0])))
            for answer, each in zip(answers, chosen, strict=True)
            if answer.is_success
        }
        assert len(done) == 1, done
        assert after - before in {1, 6000, 30}
        assert {answer.status_code for answer in answers} == {422, *(a.status_code for a in answers if a.is_success)}


async def test_of_refunds_a_reversal_and_a_chargeback_at_once_goes_exactly_what_fits(
    clients: list[Client], database: Database
) -> None:
    wallet = await clients[0].open()
    for number in range(4):
        deposit = (await clients[0].post("/v1/deposits", deposit_of(wallet, "10"))).json()["id"]
        path, why = f"/v1/transactions/{deposit}", {"reason": "goods came back"}
        some = {**why, "amount": {"amount": "0.30", "currency": "USD"}}
        asked: list[tuple[str, dict[str, Any]]] = [("refunds", some)] * 50
        asked[10 * number : 10 * number] = [("reversal", why), ("chargebacks", some)]
        answers = await asyncio.gather(
            *(
                clients[place % 2].post(f"{path}/{how}", body, key=f"{number}-{place}")
                for place, (how, body) in enumerate(asked)
            )
        )

        codes = {answer.json()["code"] for answer in answers if answer.status_code != 201}
        assert codes <= {"transaction_reversed", "refund_exceeds_transaction"}
        shown = (await clients[1].get(path)).json()
        done = [answer.json() for answer in answers if answer.status_code == 201]
        assert sum(Decimal(each["amount"]["amount"]) for each in done) == Decimal(shown["refunded"]["amount"])
        assert {each["id"] for each in done} == set(shown["refunds"])
        is_reversed = any(each["type"] == "reversal" for each in done)
        assert shown["status"] == ("reversed" if is_reversed else "partially_refunded")
        assert await clients[1].posted(wallet) == ("0.00" if is_reversed else "0.10")
        if not is_reversed:
            await clients[0].post("/v1/withdrawals", deposit_of(wallet, "0.10"))
    report = await verify(database.dsn_app, lambda _rows: None)
    assert report.holds, report.findings
