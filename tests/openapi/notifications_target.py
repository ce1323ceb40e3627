"""Notifications under test: endpoints on this machine, and deliveries to them that nobody carries out."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

import httpx2
from tests.openapi.filling import Fill, Json
from tests.openapi.targets import BEHIND_PROXY, Target, project

from contracts.ids import new_id_text
from notifications import bootstrap
from notifications.config import NotificationsSettings
from notifications.domain.pacing import BURST
from servicekit.access.admission import Authority
from servicekit.consumer.projection import Projection
from servicekit.postgres import Pool
from servicekit.telemetry import Telemetry
from testkit.databases import Database
from testkit.events import Stream, wallet_in

URL: Final = "https://127.0.0.1:9443/hook"
ENDPOINTS: Final = "/v1/webhook-endpoints"


class Endpoints:
    """Makes endpoints. *kept* is never deleted and has deliveries."""

    def __init__(self, http: httpx2.Client) -> None:
        self._http = http
        self.kept = self.made()
        self._fresh = self.kept
        self._uses = 0

    def made(self) -> str:
        """Return a new endpoint; as many as a tenant may have are enough for one run."""
        answer = self._http.post(ENDPOINTS, json={"url": URL}, headers={"Idempotency-Key": new_id_text()})
        assert answer.is_success, answer.text
        return str(answer.json()["id"])

    def paced(self) -> str:
        """Return an endpoint that may be asked once more for what is paced."""
        if self._uses % BURST == 0:
            self._fresh = self.made()
        self._uses += 1
        return self._fresh

    def delivery(self) -> str:
        """Return a delivery to the endpoint that is kept."""
        found = self._http.get("/v1/deliveries", params={"endpoint_id": self.kept, "limit": 1}).json()
        return str(found["data"][0]["id"])


def _settings(database: Database) -> NotificationsSettings:
    return NotificationsSettings(
        notifications_database_url=database.dsn_app,
        notifications_reader_database_url=database.dsn_reader,
        notifications_allow_loopback=True,
        notifications_endpoints_max=1_000,
        **BEHIND_PROXY,
    )


def fills(database: Database, http: httpx2.Client) -> Mapping[str, Fill]:
    """Have deliveries recorded, and return what requests about them are filled with."""
    endpoints = Endpoints(http)
    stream, wallet = Stream(), wallet_in(1)

    @asynccontextmanager
    async def projection(_pool: Pool) -> AsyncIterator[Projection]:
        yield bootstrap.make_projection(_settings(database))

    project(database.dsn_app, projection, [stream.opened(wallet), *stream.deposit(wallet), *stream.deposit(wallet)])

    def create(body: Json) -> None:
        body["url"] = URL

    def change(body: Json) -> None:
        if "url" in body:
            body["url"] = URL

    kept, made = {"endpoint_id": lambda: endpoints.kept}, {"endpoint_id": endpoints.made}
    paced = {"endpoint_id": endpoints.paced}
    delivery_id = endpoints.delivery()
    delivery = {"delivery_id": lambda: delivery_id}
    endpoint = ENDPOINTS + "/{endpoint_id}"
    return {
        f"POST {ENDPOINTS}": Fill(body=create),
        f"GET {endpoint}": Fill(path=kept),
        f"PATCH {endpoint}": Fill(path=made, body=change),
        f"DELETE {endpoint}": Fill(path=made),
        **{f"POST {endpoint}/{verb}": Fill(path=made) for verb in ("pause", "resume")},
        **{f"POST {endpoint}/{verb}": Fill(path=paced) for verb in ("recover", "test")},
        f"POST {endpoint}/rotate-secret": Fill(path=kept),
        "GET /v1/deliveries": Fill(paged={"endpoint_id": endpoints.kept}),
        "GET /v1/deliveries/{delivery_id}": Fill(path=delivery),
        "POST /v1/deliveries/{delivery_id}/resend": Fill(path=delivery),
    }


def _open_api(database: Database, telemetry: Telemetry, authority: Authority | None) -> Any:
    return bootstrap.open_api(_settings(database), telemetry, authority=authority)


TARGET: Final = Target(
    service=bootstrap.SERVICE, migrations=bootstrap.migration_sources, open_api=_open_api, fills=fills
)
