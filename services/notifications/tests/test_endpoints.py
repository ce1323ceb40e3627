"""What becomes of an endpoint, and what it is sent then, on a real database."""

import json
from uuid import UUID

import msgspec
import pytest

from contracts.notices import EndpointDisabled
from testkit.access import principal_of
from testkit.events import wallet_in
from testkit.notifications_api import Bench, Json, MakeBench
from testkit.receiver import Reply, receiving, signatures_of

pytestmark = pytest.mark.integration

ANOTHER = UUID("01900000-0000-7000-8000-00000000beef")
"""A tenant that is not the one who asks by default."""


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


async def test_an_endpoint_is_told_nothing_from_before_its_time(bench: Bench) -> None:
    wallet = await bench.open_wallet()
    async with receiving() as receiver:
        await bench.client.endpoint(receiver.url())
    async with bench.pool.connection() as connection:  # the topic is read from its start once more
        await connection.execute("update servicekit.checkpoint set last_seq = 0, last_event_id = null")
    stream, bench.stream = bench.stream, type(bench.stream)()

    await bench.project(bench.stream.opened(wallet))
    assert await bench.client.deliveries() == []

    await bench.project(stream.deposited(wallet))
    assert [each["type"] for each in await bench.client.deliveries()] == ["wallet.funds_deposited.v1"]


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


async def test_a_tenant_of_hanging_endpoints_leaves_slots_to_another(make_bench: MakeBench) -> None:
    async with (
        make_bench(notifications_worker_attempts=16, notifications_endpoint_attempts=4) as bench,
        make_bench(principal_of(tenant_id=ANOTHER)) as other,
        receiving(lambda _post: Reply(hangs=True)) as slow,
        receiving() as quick,
        bench.worker(notifications_attempt_timeout_s=60.0, notifications_lease_s=120.0),
    ):
        for _ in range(8):
            await bench.client.endpoint(slow.url())
        await bench.project(*[bench.stream.opened(wallet_in(1)) for _ in range(5)])
        await slow.wait_for(14)
        healthy = await other.client.endpoint(quick.url())
        events = [bench.stream.opened(wallet_in(2)) for _ in range(20)]
        await bench.project(*[msgspec.structs.replace(event, tenant_id=ANOTHER) for event in events])

        await other.client.until(20, endpoint_id=healthy["id"], status="delivered")
        assert len(slow.posts) == 14, "the last slots were kept for whoever comes"


async def test_gone_disables_the_endpoint(bench: Bench) -> None:
    async with receiving(lambda _post: Reply(410)) as receiver, bench.worker():
        endpoint = await bench.client.endpoint(receiver.url())
        await bench.open_wallet()
        now = await bench.client.endpoint_until(endpoint["id"], "disabled")
        assert now["disabled_reason"] == "gone"
        assert await bench.published() == [EndpointDisabled(endpoint_id=endpoint["id"], reason="gone")]
        await bench.open_wallet(4)
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
        await bench.open_wallet()
        now = await bench.client.endpoint_until(endpoint["id"], "disabled")

    assert now["disabled_reason"] == "failing"
    assert await bench.published() == [EndpointDisabled(endpoint_id=endpoint["id"], reason="failing")]


async def test_a_pause_gathers_and_a_resumption_delivers(bench: Bench) -> None:
    async with receiving() as receiver, bench.worker():
        endpoint = await bench.client.endpoint(receiver.url())
        other = await bench.client.endpoint(receiver.url("/other"))
        assert (await bench.client.post(f"webhook-endpoints/{endpoint['id']}/pause")).json()["status"] == "paused"
        await bench.open_wallet()
        await bench.client.until(1, endpoint_id=other["id"], status="delivered")
        (waiting,) = await bench.client.deliveries(endpoint_id=endpoint["id"])
        assert (waiting["status"], waiting["attempt_count"]) == ("pending", 0)

        await bench.client.post(f"webhook-endpoints/{endpoint['id']}/resume")
        await bench.client.until(1, endpoint_id=endpoint["id"], status="delivered")


