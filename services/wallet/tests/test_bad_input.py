"""Bad input: each a documented code, and no journal row, version or key."""

import json
from collections.abc import Callable
from typing import Any, Final

import asyncpg
import pytest

from testkit.databases import Database
from testkit.wallet_api import Client, deposit_of, transfer_of

pytestmark = pytest.mark.integration

UNKNOWN: Final = "01936f5e-7c4e-7a30-8f6e-2b1f0c9d4e00"
JSON: Final = {"Content-Type": "application/json"}
KEYED: Final = {**JSON, "Idempotency-Key": "bad"}


async def written(database: Database) -> tuple[int, int, int]:
    """Return how many journal rows and keys there are, and the sum of all versions."""
    connection = await asyncpg.connect(database.dsn_app)
    try:
        row = await connection.fetchrow(
            "select (select count(*) from wallet.journal), (select count(*) from wallet.idempotency),"
            " (select coalesce(sum(version), 0)::int from wallet.wallet)"
        )
        assert row is not None
        return tuple(row)
    finally:
        await connection.close()


def without(body: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in body.items() if name not in names}


Body = Callable[[str, str], Any]


def amount(value: Any, currency: Any = "USD") -> Body:
    return lambda a, b: {**transfer_of(a, b, "1"), "amount": {"amount": value, "currency": currency}}


INVALID_TRANSFERS: Final[list[tuple[str, Body, str, str]]] = [
    ("zero", amount("0"), "/amount/amount", "amount_not_positive"),
    ("zero with decimals", amount("0.00"), "/amount/amount", "amount_not_positive"),
    ("negative", amount("-1"), "/amount/amount", "invalid_amount"),
    ("too many decimals", amount("1.001"), "/amount/amount", "too_many_decimals"),
    ("exponent", amount("1e2"), "/amount/amount", "invalid_amount"),
    ("grouping", amount("1,000"), "/amount/amount", "invalid_amount"),
    ("beyond the maximum", amount("9000000000000.01"), "/amount/amount", "amount_too_large"),
    ("a number", amount(1), "/amount/amount", "invalid_type"),
    ("a fraction", amount(1.5), "/amount/amount", "invalid_type"),
    ("NaN in a string", amount("NaN"), "/amount/amount", "invalid_amount"),
    ("null", amount(None), "/amount/amount", "invalid_type"),
    ("unknown currency", amount("1", "XXX"), "/amount/currency", "unknown_currency"),
    ("currency as a number", amount("1", 840), "/amount/currency", "invalid_type"),
    ("no amount", lambda a, b: without(transfer_of(a, b, "1"), "amount"), "/amount", "missing"),
    ("unknown field", lambda a, b: {**transfer_of(a, b, "1"), "colour": "red"}, "/colour", "unknown_field"),
    ("fee, not yet", lambda a, b: {**transfer_of(a, b, "1"), "fee": "1"}, "/fee", "unknown_field"),
    ("to oneself", lambda a, _: transfer_of(a, a, "1"), "/destination_wallet_id", "same_wallet"),
    ("no id", lambda a, _: transfer_of(a, "nobody", "1"), "/destination_wallet_id", "invalid_id"),
    ("an array", lambda _a, _b: [], "", "invalid_type"),
    ("NUL in text", lambda a, b: transfer_of(a, b, "1", description="a\0b"), "/description", "invalid_text"),
    ("long reference", lambda a, b: transfer_of(a, b, "1", reference="r" * 101), "/reference", "too_long"),
    ("long description", lambda a, b: transfer_of(a, b, "1", description="d" * 501), "/description", "too_long"),
    (
        "too much metadata",
        lambda a, b: transfer_of(a, b, "1", metadata={str(n): "v" for n in range(21)}),
        "/metadata",
        "too_many",
    ),
    (
        "metadata that is no string",
        lambda a, b: transfer_of(a, b, "1", metadata={"k": 1}),
        "/metadata/k",
        "invalid_type",
    ),
]


@pytest.mark.parametrize("case", INVALID_TRANSFERS, ids=lambda case: case[0])
async def test_an_invalid_field_is_named(client: Client, database: Database, case: tuple[str, Body, str, str]) -> None:
    _, body, pointer, code = case
    payer, payee = await client.open(deposit="10"), await client.open()
    before = await written(database)

    answer = await client.http.post("/v1/transfers", content=json.dumps(body(payer, payee)), headers=KEYED)

    problem = answer.json()
    assert answer.status_code == 422, answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert problem["code"] == "invalid_request"
    assert [(error["pointer"], error["code"]) for error in problem["errors"]] == [(pointer, code)]
    assert await written(database) == before


