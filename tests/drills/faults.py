"""Faults that are inflicted on a running stack, each with the alerts that must tell of it. Leaving one mends it."""

import contextlib
import functools
import http.server
import json
import threading
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import asyncpg
from tests.drills.stack import FRAUD_RULES, DrillStack, stopped

from contracts.ids import new_id_text

UNBOUNDED: Final = {"transaction_timeout": "0", "idle_in_transaction_session_timeout": "0", "lock_timeout": "0"}
CONNECTIONS_WANTED: Final = 0.88
"""Of what the server takes: above the alert's bound."""
ASKED_S: Final = 10.0
_WRONG: Final = """
    update transaction_history.entry set amount_minor = amount_minor + 1
    where (wallet_id, occurred_at, version) = (
        select wallet_id, occurred_at, version from transaction_history.entry
        where entry_index is not null order by occurred_at limit 1)
    returning wallet_id::text"""

Inflict = Callable[[DrillStack], AbstractAsyncContextManager[None]]


@dataclass(frozen=True)
class Expected:
    """An alert, by its name and some of its labels."""

    name: str
    labels: Mapping[str, str] = field(default_factory=dict)

    def is_told_by(self, line: Mapping[str, Any]) -> bool:
        """Return whether a line of the alerts is about it."""
        told: Mapping[str, str] = line["labels"]
        return bool(line["alert"] == self.name) and self.labels.items() <= told.items()


@dataclass(frozen=True)
class AlertDrill:
    """What is done, and what must be told of it within *within_s*."""

    what: str
    inflict: Inflict
    alerts: tuple[Expected, ...]
    within_s: float = 60.0


def stopping(name: str) -> Inflict:
    """Return what stops a process of a service with SIGSTOP."""

    @asynccontextmanager
    async def inflict(stack: DrillStack) -> AsyncIterator[None]:
        with stopped(stack.process(name)):
            yield

    return inflict


def stopping_engine(word: str) -> Inflict:
    """Return what stops the engine whose command has *word* in it, children and all."""

    @asynccontextmanager
    async def inflict(stack: DrillStack) -> AsyncIterator[None]:
        with stopped(stack.engine(word)):
            yield

    return inflict


def holding(service: str, statement: str) -> Inflict:
    """Return what runs *statement* as the service's role, and keeps the locks it takes."""

    @asynccontextmanager
    async def inflict(stack: DrillStack) -> AsyncIterator[None]:
        connection = await asyncpg.connect(stack.dsn(service), server_settings=UNBOUNDED, timeout=ASKED_S)
        transaction = connection.transaction()
        await transaction.start()
        try:
            await connection.execute(statement)
            yield
        finally:
            await transaction.rollback()
            await connection.close()

    return inflict


@asynccontextmanager
async def taking_connections(stack: DrillStack) -> AsyncIterator[None]:
    """Open idle connections until hardly any is left."""
    async with contextlib.AsyncExitStack() as opened:
        connect = functools.partial(asyncpg.connect, stack.dsn("access"), timeout=ASKED_S)
        first = await connect()
        opened.push_async_callback(first.close)
        most = int(await first.fetchval("show max_connections"))
        there = int(await first.fetchval("select count(*) from pg_stat_activity where backend_type = 'client backend'"))
        with contextlib.suppress(asyncpg.TooManyConnectionsError):  # others open some meanwhile
            for _ in range(max(0, int(most * CONNECTIONS_WANTED) - there)):
                opened.push_async_callback((await connect()).close)
        yield


@asynccontextmanager
async def waiting_for_a_standby(stack: DrillStack) -> AsyncIterator[None]:
    """Have commits wait for a standby that there is none of."""
    admin = await asyncpg.connect(stack.admin_dsn(), timeout=ASKED_S)
    try:
        await admin.execute("alter system set synchronous_standby_names = 'nobody'")
        await admin.execute("select pg_reload_conf()")
        try:
            yield
        finally:
            await admin.execute("alter system reset synchronous_standby_names")
            await admin.execute("select pg_reload_conf()")
    finally:
        await admin.close()


@asynccontextmanager
async def forgetting_a_target(stack: DrillStack) -> AsyncIterator[None]:
    """Leave a process out of what Prometheus asks."""
    whole = stack.targets_file.read_text()
    kept = [each for each in stack.targets() if each["labels"]["process"] != "fraud-api"]
    stack.targets_file.write_text(json.dumps(kept))
    try:
        yield
    finally:
        stack.targets_file.write_text(whole)


