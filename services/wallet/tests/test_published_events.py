"""What the wallet puts into its journal is what the contracts promise to subscribers."""

import json
from collections.abc import Mapping
from typing import Any

import asyncpg
import jsonschema
import pytest

from contracts.envelope import Envelope, from_record, to_headers
from contracts.event_types import json_schema
from contracts.events import EVENT_TYPES, parse_data
from contracts.ids import SHARDS
from contracts.registry import TYPES_BY_NUMBER
from servicekit.relay.journal import SqlJournal
from testkit.databases import Database
from testkit.wallet_api import Client, deposit_of, money, transfer_of

pytestmark = pytest.mark.integration


async def journal_of(database: Database) -> list[Envelope]:
    """Return the whole journal as the relay reads it."""
    journal = SqlJournal(table="wallet.journal", types=TYPES_BY_NUMBER, source="/wallet", subject_column="account_id")
    connection = await asyncpg.connect(database.dsn_app)
    try:
        return await journal.read(connection, dict.fromkeys(range(SHARDS), 0), 1_000)
    finally:
        await connection.close()


async def live_through_everything(client: Client) -> Mapping[str, Any]:
    """Make one event of each type; return the ids that are needed to recognise them."""
    payer, payee = await client.open(owner_id="payer"), await client.open(owner_id="payee")
    text: dict[str, Any] = {"reference": "order 7", "description": "a book", "metadata": {"shop": "north"}}
    await client.post("/v1/deposits", deposit_of(payer, "100", **text))
    sent = await client.post("/v1/transfers", transfer_of(payer, payee, "40.25", **text))
    await hold_and_capture(client, payer, payee)
    await take_back(client, payer, payee)
    await client.post("/v1/withdrawals", deposit_of(payer, "49.75", destination="DE00"))
    await withdraw_at_a_cost(client, payee)
    await set_terms(client, payee)
    await client.post(f"/v1/wallets/{payer}/freeze", {"reason": "asked", "scope": "all"})
    await client.post(f"/v1/wallets/{payer}/unfreeze", {})
    await client.post(f"/v1/wallets/{payer}/close", {})
    return {"payer": payer, "payee": payee, "transfer": sent.json()["id"]}


async def hold_and_capture(client: Client, payer: str, payee: str) -> None:
    """Hold 12.00 of the payer's and 3.00 more, pay 10.00 of it, and void the rest."""
    placed = await client.post("/v1/holds", deposit_of(payer, "12.00"))
    hold = f"/v1/holds/{placed.json()['id']}"
    await client.post(f"{hold}/increase", {"amount": money("3.00")})
    await client.post(f"{hold}/capture", {"amount": money("10.00"), "destination_wallet_id": payee})
    await client.post(f"{hold}/void", {})


async def set_terms(client: Client, wallet_id: str) -> None:
    """Set a wallet's credit line, limits and details, and its owner's tier."""
    limit = {"scope": "wallet", "operation": "debit", "currency": "USD", "day_amount": "1000", "day_count": 20}
    path = f"/v1/wallets/{wallet_id}"
    await client.put(f"{path}/overdraft", {"limit": money("0.00"), "reason": "none"})
    await client.put(f"{path}/limits", {"time_zone": "Europe/Berlin", "limits": [limit]})
    await client.put(f"{path}/details", {"label": "household"})
    await client.put("/v1/owners/payee/tier", {"tier": "default", "reason": "as everybody"})


async def take_back(client: Client, payer: str, payee: str) -> None:
    """Refund one transfer, reverse another, and have a deposit charged back."""
    taken = (
        ("/v1/transfers", transfer_of(payer, payee, "2"), "refunds"),
        ("/v1/transfers", transfer_of(payer, payee, "2"), "reversal"),
        ("/v1/deposits", deposit_of(payer, "5"), "chargebacks"),
    )
    for path, body, how in taken:
        original = (await client.post(path, body)).json()["id"]
        answer = await client.post(f"/v1/transactions/{original}/{how}", {"reason": "goods came back"})
        assert answer.status_code == 201, answer.text


async def withdraw_at_a_cost(client: Client, wallet_id: str) -> None:
    """Pay 1.00 out, which costs 0.10, and take it back with the fee."""
    rule = {"id": "out", "operation": "withdrawal", "currency": "USD", "bearer": "payer", "flat": "0.10"}
    await client.set_policy("fees", [rule])
    withdrawal = (await client.post("/v1/withdrawals", deposit_of(wallet_id, "1.00"))).json()["id"]
    await client.post(f"/v1/transactions/{withdrawal}/reversal", {"reason": "goods came back"})
    await client.set_policy("fees", [])


NOT_MADE_YET = {"ledger.owner_changed.v1"}
"""What no command tells so far."""


async def test_every_type_is_made_and_fits_its_schema(client: Client, database: Database) -> None:
    await live_through_everything(client)

    events = await journal_of(database)

    assert {event.type for event in events} == set(EVENT_TYPES)
    for event in events:
        jsonschema.validate(json.loads(event.data), json_schema(EVENT_TYPES[event.type]))
        parse_data(event.type, event.data)
        assert from_record(to_headers(event, schema_base="https://schemas.example/"), event.data) == event


async def test_an_entry_tells_enough_to_build_any_read_model(client: Client, database: Database) -> None:
    ids = await live_through_everything(client)

    events = [event for event in await journal_of(database) if str(event.transaction_id) == ids["transfer"]]

    sent, received = sorted(events, key=lambda event: event.entry_index or 0)
    body = json.loads(sent.data)
    assert (sent.type, received.type) == ("wallet.funds_sent.v1", "wallet.funds_received.v1")
    assert (sent.entry_count, received.entry_count) == (2, 2)
    assert (sent.wallet_version, received.wallet_version) == (3, 2)
    assert sent.time == received.time
    assert body["amount"] == {"amount": "-40.25", "currency": "USD"}
    assert body["balance"]["available"] == {"amount": "59.75", "currency": "USD"}
    assert body["counterparty"] == {"wallet_id": ids["payee"], "owner_id": "payee", "system_account": None}
    assert body["private"]["reference"] == "order 7"
    assert body["private"]["metadata"] == {"shop": "north"}
