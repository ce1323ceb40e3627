from typing import Any

import pytest

from demo.findings import Findings
from demo.http_client import Response
from demo.judge import Known, batch_complaints, compare_replays, complaints, expect_replayed
from demo.states import ChargedFee, Entry, Expected, ExpectedBatch

IDS = Known({"a": "id-a", "b": "id-b"}, ("a",))
MOVED = Expected(201, None, (Entry("a", "USD", -250, 750, 3), Entry("external:USD", "USD", 250)))


def moved(amount: str = "-2.50", after: str = "7.50", version: int = 3, wallet: str = "id-a") -> dict[str, Any]:
    money = {"amount": amount, "currency": "USD"}
    entry = {"wallet_id": wallet, "amount": money, "balance_after": {**money, "amount": after}, "version": version}
    return {"entries": [entry, {"system_account": "external:USD", "amount": {**money, "amount": "2.50"}}]}


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
    assert list(complaints(MOVED, 201, moved(after="8.50", version=9), Known(IDS.ids))) == []


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
    payer, got = moved()["entries"][0], {"amount": "2.50", "currency": "USD"}
    told = {"entries": [payer, {**payer, "wallet_id": "id-b", "amount": got}]}
    concealed = {"entries": [payer, {"wallet_id": "id-b", "amount": got}]}
    hidden = Entry("b", "USD", 250, 250, 2, is_concealed=True)
    expected = Expected(201, None, (Entry("a", "USD", -250, 750, 3), hidden))

    assert list(complaints(expected, 201, concealed, IDS)) == []
    assert list(complaints(expected, 201, told, IDS)) == ["b: a balance is told where the model says otherwise"]


def charged(fee: str = "-0.10", rule: str = "sent") -> dict[str, Any]:
    body = moved()
    amount = {"amount": fee, "currency": "USD"}
    entry = {"wallet_id": "id-a", "amount": amount, "balance_after": {**amount, "amount": "7.40"}, "version": 4}
    account = {"system_account": "fees:USD", "amount": {**amount, "amount": fee.removeprefix("-")}}
    told = {"wallet_id": "id-a", "amount": account["amount"], "rule": rule}
    return {"entries": [*body["entries"], entry, account], "fees": [told]}


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        (charged(), None),
        (charged(fee="-0.11"), "a: the entry is ('id-a', -11) where the model says ('id-a', -10)"),
        (charged(rule="other"), "the fees are [('id-a', 'other', 10)] where the model says [('id-a', 'sent', 10)]"),
        ({**charged(), "fees": []}, "the fees are [] where the model says [('id-a', 'sent', 10)]"),
        (moved(), "2 entries where the model says 4"),
    ],
    ids=["right", "another fee", "another rule", "not told", "not charged"],
)
def test_a_wrong_fee_is_found(body: dict[str, Any], complaint: str | None) -> None:
    fee = (Entry("a", "USD", -10, 740, 4, is_fee=True), Entry("fees:USD", "USD", 10, is_fee=True))
    expected = Expected(201, None, (*MOVED.entries, *fee), (ChargedFee("a", "sent", 10),))

    found = list(complaints(expected, 201, body, IDS))

    assert complaint in found if complaint else found == []


def test_what_a_hold_or_a_refusal_must_show_is_compared() -> None:
    held = Expected(200, shows={"status": "captured", "remaining": {"amount": "0.00", "currency": "USD"}})
    told = {"status": "captured", "remaining": {"amount": "0.00", "currency": "USD"}, "captures": []}

    assert list(complaints(held, 200, told, IDS)) == []
    assert list(complaints(held, 200, {**told, "status": "open"}, IDS)) == [
        "status is open where the model says captured"
    ]
    refused = Expected(409, "limit_exceeded", shows={"used": 3})
    assert list(complaints(refused, 409, {"code": "limit_exceeded", "used": 3}, IDS)) == []
    assert list(complaints(refused, 409, {"code": "limit_exceeded", "used": 2}, IDS))
