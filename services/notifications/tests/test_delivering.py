"""From an event to a receiver, on a real database: what is sent, what is repeated, what is not."""

import asyncio
import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Iterator
from uuid import UUID

import asyncpg
import msgspec
import pytest
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from prometheus_client import CollectorRegistry

from contracts.notices import NOTICE_STREAM, DeliveryExhausted, EndpointDisabled
from contracts.registry import TYPES_BY_NUMBER
from servicekit.telemetry import Tracing
from testkit.databases import Database
from testkit.events import wallet_in
from testkit.notifications_api import Bench, Json, MakeBench
from testkit.receiver import Post, Receiver, Reply, receiving

pytestmark = pytest.mark.integration


def signatures_of(post: Post, secret: str) -> tuple[str, list[str]]:
    """Return the signature that the specification asks for, and those that came."""
    signed = b".".join([post.webhook_id.encode(), post.headers["webhook-timestamp"].encode(), post.body])
    key = base64.b64decode(secret.removeprefix("whsec_"))
    expected = "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    return expected, post.headers["webhook-signature"].split(" ")


def in_turn(*replies: Reply) -> Callable[[Post], Reply]:
    """Return an answer that gives *replies* one after another, the last one for ever."""
    left: Iterator[Reply] = iter(replies)
    return lambda _post: next(left, replies[-1])


async def opened(bench: Bench, shard: int = 3) -> UUID:
    """Project the opening of a new wallet."""
    wallet = wallet_in(shard)
    await bench.project(bench.stream.opened(wallet))
    return wallet


