"""From an event to a receiver, on a real database: what is sent, what is repeated, what is not."""

import base64
import hashlib
import hmac
import json

import pytest

from testkit.events import wallet_in
from testkit.receiver import Post, Reply, receiving

pytestmark = pytest.mark.integration


def signatures_of(post: Post, secret: str) -> tuple[str, list[str]]:
    """Return the signature that the specification asks for, and those that came."""
    signed = b".".join([post.webhook_id.encode(), post.headers["webhook-timestamp"].encode(), post.body])
    key = base64.b64decode(secret.removeprefix("whsec_"))
    expected = "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    return expected, post.headers["webhook-signature"].split(" ")


async def test_an_event_is_delivered_signed(bench) -> None:
    wallet = wallet_in(3)
    async with receiving() as receiver, bench.worker():
        endpoint = await bench.endpoint(receiver.url())
        opened, (entry, system_entry) = bench.stream.opened(wallet), bench.stream.deposit(wallet, 1_234)
        await bench.project(opened, entry, system_entry)

        posts = {post.webhook_id: post for post in await receiver.wait_for(2)}
        delivered = await bench.settled(2)

    assert set(posts) == {f"msg_{opened.event_id}", f"msg_{entry.event_id}"}
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
    assert len(await bench.deliveries()) == len(delivered) == 2
    (attempt,) = await bench.attempts(delivered[0]["id"])
    assert (attempt["outcome"], attempt["status_code"], attempt["response_head"]) == ("delivered", 200, "ok")
