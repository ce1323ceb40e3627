"""Hostile receivers of webhooks beside a sound one."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from tests.chaos.judge.inbox import sound
from tests.chaos.load.webhooks import all_sent, subscribe
from tests.chaos.platform.product import ATTEMPT_TIMEOUT_S, WEBHOOKS, WORKERS
from tests.chaos.run import Bite, Fault, Run

from testkit import receiver
from testkit.receiver import Reply

REACHED_WITHIN_S = 40.0
HOSTILE_S = 15.0
ENDPOINT_ATTEMPTS = 4
ISOLATED_S_MAX = float(ATTEMPT_TIMEOUT_S)
"""Who waited for a receiver that hangs would wait longer."""
POLL_S = 0.1
SOUND = "/sound"
REPLIES: Mapping[str, Reply] = {
    "/error": Reply(500),
    "/hang": Reply(hangs=True),
    "/redirect": Reply(302, {"location": "/inner"}),
    "/gone": Reply(410),
}
_WAITED = """
    select coalesce(percentile_cont(0.95) within group (
        order by extract(epoch from coalesce(delivered_at, now()) - created_at)), 0)::float8
    from notifications.delivery where endpoint_id = $1"""
_DELIVERED = "select count(*) from notifications.delivery where endpoint_id = $1 and status = 'delivered'"
_STATUS = "select status || ' ' || coalesce(disabled_reason, '') from notifications.endpoint where id = $1"


@asynccontextmanager
async def hostile(run: Run) -> AsyncIterator[None]:
    """Have a receiver with a sound endpoint and four hostile ones, for different wallets."""
    wallets = iter(run.bank.wallets[4:])
    async with receiver.receiving(run.inbox.answer) as server:
        await subscribe(run, SOUND, server.port, wallets=[next(wallets) for _ in range(6)], answer=_at_once)
        for path in REPLIES:
            own = [next(wallets) for _ in range(3)]
            await subscribe(run, path, server.port, wallets=own, answer=_hostile, is_gone=path == "/gone")
        yield


def _at_once(_post: receiver.Post) -> Reply:
    return Reply()


def _hostile(post: receiver.Post) -> Reply:
    return REPLIES[post.path]


async def bear_hostility(run: Run) -> Bite:
    """F27: while others fail, hang, redirect inwards or are gone, the sound endpoint is served; then they mend."""
    async with asyncio.timeout(REACHED_WITHIN_S):
        while not all(run.inbox.came(path) for path in REPLIES):  # noqa: ASYNC110  in other processes
            await asyncio.sleep(POLL_S)
    begun_s = time.monotonic()
    await asyncio.sleep(HOSTILE_S)
    hung = run.inbox.came("/hang")
    elapsed_s = time.monotonic() - begun_s
    waited_s, delivered = await _fetch(run, SOUND, _WAITED), await _fetch(run, SOUND, _DELIVERED)
    breaches = _breaches(run, waited_s=waited_s, delivered=delivered, hung=hung, elapsed_s=elapsed_s)
    if (status := await _fetch(run, "/gone", _STATUS)) != "disabled gone":
        breaches.append(f"the endpoint that is gone is {status}")
    came = {path: run.inbox.came(path) for path in REPLIES}
    mended_s = time.monotonic()
    for path in REPLIES.keys() - {"/gone"}:
        run.inbox.change(path, sound)
    what = f"{', '.join(f'{count} to {path}' for path, count in came.items())}; {delivered} to the sound one within "
    return Bite(
        what=f"{what}{waited_s:.2f} s (95 of 100)", count=min(came.values()), recovery_s=mended_s, breaches=breaches
    )


def _breaches(run: Run, *, waited_s: float, delivered: int, hung: int, elapsed_s: float) -> list[str]:
    hung_max = 2 * ENDPOINT_ATTEMPTS + elapsed_s / ATTEMPT_TIMEOUT_S
    found = {
        f"the sound endpoint waited {waited_s:.1f} s": waited_s > ISOLATED_S_MAX,
        "the sound endpoint got nothing": delivered == 0,
        f"{hung} posts to the endpoint that hangs in {elapsed_s:.0f} s": hung > hung_max,
        f"{len(run.inbox.strays)} redirects were followed": bool(run.inbox.strays),
    }
    return [what for what, is_so in found.items() if is_so]


async def _fetch(run: Run, path: str, statement: str) -> Any:
    async with run.platform.connections() as connections:
        return await connections["notifications"].fetchval(statement, run.inbox.endpoint_of(path))


async def see_them_mend(run: Run, bite: Bite) -> None:
    """F27, afterwards: who has mended gets all that was kept."""
    await all_sent(run)
    bite.recovery_s = time.monotonic() - bite.recovery_s


FAULTS = (
    Fault(
        id="F27",
        title="hostile receivers",
        inflict=bear_hostility,
        settle=see_them_mend,
        beside=hostile,
        also=WEBHOOKS | WORKERS,
        env={"NOTIFICATIONS_ENDPOINT_ATTEMPTS": str(ENDPOINT_ATTEMPTS), "NOTIFICATIONS_WORKER_ATTEMPTS": "16"},
    ),
)
