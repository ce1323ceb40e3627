"""The API over real tables: what risk staff see, and what they are refused."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx2
import pytest
from prometheus_client import CollectorRegistry

from contracts.envelope import Envelope
from contracts.event_types import EventType
from contracts.events import WalletClosed
from contracts.ids import new_id
from fraud import bootstrap
from fraud.config import MILLENNIUM_S, FraudSettings
from fraud.projection.projection import PROJECTION
from servicekit.consumer.metrics import ConsumerFamilies, ConsumerMetrics
from servicekit.consumer.processing import Processor
from servicekit.postgres import Pool
from servicekit.principal import Principal
from servicekit.telemetry import Telemetry, Tracing
from testkit.access import AdmitsAs, principal_of
from testkit.databases import Database
from testkit.events import Stream, received, wallet_in

pytestmark = pytest.mark.integration

UNKNOWN = EventType(99, "wallet.unheard_of.v1", WalletClosed)
RULES = """
version: "1"
rules:
  - {name: burst, type: velocity_count, events: [sent], window: 10s, max_count: 3, outcome: block, mode: live,
     cool_down: 20s}
  - {name: much, type: velocity_sum, events: [sent, withdrawn], window: 10s, max_amount: {USD: "4.00"},
     outcome: review, mode: shadow, cool_down: 1h}
