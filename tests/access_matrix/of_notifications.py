"""Requests to notifications: endpoints of a tenant, and deliveries to them that nobody carries out."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

from tests.access_matrix.callers import OURS, OWNER, THEIRS, Caller, Home
from tests.access_matrix.of_readers import of_tenant
from tests.access_matrix.recipes import Json, Recipe, Recipes, Setup, listed, made, made_first, post
from tests.openapi.notifications_target import ENDPOINTS, URL
from tests.openapi.targets import project

import notifications.bootstrap
from notifications.config import NotificationsSettings
from servicekit.consumer.projection import Projection
from servicekit.postgres import Pool
from testkit.databases import Database
from testkit.events import Stream, wallet_in

MISSING: Final = "endpoint_not_found"
SINCE: Final[Json] = {"since": "2026-01-01T00:00:00Z"}


def recipes(setup: Setup, database: Database) -> Recipes:
    """Have deliveries recorded, and return how each operation is asked for."""
    homes = [Home(tenant_id, OWNER) for tenant_id in (OURS, THEIRS)]
    ours = homes[0]

    def endpoint() -> str:
        return made(post(setup.admin(ours), ENDPOINTS, {"url": URL}))

    kept, _ = (made(post(setup.admin(home), ENDPOINTS, {"url": URL})) for home in homes)
    _tell(database)
    delivery = made_first(setup.admin(ours), "/v1/deliveries", {"endpoint_id": kept})

    def one(fresh: Callable[[], str] = endpoint, body: Json | None = None) -> list[Recipe]:
        def sent(_endpoint: str, _caller: Caller) -> Json | None:
            return body

        return [Recipe(fresh=fresh, body=sent, missing=MISSING)]

    return {
        "list_webhook_endpoints": [listed(endpoint)],
        "create_webhook_endpoint": [Recipe(fresh=lambda: URL, body=lambda url, _: {"url": url})],
        "get_webhook_endpoint": one(lambda: kept),
        "change_webhook_endpoint": one(body={"description": "ours"}),
        "delete_webhook_endpoint": one(),
        "recover_webhook_endpoint": one(body=SINCE),
        "pause_webhook_endpoint": one(),
        "resume_webhook_endpoint": one(),
        "test_webhook_endpoint": one(),
        "rotate_webhook_secret": one(),
        "list_deliveries": [listed(lambda: delivery), listed(lambda: delivery, lambda _: {"endpoint_id": kept})],
        "get_delivery": [Recipe(fresh=lambda: delivery, missing="delivery_not_found")],
        "resend_delivery": [Recipe(fresh=lambda: delivery, missing="delivery_not_found")],
    }


def _tell(database: Database) -> None:
    """Have the endpoints of both tenants told of a wallet each."""
    stream = Stream()
    settings = NotificationsSettings(
        notifications_database_url=database.dsn_app, notifications_reader_database_url=database.dsn_reader
    )

    @asynccontextmanager
    async def projection(_pool: Pool) -> AsyncIterator[Projection]:
        yield notifications.bootstrap.make_projection(settings)

    events = [
        event
        for tenant_id, wallet in ((OURS, wallet_in(1)), (THEIRS, wallet_in(2)))
        for event in of_tenant(tenant_id, stream.opened(wallet), *stream.deposit(wallet))
    ]
    project(database.dsn_app, projection, events)
