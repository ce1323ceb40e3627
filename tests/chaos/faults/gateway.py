"""An instance that dies behind the gateway, and a gateway that is reloaded and dies: clients are told of neither."""

import asyncio
import functools
import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Final

from tests.chaos.load.client import HttpClient, Response, Unanswered
from tests.chaos.load.exchanges import LOST, Exchange, timed
from tests.chaos.load.history import is_definite
from tests.chaos.load.workload import Client
from tests.chaos.platform.product import APIS
from tests.chaos.run import Bite, Fault, Run

from engines.ports import LOOPBACK, free_ports
from gateway.engine import Gateway
from gateway.rendering import Behind

PER_S: Final = 400
SECONDS: Final = 11.0
CALM_S: Final = 3.0
CONNECTIONS: Final = 40
KILLS: Final = 2
RELOADS: Final = 18
GONE_S: Final = 1.0
NOTICED_S: Final = 2 * CONNECTIONS / PER_S
"""By then each client has sent again, and so noticed that its connection died with the gateway."""
DIED: Final = LOST - {"ConnectionRefusedError"}
"""What a client meets that sends on a connection whose other end is gone."""
TRIED_AGAIN_S: Final = 2.5
"""After so long the gateway has asked an instance again that had failed."""


@asynccontextmanager
async def standing(run: Run) -> AsyncIterator[Gateway]:
    """Give a gateway in front of both instances, and end it afterwards."""
    (port,) = free_ports(1)
    addresses = [f"{LOOPBACK}:{each}" for each in run.platform.api_ports]
    gateway = Gateway(
        folder=run.platform.folder / "gateway",
        port=port,
        log=run.platform.folder / "gateway.log",
        behind=Behind(port=port, apis={"wallet": addresses}),
    )
    await run.platform.site.keep(gateway.start)
    try:
        yield gateway
    finally:
        await run.platform.site.keep(gateway.stop)


@dataclass
class Deposits:
    """PER_S deposits a second through the gateway, for as long as SECONDS: what each first try came to."""

    run: Run
    port: int
    tries: list[Exchange] = field(default_factory=list)

    async def send(self) -> None:
        """Send them, at their times whatever became of those before; one that failed is repeated with its key."""
        began_s = time.monotonic()
        await asyncio.gather(*(self._send_from(place, began_s) for place in range(CONNECTIONS)))

    async def _send_from(self, place: int, began_s: float) -> None:
        http = HttpClient(self.port)
        interval_s = CONNECTIONS / PER_S
        try:
            for number in range(round(SECONDS / interval_s)):
                due_s = began_s + place / PER_S + number * interval_s
                await asyncio.sleep(max(0.0, due_s - time.monotonic()))
                await self._deposit(http)
        finally:
            http.close()

    async def _deposit(self, http: HttpClient) -> None:
        bank = self.run.bank
        command = bank.deposit(self.run.chance.choice(bank.wallets), 1)
        answer: Response | None = None
        try:
            answer = await timed(http, self.tries, command.method, command.path, command.body, key=command.key)
        except Unanswered:
            bank.history.unanswered += 1
        if answer is not None and is_definite(answer):
            bank.history.settle(command, answer, attempts=1)
            return
        client = Client(bank, self.run.chance, port=self.port)
        await client.settle(command)
        client.close()

    def failed(self, *, gone: tuple[float, float] = (0.0, 0.0)) -> Counter[str]:
        """Return what the tries that failed were told, but for those that the gateway's absence *gone* explains.

        Those were under way in it, or were sent soon after it on a connection that had died in it.
        """
        noticing = (gone[1], gone[1] + NOTICED_S)
        lost = (
            each
            for each in self.tries
            if not each.is_done
            and not each.overlaps(*gone)
            and not (each.told in DIED and noticing[0] <= each.began_s <= noticing[1])
        )
        return Counter(f"{each.status or ''} {each.told}".strip() for each in lost)

    def p99_ms(self, from_s: float, to_s: float) -> float:
        """Return what all but a hundredth of the tries begun in that time took at most."""
        took_s = sorted(each.seconds for each in self.tries if from_s <= each.began_s < to_s)
        return took_s[int(len(took_s) * 0.99)] * 1e3


