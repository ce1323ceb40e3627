"""Refunds, reversals and chargebacks over HTTP on a real ledger, decided ahead and on locked rows."""

from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest

from contracts.ids import new_id
from contracts.scopes import FORCED_CREATE, Kind, mask_for
from servicekit.telemetry import Telemetry
from testkit.access import AdmitsAs, principal_of
from testkit.databases import Database
from testkit.wallet_api import Client, money
from wallet.bootstrap.api import open_api
from wallet.bootstrap.operating import FOLDING
from wallet.config import WalletSettings
from wallet.domain import originals, refund_commands
from wallet.maintenance.rebuild_postgres import rebuild
from wallet.maintenance.verify_postgres import verify

pytestmark = pytest.mark.integration

WHY = {"reason": "goods came back"}


async def made(api: Client, path: str, body: dict[str, Any]) -> Any:
    answer = await api.post(path, body)
    assert answer.status_code == 201, answer.text
    return answer.json()


async def funded(api: Client, amount: str = "10.00") -> str:
    wallet = await api.open()
    await made(api, "/v1/deposits", {"wallet_id": wallet, "amount": money(amount)})
    return wallet


async def transferred(api: Client, payer: str, payee: str, amount: str) -> str:
    body = {"source_wallet_id": payer, "destination_wallet_id": payee, "amount": money(amount)}
    return str((await made(api, "/v1/transfers", body))["id"])


async def take(api: Client, transaction: str, how: str, **body: Any) -> httpx2.Response:
    return await api.post(f"/v1/transactions/{transaction}/{how}", {**WHY, **body})


async def shown(api: Client, transaction: str) -> tuple[str, str, int]:
    body = (await api.get(f"/v1/transactions/{transaction}")).json()
    return body["status"], body["refunded"]["amount"], len(body["refunds"])


async def posted(api: Client, *wallets: str) -> list[str]:
    return [await api.posted(wallet) for wallet in wallets]


