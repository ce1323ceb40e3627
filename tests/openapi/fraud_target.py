"""Fraud under test: a wallet that sends more often than a rule allows, and is decided upon again and again."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import httpx2
from tests.openapi.filling import Fill
from tests.openapi.targets import BEHIND_PROXY, Target, project

from fraud import bootstrap
from fraud.config import MILLENNIUM_S, FraudSettings
from servicekit.access.admission import Authority
from servicekit.consumer.projection import Projection
from servicekit.postgres import Pool
from servicekit.telemetry import Telemetry
from testkit.databases import Database
from testkit.events import Stream, wallet_in

TRANSFERS: Final = 12
RULES: Final = """
version: "1"
rules:
  - {name: burst, type: velocity_count, events: [sent], window: 10s, max_count: 3, outcome: block, mode: live,
     cool_down: 1s}
  - {name: much, type: velocity_sum, events: [sent], window: 10s, max_amount: {USD: "4.00"}, outcome: review,
     mode: shadow, cool_down: 1s}
"""


def fills(database: Database, http: httpx2.Client) -> Mapping[str, Fill]:
    """Have a wallet judged, and return what requests about it are filled with."""
    stream, wallet = Stream(), wallet_in(3)
    events = [stream.opened(wallet), *(stream.transfer(wallet, wallet_in(9), 100)[0] for _ in range(TRANSFERS))]
    with TemporaryDirectory() as folder:
        rules = Path(folder) / "rules.yaml"
        rules.write_text(RULES)
        settings = FraudSettings(
            fraud_database_url=database.dsn_app,
            fraud_reader_database_url=database.dsn_reader,
            fraud_rules_file=rules,
            fraud_live_for_s=MILLENNIUM_S,
        )

        @asynccontextmanager
        async def projection(pool: Pool) -> AsyncIterator[Projection]:
            rule_store = bootstrap.make_rule_store(settings, pool)
            await rule_store.start()
            yield bootstrap.make_projection(settings, in_force=rule_store)

        project(database.dsn_app, projection, events)
    decision_id = http.get("/v1/risk/decisions").json()["data"][0]["id"]
    return {
        "GET /v1/risk/wallets/{wallet_id}": Fill(path={"wallet_id": lambda: str(wallet)}),
        "GET /v1/risk/decisions/{decision_id}": Fill(path={"decision_id": lambda: str(decision_id)}),
        "GET /v1/risk/decisions": Fill(paged={"wallet_id": str(wallet)}),
    }


def _open_api(database: Database, telemetry: Telemetry, authority: Authority | None) -> Any:
    settings = FraudSettings(
        fraud_database_url=database.dsn_app, fraud_reader_database_url=database.dsn_reader, **BEHIND_PROXY
    )
    return bootstrap.open_api(settings, telemetry, authority=authority)


TARGET: Final = Target(
    service=bootstrap.SERVICE, migrations=bootstrap.migration_sources, open_api=_open_api, fills=fills
)
