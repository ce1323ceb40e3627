from typing import Any

import pytest

from demo.findings import Findings
from demo.http_client import Response
from demo.judge import batch_complaints, compare_replays, complaints, expect_replayed
from demo.model import Entry, Expected, ExpectedBatch

IDS = {"a": "id-a"}
MOVED = Expected(201, None, (Entry("a", -250, 750, 3),))


def moved(amount: str = "-2.50", after: str = "7.50", version: int = 3, wallet: str = "id-a") -> dict[str, Any]:
    money = {"amount": amount, "currency": "USD"}
    entry = {"wallet_id": wallet, "amount": money, "balance_after": {**money, "amount": after}, "version": version}
    return {"entries": [entry, {"system_account": "external:USD", "amount": money}]}


def test_the_answer_that_the_model_expects_is_right() -> None:
    assert list(complaints(MOVED, 201, moved(), IDS)) == []
    assert list(complaints(Expected(409, "wallet_closed"), 409, {"code": "wallet_closed"}, IDS)) == []


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (409, {"code": "insufficient_funds"}),
        (201, moved(amount="-2.51")),
        (201, moved(after="7.51")),
        (201, moved(version=4)),
        (201, moved(wallet="id-b")),
        (201, {"entries": []}),
    ],
)
def test_another_answer_is_wrong(status: int, body: dict[str, Any]) -> None:
    assert list(complaints(MOVED, status, body, IDS))


def test_the_balance_of_a_wallet_that_others_credit_meanwhile_is_not_judged() -> None:
    assert list(complaints(MOVED, 201, moved(after="8.50", version=9), {})) == []


def test_a_refusal_for_another_reason_is_wrong() -> None:
    assert list(complaints(Expected(409, "wallet_closed"), 409, {"code": "wallet_frozen"}, IDS))


def test_a_batch_is_judged_as_a_whole_or_command_by_command() -> None:
    refused = ExpectedBatch(409, index=1, refusal=Expected(409, "wallet_closed"))
    done = ExpectedBatch(200, (MOVED,))
    told = {"code": "batch_refused", "index": 1, "problem": {"code": "wallet_closed"}}
    result = {"status": 201, "body": moved(), "problem": None}

    assert list(batch_complaints(refused, 409, told, IDS)) == []
    assert list(batch_complaints(refused, 409, {**told, "index": 0}, IDS))
    assert list(batch_complaints(refused, 200, {"results": []}, IDS))
    assert list(batch_complaints(done, 200, {"results": [result]}, IDS)) == []
    assert list(batch_complaints(done, 200, {"results": []}, IDS))
    assert list(batch_complaints(done, 200, {"results": [{**result, "body": moved(version=4)}]}, IDS))


def replays(first: Response, second: Response, *, is_independent: bool = False) -> bool:
    findings = Findings()
    compare_replays(findings, "key", (first, second), is_independent=is_independent)
    assert findings.invariants["I10"].checked == 1
    return findings.hold


def test_a_repeat_is_the_same_in_status_body_location_and_position() -> None:
    headers = {"location": "/v1/x", "ledger-position": "1-2", "request-id": "one"}
    first = Response(201, headers, b"{}")

    assert replays(first, Response(201, {**headers, "request-id": "two"}, b"{}"))
    assert not replays(first, Response(200, headers, b"{}"))
    assert not replays(first, Response(201, headers, b"{ }"))
    assert not replays(first, Response(201, {**headers, "location": "/v1/y"}, b"{}"))
    assert not replays(first, Response(201, {**headers, "ledger-position": "1-3"}, b"{}"))


def test_the_repeat_of_an_independent_batch_may_say_that_its_commands_were_replayed() -> None:
    def results(status: int, replayed: str) -> Response:
        return Response(200, {}, f'{{"results":[{{"status":{status},"replayed":{replayed}}}]}}'.encode())

    assert replays(results(201, "false"), results(201, "true"), is_independent=True)
    assert not replays(results(201, "false"), results(409, "true"), is_independent=True)
    assert not replays(results(201, "false"), results(201, "true"))


def test_the_repeat_of_a_stored_answer_says_that_it_is_one() -> None:
    findings = Findings()
    expect_replayed(findings, "key", Response(404, {}, b""))
    expect_replayed(findings, "key", Response(201, {"idempotency-replayed": "true"}, b""))
    assert findings.hold

    expect_replayed(findings, "key", Response(201, {}, b""))
    assert not findings.hold


def test_the_balance_of_a_wallet_that_the_sender_may_not_see_is_told_to_nobody() -> None:
    told = {"entries": [*moved()["entries"], {**moved()["entries"][0], "wallet_id": "id-b"}]}
    concealed = {"entries": [*moved()["entries"], {"wallet_id": "id-b", "amount": {"amount": "2.50"}}]}
    expected = Expected(201, None, (Entry("a", -250, 750, 3), Entry("b", 250, 250, 2)), concealed=1)

    assert list(complaints(expected, 201, concealed, IDS)) == []
    assert list(complaints(expected, 201, told, IDS)) == ["0 entries tell no balance where the model says 1"]
