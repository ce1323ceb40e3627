"""From an event to a receiver, on a real database: what is sent, what is repeated, what is not."""

import asyncio
import json
from collections.abc import Callable, Iterator

import asyncpg
import msgspec
import pytest
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from prometheus_client import CollectorRegistry

from contracts.events import OWNER_CHANGED, POLICY_CHANGED, OwnerChanged, PolicyChanged
from contracts.ids import new_id
from contracts.notices import DeliveryExhausted
from notifications.domain.outcomes import AttemptOutcome
from notifications.sending.queue_postgres import PostgresQueue
from notifications.sending.rows import AttemptResult, Lease, Settled, Settlement
from servicekit.postgres import Connection
from servicekit.telemetry import Tracing
from testkit.databases import Database
from testkit.events import wallet_in
from testkit.notifications_api import Bench, Json, MakeBench
from testkit.receiver import Post, Receiver, Reply, receiving, signatures_of

pytestmark = pytest.mark.integration


def in_turn(*replies: Reply) -> Callable[[Post], Reply]:
    """Return an answer that gives *replies* one after another, the last one for ever."""
    left: Iterator[Reply] = iter(replies)
    return lambda _post: next(left, replies[-1])


async def test_what_happens_to_no_wallet_is_delivered_to_nobody(bench: Bench) -> None:
    policy = PolicyChanged(section="holds", document={"days": 7, "days_max": 31}, changed_by="somebody")
    owner = OwnerChanged(owner_id="owner", tier="gold", tier_before="default", private=None)
    async with receiving() as receiver:
        await bench.client.endpoint(receiver.url())
        await bench.project(
            bench.stream.event(POLICY_CHANGED, new_id(), policy),
            bench.stream.event(OWNER_CHANGED, new_id(), owner),
            bench.stream.opened(wallet_in(3)),
        )

    assert [each["type"] for each in await bench.client.deliveries()] == ["wallet.opened.v1"]


async def test_an_event_is_delivered_signed(bench: Bench) -> None:
    wallet = wallet_in(3)
    async with receiving() as receiver, bench.worker():
        endpoint = await bench.client.endpoint(receiver.url())
        opening, (entry, system_entry) = bench.stream.opened(wallet), bench.stream.deposit(wallet, 1_234)
        await bench.project(opening, entry, system_entry)

        posts = {post.webhook_id: post for post in await receiver.wait_for(2)}
        delivered = await bench.client.until(2, status="delivered")

    assert set(posts) == {f"msg_{opening.event_id}", f"msg_{entry.event_id}"}
    post = posts[f"msg_{entry.event_id}"]
    expected, given = signatures_of(post, endpoint["secret"])
    assert given == [expected]
    body = json.loads(post.body)
    assert (body["type"], body["timestamp"]) == ("wallet.funds_deposited.v1", "2026-01-01T00:00:02.000000Z")
    assert body["data"]["amount"] == {"amount": "12.34", "currency": "USD"}
    assert {name: body["data"][name] for name in ("event_id", "wallet_id", "version", "shard", "sequence")} == {
        "event_id": str(entry.event_id),
        "wallet_id": str(wallet),
        "version": 2,
        "shard": 3,
        "sequence": 2,
    }
    assert len(await bench.client.deliveries()) == len(delivered) == 2
    (attempt,) = await bench.client.attempts(delivered[0]["id"])
    assert (attempt["outcome"], attempt["status_code"], attempt["response_head"]) == ("delivered", 200, "ok")


async def test_a_failure_is_tried_again_under_the_same_id(bench: Bench) -> None:
    async with receiving(in_turn(Reply(500, body=b"down"), Reply())) as receiver, bench.worker():
        await bench.client.endpoint(receiver.url())
        await bench.open_wallet()
        await receiver.wait_for(2)
        (delivery,) = await bench.client.until(1, status="delivered")

    assert len(set(receiver.ids())) == 1
    attempts = await bench.client.attempts(delivery["id"])
    assert [(each["number"], each["outcome"], each["response_head"]) for each in attempts] == [
        (2, "delivered", "ok"),
        (1, "server_error", "down"),
    ]