async def published(bench: Bench) -> list[EndpointDisabled | DeliveryExhausted]:
    """Return what the service's outbox holds."""
    async with bench.pool.connection() as connection:
        rows = await connection.fetch("SELECT type, payload FROM servicekit.outbox ORDER BY shard, seq")
    return [NOTICE_STREAM.parse(TYPES_BY_NUMBER[row["type"]].name, row["payload"]) for row in rows]


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
        await opened(bench)
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
        wallet = await opened(bench)
        (delivery,) = await bench.client.until(1, status="exhausted")

    assert len(receiver.posts) == delivery["attempt_count"] == 4
    assert await published(bench) == [
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
        await opened(bench)
        (delivery,) = await bench.client.until(1, status="exhausted")

    assert len(receiver.posts) == 4, "nothing was followed"
    attempts = await bench.client.attempts(delivery["id"])
    assert {(each["outcome"], each["status_code"]) for each in attempts} == {(outcome, status)}


async def test_a_receiver_that_hangs_is_given_up(bench: Bench) -> None:
    async with (
        receiving(lambda _post: Reply(hangs=True)) as receiver,
        bench.worker(notifications_attempt_timeout_s=0.3),
    ):
        await bench.client.endpoint(receiver.url())
        await opened(bench)
        (delivery,) = await bench.client.until(1, status="exhausted")

    attempts = await bench.client.attempts(delivery["id"])
    assert [(each["outcome"], each["status_code"]) for each in attempts] == [("timeout", None)] * 4


async def test_a_refused_connection_is_told(bench: Bench) -> None:
    async with receiving() as receiver:
        await bench.client.endpoint(receiver.url())
    await opened(bench)

    async with bench.worker():
        (delivery,) = await bench.client.until(1, status="exhausted")

    assert {each["outcome"] for each in await bench.client.attempts(delivery["id"])} == {"connection_failed"}


async def test_of_an_endless_body_a_head_is_kept(bench: Bench) -> None:
    async with receiving(lambda _post: Reply(200, body=b"\x00\xffhead", floods=True)) as receiver, bench.worker():
        await bench.client.endpoint(receiver.url())
        await opened(bench)
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
        await opened(bench)
        await receiver.wait_for(1)
        (delivery,) = await failed_once(bench)

        async with bench.pool.connection() as connection:
            waits_s = await connection.fetchval(
                "SELECT extract(epoch FROM next_attempt_at - clock_timestamp()) FROM notifications.delivery"
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


async def test_gone_disables_the_endpoint(bench: Bench) -> None:
    async with receiving(lambda _post: Reply(410)) as receiver, bench.worker():
        endpoint = await bench.client.endpoint(receiver.url())
        await opened(bench)
        await failed_once(bench)

        now = await bench.client.endpoint_now(endpoint["id"])
        assert (now["status"], now["disabled_reason"]) == ("disabled", "gone")
        assert await published(bench) == [EndpointDisabled(endpoint_id=endpoint["id"], reason="gone")]
        await opened(bench, 4)
        assert len(await bench.client.deliveries()) == 1, "nothing is recorded for it"

        receiver.answer = lambda _post: Reply()
        resumed = await bench.client.post(f"webhook-endpoints/{endpoint['id']}/resume")
        assert resumed.json()["status"] == "active"
        await bench.client.until(1, status="delivered")


async def test_an_endpoint_that_only_fails_is_disabled(make_bench: MakeBench) -> None:
    async with (
        make_bench(notifications_disable_after_s=1, notifications_retry_delays_s=(1,) * 40) as bench,
        receiving(lambda _post: Reply(500)) as receiver,
        bench.worker(),
    ):
        endpoint = await bench.client.endpoint(receiver.url())
        await opened(bench)
        now = await bench.client.endpoint_until(endpoint["id"], "disabled")

    assert now["disabled_reason"] == "failing"
    assert await published(bench) == [EndpointDisabled(endpoint_id=endpoint["id"], reason="failing")]


async def test_a_slow_endpoint_delays_no_other(make_bench: MakeBench) -> None:
    async with (
        make_bench(notifications_endpoint_attempts=2, notifications_worker_attempts=4) as bench,
        receiving(lambda _post: Reply(hangs=True)) as slow,
        receiving() as quick,
        bench.worker(notifications_attempt_timeout_s=60.0, notifications_lease_s=120.0),
    ):
        dead = await bench.client.endpoint(slow.url())
        await bench.project(*[bench.stream.opened(wallet_in(1)) for _ in range(20)])
        await slow.wait_for(2)
        healthy = await bench.client.endpoint(quick.url())
        await bench.project(*[bench.stream.opened(wallet_in(2)) for _ in range(20)])

        await bench.client.until(20, endpoint_id=healthy["id"], status="delivered")
        assert len(slow.posts) == 2, "its share is used up, and no more"
        assert len(await bench.client.deliveries(endpoint_id=dead["id"], status="pending")) == 40


async def test_filters_choose_types_and_wallets(bench: Bench) -> None:
    one, other = wallet_in(1), wallet_in(2)
    async with receiving() as receiver:
        endpoints = {
            name: (await bench.client.endpoint(receiver.url(), **wanted))["id"]
            for name, wanted in {
                "all": {},
                "openings": {"event_types": ["wallet.opened.v1"]},
                "one": {"wallet_ids": [str(one)]},
                "deposits of the other": {"event_types": ["wallet.funds_deposited.v1"], "wallet_ids": [str(other)]},
            }.items()
        }
    await bench.project(bench.stream.opened(one), bench.stream.opened(other))
    await bench.project(*bench.stream.deposit(one), *bench.stream.deposit(other))

    counts = {name: len(await bench.client.deliveries(endpoint_id=each)) for name, each in endpoints.items()}
    assert counts == {"all": 4, "openings": 2, "one": 2, "deposits of the other": 1}


async def test_a_pause_gathers_and_a_resumption_delivers(bench: Bench) -> None:
    async with receiving() as receiver, bench.worker():
        endpoint = await bench.client.endpoint(receiver.url())
        other = await bench.client.endpoint(receiver.url("/other"))
        assert (await bench.client.post(f"webhook-endpoints/{endpoint['id']}/pause")).json()["status"] == "paused"
        await opened(bench)
        await bench.client.until(1, endpoint_id=other["id"], status="delivered")
        (waiting,) = await bench.client.deliveries(endpoint_id=endpoint["id"])
        assert (waiting["status"], waiting["attempt_count"]) == ("pending", 0)

        await bench.client.post(f"webhook-endpoints/{endpoint['id']}/resume")
        await bench.client.until(1, endpoint_id=endpoint["id"], status="delivered")


async def test_both_secrets_sign_until_the_old_one_expires(make_bench: MakeBench) -> None:
    async with make_bench() as bench, receiving() as receiver, bench.worker():
        endpoint = await bench.client.endpoint(receiver.url())
        rotated = await bench.client.post(f"webhook-endpoints/{endpoint['id']}/rotate-secret", key="rotate")
        again = await bench.client.post(f"webhook-endpoints/{endpoint['id']}/rotate-secret", key="rotate")
        secret = rotated.json()["secret"]
        assert again.json() == {**rotated.json(), "secret": None}
        assert again.headers["idempotency-replayed"] == "true"

        await opened(bench)
        (post,) = await receiver.wait_for(1)
        signatures = [signatures_of(post, each)[0] for each in (secret, endpoint["secret"])]
        assert signatures_of(post, secret)[1] == signatures

        async with bench.pool.connection() as connection:  # the overlap is over
            await connection.execute(
                "UPDATE notifications.endpoint_secret SET expires_at = now() WHERE expires_at IS NOT NULL"
            )
        await opened(bench, 5)
        post = (await receiver.wait_for(2))[1]
        assert signatures_of(post, secret)[1] == [signatures_of(post, secret)[0]]


async def test_a_test_message_is_a_delivery(bench: Bench) -> None:
    async with receiving() as receiver, bench.worker():
        endpoint = await bench.client.endpoint(receiver.url())
        sent = await bench.client.post(f"webhook-endpoints/{endpoint['id']}/test")
        (post,) = await receiver.wait_for(1)
        (delivery,) = await bench.client.until(1, status="delivered")

    assert (sent.status_code, sent.headers["location"]) == (201, f"/v1/deliveries/{delivery['id']}")
    assert json.loads(post.body)["type"] == delivery["type"] == "webhook.test"
    assert (post.webhook_id, delivery["event_id"], delivery["wallet_id"]) == (delivery["webhook_id"], None, None)
    expected, given = signatures_of(post, endpoint["secret"])
    assert given == [expected]


async def test_one_delivery_is_sent_again_under_its_id(bench: Bench) -> None:
    async with receiving() as receiver, bench.worker():
        await bench.client.endpoint(receiver.url())
        await opened(bench)
        (delivery,) = await bench.client.until(1, status="delivered")
        again = await bench.client.post(f"deliveries/{delivery['id']}/resend")
        await receiver.wait_for(2)
        await bench.client.until(1, status="delivered")

    assert (again.status_code, again.json()["status"]) == (200, "pending")
    assert receiver.ids() == [delivery["webhook_id"]] * 2


async def test_what_failed_is_recovered(bench: Bench) -> None:
    async with receiving(lambda _post: Reply(500)) as receiver, bench.worker():
        endpoint = await bench.client.endpoint(receiver.url())
        for shard in range(3):
            await opened(bench, shard)
        await bench.client.until(3, status="exhausted")
        receiver.answer = lambda _post: Reply()
        path = f"webhook-endpoints/{endpoint['id']}/recover"
        later = await bench.client.post(path, {"since": "2100-01-01T00:00:00Z"})
        recovered = await bench.client.post(path, {"since": "2020-01-01T00:00:00Z"})
        await bench.client.until(3, status="delivered")

    assert later.json() == {"recovered": 0, "has_more": False}
    assert recovered.json() == {"recovered": 3, "has_more": False}


async def test_deleting_cancels_what_waits(bench: Bench) -> None:
    async with receiving() as receiver:
        endpoint = await bench.client.endpoint(receiver.url())
    await opened(bench)
    deleted = await bench.client.http.delete(f"/v1/webhook-endpoints/{endpoint['id']}")
    await opened(bench, 4)

    assert deleted.status_code == 204
    assert [each["status"] for each in await bench.client.deliveries()] == ["cancelled"]
    assert (await bench.client.get(f"webhook-endpoints/{endpoint['id']}")).status_code == 404


async def test_an_endpoint_is_told_nothing_from_before_its_time(bench: Bench) -> None:
    wallet = await opened(bench)
    async with receiving() as receiver:
        await bench.client.endpoint(receiver.url())
    async with bench.pool.connection() as connection:  # the topic is read from its start once more
        await connection.execute("UPDATE servicekit.checkpoint SET last_seq = 0, last_event_id = NULL")
    stream, bench.stream = bench.stream, type(bench.stream)()

    await bench.project(bench.stream.opened(wallet))
    assert await bench.client.deliveries() == []

    await bench.project(stream.deposited(wallet))
    assert [each["type"] for each in await bench.client.deliveries()] == ["wallet.funds_deposited.v1"]


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


async def test_a_worker_counts_what_it_does(bench: Bench) -> None:
    registry = CollectorRegistry()
    receiver: Receiver
    async with receiving(in_turn(Reply(500), Reply())) as receiver, bench.worker(registry=registry):
        await bench.client.endpoint(receiver.url())
        await opened(bench)
        await bench.client.until(1, status="delivered")

    counted = {
        outcome: registry.get_sample_value("webhook_attempts_total", {"outcome": outcome})
        for outcome in ("delivered", "server_error", "timeout")
    }
    assert counted == {"delivered": 1, "server_error": 1, "timeout": 0}
    assert registry.get_sample_value("webhook_endpoints", {"status": "active"}) is not None


async def test_an_attempt_that_hangs_does_not_hold_the_end_up(make_bench: MakeBench) -> None:
    async with (
        make_bench(notifications_lease_s=120.0, notifications_attempt_timeout_s=60.0) as bench,
        receiving(lambda _post: Reply(hangs=True)) as receiver,
    ):
        async with bench.worker():
            await bench.client.endpoint(receiver.url())
            await opened(bench)
            await receiver.wait_for(1)
        (delivery,) = await bench.client.deliveries()
        (attempt,) = await bench.client.attempts(delivery["id"])

    assert (delivery["status"], attempt["outcome"]) == ("pending", "unknown")


async def test_a_response_outlives_the_connections_it_is_settled_on(bench: Bench, database: Database) -> None:
    held = asyncio.Event()
    async with receiving(lambda _post: Reply(after=held)) as receiver, bench.worker():
        await bench.client.endpoint(receiver.url())
        await opened(bench)
        await receiver.wait_for(1)
        admin = await asyncpg.connect(database.dsn_admin)
        await admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1 AND pid <> pg_backend_pid()",
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