def code(answer: httpx2.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


@pytest.fixture(autouse=True)
async def proven(database: Database) -> AsyncIterator[None]:
    """Have the ledger prove itself behind every test."""
    yield
    report = await verify(database.dsn_app, lambda _rows: None)
    assert report.holds, report.findings
    rebuilt = await rebuild(database.dsn_app, FOLDING, lambda _rows: None)
    assert rebuilt.is_equal, (rebuilt.differences, rebuilt.breaches)


async def test_a_transfer_is_refunded_in_parts_until_nothing_is_left(api: Client) -> None:
    payer, payee = await funded(api), await api.open()
    transfer = await transferred(api, payer, payee, "5.00")

    first = await api.post(f"/v1/transactions/{transfer}/refunds", {**WHY, "amount": money("2.00")}, key="refund")
    again = await api.post(f"/v1/transactions/{transfer}/refunds", {**WHY, "amount": money("2.00")}, key="refund")
    assert first.status_code == 201, first.text
    assert again.content == first.content
    body = first.json()
    assert (body["type"], body["amount"], body["related_transaction_id"]) == ("refund", money("2.00"), transfer)
    assert body["reason"] == WHY["reason"]
    assert [each["amount"]["amount"] for each in body["entries"]] == ["2.00", "-2.00"]
    assert (await api.get(first.headers["location"])).json() == body
    assert await posted(api, payer, payee) == ["7.00", "3.00"]
    assert await shown(api, transfer) == ("partially_refunded", "2.00", 1)

    too_much = await take(api, transfer, "refunds", amount=money("3.01"))
    assert code(too_much) == (409, "refund_exceeds_transaction")
    assert too_much.json()["refundable"] == money("3.00")
    assert (await take(api, transfer, "refunds")).status_code == 201
    assert await shown(api, transfer) == ("refunded", "5.00", 2)
    assert await posted(api, payer, payee) == ["10.00", "0.00"]
    assert code(await take(api, transfer, "refunds")) == (409, "refund_exceeds_transaction")
    assert code(await take(api, transfer, "reversal")) == (409, "refund_exceeds_transaction")


async def test_deposits_withdrawals_and_captures_are_refunded(api: Client) -> None:
    wallet, payee = await funded(api), await api.open()
    deposit = (await made(api, "/v1/deposits", {"wallet_id": wallet, "amount": money("4.00")}))["id"]
    withdrawal = (await made(api, "/v1/withdrawals", {"wallet_id": wallet, "amount": money("3.00")}))["id"]
    hold = await made(api, "/v1/holds", {"wallet_id": wallet, "amount": money("2.00")})
    capture = (await made(api, f"/v1/holds/{hold['id']}/capture", {"destination_wallet_id": payee}))["id"]
    assert await posted(api, wallet, payee) == ["9.00", "2.00"]

    assert (await take(api, deposit, "refunds", amount=money("1.00"))).status_code == 201
    assert (await take(api, withdrawal, "refunds", amount=money("2.00"))).status_code == 201
    assert (await take(api, capture, "reversal")).status_code == 201
    assert await posted(api, wallet, payee) == ["12.00", "0.00"]
    assert await shown(api, withdrawal) == ("partially_refunded", "2.00", 1)
    assert await shown(api, capture) == ("reversed", "2.00", 1)


async def test_a_payment_is_refunded_by_rests_and_by_parts(api: Client) -> None:
    payer, first, second = await funded(api), await api.open(), await api.open()
    payees = [{"wallet_id": first, "amount": money("1.01")}, {"wallet_id": second, "amount": money("2.00")}]
    body = {"source_wallet_id": payer, "amount": money("3.01"), "destinations": payees}
    payment = (await made(api, "/v1/payments", body))["id"]

    refund = (await take(api, payment, "refunds", amount=money("0.02"))).json()
    assert [each["amount"]["amount"] for each in refund["entries"]] == ["0.02", "-0.01", "-0.01"]
    parts = [{"wallet_id": second, "amount": money("1.99")}]
    part = (await take(api, payment, "refunds", parts=parts)).json()
    assert [each["amount"]["amount"] for each in part["entries"]] == ["1.99", "-1.99"]
    for wallet, refundable in ((second, "0.00"), (payer, "0.00"), (str(new_id()), "0.00"), (first, "1.00")):
        asked = [{"wallet_id": wallet, "amount": money("1.01")}]
        refused = await take(api, payment, "refunds", parts=asked)
        assert code(refused) == (409, "refund_exceeds_transaction")
        assert (refused.json()["refundable"], refused.json()["wallet_id"]) == (money(refundable), wallet)
    assert (await take(api, payment, "reversal")).status_code == 201
    assert await posted(api, payer, first, second) == ["10.00", "0.00", "0.00"]


async def test_what_cannot_be_taken_back_is_refused(api: Client) -> None:
    payer, payee = await funded(api), await api.open()
    transfer = await transferred(api, payer, payee, "5.00")
    refund = (await take(api, transfer, "refunds", amount=money("1.00"))).json()["id"]
    reversal = (await take(api, transfer, "reversal")).json()["id"]
    other = await transferred(api, payer, payee, "5.00")

    for done in (refund, reversal):
        for how in ("refunds", "reversal"):
            assert code(await take(api, done, how)) == (409, "transaction_not_refundable")
    assert code(await take(api, other, "chargebacks")) == (409, "transaction_not_refundable")
    for how in ("refunds", "reversal"):
        assert code(await take(api, transfer, how)) == (409, "transaction_reversed")
        assert code(await take(api, str(new_id()), how)) == (404, "transaction_not_found")
    assert code(await take(api, other, "refunds", amount=money("1", "JPY"))) == (409, "currency_mismatch")
    foreign = [{"wallet_id": payee, "amount": money("1", "JPY")}]
    assert code(await take(api, other, "refunds", parts=foreign)) == (409, "currency_mismatch")
    twice = [{"wallet_id": payee, "amount": money("1.00")}] * 2
    mixed = [{"wallet_id": payee, "amount": money("1.00")}, {"wallet_id": payer, "amount": money("1", "JPY")}]
    bad: tuple[dict[str, Any], ...] = (
        {"amount": money("0.00")},
        {"parts": []},
        {"parts": twice},
        {"parts": mixed},
        {"parts": twice[:1], "amount": money("2.00")},
        {"reason": ""},
    )
    for body in bad:
        assert code(await take(api, other, "refunds", **body)) == (422, "invalid_request")
    assert await posted(api, payer, payee) == ["5.00", "5.00"]


async def test_a_payee_without_the_money_refuses_unless_it_is_forced(api: Client) -> None:
    payer, payee = await funded(api), await api.open()
    transfer = await transferred(api, payer, payee, "5.00")
    await made(api, "/v1/withdrawals", {"wallet_id": payee, "amount": money("4.00")})
    refused = await take(api, transfer, "refunds")
    assert code(refused) == (409, "insufficient_funds")
    assert refused.json()["available"] == money("1.00")
    await api.post(f"/v1/wallets/{payee}/freeze", {"reason": "a look", "scope": "all"})
    assert code(await take(api, transfer, "refunds", amount=money("1.00"))) == (409, "wallet_frozen")

    assert (await take(api, transfer, "refunds", force=True)).status_code == 201
    assert await posted(api, payer, payee) == ["10.00", "-4.00"]
    await api.post(f"/v1/wallets/{payee}/unfreeze", {})
    await made(api, "/v1/deposits", {"wallet_id": payee, "amount": money("1.00")})
    overdrawn = await api.post("/v1/withdrawals", {"wallet_id": payee, "amount": money("0.01")})
    assert code(overdrawn) == (409, "insufficient_funds")
    await made(api, "/v1/deposits", {"wallet_id": payee, "amount": money("3.00")})
    again = await transferred(api, payer, payee, "1.00")
    await made(api, "/v1/withdrawals", {"wallet_id": payee, "amount": money("1.00")})
    await api.post(f"/v1/wallets/{payee}/close", {})
    assert code(await take(api, again, "reversal", force=True)) == (409, "wallet_closed")


async def test_a_chargeback_counts_to_the_same_cap_and_is_reversed_when_it_is_won(api: Client) -> None:
    wallet = await funded(api, "5.00")
    deposit = (await made(api, "/v1/deposits", {"wallet_id": wallet, "amount": money("4.00")}))["id"]
    await made(api, "/v1/withdrawals", {"wallet_id": wallet, "amount": money("9.00")})
    await api.post(f"/v1/wallets/{wallet}/freeze", {"reason": "a look", "scope": "all"})

    charged = await take(api, deposit, "chargebacks", amount=money("3.00"), case="bank-7")
    assert charged.status_code == 201, charged.text
    assert (charged.json()["type"], charged.json()["reference"]) == ("chargeback", "bank-7")
    assert await posted(api, wallet) == ["-3.00"]
    assert await shown(api, deposit) == ("partially_refunded", "3.00", 1)
    too_much = await take(api, deposit, "chargebacks", amount=money("1.01"))
    assert too_much.json()["refundable"] == money("1.00")
    won = charged.json()["id"]
    assert code(await take(api, won, "refunds")) == (409, "transaction_not_refundable")
    await api.post(f"/v1/wallets/{wallet}/unfreeze", {})
    assert (await take(api, won, "reversal")).status_code == 201
    assert await posted(api, wallet) == ["0.00"]
    assert code(await take(api, won, "reversal")) == (409, "transaction_reversed")


async def test_batches_and_dry_runs_take_back_as_well(api: Client) -> None:
    payer, payee = await funded(api), await api.open()
    transfers = [await transferred(api, payer, payee, "2.00") for _ in range(3)]
    reversals = [{"type": "reversal", "transaction_id": each, **WHY} for each in reversed(transfers)]
    missing = {"type": "refund", "transaction_id": str(new_id()), **WHY}

    tried = await api.post("/v1/batches", {"mode": "atomic", "commands": reversals}, dry_run="true")
    assert (tried.status_code, await api.posted(payer)) == (200, "4.00")
    undone = await api.post("/v1/batches", {"mode": "atomic", "commands": [*reversals, missing]})
    assert (code(undone), undone.json()["index"]) == ((404, "transaction_not_found"), 3)
    twice = await api.post("/v1/batches", {"mode": "atomic", "commands": [*reversals, reversals[0]]})
    assert code(twice) == (409, "batch_refused")
    assert twice.json()["problem"]["code"] == "transaction_reversed"
    done = await api.post("/v1/batches", {"mode": "atomic", "commands": reversals})
    assert done.status_code == 200, done.text
    assert await posted(api, payer, payee) == ["10.00", "0.00"]
    each = await api.post("/v1/batches", {"mode": "independent", "commands": [missing, reversals[0]]})
    assert [result["status"] for result in each.json()["results"]] == [404, 409]


async def test_a_capture_is_forced_beyond_a_hold_and_after_its_end(api: Client) -> None:
    payer, payee = await funded(api), await api.open()
    hold = await made(api, "/v1/holds", {"wallet_id": payer, "amount": money("6.00")})
    path = f"/v1/holds/{hold['id']}"
    to = {"destination_wallet_id": payee, "force": True}

    assert (await api.post(f"{path}/capture", {**to, "amount": money("12.00")})).status_code == 201
    assert await posted(api, payer, payee) == ["-2.00", "12.00"]
    found = (await api.get(path)).json()
    assert (found["status"], found["captured"], len(found["captures"])) == ("captured", money("6.00"), 1)
    assert code(await api.post(f"{path}/capture", to)) == (409, "hold_settled")
    late = await made(api, f"{path}/capture", {**to, "amount": money("1.00")})
    assert await posted(api, payer, payee) == ["-3.00", "13.00"]
    assert (await take(api, late["id"], "reversal")).status_code == 201
    void = await made(api, "/v1/holds", {"wallet_id": payee, "amount": money("1.00")})
    await api.post(f"/v1/holds/{void['id']}/void", {})
    forced = {"destination_wallet_id": payer, "force": True, "amount": money("1.00")}
    await made(api, f"/v1/holds/{void['id']}/capture", forced)
    found = (await api.get(f"/v1/holds/{void['id']}")).json()
    assert (found["status"], found["released"], len(found["captures"])) == ("voided", money("1.00"), 1)


async def test_a_transaction_is_refunded_a_hundred_times_at_most(api: Client) -> None:
    payer, payee = await funded(api), await api.open()
    transfer = await transferred(api, payer, payee, "5.00")
    one = {"type": "refund", "transaction_id": transfer, "amount": money("0.01"), **WHY}
    done = await api.post("/v1/batches", {"mode": "atomic", "commands": [one] * 100})
    assert done.status_code == 200, done.text

    assert code(await take(api, transfer, "refunds", amount=money("0.01"))) == (409, "refund_limit_reached")
    assert await shown(api, transfer) == ("partially_refunded", "1.00", 100)


async def test_fees_go_back_by_a_reversal_and_where_a_refund_says_so(api: Client) -> None:
    payer, payee = await funded(api, "100.00"), await api.open()
    flat = {"currency": "USD", "flat": "0.31"}
    rules = [
        {"id": "sending", "operation": "transfer", "bearer": "payer", **flat},
        {"id": "getting", "operation": "transfer", "bearer": "payee", **flat},
        {"id": "taking", "operation": "capture", "bearer": "payer", **flat},
    ]
    await api.set_policy("fees", rules)
    transfer = await transferred(api, payer, payee, "10.00")
    assert await posted(api, payer, payee) == ["89.69", "9.69"]

    plain = await take(api, transfer, "refunds", amount=money("1.00"))
    assert [each["amount"]["amount"] for each in plain.json()["entries"]] == ["1.00", "-1.00"]
    some = await take(api, transfer, "refunds", amount=money("3.00"), refund_fees=True)
    assert [each["amount"]["amount"] for each in some.json()["entries"]] == [
        *("0.10", "0.10", "3.00", "-3.00", "-0.10", "-0.10")
    ]
    assert (some.json()["amount"], some.json()["fees"]) == (money("3.00"), [])
    assert (await api.get(some.headers["location"])).json() == some.json()
    refused = await take(api, transfer, "refunds", amount=money("6.00"))
    assert code(refused) == (409, "insufficient_funds")
    assert (await take(api, transfer, "reversal")).status_code == 201
    assert await posted(api, payer, payee) == ["100.00", "0.00"]

    hold = await made(api, "/v1/holds", {"wallet_id": payer, "amount": money("6.00")})
    capture = await made(api, f"/v1/holds/{hold['id']}/capture", {"destination_wallet_id": payee})
    assert await posted(api, payer) == ["93.69"]
    assert (await take(api, capture["id"], "reversal")).status_code == 201
    assert await posted(api, payer, payee) == ["100.00", "0.00"]


async def test_force_needs_a_scope_of_its_own(settings: WalletSettings, telemetry: Telemetry) -> None:
    scopes = mask_for(Kind.OPERATOR) & ~FORCED_CREATE.mask
    async with open_api(settings, telemetry, authority=AdmitsAs(principal_of(scopes=scopes))) as app:
        transport = httpx2.ASGITransport(app=app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://wallet") as http:
            api = Client(http)
            payer, payee = await funded(api), await api.open()
            transfer = await transferred(api, payer, payee, "5.00")
            hold = (await made(api, "/v1/holds", {"wallet_id": payer, "amount": money("1.00")}))["id"]
            capture = {"destination_wallet_id": payee, "amount": money("2.00"), "force": True}
            refund = {"type": "refund", "transaction_id": transfer, "force": True, **WHY}
            for answer in (
                await take(api, transfer, "refunds", force=True),
                await take(api, transfer, "reversal", force=True),
                await api.post(f"/v1/holds/{hold}/capture", capture),
                await api.post("/v1/batches", {"mode": "atomic", "commands": [refund]}),
            ):
                assert code(answer) == (403, "forbidden")
                assert answer.json()["required_scope"] == "forced:create"
            assert (await take(api, transfer, "refunds")).status_code == 201


async def test_a_rest_that_was_read_too_early_is_noticed_by_the_database(
    api: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Plant it: each refund believes in the rest that there was before the first."""
    payer, payee = await funded(api), await api.open(deposit="20.00")
    transfer = await transferred(api, payer, payee, "5.00")
    for where in (originals, refund_commands):
        monkeypatch.setattr(where, "rests_of", lambda original, _: [each.amount_minor for each in original.entries])

    answers = [await take(api, transfer, "refunds") for _ in range(2)]

    assert [answer.status_code for answer in answers] == [201, 500]
    assert await posted(api, payer, payee) == ["10.00", "20.00"]