async def test_the_last_failure_exhausts_and_is_published(bench: Bench) -> None:
    async with receiving(lambda _post: Reply(503)) as receiver, bench.worker():
        endpoint = await bench.client.endpoint(receiver.url())
        wallet = await bench.open_wallet()
        (delivery,) = await bench.client.until(1, status="exhausted")

    assert len(receiver.posts) == delivery["attempt_count"] == 4
    assert await bench.published() == [
        DeliveryExhausted(
            endpoint_id=endpoint["id"],
            delivery_id=delivery["id"],
            event_type="wallet.opened.v1",
            wallet_id=str(wallet),
            attempts=4,
            last_status=503,
        )
    ]


@pytest.mark.parametrize(
    ("reply", "outcome", "status"),
    [
        (Reply(302, {"location": "http://127.0.0.1:1/"}), "redirected", 302),
        (Reply(307, {"location": "http://169.254.169.254/"}), "redirected", 307),
        (Reply(404), "client_error", 404),
        (Reply(500), "server_error", 500),
    ],
    ids=["redirect inwards", "redirect to metadata", "not found", "error"],
)
async def test_what_is_no_delivery_is_told(bench: Bench, reply: Reply, outcome: str, status: int) -> None:
    async with receiving(lambda _post: reply) as receiver, bench.worker():
        await bench.client.endpoint(receiver.url())
        await bench.open_wallet()
        (delivery,) = await bench.client.until(1, status="exhausted")

    assert len(receiver.posts) == 4, "nothing was followed"
    attempts = await bench.client.attempts(delivery["id"])
    assert {(each["outcome"], each["status_code"]) for each in attempts} == {(outcome, status)}


@pytest.mark.parametrize(
    ("raw", "head"),
    [
        (b"HTTP/1.1 204 No Content\r\n\r\nhello", ""),
        (b"HTTP/1.1 204 No Content\r\ncontent-length: 5\r\n\r\nhello", ""),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nokHTTP/1.1 500 No\r\n\r\n", "ok"),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4;x=y\r\nhead\r\n3\r\n!!!\r\n0\r\n\r\n", "head!!!"),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nokZZZ\r\n", "ok"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\ncontent-length: 4\r\n\r\nabcd", "abc"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: " + b"9" * 5_000 + b"\r\n\r\nabc", "abc"),
        (b"HTTP/1.1 200 OK\r\nno field\r\nx: " + b"y" * 40_000 + b"\r\n\r\nok", ""),
        (b"HTTP/1.1 202\nx: y\n\n", ""),
        (b"HTTP/1.1 103 Early\r\nlink: </x>\r\n\r\nHTTP/1.0 200 OK\r\n\r\nok", "ok"),
    ],
    ids=[
        "a body behind 204",
        "a length behind 204",
        "another answer behind it",
        "chunks",
        "a broken chunk",
        "two lengths",
        "an endless length",
        "fields that are none",
        "bare line ends",
        "behind an interim one",
    ],
)
async def test_a_success_counts_whatever_follows_it(bench: Bench, raw: bytes, head: str) -> None:
    async with receiving(lambda _post: Reply(raw=raw)) as receiver, bench.worker():
        await bench.client.endpoint(receiver.url())
        await bench.open_wallet()
        (delivery,) = await bench.client.until(1, status="delivered")

    (attempt,) = await bench.client.attempts(delivery["id"])
    assert (attempt["outcome"], attempt["error"], attempt["response_head"]) == ("delivered", None, head)


@pytest.mark.parametrize(
    ("raw", "error"),
    [
        (b"", "closed_without_answer"),
        (b"HTTP/1.1 103 Early\r\n\r\n", "closed_without_answer"),
        (b"SSH-2.0-OpenSSH_9.6\r\n", "not_http"),
        (b"HTTP/1.1 20", "not_http"),
        (b"HTTP/1.1 000 No\r\n\r\n", "not_http"),
        (b"HTTP/1.1 200 " + b"y" * 40_000, "not_http"),
        (b"HTTP/1.1 100 Continue\r\n\r\n" * 50, "not_http"),
    ],
    ids=["nothing", "an interim one alone", "another protocol", "half", "no status", "an endless line", "no end"],
)
async def test_what_is_no_answer_is_named(bench: Bench, raw: bytes, error: str) -> None:
    async with receiving(lambda _post: Reply(raw=raw)) as receiver, bench.worker():
        await bench.client.endpoint(receiver.url())
        await bench.open_wallet()
        (delivery,) = await bench.client.until(1, status="exhausted")

    attempts = await bench.client.attempts(delivery["id"])
    assert {(each["outcome"], each["error"]) for each in attempts} == {("connection_failed", error)}


