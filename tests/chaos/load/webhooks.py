"""Endpoints of a run, and waiting for what is sent to them."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

from tests.chaos.judge import observe
from tests.chaos.judge.draining import caught_up
from tests.chaos.judge.inbox import sound
from tests.chaos.judge.observed import Endpoint
from tests.chaos.load.client import HttpClient
from tests.chaos.run import Run

from engines.ports import LOOPBACK
from testkit import receiver

DELIVERED_WITHIN_S = 90.0
POLL_S = 0.1
CREATED = 201
DISCARD_PORT = 9
_WAITING = """
    select count(*) from notifications.delivery as d join notifications.endpoint as e on e.id = d.endpoint_id
    where d.status = 'pending' and e.status = 'active'"""


@asynccontextmanager
async def subscribed(run: Run) -> AsyncIterator[None]:
    """Have an endpoint for every wallet, and nobody who sends to it."""
    await subscribe(run, "/all", DISCARD_PORT)
    yield


@asynccontextmanager
async def received(run: Run) -> AsyncIterator[None]:
    """Have a receiver with two endpoints, each for some of the cooler wallets: workers are to keep up."""
    async with receiver.receiving(run.inbox.answer) as server:
        await subscribe(run, "/few", server.port, wallets=run.bank.wallets[4:8])
        await subscribe(run, "/more", server.port, wallets=run.bank.wallets[6:12])
        yield


async def subscribe(
    run: Run,
    path: str,
    port: int,
    *,
    wallets: Sequence[str] = (),
    answer: Callable[[receiver.Post], receiver.Reply] = sound,
    is_gone: bool = False,
) -> None:
    """Create an endpoint while nothing happens, so that what it is owed begins just behind what there is."""
    (consumer,) = (each for each in run.platform.consumers if each.service == "notifications")
    http = HttpClient(run.platform.port("webhooks-api"))
    async with run.platform.connections() as connections:
        await caught_up(connections, consumer)
        since = await observe.heads(connections, consumer)
    body = {"url": f"http://{LOOPBACK}:{port}{path}", "wallet_ids": list(wallets)}
    made = await http.request("POST", "/v1/webhook-endpoints", body, key=f"endpoint-{path}")
    http.close()
    assert made.status == CREATED, made.body
    told = made.json()
    endpoint = Endpoint(id=told["id"], since=since, wallets=frozenset(wallets), is_gone=is_gone)
    run.inbox.expect(path, endpoint, told["secret"], answer)


async def all_sent(run: Run) -> float:
    """Wait until no delivery to an active endpoint is pending; return the seconds."""
    began_s = time.monotonic()
    async with run.platform.connections() as connections, asyncio.timeout(DELIVERED_WITHIN_S):
        while await connections["notifications"].fetchval(_WAITING):  # noqa: ASYNC110  in other processes
            await asyncio.sleep(POLL_S)
    return time.monotonic() - began_s