@asynccontextmanager
async def breaking_rules(stack: DrillStack) -> AsyncIterator[None]:
    """Give fraud a file of rules that it refuses."""
    stack.rules_of_fraud.write_text("rules: [what]\n")
    try:
        yield
    finally:
        stack.rules_of_fraud.write_text(FRAUD_RULES.read_text())


@asynccontextmanager
async def changing_an_entry(stack: DrillStack) -> AsyncIterator[None]:
    """Write to a row of the history what no event says."""
    connection = await asyncpg.connect(stack.dsn_as("transaction_history", "owner"), timeout=ASKED_S)
    wallet = await connection.fetchval(_WRONG)
    await connection.close()
    try:
        yield
    finally:
        stack.command_of("transaction_history", "projections", "repair", "--wallet", str(wallet))


class _Gone(http.server.BaseHTTPRequestHandler):
    """Answers each webhook that nobody takes it here any more."""

    def do_POST(self) -> None:
        self.send_response(http.HTTPStatus.GONE)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextlib.contextmanager
def _receiver() -> Iterator[int]:
    server = http.server.HTTPServer(("127.0.0.1", 0), _Gone)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield int(server.server_address[1])
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@asynccontextmanager
async def losing_a_receiver(stack: DrillStack) -> AsyncIterator[None]:
    """Register a webhook whose receiver says that it is gone."""
    with _receiver() as port:
        endpoint = _notifications(stack, "POST", "/v1/webhook-endpoints", {"url": f"http://127.0.0.1:{port}/"})
        path = f"/v1/webhook-endpoints/{endpoint['id']}"
        _notifications(stack, "POST", f"{path}/test", None)
        yield
    _notifications(stack, "DELETE", path, None)


def _notifications(stack: DrillStack, method: str, path: str, body: Any) -> Any:
    request = urllib.request.Request(  # noqa: S310 - our own API
        stack.document["gateway"]["url"] + path,
        method=method,
        data=None if body is None else json.dumps(body).encode(),
        headers={
            "authorization": f"Bearer {stack.key()}",
            "content-type": "application/json",
            "idempotency-key": new_id_text(),
        },
    )
    with urllib.request.urlopen(request, timeout=ASKED_S) as answer:  # noqa: S310 - our own API
        text = answer.read()
    return json.loads(text) if text else None


PHASES: Final[tuple[tuple[AlertDrill, ...], ...]] = (
    (
        AlertDrill(
            "one of two instances stops",
            stopping("access-api-2"),
            (Expected("InstanceDown", {"instance": "access-api-2"}),),
        ),
        AlertDrill(
            "the only process of a kind stops",
            stopping("notifications-projector"),
            (Expected("ServiceDown", {"process": "notifications-projector"}),),
        ),
        AlertDrill("the probe stops", stopping("probe"), (Expected("ProbeFailing", {"step": "run"}),)),
        AlertDrill("Prometheus is not told of a process", forgetting_a_target, (Expected("TargetMissing"),)),
        AlertDrill("fraud is given rules that it refuses", breaking_rules, (Expected("FraudRulesRefused"),)),
        AlertDrill("a webhook's receiver is gone", losing_a_receiver, (Expected("EndpointDisabled"),)),
        AlertDrill(
            "a row of the history is changed", changing_an_entry, (Expected("InvariantBroken"),), within_s=120.0
        ),
        AlertDrill(
            "the wallet's jobs cannot take their leases",
            holding("wallet", "lock table servicekit.lease in exclusive mode"),
            (Expected("MaintenanceLate", {"service": "wallet"}),),
            within_s=120.0,
        ),
    ),
    (
        AlertDrill(
            "the history's projectors wait for a lock",
            holding("transaction_history", "select from servicekit.checkpoint for update"),
            (Expected("ConsumerLag"), Expected("LongTransaction")),
            within_s=120.0,
        ),
    ),
    (AlertDrill("nearly every connection is taken", taking_connections, (Expected("DatabaseConnectionsHigh"),)),),
    (AlertDrill("a synchronous standby is missing", waiting_for_a_standby, (Expected("SynchronousStandbyMissing"),)),),
    (AlertDrill("the broker stops", stopping_engine("kafka.Kafka"), (Expected("KafkaNoController"),)),),
    (AlertDrill("PostgreSQL stops", stopping_engine("bin/postgres"), (Expected("DatabaseDown"),)),),
)
"""Those of one phase are inflicted at once, for none of them is behind another's alert."""
