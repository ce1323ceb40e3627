"""Decisions of the fraud service: each restricts its wallet once, and an operator's later word stands."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import UUID

import msgspec
import pytest
from prometheus_client import CollectorRegistry

from contracts.decisions import DECISION_MADE, DecisionMade, DecisionMode, DecisionOutcome, DecisionReason, Trigger
from contracts.envelope import Envelope
from contracts.ids import new_id, shard_of
from servicekit.consumer import parking
from servicekit.consumer.metrics import ConsumerFamilies, ConsumerMetrics
from servicekit.consumer.processing import Processor
from servicekit.failures import OperationalError
from servicekit.lifecycle import Shutdown
from servicekit.postgres import Pool, PoolSettings, open_pool
from servicekit.telemetry import Telemetry
from testkit.databases import Database
from testkit.events import TENANT, publish, received, wallet_in
from testkit.pytest_plugin import MakeTopic
from testkit.waiting import eventually
from testkit.wallet_api import Client, deposit_of, money, transfer_of
from wallet.application.committer import Committer
from wallet.application.metrics import FraudDecisionMetrics
from wallet.bootstrap.api import serve_api
from wallet.bootstrap.background import open_decisions, run_decisions
from wallet.config import WalletSettings
from wallet.fraud_restrictions.log_postgres import PostgresDecisionLog
from wallet.fraud_restrictions.projection import FraudRestrictions

pytestmark = pytest.mark.integration

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
PARTITIONS = 4


class Crash(Exception):
    """The process ends here."""


@dataclass
class Fraud:
    """The fraud service as the wallet sees it: decisions, numbered densely per shard."""

    sequences: dict[int, int] = field(default_factory=dict)

    def decision(
        self,
        wallet_id: str,
        judged_version: int,
        *,
        outcome: DecisionOutcome = DecisionOutcome.BLOCK,
        mode: DecisionMode = DecisionMode.LIVE,
        decision_id: UUID | None = None,
        type_name: str = DECISION_MADE.name,
    ) -> Envelope:
        subject = UUID(wallet_id)
        shard = shard_of(subject)
        self.sequences[shard] = self.sequences.get(shard, 0) + 1
        made = DecisionMade(
            decision_id=str(decision_id or new_id()),
            wallet_id=wallet_id,
            owner_id="owner",
            outcome=outcome,
            mode=mode,
            wallet_version=judged_version,
            rules_version="1",
            trigger=Trigger(event_id=str(new_id()), shard=shard, sequence=judged_version),
            reasons=[DecisionReason(rule="burst", measure="debits in 60 s", value="12", threshold="10")],
        )
        return Envelope(
            shard=shard,
            sequence=self.sequences[shard],
            event_id=new_id(),
            type=type_name,
            source="/fraud",
            subject=subject,
            tenant_id=TENANT,
            time=NOON,
            data=msgspec.json.encode(made),
        )


@pytest.fixture
async def pool(database: Database) -> AsyncIterator[Pool]:
    async with await open_pool(PoolSettings(dsn=database.dsn_app, application_name="test")) as opened:
        yield opened


@pytest.fixture
async def decisions(settings: WalletSettings, telemetry: Telemetry) -> AsyncIterator[FraudRestrictions]:
    bare = Telemetry("wallet", "decisions", "0", CollectorRegistry(), telemetry.tracing)
    async with open_decisions(settings, bare) as projection:
        yield projection


async def feed(projection: FraudRestrictions, pool: Pool, *events: Envelope) -> None:
    processor = Processor(projection, pool, ConsumerMetrics(ConsumerFamilies(CollectorRegistry()), projection.name))
    await processor.process([received(event) for event in events])


async def apply_and_crash(projection: FraudRestrictions, pool: Pool, event: Envelope) -> None:
    """Act on a decision, and lose the transaction that would have remembered it."""
    async with pool.transaction() as tx:
        await projection.apply(tx, [event])
        raise Crash


async def is_parked(pool: Pool, wallet_id: UUID) -> bool:
    async with pool.connection() as connection:
        return await parking.is_parked(connection, FraudRestrictions.name, [wallet_id])


async def dispositions(pool: Pool) -> list[str]:
    async with pool.connection() as connection:
        rows = await connection.fetch(
            "select disposition from wallet.settled_decision order by settled_at, decision_id"
        )
    return [row["disposition"] for row in rows]


async def withdraw(client: Client, wallet_id: str) -> str:
    answer = await client.post("/v1/withdrawals", {"wallet_id": wallet_id, "amount": money("1")})
    return "paid" if answer.is_success else str(answer.json()["code"])


async def test_a_block_restricts_debits_in_the_name_of_fraud(
    client: Client, decisions: FraudRestrictions, pool: Pool
) -> None:
    wallet_id, other = await client.open(deposit="10"), await client.open(deposit="10")

    await feed(decisions, pool, Fraud().decision(wallet_id, 2))

    wallet = await client.wallet(wallet_id)
    credit = await client.post("/v1/transfers", transfer_of(other, wallet_id, "1"))
    assert [(each["source"], each["scope"]) for each in wallet["restrictions"]] == [("fraud", "debits")]
    assert "burst: debits in 60 s 12, at most 10" in wallet["restrictions"][0]["reason"]
    assert (await withdraw(client, wallet_id), credit.status_code) == ("wallet_frozen", 201)
    assert await dispositions(pool) == ["applied"]


async def test_the_restriction_names_the_decision_as_its_cause(
    client: Client, decisions: FraudRestrictions, pool: Pool
) -> None:
    wallet_id = await client.open()
    event = Fraud().decision(wallet_id, 1)

    await feed(decisions, pool, event)

    async with pool.connection() as connection:
        row = await connection.fetchrow("select actor, causation_id from wallet.journal where type = 6")
    assert row is not None
    assert (row["actor"], row["causation_id"]) == ("fraud", event.event_id)


@pytest.mark.parametrize(
    ("outcome", "mode"),
    [
        (DecisionOutcome.ALLOW, DecisionMode.LIVE),
        (DecisionOutcome.REVIEW, DecisionMode.LIVE),
        (DecisionOutcome.HOLD, DecisionMode.LIVE),
        (DecisionOutcome.BLOCK, DecisionMode.SHADOW),
    ],
)
async def test_what_asks_for_no_restriction_is_noted(
    client: Client, decisions: FraudRestrictions, pool: Pool, outcome: DecisionOutcome, mode: DecisionMode
) -> None:
    wallet_id = await client.open(deposit="1")

    await feed(decisions, pool, Fraud().decision(wallet_id, 2, outcome=outcome, mode=mode))

    assert await withdraw(client, wallet_id) == "paid"
    assert await dispositions(pool) == ["noted"]


async def test_an_operators_unfreezing_holds_against_every_replay(
    client: Client, decisions: FraudRestrictions, pool: Pool
) -> None:
    wallet_id = await client.open(deposit="10")
    fraud = Fraud()
    event = fraud.decision(wallet_id, 2)
    again = msgspec.structs.replace(event, sequence=2, event_id=new_id())
    await feed(decisions, pool, event)

    lifted = await client.post(f"/v1/wallets/{wallet_id}/unfreeze", {"source": "fraud", "reason": "knows them"})
    await feed(decisions, pool, event)  # the same record
    await feed(decisions, pool, again)  # the same decision, made once more by a rebuild
    async with pool.connection() as connection:  # and once nothing but the settled decision remembers it
        await connection.execute("delete from wallet.idempotency")
    await feed(decisions, pool, msgspec.structs.replace(event, sequence=3, event_id=new_id()))

    assert lifted.status_code == 200
    assert await withdraw(client, wallet_id) == "paid"
    assert await dispositions(pool) == ["applied"]


@pytest.mark.parametrize("word", ["freeze", "unfreeze"])
async def test_a_decision_judged_before_an_operators_word_is_recorded_and_not_applied(
    client: Client, decisions: FraudRestrictions, pool: Pool, word: str
) -> None:
    wallet_id = await client.open(deposit="10")
    await client.post(f"/v1/wallets/{wallet_id}/freeze", {"reason": "asked", "scope": "debits"})
    if word == "unfreeze":
        await client.post(f"/v1/wallets/{wallet_id}/unfreeze", {})
    version = (await client.wallet(wallet_id))["version"]
    fraud = Fraud()

    await feed(decisions, pool, fraud.decision(wallet_id, version - 1))
    assert "fraud" not in [each["source"] for each in (await client.wallet(wallet_id))["restrictions"]]
    await feed(decisions, pool, fraud.decision(wallet_id, version))

    assert "fraud" in [each["source"] for each in (await client.wallet(wallet_id))["restrictions"]]
    assert await dispositions(pool) == ["superseded", "applied"]


async def test_money_that_moved_since_does_not_stand_against_a_decision(
    client: Client, decisions: FraudRestrictions, pool: Pool
) -> None:
    wallet_id = await client.open(deposit="10")
    await client.post("/v1/deposits", deposit_of(wallet_id, "5"))

    await feed(decisions, pool, Fraud().decision(wallet_id, 1))

    assert await dispositions(pool) == ["applied"]


async def test_a_closed_wallet_refuses_and_is_told_so(client: Client, decisions: FraudRestrictions, pool: Pool) -> None:
    wallet_id = await client.open()
    await client.post(f"/v1/wallets/{wallet_id}/close", {})

    await feed(decisions, pool, Fraud().decision(wallet_id, 1))

    assert await dispositions(pool) == ["refused"]


async def test_a_crash_before_the_checkpoint_finds_what_was_done(
    client: Client, decisions: FraudRestrictions, pool: Pool
) -> None:
    wallet_id = await client.open()
    event = Fraud().decision(wallet_id, 1)

    with pytest.raises(Crash):
        await apply_and_crash(decisions, pool, event)
    before = (await client.wallet(wallet_id))["version"]
    await feed(decisions, pool, event)

    assert (await client.wallet(wallet_id))["version"] == before == 2
    assert await dispositions(pool) == ["applied"]


@pytest.mark.parametrize("disposition", ["superseded", "refused"])
async def test_a_crash_before_the_checkpoint_finds_what_was_refused_and_why(
    client: Client, decisions: FraudRestrictions, pool: Pool, disposition: str
) -> None:
    wallet_id = await client.open()
    if disposition == "superseded":
        await client.post(f"/v1/wallets/{wallet_id}/freeze", {"reason": "asked", "scope": "debits"})
    else:
        await client.post(f"/v1/wallets/{wallet_id}/close", {})
    event = Fraud().decision(wallet_id, 1)

    with pytest.raises(Crash):
        await apply_and_crash(decisions, pool, event)
    await feed(decisions, pool, event)

    assert await dispositions(pool) == [disposition]


async def test_a_full_queue_is_tried_again_and_parks_nobody(client: Client, pool: Pool) -> None:
    wallet_id = await client.open()

    def full(_unit: object) -> "asyncio.Future[object]":
        raise OperationalError("The command queue is full.")

    overloaded = FraudRestrictions(
        full,  # type: ignore[arg-type]  # it never answers
        PostgresDecisionLog(),
        topic="t",
        deadline_s=2,
        metrics=FraudDecisionMetrics(CollectorRegistry()),
    )
    with pytest.raises(OperationalError):
        await feed(overloaded, pool, Fraud().decision(wallet_id, 1))

    assert not await is_parked(pool, UUID(wallet_id))


@pytest.mark.parametrize("what", ["an unknown version", "no wallet", "another wallet", "no JSON"])
async def test_what_makes_no_sense_parks_its_wallet_and_the_others_flow(
    client: Client, decisions: FraudRestrictions, pool: Pool, what: str
) -> None:
    wallet_id, other = await client.open(), await client.open()
    unknown = str(wallet_in(shard_of(UUID(wallet_id))))
    fraud = Fraud()
    match what:
        case "an unknown version":
            bad = fraud.decision(wallet_id, 1, type_name="fraud.decision_made.v9")
        case "no wallet":
            bad = fraud.decision(unknown, 1)
        case "another wallet":
            bad = msgspec.structs.replace(fraud.decision(unknown, 1), subject=UUID(wallet_id))
        case _:
            bad = msgspec.structs.replace(fraud.decision(wallet_id, 1), data=b"{")

    await feed(decisions, pool, bad, fraud.decision(other, 1))

    assert await is_parked(pool, bad.subject)
    assert (await client.wallet(other))["status"] == "frozen"


async def test_another_decision_under_an_id_that_was_acted_on_parks_its_wallet(
    client: Client, decisions: FraudRestrictions, pool: Pool
) -> None:
    wallet_id, decision_id, fraud = await client.open(), new_id(), Fraud()
    with pytest.raises(Crash):
        await apply_and_crash(decisions, pool, fraud.decision(wallet_id, 1, decision_id=decision_id))

    await feed(
        decisions, pool, msgspec.structs.replace(fraud.decision(wallet_id, 2, decision_id=decision_id), sequence=1)
    )

    assert await is_parked(pool, UUID(wallet_id))


async def test_the_process_acts_on_what_stands_in_the_topic(
    client: Client, database: Database, pool: Pool, kafka_bootstrap: str, make_topic: MakeTopic
) -> None:
    topic = await make_topic(PARTITIONS)
    settings = WalletSettings(
        wallet_database_url=database.dsn_app,
        kafka_bootstrap_servers=kafka_bootstrap,
        wallet_decisions_topic=topic,
        wallet_decisions_port=0,
    )
    wallets = [await client.open() for _ in range(5)]
    fraud, shutdown = Fraud(), Shutdown()
    events = [fraud.decision(wallet_id, 1) for wallet_id in wallets]
    await publish(kafka_bootstrap, topic, PARTITIONS, [*events, *events])

    running = asyncio.create_task(run_decisions(settings, shutdown))

    async def all_are_settled() -> bool:
        return len(await dispositions(pool)) == len(wallets)

    await eventually(all_are_settled)
    shutdown.request()
    await running

    assert {(await client.wallet(wallet_id))["version"] for wallet_id in wallets} == {2}
    assert shutdown.exit_code == 0


async def test_the_process_ends_with_its_committer(
    database: Database, kafka_bootstrap: str, make_topic: MakeTopic, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = WalletSettings(
        wallet_database_url=database.dsn_app,
        wallet_reader_database_url=database.dsn_reader,
        kafka_bootstrap_servers=kafka_bootstrap,
        wallet_decisions_topic=await make_topic(PARTITIONS),
        wallet_decisions_port=0,
        wallet_api_port=0,
    )

    async def broken(_: Committer) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(Committer, "run", broken)
    for serve in (run_decisions, serve_api):
        shutdown = Shutdown()

        await serve(settings, shutdown)

        assert shutdown.exit_code == 1
