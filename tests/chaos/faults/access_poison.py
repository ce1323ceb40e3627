"""Faults of identities: a change of a key that nobody can read."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import replace

from confluent_kafka import TopicPartition
from tests.chaos.faults.access import asked, going_on, known
from tests.chaos.judge import observe
from tests.chaos.judge.draining import POLL_S
from tests.chaos.load.credentials import Door, Key, Keys, code_of, made_known, revoke
from tests.chaos.platform.broker import REQUEST_S, produce
from tests.chaos.platform.broker import asked as broker_asked
from tests.chaos.platform.product import ACCESS
from tests.chaos.run import Bite, Fault, Run

from contracts.topics import ACCESS_EVENTS

REACHED_WITHIN_S = 30.0
OVERLAP_S = 3_600
READERS = ("wallet", "transaction_history", "fraud")
"""The services that know identities from the stream."""
_PARKED = "select count(*) from servicekit.parked_subject where projection like '%-access' and subject::text = $1"
_LAST = "select shard, seq, payload from servicekit.outbox where subject::text = $1 order by seq desc limit 1"
_SPOIL = "update servicekit.outbox set payload = $3 where shard = $1 and seq = $2"
_UNAUTHENTICATED = "unauthenticated"


async def poison_key(run: Run) -> Bite:
    """F47: the stream has a change of a key that is no JSON, and the others' behind it; later a sound copy of it."""
    platform = run.platform
    keys = await made_known(platform, 3)
    bystander, victim, revoked = keys.backends
    breaches: list[str] = []
    with asked(run, victim) as doors_, asked(run, revoked) as others:
        async with going_on(run, bystander, breaches):
            await known(doors_)
            await known(others)
            bitten_s = time.monotonic()
            sound = await _spoil_change(run, keys, victim)
            await _parked(run, victim, 1)
            breaches += await _refused(doors_, _UNAUTHENTICATED)
            await revoke(platform, keys, revoked)
            breaches += await _refused(others, "key_revoked")
            refused = len(doors_)
            await _mend(run, sound)
            for service in READERS:
                await platform.operate(service, "identities", "unpark", "--subject", victim.id)
            await _parked(run, victim, 0)
            breaches += await _let_in(doors_)
            recovery_s = await run.recovery_s(bitten_s)
    what = (
        f"a key parked by {len(READERS)} services and refused by {refused} APIs, another's revocation heard; unparked"
    )
    return Bite(what=what, count=refused, recovery_s=recovery_s, breaches=breaches)


Place = tuple[int, int, bytes]
"""A shard, a sequence, and the body that belongs there."""


async def _spoil_change(run: Run, keys: Keys, key: Key) -> Place:
    """Rotate *key*, which goes on beside the new one, and have the relay publish half of that; return the whole."""
    await run.platform.stop("access-relay")
    http = keys.operator.client(run.platform.port("access-api"))
    answer = await http.request("POST", f"/v1/api-keys/{key.id}/rotate", {"overlap_s": OVERLAP_S}, key="rotate")
    http.close()
    assert answer.status == 201, answer.body
    async with run.platform.connections() as connections:
        row = await connections["access"].fetchrow(_LAST, key.id)
        assert row is not None
        place = row["shard"], row["seq"], bytes(row["payload"])
        await connections["access"].execute(_SPOIL, row["shard"], row["seq"], place[2][:-1])
    await run.platform.start("access-relay")
    return place


async def _parked(run: Run, key: Key, wanted: int) -> None:
    """Wait until each service parks *key* *wanted* times. Raises TimeoutError."""
    async with run.platform.connections() as connections, asyncio.timeout(REACHED_WITHIN_S):
        for service in READERS:
            while await connections[service].fetchval(_PARKED, key.id) != wanted:  # noqa: ASYNC110  in another process
                await asyncio.sleep(POLL_S)


async def _refused(doors_: Sequence[Door], code: str) -> list[str]:
    found = await asyncio.gather(*(door.until_refused(REACHED_WITHIN_S) for door in doors_))
    return [f"{door.name} says {told}" for door, told in zip(doors_, found, strict=True) if told != code]


async def _mend(run: Run, place: Place) -> None:
    """Take the spoilt record, and what is before it, off the topic, and bring back all of it, sound."""
    shard, seq, body = place
    found = await observe.raw_records(
        run.platform.kafka.bootstrap_servers, ACCESS_EVENTS.name, ACCESS_EVENTS.partitions
    )
    told = observe.parse(found)
    at = next(number for number, each in enumerate(told) if (each.shard, each.seq) == (shard, seq))
    spoilt = found[at]
    before = [each for each in found if each.partition == spoilt.partition and each.offset < spoilt.offset]
    end = TopicPartition(ACCESS_EVENTS.name, spoilt.partition, spoilt.offset + 1)
    await broker_asked(run, lambda admin: admin.delete_records([end], request_timeout=REQUEST_S))
    await produce(run, [*before, replace(spoilt, value=body)])
    async with run.platform.connections() as connections:
        await connections["access"].execute(_SPOIL, shard, seq, body)


async def _let_in(doors_: Sequence[Door]) -> list[str]:
    """Ask until the key is taken; return where it is not in time. A refusal may be remembered for a moment."""
    missing = []
    for door in doors_:
        until_s, taken = time.monotonic() + REACHED_WITHIN_S, door.taken
        while door.taken == taken and time.monotonic() < until_s:
            refusal = await door.knock()
            await asyncio.sleep(POLL_S)
        if door.taken == taken:
            missing.append(f"{door.name} goes on refusing: {'no answer' if refusal is None else code_of(refusal)}")
    return missing


FAULTS = (
    Fault(
        id="F47",
        title="a change of a key that cannot be read",
        inflict=poison_key,
        also=ACCESS,
    ),
)
