"""An application whose routes each engine carries alike, and what it reports."""

from typing import Annotated, Any, Final

import msgspec
from fastapi import Body, Path
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from prometheus_client import CollectorRegistry
from pydantic import BaseModel, ConfigDict, StringConstraints
from starlette.testclient import TestClient

from contracts import problems
from servicekit.access.admission import Limited
from servicekit.failures import PoolExhausted, Unavailable
from servicekit.http.app import create_app
from servicekit.http.edge.command import CommandRequest, CommandResponse
from servicekit.http.edge.outermost import Edge
from servicekit.http.problems import Problem
from servicekit.http.route import Engine, Route
from servicekit.http.routes.dependencies import Context, IdempotencyKey, PathId
from servicekit.settings import AccessLog, ServiceSettings
from servicekit.telemetry import Telemetry, Tracing
from testkit.access import ANYBODY_MAY, AdmitsAs

KEY: Final = {"idempotency-key": "key-1"}
JSON: Final = {**KEY, "content-type": "application/json"}
BODY: Final = {"name": "a"}
LARGE_BYTES_MAX: Final = 1_000_000
FAILURES: Final[dict[str, Exception]] = {
    "refused": Problem(problems.INSUFFICIENT_FUNDS, "Too little.", available={"amount": "1.00", "currency": "USD"}),
    "exhausted": PoolExhausted("Every connection is busy."),
    "unreached": Unavailable("The database cannot be reached.", retry_after_s=3),
    "limited": Limited("Too often.", headers=[(b"ratelimit", b'"user";r=0;t=2')], retry_after_s=2),
    "beyond": Limited("Too much at once.", headers=[], retry_after_s=None),
    "bug": ZeroDivisionError("secret"),
}


class Price(msgspec.Struct, forbid_unknown_fields=True):
    """A part of a body."""

    amount: str


class CommandBody(msgspec.Struct, forbid_unknown_fields=True):
    """The body of a command route."""

    name: Annotated[str, msgspec.Meta(max_length=10)]
    money: Price | None = None
    tags: list[str] | None = None


class OrdinaryPrice(BaseModel):
    """A part of a body."""

    model_config = ConfigDict(extra="forbid", strict=True)
    amount: str


class OrdinaryBody(BaseModel):
    """The body of an ordinary route, like that of a command route."""

    model_config = ConfigDict(extra="forbid", strict=True)
    name: Annotated[str, StringConstraints(max_length=10)]
    money: OrdinaryPrice | None = None
    tags: list[str] | None = None


class LargeCommandBody(msgspec.Struct, forbid_unknown_fields=True):
    """A body that may be large."""

    name: str


class LargeOrdinaryBody(BaseModel):
    """A body that may be large."""

    model_config = ConfigDict(extra="forbid", strict=True)
    name: str


class Acted(msgspec.Struct):
    """What was done."""

    name: str
    traceparent: str | None


class Placed(msgspec.Struct):
    """What a path named."""

    owner: str
    thing: str


def path_of(engine: Engine, rest: str = "") -> str:
    """Return the path of a route of *engine*."""
    return f"/v1/{engine.value}{rest}"


def _act(name: str, traceparent: str | None) -> Acted:
    if name in FAILURES:
        raise FAILURES[name]
    return Acted(name, traceparent)


def _answer(body: msgspec.Struct) -> CommandResponse:
    return CommandResponse(200, msgspec.json.encode(body), [])


async def _act_command(request: CommandRequest[Any]) -> CommandResponse:
    return _answer(_act(request.body.name, request.traceparent))


async def _place_command(request: CommandRequest[None]) -> CommandResponse:
    return _answer(Placed(request.path_params["owner"], request.path_params["thing"]))


async def _act_ordinary(body: Annotated[OrdinaryBody, Body()], context: Context, _key: IdempotencyKey) -> Acted:
    return _act(body.name, context.traceparent)


async def _act_large(body: Annotated[LargeOrdinaryBody, Body()], context: Context, _key: IdempotencyKey) -> Acted:
    return _act(body.name, context.traceparent)


async def _place_ordinary(owner: Annotated[str, Path()], thing: PathId, _key: IdempotencyKey) -> Placed:
    return Placed(owner, thing)


def _routes(engine: Engine) -> list[Route]:
    is_command = engine is Engine.COMMAND
    return [
        Route(
            engine=engine,
            method="POST",
            path=path_of(engine),
            request=CommandBody if is_command else OrdinaryBody,
            handler=_act_command if is_command else _act_ordinary,
            access=ANYBODY_MAY,
            operation_id=f"act_{engine.value}",
            summary="Act.",
            response=Acted,
            problems=[problems.INSUFFICIENT_FUNDS],
            response_headers={"Ledger-Position": "Where it landed."},
            links=[(f"place_{engine.value}", {"owner": "$response.body#/name", "thing": "x"})],
        ),
        Route(
            engine=engine,
            method="POST",
            path=path_of(engine, "/owners/{owner}/things/{thing}/place"),
            handler=_place_command if is_command else _place_ordinary,
            access=ANYBODY_MAY,
            operation_id=f"place_{engine.value}",
            summary="Tell what the path names.",
            path_schemas={"owner": {"type": "string"}} if is_command else {},
            response=Placed,
        ),
        Route(
            engine=engine,
            method="POST",
            path=path_of(engine, "/large"),
            request=LargeCommandBody if is_command else LargeOrdinaryBody,
            handler=_act_command if is_command else _act_large,
            access=ANYBODY_MAY,
            operation_id=f"act_large_{engine.value}",
            summary="Act on much.",
            response=Acted,
            body_max_bytes=LARGE_BYTES_MAX,
        ),
    ]


class Bench:
    """An application with the same routes under each of *engines*, and what it reports."""

    def __init__(self, ratio: float = 0.0, engines: tuple[Engine, ...] = tuple(Engine)) -> None:
        self.spans = InMemorySpanExporter()
        self.registry = CollectorRegistry()
        self.tracing = Tracing("probe", ratio, SimpleSpanProcessor(self.spans))
        self.app: Edge = create_app(
            title="Probe",
            settings=ServiceSettings(access_log=AccessLog.ERRORS),
            telemetry=Telemetry("probe", "api", "1.2.3", self.registry, self.tracing),
            authority=AdmitsAs(),
            routes=[route for engine in engines for route in _routes(engine)],
        )
        self.client = TestClient(self.app, client=("127.0.0.1", 50_000))

    def count(self, route: str, status: int) -> float | None:
        """Return how many requests to *route* were answered with *status*, or another of its class."""
        labels = {"method": "POST", "route": route, "status": f"{status // 100}xx"}
        return self.registry.get_sample_value("http_request_duration_seconds_count", labels)

    def close(self) -> None:
        """End tracing."""
        self.tracing.close()
