"""Faults of delivery: every record several times, then all of them again."""

import asyncio
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

import asyncpg
from tests.chaos.faults.replay import deliver_from_start, fresh_databases, hashes
from tests.chaos.judge import observe
from tests.chaos.judge.draining import POLL_S
from tests.chaos.load.webhooks import subscribed
from tests.chaos.platform.broker import produce
from tests.chaos.platform.product import FRAUD, INDEXER, WEBHOOKS, Consumer
from tests.chaos.run import Bite, Fault, Run

from contracts.topics import ACCESS_EVENTS, Topic

if TYPE_CHECKING:
    from aiokafka import ConsumerRecord

REACHED_WITHIN_S = 30.0
DECISIONS_MIN = 10
_SETTLED = "select count(*) from wallet.settled_decision"
_APPLIED = "select count(*) from wallet.settled_decision where disposition = 'applied'"


async def copy_events(run: Run) -> Bite:
    """F16, under load: every record that is there is delivered two more times, in order or each one thrice at once."""
    await _decided(run)
    bitten_s = time.monotonic()
    told = [topic for topic in run.platform.topics if topic != ACCESS_EVENTS]  # nobody changes identities here
    copied = [await _copy(run, topic) for topic in told]
    recovery_s = await run.recovery_s(bitten_s)
    counts = ", ".join(f"{count} of {topic.name}" for topic, count in zip(told, copied, strict=True))
    return Bite(what=f"records three times: {counts}", count=min(copied), recovery_s=recovery_s)


async def _decided(run: Run) -> None:
    """Wait until there are decisions to be repeated, such as restrict among them."""
    async with run.platform.connections() as connections, asyncio.timeout(REACHED_WITHIN_S):
        while not await _has_enough(connections["wallet"]):  # noqa: ASYNC110  in other processes
            await asyncio.sleep(POLL_S)


async def _has_enough(wallet: asyncpg.Connection) -> bool:
    settled, applied = await wallet.fetchval(_SETTLED), await wallet.fetchval(_APPLIED)
    return bool(settled >= DECISIONS_MIN and applied)


async def _copy(run: Run, topic: Topic) -> int:
    raw = await observe.raw_records(run.platform.kafka.bootstrap_servers, topic.name, topic.partitions)
    await produce(run, _copies(raw, each_at_once=bool(run.seed % 2)))
    return len(raw)


def _copies(
    raw: "Sequence[ConsumerRecord[bytes, bytes]]", *, each_at_once: bool
) -> "Sequence[ConsumerRecord[bytes, bytes]]":
    return [record for record in raw for _ in range(2)] if each_at_once else [*raw, *raw]


async def replay_events(run: Run, bite: Bite) -> None:
    """F16, afterwards: every topic again, then once more as if nothing was known of the first time; the hashes stay."""
    consumers = run.platform.consumers
    before = await hashes(run, consumers)
    await deliver_from_start(run, consumers)
    bite.breaches += _differences("a redelivery changed", consumers, before, await hashes(run, consumers))
    await _rebuild(run, bite)
    kept = [each for each in consumers if not each.rebuildable]
    await deliver_from_start(run, kept, forgetful=True)
    bite.breaches += _differences("without its checkpoints changes", consumers, before, await hashes(run, consumers))
    names = ", ".join(each.group for each in consumers)
    bite.what += f"; then all from the start, twice, to {names}"


async def _rebuild(run: Run, bite: Bite) -> None:
    """Have what can be rebuilt read all into fresh databases."""
    consumers = [each for each in run.platform.consumers if each.rebuildable]
    before = await hashes(run, consumers)
    async with fresh_databases(run, consumers):
        await deliver_from_start(run, consumers)
        bite.breaches += _differences("a rebuild differs", consumers, before, await hashes(run, consumers))


def _differences(what: str, consumers: Sequence[Consumer], before: Sequence[str], after: Sequence[str]) -> list[str]:
    pairs = zip(consumers, before, after, strict=True)
    return [f"{what}: {consumer.group}" for consumer, one, other in pairs if one != other]


FAULTS = (
    Fault(
        id="F16",
        title="every event three times, then all again",
        inflict=copy_events,
        settle=replay_events,
        beside=subscribed,
        also=WEBHOOKS | FRAUD | INDEXER,
    ),
)
