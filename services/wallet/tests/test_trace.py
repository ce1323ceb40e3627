"""The trace seam: a sampled request is one trace from its span to the journal row and the record's header."""

from collections.abc import AsyncIterator

import asyncpg
import httpx2
import pytest
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from prometheus_client import CollectorRegistry

from servicekit.telemetry import Telemetry, Tracing
from testkit.access import AdmitsAs
from testkit.databases import Database
from testkit.wallet_api import Client
from wallet.bootstrap.api import open_api
from wallet.config import WalletSettings

pytestmark = pytest.mark.integration

TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"


@pytest.fixture
def spans() -> InMemorySpanExporter:
    """Give where spans end up."""
    return InMemorySpanExporter()


@pytest.fixture
async def traced(settings: WalletSettings, spans: InMemorySpanExporter) -> AsyncIterator[Client]:
    """Give a client of an API that traces what its callers trace."""
    tracing = Tracing("wallet", 0.0, SimpleSpanProcessor(spans))
    telemetry = Telemetry("wallet", "test", "0", CollectorRegistry(), tracing)
    async with open_api(settings, telemetry, authority=AdmitsAs()) as app:
        transport = httpx2.ASGITransport(app=app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://wallet") as http:
            yield Client(http)


async def traceparents(database: Database) -> list[str | None]:
    connection = await asyncpg.connect(database.dsn_app)
    try:
        return [row["traceparent"] for row in await connection.fetch("select traceparent from wallet.journal")]
    finally:
        await connection.close()


@pytest.mark.parametrize("flags", ["01", "00"])
async def test_the_journal_carries_the_trace_of_a_sampled_request(
    traced: Client, spans: InMemorySpanExporter, database: Database, flags: str
) -> None:
    headers = {"Idempotency-Key": "k", "traceparent": f"00-{TRACE_ID}-00f067aa0ba902b7-{flags}"}

    await traced.http.post("/v1/wallets", json={"owner_id": "o", "currency": "USD"}, headers=headers)

    (carried,) = await traceparents(database)
    if flags == "00":
        assert carried is None
        assert spans.get_finished_spans() == ()
        return
    commit, span = spans.get_finished_spans()
    assert span.context is not None
    assert span.name == "POST /v1/wallets"
    assert commit.parent is not None
    assert (commit.parent.span_id, commit.name) == (span.context.span_id, f"COMMIT {database.name}")
    assert commit.attributes == {
        "db.namespace": database.name,
        "db.operation.batch.size": 1,
        "db.operation.name": "COMMIT",
        "db.system.name": "postgresql",
    }
    assert span.start_time is not None
    assert commit.start_time is not None
    assert span.start_time < commit.start_time
    assert carried == f"00-{TRACE_ID}-{span.context.span_id:016x}-01"