"""


class Bench:
    def __init__(self, client: httpx2.AsyncClient, processor: Processor) -> None:
        self.client = client
        self._processor = processor
        self.stream = Stream()

    async def project(self, *events: Envelope) -> None:
        await self._processor.process([received(event) for event in events])

    async def get(self, path: str, status: int = 200, **headers: str) -> Any:
        answer = await self.client.get(f"/v1/risk/{path}", headers=headers)
        assert answer.status_code == status, answer.text
        return answer.json()


@pytest.fixture
def settings(database: Database, tmp_path: Path) -> FraudSettings:
    rules = tmp_path / "rules.yaml"
    rules.write_text(RULES)
    return FraudSettings(
        fraud_database_url=database.dsn_app,
        fraud_reader_database_url=database.dsn_reader,
        fraud_rules_file=rules,
        fraud_live_for_s=MILLENNIUM_S,
    )


@pytest.fixture
async def client(settings: FraudSettings) -> AsyncIterator[httpx2.AsyncClient]:
    async with api_of(settings) as opened:
        yield opened


@asynccontextmanager
async def api_of(settings: FraudSettings, caller: Principal | None = None) -> AsyncIterator[httpx2.AsyncClient]:
    telemetry = Telemetry("fraud", "api", "1", CollectorRegistry(), Tracing("test", 0.0))
    async with (
        bootstrap.open_api(settings, telemetry, authority=AdmitsAs(caller)) as app,
        httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://fraud") as opened,
    ):
        yield opened


@pytest.fixture
async def bench(settings: FraudSettings, client: httpx2.AsyncClient, pool: Pool) -> Bench:
    rule_store = bootstrap.make_rule_store(settings, pool)
    await rule_store.start()
    metrics = ConsumerMetrics(ConsumerFamilies(CollectorRegistry()), PROJECTION)
    return Bench(client, Processor(bootstrap.make_projection(settings, in_force=rule_store), pool, metrics))


async def burst(bench: Bench, wallet: UUID, debits: int = 5) -> list[Envelope]:
    """Have *wallet*, in shard 3, opened and sending 1.00 a second."""
    events = [bench.stream.opened(wallet)]
    events += [bench.stream.transfer(wallet, wallet_in(9), 100)[0] for _ in range(debits)]
    await bench.project(*events)
    return events


def usd(amount: str) -> dict[str, str]:
    return {"amount": amount, "currency": "USD"}


async def test_a_wallets_risk_tells_its_profile(bench: Bench) -> None:
    wallet = wallet_in(3)
    await burst(bench, wallet)

    risk = await bench.get(f"wallets/{wallet}")

    assert len(risk.pop("decisions")) == 2
    assert risk == {
        "wallet_id": str(wallet),
        "owner_id": "owner",
        "currency": "USD",
        "version": 6,
        "as_of": "2026-01-01T00:00:06.000000Z",
        "restrictions": [],
        "velocity": [
            {"window_s": "10", "events": ["sent"], "count": 5, "sum": usd("5.00")},
            {"window_s": "10", "events": ["sent", "withdrawn"], "count": 5, "sum": usd("5.00")},
        ],
        "past": [
            {
                "events": "sent",
                "count": 5,
                "sum": usd("5.00"),
                "mean": usd("1.00"),
                "standard_deviation": usd("0.00"),
            },
            {"events": "withdrawn", "count": 0, "sum": usd("0.00"), "mean": None, "standard_deviation": None},
        ],
        "quiet": [
            {"rule": "burst", "until": "2026-01-01T00:00:25.000000Z"},
            {"rule": "much", "until": "2026-01-01T01:00:06.000000Z"},
        ],
        "rules_version": risk["rules_version"],
    }


async def test_a_wallets_risk_tells_why(bench: Bench) -> None:
    wallet = wallet_in(3)
    events = await burst(bench, wallet)

    risk = await bench.get(f"wallets/{wallet}")

    (blocked, reviewed) = risk["decisions"][::-1]
    assert blocked == {
        "id": blocked["id"],
        "wallet_id": str(wallet),
        "owner_id": "owner",
        "wallet_version": 5,
        "outcome": "block",
        "mode": "live",
        "rules_version": risk["rules_version"],
        "trigger": {"event_id": str(events[4].event_id), "shard": 3, "sequence": 5},
        "reasons": [
            {
                "rule": "burst",
                "outcome": "block",
                "mode": "live",
                "measure": "debits in 10 s",
                "value": "4",
                "threshold": "3",
            }
        ],
        "decided_at": "2026-01-01T00:00:05.000000Z",
    }
    assert (reviewed["outcome"], reviewed["mode"]) == ("review", "shadow")
    assert reviewed["reasons"][0] == {
        "rule": "much",
        "outcome": "review",
        "mode": "shadow",
        "measure": "USD debited in 10 s",
        "value": "5.00",
        "threshold": "4.00",
    }
    assert await bench.get(f"decisions/{blocked['id']}") == blocked


async def test_decisions_are_listed_newest_first_filtered_and_page_by_page(bench: Bench) -> None:
    one, two = wallet_in(3), wallet_in(3)
    await burst(bench, one)
    await burst(bench, two)

    everything = await bench.get("decisions")
    pages, cursor = [], ""
    while True:
        page = await bench.get(f"decisions?limit=1{cursor}")
        pages += page["data"]
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"

    assert [each["outcome"] for each in everything["data"]] == ["review", "block"] * 2
    assert pages == everything["data"]
    of_one = await bench.get(f"decisions?wallet_id={one}&mode=live&outcome=block")
    assert of_one["data"] == [everything["data"][3]]
    assert (await bench.get("decisions?outcome=allow"))["data"] == []
    await bench.get(f"decisions?wallet_id={one}{cursor}", 400)


async def test_the_rules_in_force_are_told_with_the_file_that_was_refused(
    bench: Bench, settings: FraudSettings, pool: Pool
) -> None:
    assert settings.fraud_rules_file is not None
    settings.fraud_rules_file.write_text(RULES.replace("10s", "soon"))
    await bootstrap.make_rule_store(settings, pool).start()

    rules = await bench.get("rules")

    assert [rule["name"] for rule in rules["in_force"]["rules"]] == ["burst", "much"]
    assert rules["in_force"]["rules"][1]["max_amount"] == [usd("4.00")]
    assert rules["in_force"]["text"] == RULES
    assert rules["last_refusal"]["errors"][0].startswith("rules.yaml:4: rules[0].window: ")


async def test_before_any_projector_has_run_there_are_no_rules(client: httpx2.AsyncClient) -> None:
    answer = await client.get("/v1/risk/rules")

    assert answer.json() == {"in_force": None, "last_refusal": None}


async def test_what_is_not_there_is_not_found(bench: Bench) -> None:
    for path in (f"wallets/{new_id()}", "wallets/nobody"):
        assert (await bench.get(path, 404))["code"] == "wallet_not_found"
    for path in (f"decisions/{new_id()}", "decisions/none"):
        assert (await bench.get(path, 404))["code"] == "not_found"
    for query in ("wallet_id=nobody", "outcome=maybe", "mode=dead", "limit=0", "limit=201", "colour=red"):
        assert (await bench.get(f"decisions?{query}", 400))["code"] == "invalid_query"
    assert (await bench.get("decisions?cursor=abc", 400))["code"] == "invalid_cursor"


async def test_another_tenants_are_not_found(bench: Bench, settings: FraudSettings) -> None:
    wallet = wallet_in(3)
    await burst(bench, wallet)
    decision = (await bench.get("decisions"))["data"][0]["id"]

    async with api_of(settings, principal_of(tenant_id=new_id())) as foreign:
        assert (await foreign.get(f"/v1/risk/wallets/{wallet}")).status_code == 404
        assert (await foreign.get(f"/v1/risk/decisions/{decision}")).status_code == 404
        assert (await foreign.get("/v1/risk/decisions")).json()["data"] == []
        assert (await foreign.get(f"/v1/risk/decisions?wallet_id={wallet}")).json()["data"] == []


async def test_a_read_waits_for_its_position_and_tells_how_fresh_it_is(bench: Bench) -> None:
    wallet = wallet_in(3)
    await burst(bench, wallet)

    answer = await bench.client.get(f"/v1/risk/wallets/{wallet}", headers={"Min-Position": "3-6"})
    late = await bench.get(f"wallets/{wallet}", 409, **{"Min-Position": "3-7"})

    assert (answer.headers["Ledger-Position"], answer.headers["Projection-Lag-Ms"]) == ("3-6", "0")
    assert late["code"] == "position_not_reached"


async def test_a_parked_wallet_is_never_answered_from_what_stands_still(bench: Bench) -> None:
    wallet = wallet_in(3)
    await burst(bench, wallet)
    await bench.project(bench.stream.event(UNKNOWN, wallet, b"{}"))

    assert (await bench.get(f"wallets/{wallet}", 503))["code"] == "wallet_parked"
    assert (await bench.get(f"decisions?wallet_id={wallet}", 503))["code"] == "wallet_parked"
    assert len((await bench.get("decisions"))["data"]) == 2
