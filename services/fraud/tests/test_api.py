"""The API over real tables: what risk staff see, and what they are refused."""

from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Final
from uuid import UUID

import asyncpg
import httpx2
import pytest
from prometheus_client import CollectorRegistry

from contracts.envelope import Envelope
from contracts.event_types import EventType
from contracts.events import WalletClosed
from contracts.ids import new_id
from contracts.scopes import Kind
from fraud import bootstrap
from fraud.config import MILLENNIUM_S, FraudSettings
from fraud.projection.projection import PROJECTION
from fraud.reads.reads_postgres import DecisionFilter, RiskReads
from servicekit.consumer.metrics import ConsumerFamilies, ConsumerMetrics
from servicekit.consumer.processing import Processor
from servicekit.postgres import Pool, open_pool
from servicekit.principal import Principal
from servicekit.telemetry import Telemetry, Tracing
from servicekit.tenant_pool import TenantPool
from testkit.access import AdmitsAs, principal_of
from testkit.databases import Database
from testkit.events import wallet_in
from testkit.plans import PlanningPool
from testkit.read_api import ReadApi, all_but

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
def authority() -> AdmitsAs:
    return AdmitsAs()


@pytest.fixture
async def client(settings: FraudSettings, authority: AdmitsAs) -> AsyncIterator[httpx2.AsyncClient]:
    telemetry = Telemetry("fraud", "api", "1", CollectorRegistry(), Tracing("test", 0.0))
    async with (
        bootstrap.open_api(settings, telemetry, authority=authority) as app,
        httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://fraud") as opened,
    ):
        yield opened


@pytest.fixture
async def bench(settings: FraudSettings, client: httpx2.AsyncClient, authority: AdmitsAs, pool: Pool) -> ReadApi:
    rule_store = bootstrap.make_rule_store(settings, pool)
    await rule_store.start()
    metrics = ConsumerMetrics(ConsumerFamilies(CollectorRegistry()), PROJECTION)
    processor = Processor(bootstrap.make_projection(settings, in_force=rule_store), pool, metrics)
    return ReadApi(client, processor, authority, prefix="/v1/risk")


async def burst(bench: ReadApi, wallet: UUID, debits: int = 5, owner: str = "owner") -> list[Envelope]:
    """Have *wallet*, in shard 3, opened and sending 1.00 a second."""
    events = [bench.stream.opened(wallet, owner=owner)]
    events += [bench.stream.transfer(wallet, wallet_in(9), 100, owners=(owner, "other"))[0] for _ in range(debits)]
    await bench.project(*events)
    return events


def usd(amount: str) -> dict[str, str]:
    return {"amount": amount, "currency": "USD"}


async def test_a_wallets_risk_tells_its_profile(bench: ReadApi) -> None:
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
            {"events": "held", "count": 0, "sum": usd("0.00"), "mean": None, "standard_deviation": None},
        ],
        "quiet": [
            {"rule": "burst", "until": "2026-01-01T00:00:25.000000Z"},
            {"rule": "much", "until": "2026-01-01T01:00:06.000000Z"},
        ],
        "rules_version": risk["rules_version"],
    }


async def test_a_wallets_risk_tells_why(bench: ReadApi) -> None:
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


async def test_decisions_are_listed_newest_first_filtered_and_page_by_page(bench: ReadApi) -> None:
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
    bench: ReadApi, settings: FraudSettings, pool: Pool
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


async def test_what_is_not_there_is_not_found(bench: ReadApi) -> None:
    for path in (f"wallets/{new_id()}", "wallets/nobody"):
        assert (await bench.get(path, 404))["code"] == "wallet_not_found"
    for path in (f"decisions/{new_id()}", "decisions/none"):
        assert (await bench.get(path, 404))["code"] == "not_found"
    for query in ("wallet_id=nobody", "outcome=maybe", "mode=dead", "limit=0", "limit=201", "colour=red"):
        assert (await bench.get(f"decisions?{query}", 400))["code"] == "invalid_query"
    assert (await bench.get("decisions?cursor=abc", 400))["code"] == "invalid_cursor"