async def failing(bench: Bench) -> Json:
    """Return an endpoint that has failed since an hour ago."""
    endpoint = await bench.client.endpoint("http://127.0.0.1:9/")
    async with bench.pool.connection() as connection:
        await connection.execute("update notifications.endpoint set failing_since = now() - interval '1 hour'")
    return await bench.client.endpoint_now(endpoint["id"])


async def test_a_resumption_of_an_active_endpoint_changes_nothing(bench: Bench) -> None:
    endpoint = await failing(bench)
    resumed = await bench.client.post(f"webhook-endpoints/{endpoint['id']}/resume")

    assert resumed.json() == endpoint == await bench.client.endpoint_now(endpoint["id"])
    assert endpoint["failing_since"] is not None


async def test_a_pause_does_not_make_a_failing_endpoint_sound(bench: Bench) -> None:
    endpoint = await failing(bench)
    await bench.client.post(f"webhook-endpoints/{endpoint['id']}/pause")
    resumed = (await bench.client.post(f"webhook-endpoints/{endpoint['id']}/resume")).json()

    assert resumed["failing_since"] > endpoint["failing_since"], "the time it stood still does not count"


async def test_tests_recoveries_and_resumptions_are_paced(bench: Bench) -> None:
    endpoint, sound = await failing(bench), await bench.client.endpoint("http://127.0.0.1:9/")
    path = f"webhook-endpoints/{endpoint['id']}"
    for _ in range(5):
        assert (await bench.client.post(f"{path}/test")).status_code == 201
        assert (await bench.client.post(f"{path}/resume")).status_code == 200
    for command, body in (("test", None), ("resume", None), ("recover", {"since": "2020-01-01T00:00:00Z"})):
        refused = await bench.client.post(f"{path}/{command}", body, key=f"refused-{command}")
        assert (refused.status_code, refused.json()["code"]) == (429, "rate_limited")
        assert 1 <= int(refused.headers["retry-after"]) == refused.json()["retry_after_s"] <= 6
    assert len(await bench.client.deliveries(event_type="webhook.test")) == 5
    assert (await bench.client.post(f"webhook-endpoints/{sound['id']}/test")).status_code == 201

    async with bench.pool.connection() as connection:  # time passes
        await connection.execute("update notifications.endpoint set paid_until = paid_until - interval '6 seconds'")
    assert (await bench.client.post(f"{path}/test", key="refused-test")).status_code == 201, "the key is still free"


async def test_what_failed_is_recovered(bench: Bench) -> None:
    async with receiving(lambda _post: Reply(500)) as receiver, bench.worker():
        endpoint = await bench.client.endpoint(receiver.url())
        for shard in range(3):
            await bench.open_wallet(shard)
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
    await bench.open_wallet()
    deleted = await bench.client.http.delete(f"/v1/webhook-endpoints/{endpoint['id']}")
    await bench.open_wallet(4)

    assert deleted.status_code == 204
    assert [each["status"] for each in await bench.client.deliveries()] == ["cancelled"]
    assert (await bench.client.get(f"webhook-endpoints/{endpoint['id']}")).status_code == 404


async def test_both_secrets_sign_until_the_old_one_expires(make_bench: MakeBench) -> None:
    async with make_bench() as bench, receiving() as receiver, bench.worker():
        endpoint = await bench.client.endpoint(receiver.url())
        rotated = await bench.client.post(f"webhook-endpoints/{endpoint['id']}/rotate-secret", key="rotate")
        again = await bench.client.post(f"webhook-endpoints/{endpoint['id']}/rotate-secret", key="rotate")
        secret = rotated.json()["secret"]
        assert again.json() == {**rotated.json(), "secret": None}
        assert again.headers["idempotency-replayed"] == "true"

        await bench.open_wallet()
        (post,) = await receiver.wait_for(1)
        signatures = [signatures_of(post, each)[0] for each in (secret, endpoint["secret"])]
        assert signatures_of(post, secret)[1] == signatures

        async with bench.pool.connection() as connection:  # the overlap is over
            await connection.execute(
                "update notifications.endpoint_secret set expires_at = now() where expires_at is not null"
            )
        await bench.open_wallet(5)
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
