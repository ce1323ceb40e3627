"""The application factory: FastAPI for ordinary routes, ASGI endpoints for commands, one behaviour around both."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager

from fastapi import APIRouter, Depends, FastAPI

from servicekit.access.admission import NOBODY, Authority
from servicekit.client_address import Clients
from servicekit.health import Check, HealthCheck, healthy
from servicekit.http.edge.admitting import Admitting
from servicekit.http.edge.command import CommandRoutes, command_routes
from servicekit.http.edge.handlers import add_error_handlers
from servicekit.http.edge.matching import RouteTable
from servicekit.http.edge.observe import Observer
from servicekit.http.edge.outermost import Edge
from servicekit.http.openapi.document import install_openapi
from servicekit.http.pages.docs import add_docs
from servicekit.http.pages.process import add_process_pages
from servicekit.http.pages.public import PagesGuard, require_declared
from servicekit.http.pages.reference import add_reference_pages
from servicekit.http.route import Engine, Route
from servicekit.http.routes.dependencies import refuse_unknown_query
from servicekit.http.routes.ordinary import ordinary_router
from servicekit.settings import ServiceSettings
from servicekit.telemetry import Telemetry

Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[None]]


def create_app(
    *,
    title: str,
    description: str = "",
    settings: ServiceSettings,
    telemetry: Telemetry,
    authority: Authority,
    routes: Sequence[Route] = (),
    readiness: HealthCheck = healthy,
    deep: HealthCheck = healthy,
    lifespan: Lifespan | None = None,
    public_pages: Iterable[APIRouter] = (),
) -> Edge:
    """Return the ASGI application of an API.

    *readiness* tells whether requests may be sent here (own database and queue), *deep* how everything behind it is.
    *authority* admits every request to *routes*; what else the application answers is named in `PUBLIC_ROUTES`.
    Raises UndeclaredRoute if something is in neither. *public_pages* are those of the service itself.
    """
    observer = Observer(telemetry, settings.access_log)
    admitting = Admitting(authority, Clients(settings.proxies))
    commands = command_routes(routes, observer, admitting)
    ordinary = [route for route in routes if route.engine is Engine.ORDINARY]
    router = ordinary_router(ordinary)
    app = _fastapi(title, description, telemetry.version, lifespan)
    app.include_router(router)

    async def deeply() -> Mapping[str, Check]:
        return {**await deep(), **authority.check()}

    add_process_pages(app, telemetry, readiness, deeply)
    add_reference_pages(app)
    add_docs(app)
    for page in public_pages:
        app.include_router(page)
    add_error_handlers(app, commands)
    install_openapi(app, router, routes)
    require_declared(app, routes)
    return Edge(
        PagesGuard(app, settings.pages_networks, admitting),
        commands,
        RouteTable((route, route) for route in ordinary),
        observer,
        admitting=admitting,
        deadline_s=settings.request_deadline_s,
    )


def create_process_app(
    *, settings: ServiceSettings, telemetry: Telemetry, readiness: HealthCheck = healthy, deep: HealthCheck = healthy
) -> Edge:
    """Return the application of a process without an API: `/health/…` and `/metrics`."""
    commands = CommandRoutes(())
    admitting = Admitting(NOBODY, Clients(settings.proxies))
    app = _fastapi(f"{telemetry.service} {telemetry.process}", "", telemetry.version, None)
    add_process_pages(app, telemetry, readiness, deep)
    add_error_handlers(app, commands)
    install_openapi(app, APIRouter(), ())
    require_declared(app, ())
    return Edge(
        PagesGuard(app, settings.pages_networks, admitting),
        commands,
        RouteTable(()),
        Observer(telemetry, settings.access_log),
        admitting=admitting,
        deadline_s=settings.request_deadline_s,
    )


def _fastapi(title: str, description: str, version: str, lifespan: Lifespan | None) -> FastAPI:
    return FastAPI(
        title=title,
        description=description,
        version=version,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        dependencies=[Depends(refuse_unknown_query)],
        # The edge counts, traces and logs every request: the framework's own telemetry would do it twice.
        telemetry={"tracing": False, "metrics": False, "logs": False},
    )
