"""One trace leads from the HTTP request to the webhook's delivery and to the decision that restricts the wallet."""

import json
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import asyncpg
import httpx2
import pytest
from rich.console import Console

from demo import stack
from demo.stack import Platform
from local_stack.state import description_file
from observability.catalogue import families_by_process
from testkit.logs import strangers_of_the_page
from testkit.metrics import OPENMETRICS, breaches_of_the_catalogue, exemplars
from testkit.otlp import spans_of
from testkit.receiver import Receiver, receiving
from testkit.waiting import eventually
from testkit.wallet_api import Client

pytestmark = pytest.mark.e2e

RULES: Final = """
version: "test-1"
rules:
  - name: third_debit
    type: velocity_count
    events: [withdrawn]
    window: 1h
    max_count: 2
    outcome: block
    mode: live
    cool_down: 1h
"""
TRACE_ID: Final = "4bf92f3577b34da6a3ce929d0e0e4736"
TRACEPARENT: Final = f"00-{TRACE_ID}-00f067aa0ba902b7-01"
WITHIN_S: Final = 60
RESOURCE: Final = {"service.name", "service.version", "service.instance.id", "deployment.environment.name"}
REQUEST: Final = {
    "http.request.method": "POST",
    "http.response.status_code": 201,
    "http.route": "/v1/withdrawals",
    "url.path": "/v1/withdrawals",
    "url.scheme": "http",
}
PROJECTED: Final = {
    "messaging.destination.name": "wallet.events",
    "messaging.operation.type": "process",
    "messaging.system": "kafka",
}


@asynccontextmanager
async def platform(folder: Path, collector: Receiver) -> AsyncIterator[tuple[Platform, Path]]:
    """Run everything, nothing sampled but what its caller samples, its spans sent to *collector*.

    Its rules stand in *folder*. Its description is given too.
    """
    (folder / "rules.yaml").write_text(RULES)
    environment = {
        **os.environ,
        **stack.ENVIRONMENT,
        "FRAUD_RULES_FILE": str(folder / "rules.yaml"),
        "TRACE_SAMPLE_RATIO": "0",
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url(""),
    }
    console = Console(quiet=True)
    config = stack.config_for(environment, console)
    async with stack.running(config, console) as running:
        yield running, description_file(config.state)
    stack.discard(config)


def bearer(running: Platform) -> dict[str, str]:
    return {"authorization": f"Bearer {running.credential}"}


async def subscribe(running: Platform, receiver: Receiver) -> None:
    async with httpx2.AsyncClient(base_url=running.notifications_url, headers=bearer(running)) as http:
        answer = await http.post(
            "/v1/webhook-endpoints", json={"url": receiver.url()}, headers={"Idempotency-Key": "endpoint"}
        )
        assert answer.status_code == 201, answer.text


async def fetch(dsn: str, query: str, *values: object) -> list[asyncpg.Record]:
    connection = await asyncpg.connect(dsn)
    try:
        return await connection.fetch(query, *values)
    finally:
        await connection.close()


async def scraped(processes: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    """Return what each of the *processes* of a description shows, by its kind."""
    kinds = families_by_process().keys()
    async with httpx2.AsyncClient(headers={"Accept": OPENMETRICS}) as http:
        return {kind: (await http.get(f"{processes[kind]['url']}/metrics")).text for kind in kinds}


def traced(receiver: Receiver) -> list[str]:
    """Return the types of the webhooks that carried the trace."""
    posts = [post for post in receiver.posts if TRACE_ID in post.headers.get("traceparent", "")]
    return [json.loads(post.body)["type"] for post in posts]


@pytest.mark.timeout(300)
async def test_one_trace_from_the_request_to_the_webhook_and_the_restriction(tmp_path: Path) -> None:
    async with receiving() as collector:
        await follow_the_trace(tmp_path, collector)

    # Every process has ended, and with it sent what it held back.
    found = [span for span in spans_of(collector.posts) if span.trace_id == TRACE_ID]
    made = {(span.service, span.kind) for span in found}
    assert ("wallet", "SERVER") in made
    assert {("transaction_history", "CONSUMER"), ("fraud", "CONSUMER"), ("notifications", "CONSUMER")} <= made
    assert ("wallet", "CONSUMER") in made  # it acts on the decision
    assert len([span for span in found if span.name.startswith("deliver ")]) == 2
    ids = {span.span_id for span in found} | {"00f067aa0ba902b7"}
    assert all(span.parent_span_id in ids for span in found), "every span hangs on another of the trace"
    assert all(span.resource.keys() >= RESOURCE for span in found)
    # The wallet's API and decisions; the history's projector and indexer; fraud's projector; the webhooks' two.
    assert len({span.resource["service.instance.id"] for span in found}) == 7
    (request,) = (span for span in found if span.kind == "SERVER")
    assert request.attributes.items() >= REQUEST.items()
    commits = [span for span in found if span.parent_span_id == request.span_id and span.name.startswith("COMMIT")]
    assert [span.kind for span in commits] == ["CLIENT"] * 2  # the debit's, and that of the restriction it led to
    for commit in commits:
        told = (commit.attributes["db.system.name"], commit.attributes["db.operation.name"])
        assert told == ("postgresql", "COMMIT")
    projected = [span for span in found if span.service == "transaction_history"]
    assert all(span.attributes.items() >= PROJECTED.items() for span in projected)


async def follow_the_trace(folder: Path, collector: Receiver) -> None:
    """Send the one request that is traced, and see it to its ends."""
    async with platform(folder, collector) as (running, description), receiving() as receiver:
        await subscribe(running, receiver)
        async with httpx2.AsyncClient(base_url=running.wallet_url, headers=bearer(running)) as http:
            client = Client(http)
            wallet_id = await client.open(deposit="10")
            debit = {"wallet_id": wallet_id, "amount": {"amount": "1", "currency": "USD"}}
            await client.post("/v1/withdrawals", debit)
            await client.post("/v1/withdrawals", debit)
            headers = {"Idempotency-Key": "third", "traceparent": TRACEPARENT}
            tripping = await http.post("/v1/withdrawals", json=debit, headers=headers)
            assert tripping.status_code == 201

            async def is_frozen() -> bool:
                return bool((await client.wallet(wallet_id))["status"] == "frozen")

            await eventually(is_frozen, within_s=WITHIN_S)

        async def is_told() -> bool:
            return sorted(traced(receiver)) == ["wallet.funds_withdrawn.v1", "wallet.restricted.v1"]

        await eventually(is_told, within_s=WITHIN_S)

        pages = await scraped(json.loads(description.read_text())["processes"])
        assert breaches_of_the_catalogue(pages) == []
        assert exemplars(pages["wallet-api"], "http_request_duration_seconds") == {TRACE_ID}
        assert exemplars(pages["wallet-api"], "wallet_commit_seconds") == {TRACE_ID}

        assert strangers_of_the_page(description.parent / "logs", pages) == set()
        restricted = await fetch(running.wallet_dsn, "select traceparent from wallet.journal where type = 6")
        decided = await fetch(running.fraud_dsn, "select traceparent from servicekit.outbox")
        untraced = await fetch(running.wallet_dsn, "select count(*) from wallet.journal where traceparent is null")

    assert [TRACE_ID in row["traceparent"] for row in restricted] == [True]
    assert [TRACE_ID in row["traceparent"] for row in decided] == [True]
    assert untraced[0][0] == 7  # the opening, the deposit and the two withdrawals that nobody sampled
