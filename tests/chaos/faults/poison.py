"""Faults of the records' contents: such as a projection cannot take."""

import asyncio
import json
import time
from collections.abc import Iterable, Mapping, Sequence

from tests.chaos.faults.replay import deliver_from_start, fresh_databases
from tests.chaos.judge import observe
from tests.chaos.judge.draining import POLL_S, drained, reached
from tests.chaos.load.client import HttpClient
from tests.chaos.load.webhooks import subscribed
from tests.chaos.platform.gate import POISON
from tests.chaos.platform.platform import Connections
from tests.chaos.platform.product import FRAUD, HISTORY, INDEX, INDEXER, WEBHOOKS, Consumer
from tests.chaos.run import Bite, Fault, Run

REACHED_WITHIN_S = 60.0
EVENT_POISONS = ("json", "type", "version", "crash")
INDEX_POISONS = ("json", "type", "crash")
"""It takes entries as they come, whatever their versions."""
DECISION_POISONS = ("json", "type")
Victims = Mapping[str, str]
"""Wallets, and how their events are spoilt."""
_PARKED = "select subject::text as id from servicekit.parked_subject where projection = $1"


async def poison_wallets(run: Run) -> Bite:
    """F18: consumers that cannot take some wallets' events, each for a reason of its own; then sound ones.

    The read model's victims are unparked under load, the others after it.
    """
    victims = _victims(run)
    bitten_s = time.monotonic()
    await _restart(run, {group: {POISON: json.dumps(spoilt)} for group, spoilt in victims.items()}, gated=True)
    await asyncio.gather(*(_parked(run, each, victims[each.group]) for each in run.platform.consumers))
    breaches = await _others_flow(run, victims) + await _reads_tell(run, victims[HISTORY.group])
    await _restart(run, {each.group: {} for each in run.platform.consumers})
    await _unpark(run, HISTORY, victims[HISTORY.group])
    recovery_s = await run.recovery_s(bitten_s)
    parked = {group: len(wallets) for group, wallets in victims.items()}
    what = f"wallets parked: {', '.join(f'{count} by {group}' for group, count in parked.items())}; the others flowed"
    return Bite(what=what, count=min(parked.values()), recovery_s=recovery_s, breaches=breaches)


def _victims(run: Run) -> dict[str, Victims]:
    """Choose each consumer's own victims, none of them hot."""
    kinds = {each.group: _kinds(each) for each in _all(run)}
    chosen = iter(run.chance.sample(run.bank.wallets[4:], sum(map(len, kinds.values()))))
    return {group: {next(chosen): kind for kind in some} for group, some in kinds.items()}


def _kinds(consumer: Consumer) -> Sequence[str]:
    if consumer is INDEX:
        return INDEX_POISONS
    return EVENT_POISONS if consumer.topic == observe.TOPIC else DECISION_POISONS


def _all(run: Run) -> Sequence[Consumer]:
    return run.platform.consumers


async def _restart(run: Run, env: Mapping[str, Mapping[str, str]], *, gated: bool = False) -> None:
    await asyncio.gather(*(run.platform.stop(each.process) for each in _all(run)))
    await asyncio.gather(*(run.platform.start(each.process, gated=gated, env=env[each.group]) for each in _all(run)))


async def _parked(run: Run, consumer: Consumer, victims: Victims) -> None:
    """Wait until exactly *victims* are parked and every shard has gone on beyond them."""
    async with run.platform.connections() as connections:
        async with asyncio.timeout(REACHED_WITHIN_S):
            while await _now_parked(connections, consumer) != set(victims):  # noqa: ASYNC110  in another process
                await asyncio.sleep(POLL_S)
        await reached(connections, consumer, await observe.heads(connections, consumer))


async def _all_parked(run: Run) -> dict[str, set[str]]:
    async with run.platform.connections() as connections:
        return {each.group: await _now_parked(connections, each) for each in _all(run)}


async def _now_parked(connections: Connections, consumer: Consumer) -> set[str]:
    rows = await connections[consumer.service].fetch(_PARKED, consumer.group)
    return {row["id"] for row in rows}


async def _others_flow(run: Run, victims: Mapping[str, Victims]) -> list[str]:
    """See that nobody else's victims are parked anywhere: a poison of one consumer is none for the others."""
    found = await _all_parked(run)
    return [f"{group} parks {found[group] - set(own)} too" for group, own in victims.items() if found[group] - set(own)]


async def _reads_tell(run: Run, victims: Victims) -> list[str]:
    """Ask for a parked wallet's entries and for another's."""
    http = HttpClient(run.platform.port("history"))
    parked = await http.request("GET", f"/v1/history/wallets/{next(iter(victims))}/entries")
    sound = await http.request("GET", f"/v1/history/wallets/{run.bank.wallets[0]}/entries")
    http.close()
    statuses = (parked.status, sound.status)
    return [] if statuses == (503, 200) else [f"reads of a parked and a sound wallet answer {statuses}"]


async def _unpark(run: Run, consumer: Consumer, wallet_ids: Iterable[str]) -> None:
    """Unpark wallets one after another, as an operator does."""
    for wallet_id in wallet_ids:
        await run.platform.operate(consumer.service, consumer.commands, "unpark", "--subject", wallet_id)


async def unpark_and_rebuild(run: Run, bite: Bite) -> None:
    """F18, afterwards: all is unparked, and what was parked is what a rebuild makes of the events."""
    parked = await _all_parked(run)
    await asyncio.gather(*(_unpark(run, each, parked[each.group]) for each in _all(run)))
    await drained(run.platform)
    still = await _all_parked(run)
    bite.breaches += [f"{group} still parks {wallets}" for group, wallets in still.items() if wallets]
    bite.what += ", all unparked"
    rebuilt = [each for each in _all(run) if each.rebuildable]
    before = await _states(run, rebuilt)
    async with fresh_databases(run, rebuilt):
        await deliver_from_start(run, rebuilt)
        after = await _states(run, rebuilt)
    bite.breaches += [f"{group} is not what a rebuild makes" for group in before if before[group] != after[group]]


async def _states(run: Run, consumers: Sequence[Consumer]) -> dict[str, str]:
    async with run.platform.connections() as connections:
        return {
            each.group: await observe.state_hash(
                connections[each.service], [table for table in each.tables if table != "servicekit.outbox"]
            )
            for each in consumers
        }


FAULTS = (
    Fault(
        id="F18",
        title="events that cannot be projected",
        inflict=poison_wallets,
        settle=unpark_and_rebuild,
        beside=subscribed,
        also=WEBHOOKS | FRAUD | INDEXER,
    ),
)