UNREADABLE: Final[list[tuple[str, bytes, dict[str, str], int, str]]] = [
    ("malformed JSON", b'{"amount":', KEYED, 400, "malformed_json"),
    ("empty", b"", KEYED, 400, "malformed_json"),
    ("NaN", b'{"amount": NaN}', KEYED, 400, "malformed_json"),
    ("invalid UTF-8", b'{"reference": "\xff"}', KEYED, 400, "malformed_json"),
    ("deep nesting", b"[" * 20_000 + b"]" * 20_000, KEYED, 400, "malformed_json"),
    ("oversized", b'{"reference": "' + b"x" * 70_000 + b'"}', KEYED, 413, "body_too_large"),
    ("wrong content type", b"{}", {**KEYED, "Content-Type": "text/plain"}, 415, "unsupported_media_type"),
    ("no key", b"{}", JSON, 400, "invalid_idempotency_key"),
    ("empty key", b"{}", {**JSON, "Idempotency-Key": ""}, 400, "invalid_idempotency_key"),
    ("long key", b"{}", {**JSON, "Idempotency-Key": "k" * 256}, 400, "invalid_idempotency_key"),
    ("key with a space", b"{}", {**JSON, "Idempotency-Key": "a b"}, 400, "invalid_idempotency_key"),
]


@pytest.mark.parametrize("case", UNREADABLE, ids=lambda case: case[0])
async def test_an_unreadable_request_is_told_why(
    client: Client, database: Database, case: tuple[str, bytes, dict[str, str], int, str]
) -> None:
    _, content, headers, status, code = case

    answer = await client.http.post("/v1/transfers", content=content, headers=headers)

    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert await written(database) == (0, 0, 0)


async def test_a_key_that_is_not_ascii_is_refused(client: Client) -> None:
    headers = [(b"Idempotency-Key", "schl\xfcssel".encode())]

    answer = await client.http.post("/v1/transfers", content=b"{}", headers=headers)

    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_idempotency_key")


@pytest.mark.parametrize("count", [0, 1001])
async def test_a_batch_has_one_to_a_thousand_commands(client: Client, count: int) -> None:
    commands = [{"type": "deposit", **deposit_of(UNKNOWN, "1")}] * count

    answer = await client.post("/v1/batches", {"mode": "independent", "commands": commands})

    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == "/commands"
    assert answer.json()["errors"][0]["code"] == ("too_few" if count == 0 else "too_many")


BAD_BATCHES: Final[list[tuple[str, str, list[dict[str, Any]], str, str]]] = [
    ("a bad amount", "atomic", [{}, {"amount": {"amount": "0", "currency": "USD"}}], "/commands/1/amount/amount",
     "amount_not_positive"),
    ("an unknown type", "independent", [{"type": "steal"}], "/commands/0/type", "invalid_value"),
    ("the same key twice", "independent", [{"idempotency_key": "k"}, {"idempotency_key": "k"}],
     "/commands/1/idempotency_key", "duplicate_key"),
    ("a newline", "independent", [{"idempotency_key": "k\n"}], "/commands/0/idempotency_key", "invalid_value"),
    ("a key in an atomic batch", "atomic", [{"idempotency_key": "k"}], "/commands/0/idempotency_key", "inner_key"),
    ("an unknown mode", "sideways", [{}], "/mode", "invalid_value"),
]  # fmt: skip


@pytest.mark.parametrize("case", BAD_BATCHES, ids=lambda case: case[0])
async def test_a_bad_batch_names_the_command(
    client: Client, database: Database, case: tuple[str, str, list[dict[str, Any]], str, str]
) -> None:
    _, mode, changes, pointer, code = case
    wallet_id = await client.open()
    before = await written(database)
    commands = [{"type": "deposit", **deposit_of(wallet_id, "1"), **change} for change in changes]

    answer = await client.post("/v1/batches", {"mode": mode, "commands": commands})

    assert answer.status_code == 422, answer.text
    assert [(error["pointer"], error["code"]) for error in answer.json()["errors"]] == [(pointer, code)]
    assert await written(database) == before


async def test_what_does_not_exist_is_not_found(client: Client, database: Database) -> None:
    known = await client.open(deposit="1")
    before = await written(database)

    commands = [
        await client.post("/v1/transfers", transfer_of(known, UNKNOWN, "1")),
        await client.post("/v1/transfers", transfer_of(UNKNOWN, known, "1")),
        await client.post(f"/v1/wallets/{UNKNOWN}/freeze", {"reason": "r", "scope": "all"}),
        await client.post("/v1/wallets/nobody/close", {}),
    ]
    reads = [
        await client.get(f"/v1/wallets/{UNKNOWN}"),
        await client.get("/v1/wallets/nobody"),
        await client.get(f"/v1/transactions/{UNKNOWN}"),
        await client.get("/v1/transactions/nothing"),
        await client.get("/v1/payees"),
    ]

    assert [(answer.status_code, answer.json()["code"]) for answer in commands] == [(404, "wallet_not_found")] * 4
    assert [answer.json()["code"] for answer in reads] == [
        "wallet_not_found",
        "wallet_not_found",
        "transaction_not_found",
        "transaction_not_found",
        "not_found",
    ]
    assert await written(database) == before