async def _under_deposits(
    run: Run, gateway: Gateway, trouble: Callable[[], Awaitable[None]]
) -> tuple[Deposits, dict[str, float]]:
    """Have *trouble* CALM_S after deposits began to come through *gateway*; return them and how fast they went."""
    deposits = Deposits(run, gateway.port)
    began_s = time.monotonic()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(deposits.send())
        await asyncio.sleep(CALM_S)
        await trouble()
    calm_ms = deposits.p99_ms(began_s, began_s + CALM_S)
    then_ms = deposits.p99_ms(began_s + CALM_S, time.monotonic())
    return deposits, {"p99_ms": round(then_ms, 1), "calm_p99_ms": round(calm_ms, 1)}


def _speed(figures: dict[str, float]) -> str:
    return f"p99 {figures['p99_ms']:.0f} ms, before {figures['calm_p99_ms']:.0f} ms"


async def kill_behind_gateway(run: Run) -> Bite:
    """F58: an instance is killed, twice, while 400 deposits a second come through the gateway."""

    async def kill_and_start() -> None:
        for name in (run.chance.choice(APIS) for _ in range(KILLS)):
            await run.platform.kill(name)
            await asyncio.sleep(GONE_S)
            await run.platform.start(name)
            await asyncio.sleep(TRIED_AGAIN_S)

    async with standing(run) as gateway:
        deposits, figures = await _under_deposits(run, gateway, kill_and_start)
        recovery_s = await run.recovery_s(time.monotonic())
    again = _sent_again(gateway)
    failed = deposits.failed()
    return Bite(
        what=f"{KILLS} kills, {len(deposits.tries)} deposits, {again} sent to another instance, failed: "
        f"{failed.total()}; {_speed(figures)}",
        figures={**figures, "requests": len(deposits.tries), "failed": failed.total(), "retried": again},
        count=again,
        recovery_s=recovery_s,
        breaches=[f"{count} were answered {told}" for told, count in failed.items()],
    )


def _sent_again(gateway: Gateway) -> int:
    """Return how many requests had two instances. The log is whole: the gateway has ended."""
    lines = gateway.requests_log.read_text().splitlines()
    return sum("," in json.loads(line)["upstreams"] for line in lines)


async def reload_and_kill_gateway(run: Run) -> Bite:
    """F59: under 400 deposits a second the gateway is reloaded 18 times, to one instance and back, and then killed."""
    gone = (0.0, 0.0)
    slowest = 0.0

    async def reload_and_kill() -> None:
        nonlocal gone, slowest
        keep = run.platform.site.keep
        for number in range(RELOADS):
            only = f"{LOOPBACK}:{run.platform.api_ports[number % len(APIS)]}"
            switched_s = time.monotonic()
            await keep(functools.partial(gateway.switch, replace(gateway.behind, apis={"wallet": [only]})))
            slowest = max(slowest, round(time.monotonic() - switched_s, 2))
        began_s = time.monotonic()
        await keep(gateway.kill)
        await keep(gateway.start)
        gone = (began_s, time.monotonic())

    async with standing(run) as gateway:
        deposits, figures = await _under_deposits(run, gateway, reload_and_kill)
        recovery_s = await run.recovery_s(gone[1])
    failed = deposits.failed(gone=gone)
    lost = deposits.failed().total() - failed.total()
    return Bite(
        what=f"{RELOADS} reloads and a kill, {len(deposits.tries)} deposits, {lost} lost while it was away for "
        f"{gone[1] - gone[0]:.1f} s, failed otherwise: {failed.total()}; {_speed(figures)}",
        figures={
            **figures,
            "requests": len(deposits.tries),
            "failed": failed.total(),
            "lost": lost,
            "switch_s": slowest,
        },
        count=lost,
        recovery_s=recovery_s,
        breaches=[f"{count} were answered {told}" for told, count in failed.items()],
    )


FAULTS = (
    Fault(id="F58", title="an instance killed behind the gateway", inflict=kill_behind_gateway, clients=2),
    Fault(id="F59", title="the gateway reloaded, and killed", inflict=reload_and_kill_gateway, clients=2),
)