async def test_another_tenants_are_not_found(bench: ReadApi) -> None:
    wallet = wallet_in(3)
    await burst(bench, wallet)
    decision = (await bench.get("decisions"))["data"][0]["id"]

    with bench.asked_by(principal_of(tenant_id=new_id())):
        await bench.get(f"wallets/{wallet}", 404)
        await bench.get(f"decisions/{decision}", 404)
        assert (await bench.get("decisions"))["data"] == []
        assert (await bench.get(f"decisions?wallet_id={wallet}"))["data"] == []


BOBS: Final = principal_of(kind=Kind.SERVICE, acts_for=frozenset({"bob"}))


async def test_anothers_are_not_there_for_who_acts_for_some_owners(bench: ReadApi) -> None:
    anns, nobodys = wallet_in(3), wallet_in(3)
    await burst(bench, anns, owner="ann")
    decision, none = (await bench.get("decisions"))["data"][0]["id"], new_id()

    with bench.asked_by(BOBS):
        for path, known, unknown in (
            ("wallets/{}", anns, nobodys),
            ("decisions/{}", decision, none),
            ("decisions?wallet_id={}", anns, nobodys),
        ):
            hidden, missing = await bench.ask(path.format(known)), await bench.ask(path.format(unknown))
            assert all_but(hidden, known) == all_but(missing, unknown), path
        assert (await bench.get("decisions"))["data"] == []
    with bench.asked_by(principal_of(acts_for=frozenset({"ann", "bob"}))):
        assert (await bench.get(f"decisions/{decision}"))["owner_id"] == "ann"
        assert len((await bench.get(f"wallets/{anns}"))["decisions"]) == 2


async def test_every_statement_compares_owners_for_itself(bench: ReadApi, settings: FraudSettings) -> None:
    """None relies on another that was run before it."""
    wallet = wallet_in(3)
    await burst(bench, wallet, owner="ann")
    decision, every = UUID((await bench.get("decisions"))["data"][0]["id"]), principal_of()

    async with await open_pool(settings.api.pool) as reader:
        reads = RiskReads(TenantPool(reader))
        for caller in (every, principal_of(acts_for=frozenset({"ann"}))):
            assert await reads.profile(caller, wallet)
            assert await reads.decision(caller, decision)
            for wanted in (DecisionFilter(), DecisionFilter(wallet_id=wallet)):
                assert len(await reads.decisions(caller, wanted, before=None, limit=9)) == 2
        assert await reads.profile(BOBS, wallet) is None
        assert await reads.decision(BOBS, decision) is None
        for wanted in (DecisionFilter(), DecisionFilter(wallet_id=wallet)):
            assert await reads.decisions(BOBS, wanted, before=None, limit=9) == []


async def test_a_parked_wallet_of_anothers_is_not_told_of(bench: ReadApi) -> None:
    anns, nobodys = wallet_in(3), wallet_in(3)
    await burst(bench, anns, owner="ann")
    await bench.project(bench.stream.event(UNKNOWN, anns, b"{}"))

    with bench.asked_by(BOBS):
        for path in ("wallets/{}", "decisions?wallet_id={}"):
            hidden, missing = await bench.ask(path.format(anns)), await bench.ask(path.format(nobodys))
            assert all_but(hidden, anns) == all_but(missing, nobodys), path