@pytest.mark.parametrize(
    ("path", "query", "code"),
    [
        ("/v1/wallets", {"limit": "0"}, "invalid_query"),
        ("/v1/wallets", {"limit": "201"}, "invalid_query"),
        ("/v1/wallets", {"limit": "many"}, "invalid_query"),
        ("/v1/wallets", {"status": "lost"}, "invalid_query"),
        ("/v1/wallets", {"colour": "red"}, "invalid_query"),
        ("/v1/wallets", {"cursor": "nonsense"}, "invalid_cursor"),
        ("/v1/transactions", {}, "invalid_query"),
        ("/v1/transactions", {"reference": "r", "cursor": "AAAA"}, "invalid_cursor"),
    ],
)
async def test_a_bad_query_is_refused(client: Client, path: str, query: dict[str, str], code: str) -> None:
    answer = await client.get(path, **query)

    assert (answer.status_code, answer.json()["code"]) == (400, code)


async def test_a_cursor_belongs_to_its_query(client: Client) -> None:
    for _ in range(2):
        await client.open(owner_id="one")
    cursor = (await client.get("/v1/wallets", owner_id="one", limit="1")).json()["next_cursor"]

    answer = await client.get("/v1/wallets", owner_id="two", limit="1", cursor=cursor)

    assert answer.json()["code"] == "invalid_cursor"


async def test_another_currency_is_refused_by_the_rule(client: Client) -> None:
    dollars, euros = await client.open(deposit="1"), await client.open("EUR")

    transfer = await client.post("/v1/transfers", transfer_of(dollars, euros, "1"))
    deposit = await client.post("/v1/deposits", deposit_of(dollars, "1", "EUR"))

    for answer, currency in ((transfer, "EUR"), (deposit, "USD")):
        assert (answer.status_code, answer.json()["code"]) == (409, "currency_mismatch")
        assert answer.json()["currency"] == currency


async def test_a_balance_does_not_overflow(client: Client, database: Database) -> None:
    wallet_id = await client.open()
    connection = await asyncpg.connect(database.dsn_admin)
    await connection.execute("update wallet.wallet set stamp = stamp + 1, posted_minor = 9e18::bigint - 1, version = 7")
    await connection.close()

    refused = await client.post("/v1/deposits", deposit_of(wallet_id, "0.02"))
    taken = await client.post("/v1/deposits", deposit_of(wallet_id, "0.01"))

    assert (refused.status_code, refused.json()["code"]) == (409, "balance_overflow")
    assert taken.status_code == 201


@pytest.mark.parametrize(
    ("body", "pointer", "code"),
    [
        ({"owner_id": "", "currency": "USD"}, "/owner_id", "too_short"),
        ({"owner_id": "o" * 101, "currency": "USD"}, "/owner_id", "too_long"),
        ({"owner_id": "a\0b", "currency": "USD"}, "/owner_id", "invalid_text"),
        ({"owner_id": "o", "currency": "QQQ"}, "/currency", "unknown_currency"),
        ({"owner_id": "o", "currency": "DOLLARS"}, "/currency", "too_long"),
        ({"owner_id": "o", "currency": "USD", "label": "l" * 101}, "/label", "too_long"),
        ({"owner_id": "o", "currency": "USD", "overdraft_limit": "5"}, "/overdraft_limit", "invalid_type"),
        ({"currency": "USD"}, "/owner_id", "missing"),
    ],
)
async def test_a_wallet_is_not_opened_on_bad_input(
    client: Client, database: Database, body: dict[str, Any], pointer: str, code: str
) -> None:
    answer = await client.post("/v1/wallets", body)

    assert answer.status_code == 422, answer.text
    assert [(error["pointer"], error["code"]) for error in answer.json()["errors"]] == [(pointer, code)]
    assert await written(database) == (0, 0, 0)


async def test_routes_that_do_not_exist_yet_are_not_found(client: Client) -> None:
    for path in ("/v1/payees", "/v1/schedules", f"/v1/transactions/{UNKNOWN}/approvals"):
        answer = await client.post(path, {})
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found"), path


async def test_a_method_that_a_route_does_not_take_is_told(client: Client) -> None:
    answer = await client.http.delete("/v1/transfers")

    assert (answer.status_code, answer.json()["code"]) == (405, "method_not_allowed")
    assert "POST" in answer.headers["Allow"]