async def test_a_secret_that_no_longer_opens_is_a_failure_like_any_other(bench: Bench) -> None:
    registry = CollectorRegistry()
    async with receiving() as receiver, bench.worker(registry=registry):
        endpoint = await bench.client.endpoint(receiver.url())
        async with bench.pool.connection() as connection:
            await connection.execute("update notifications.endpoint_secret set key_version = 9")
        await bench.open_wallet()
        (delivery,) = await bench.client.until(1, status="exhausted")

    assert receiver.posts == []
    attempts = await bench.client.attempts(delivery["id"])
    assert [(each["outcome"], each["error"]) for each in attempts] == [("internal_error", "internal_error")] * 4
    assert registry.get_sample_value("webhook_attempts_total", {"outcome": "internal_error"}) == 4
    assert (await bench.client.endpoint_now(endpoint["id"]))["failing_since"] is not None


async def test_what_cannot_be_settled_is_settled_as_our_failure(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    real = PostgresQueue.settle

    async def settle(
        self: PostgresQueue, connection: Connection, lease: Lease, result: AttemptResult, settlement: Settlement
    ) -> Settled | None:
        if result.outcome is AttemptOutcome.DELIVERED:
            raise ValueError("a bug")
        return await real(self, connection, lease, result, settlement)

    monkeypatch.setattr(PostgresQueue, "settle", settle)
    async with receiving() as receiver, bench.worker():
        await bench.client.endpoint(receiver.url())
        await bench.open_wallet()
        (delivery,) = await bench.client.until(1, status="exhausted")

    assert {each["outcome"] for each in await bench.client.attempts(delivery["id"])} == {"internal_error"}


async def test_a_receiver_that_hangs_is_given_up(bench: Bench) -> None:
    async with (
        receiving(lambda _post: Reply(hangs=True)) as receiver,
        bench.worker(notifications_attempt_timeout_s=0.3),
    ):
        await bench.client.endpoint(receiver.url())
        await bench.open_wallet()
        (delivery,) = await bench.client.until(1, status="exhausted")

    attempts = await bench.client.attempts(delivery["id"])
    assert [(each["outcome"], each["error"]) for each in attempts] == [("timeout", "no_answer_in_time")] * 4


async def test_a_refused_connection_is_told(bench: Bench) -> None:
    async with receiving() as receiver:
        await bench.client.endpoint(receiver.url())
    await bench.open_wallet()

    async with bench.worker():
        (delivery,) = await bench.client.until(1, status="exhausted")

    attempts = await bench.client.attempts(delivery["id"])
    assert {(each["outcome"], each["error"]) for each in attempts} == {("connection_failed", "connection_refused")}


async def test_of_an_endless_body_a_head_is_kept(bench: Bench) -> None:
    async with receiving(lambda _post: Reply(200, body=b"\x00\xffhead", floods=True)) as receiver, bench.worker():
        await bench.client.endpoint(receiver.url())
        await bench.open_wallet()
        (delivery,) = await bench.client.until(1, status="delivered")

    (attempt,) = await bench.client.attempts(delivery["id"])
    assert attempt["response_head"].startswith("\ufffd\ufffdheadx")
    assert len(attempt["response_head"]) == 1_024


async def test_retry_after_is_the_least(make_bench: MakeBench) -> None:
    async with (
        make_bench(notifications_retry_delays_s=(1,), notifications_time_divisor=1_000) as bench,
        receiving(lambda _post: Reply(429, {"retry-after": "3600"})) as receiver,
        bench.worker(),
    ):
        await bench.client.endpoint(receiver.url())
        await bench.open_wallet()
        await receiver.wait_for(1)
        (delivery,) = await failed_once(bench)

        async with bench.pool.connection() as connection:
            waits_s = await connection.fetchval(
                "select extract(epoch from next_attempt_at - clock_timestamp()) from notifications.delivery"
            )
    assert delivery["status"] == "pending"
    assert 3_500 < waits_s <= 3_600


async def failed_once(bench: Bench) -> list[Json]:
    """Return the pending deliveries once the newest attempt of the first one is settled."""
    async with asyncio.timeout(30):
        while True:
            found = await bench.client.until(1, status="pending")
            attempts = await bench.client.attempts(found[0]["id"])
            if attempts and attempts[0]["outcome"] != "unknown":
                return found
            await asyncio.sleep(0.02)


async def test_one_delivery_is_sent_again_under_its_id(bench: Bench) -> None:
    async with receiving() as receiver, bench.worker():
        await bench.client.endpoint(receiver.url())
        await bench.open_wallet()
        (delivery,) = await bench.client.until(1, status="delivered")
        again = await bench.client.post(f"deliveries/{delivery['id']}/resend")
        await receiver.wait_for(2)
        await bench.client.until(1, status="delivered")

    assert (again.status_code, again.json()["status"]) == (200, "pending")
    assert receiver.ids() == [delivery["webhook_id"]] * 2


async def test_a_trace_goes_from_the_event_to_the_receiver(bench: Bench) -> None:
    exporter = InMemorySpanExporter()
    tracing = Tracing("notifications", 1.0, SimpleSpanProcessor(exporter))
    trace_id = "0af7651916cd43dd8448eb211c80319c"
    async with receiving() as receiver, bench.worker(tracing=tracing):
        await bench.client.endpoint(receiver.url())
        event = msgspec.structs.replace(
            bench.stream.opened(wallet_in(3)), traceparent=f"00-{trace_id}-b7ad6b7169203331-01"
        )
        await bench.project(event)
        (post,) = await receiver.wait_for(1)
        await bench.client.until(1, status="delivered")

    (span,) = exporter.get_finished_spans()
    assert span.context is not None
    assert (span.name, f"{span.context.trace_id:032x}") == ("deliver wallet.opened.v1", trace_id)
    assert post.headers["traceparent"] == f"00-{trace_id}-{span.context.span_id:016x}-01"
    assert span.attributes is not None
    assert (span.attributes["http.request.method"], span.attributes["http.response.status_code"]) == ("POST", 200)
    assert receiver.url() not in span.to_json()


async def test_a_worker_counts_what_it_does(bench: Bench) -> None:
    registry = CollectorRegistry()
    receiver: Receiver
    async with receiving(in_turn(Reply(500), Reply())) as receiver, bench.worker(registry=registry):
        await bench.client.endpoint(receiver.url())
        await bench.open_wallet()
        await bench.client.until(1, status="delivered")

    counted = {
        outcome: registry.get_sample_value("webhook_attempts_total", {"outcome": outcome})
        for outcome in ("delivered", "server_error", "timeout")
    }
    assert counted == {"delivered": 1, "server_error": 1, "timeout": 0}
    assert registry.get_sample_value("webhook_first_attempt_seconds_count") == 1
    assert registry.get_sample_value("webhook_delivery_seconds_count") == 1
    assert registry.get_sample_value("webhook_endpoints", {"status": "active"}) is not None


async def test_an_attempt_that_hangs_does_not_hold_the_end_up(make_bench: MakeBench) -> None:
    async with (
        make_bench(notifications_lease_s=120.0, notifications_attempt_timeout_s=60.0) as bench,
        receiving(lambda _post: Reply(hangs=True)) as receiver,
    ):
        async with bench.worker():
            await bench.client.endpoint(receiver.url())
            await bench.open_wallet()
            await receiver.wait_for(1)
        (delivery,) = await bench.client.deliveries()
        (attempt,) = await bench.client.attempts(delivery["id"])

    assert (delivery["status"], attempt["outcome"]) == ("pending", "unknown")


async def test_a_response_outlives_the_connections_it_is_settled_on(bench: Bench, database: Database) -> None:
    held = asyncio.Event()
    async with receiving(lambda _post: Reply(after=held)) as receiver, bench.worker():
        await bench.client.endpoint(receiver.url())
        await bench.open_wallet()
        await receiver.wait_for(1)
        admin = await asyncpg.connect(database.dsn_admin)
        await admin.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity where datname = $1 and pid <> pg_backend_pid()",
            database.name,
        )
        await admin.close()
        held.set()
        await until_delivered(bench)

    assert len(receiver.posts) == 1


async def until_delivered(bench: Bench) -> None:
    """Return when the only delivery has been made; while the database is away nobody can tell."""
    async with asyncio.timeout(30):
        while True:
            answer = await bench.client.get("deliveries", status="delivered")
            if answer.is_success and len(answer.json()["data"]) == 1:
                return
            await asyncio.sleep(0.02)