async def test_pages_of_decisions_leave_others_out_and_cursors_are_bound_to_owners(bench: ReadApi) -> None:
    anns, bobs = wallet_in(3), wallet_in(3)
    for wallet, owner in ((bobs, "bob"), (anns, "ann"), (wallet_in(3), "bob")):
        await burst(bench, wallet, owner=owner)

    with bench.asked_by(BOBS):
        shown, cursor = [], ""
        while True:
            page = await bench.get(f"decisions?limit=3{cursor}")
            shown += page["data"]
            if page["next_cursor"] is None:
                break
            cursor = f"&cursor={page['next_cursor']}"
        assert [each["owner_id"] for each in shown] == ["bob"] * 4
        assert len((await bench.get(f"decisions?wallet_id={bobs}"))["data"]) == 2
    with bench.asked_by(principal_of(kind=Kind.SERVICE, acts_for=frozenset({"ann"}))):
        assert (await bench.get(f"decisions?limit=3{cursor}", 400))["code"] == "invalid_cursor"
    assert (await bench.get(f"decisions?limit=3{cursor}", 400))["code"] == "invalid_cursor"


MANY: Final = """
    insert into fraud.decision
    select gen_random_uuid(), tenant_id, case when n % 20 = 0 then wallet_id else gen_random_uuid() end,
           'owner ' || n % 500, n, outcome, mode, rules_version, trigger_event_id, trigger_shard, trigger_seq,
           decided_at - make_interval(secs => n), reasons, null
      from generate_series(1, 2000) n, (select * from fraud.decision limit 1) d"""


@pytest.mark.parametrize("is_analysed", [False, True])
async def test_a_limited_caller_is_answered_by_the_indexes_that_others_are(
    bench: ReadApi, settings: FraudSettings, database: Database, *, is_analysed: bool
) -> None:
    """But for a list of all that is theirs, which is found by owner: no row of others' is passed over."""
    wallet, none = wallet_in(3), new_id()
    await burst(bench, wallet)
    connection = await asyncpg.connect(database.dsn_admin)
    await connection.execute(MANY)
    if is_analysed:
        await connection.execute("analyze")
    await connection.close()
    limited, every = principal_of(acts_for=frozenset({"owner 1", "owner 2"})), principal_of()

    async with await open_pool(settings.api.pool) as reader:

        async def indexes(ask: Callable[[RiskReads], Awaitable[object]]) -> set[str]:
            planning = PlanningPool(reader)
            await ask(RiskReads(planning))
            return planning.indexes

        async def listed(caller: Principal, wanted: DecisionFilter) -> set[str]:
            return await indexes(lambda reads: reads.decisions(caller, wanted, before=None, limit=9))

        for name, ask in (
            ("profile", lambda reads, caller: reads.profile(caller, wallet)),
            ("decision", lambda reads, caller: reads.decision(caller, none)),
        ):
            found = [await indexes(partial(ask, caller=caller)) for caller in (limited, every)]
            assert found[0] == found[1], name
        of_one = DecisionFilter(wallet_id=wallet)
        assert await listed(limited, of_one) == await listed(every, of_one) == {"decision_by_wallet"}
        assert await listed(limited, DecisionFilter()) == {"decision_by_owner"}
        assert await listed(every, DecisionFilter()) == {"decision_newest"}


async def test_a_read_waits_for_its_position_and_tells_how_fresh_it_is(bench: ReadApi) -> None:
    wallet = wallet_in(3)
    await burst(bench, wallet)

    answer = await bench.client.get(f"/v1/risk/wallets/{wallet}", headers={"Min-Position": "3-6"})
    late = await bench.get(f"wallets/{wallet}", 409, **{"Min-Position": "3-7"})

    assert (answer.headers["Ledger-Position"], answer.headers["Projection-Lag-Ms"]) == ("3-6", "0")
    assert late["code"] == "position_not_reached"


async def test_a_parked_wallet_is_never_answered_from_what_stands_still(bench: ReadApi) -> None:
    wallet = wallet_in(3)
    await burst(bench, wallet)
    await bench.project(bench.stream.event(UNKNOWN, wallet, b"{}"))

    assert (await bench.get(f"wallets/{wallet}", 503))["code"] == "wallet_parked"
    assert (await bench.get(f"decisions?wallet_id={wallet}", 503))["code"] == "wallet_parked"
    assert len((await bench.get("decisions"))["data"]) == 2
