"""Whether the rows of access, its outbox and its topic tell the same of keys."""

from collections import Counter
from collections.abc import Collection, Sequence
from typing import Any, Protocol

import msgspec
from tests.chaos.platform.platform import Platform

from access.continuity.topic import AccessTopic
from contracts.access import API_KEY_CHANGED, ApiKeyChanged
from contracts.envelope import rfc3339
from contracts.topics import ACCESS_EVENTS
from servicekit.brokers import Brokers

LIVE_MAX = 2
_KEYS = """
    select id, service_account_id, ends_at, is_revoked, digest,
           not is_revoked and ends_at > clock_timestamp() as is_live
    from access.api_key order by id"""
_OUTBOX = "select shard, seq, event_id, subject, type, payload from servicekit.outbox order by shard, seq"


class Row(Protocol):
    """A row of a table."""

    def __getitem__(self, name: str, /) -> Any: ...


async def disagreements(platform: Platform) -> list[str]:
    """Return where rows, outbox and topic differ once all is published: each key with its events, each place dense."""
    async with platform.connections() as connections:
        keys = await connections["access"].fetch(_KEYS)
        outbox = await connections["access"].fetch(_OUTBOX)
    topic = AccessTopic(Brokers(platform.kafka.bootstrap_servers), ACCESS_EVENTS.name)
    told: dict[tuple[int, int], Any] = {}
    found: list[str] = []
    async for poll in topic.events():
        found += [
            f"two events of the topic are sequence {each.sequence} of shard {each.shard}"
            for each in poll
            if told.setdefault((each.shard, each.sequence), each.event_id) != each.event_id
        ]
    written = {(row["shard"], row["seq"]): row["event_id"] for row in outbox}
    if told != written:
        found.append(f"the topic has {len(told)} places, the outbox {len(written)}, or other events in them")
    return [*found, *not_dense(written), *keys_apart(keys, outbox)]


def not_dense(places: Collection[tuple[int, int]]) -> list[str]:
    """Return the shards whose *places*, of shard and sequence, are not 1, 2, 3 and so on."""
    counts = Counter(shard for shard, _ in places)
    return [
        f"shard {shard} has {count} events and ends at {max(seq for each, seq in places if each == shard)}"
        for shard, count in counts.items()
        if (shard, count) not in places or (shard, count + 1) in places
    ]


def keys_apart(keys: Sequence[Row], outbox: Sequence[Row]) -> list[str]:
    """Return the *keys* that are not as their last event in *outbox* tells, and accounts with too many live ones."""
    last = {row["subject"]: row["payload"] for row in outbox if row["type"] == API_KEY_CHANGED.number}
    found = [f"key {key_id} has an event and no row" for key_id in last.keys() - {key["id"] for key in keys}]
    for key in keys:
        if key["id"] not in last:
            found.append(f"key {key['id']} has a row and no event")
            continue
        state = msgspec.json.decode(last[key["id"]], type=ApiKeyChanged)
        row = key["digest"].hex(), rfc3339(key["ends_at"]), key["is_revoked"]
        if (state.digest, state.ends_at, state.is_revoked) != row:
            found.append(f"key {key['id']} has another row than its last event")
    live = Counter(key["service_account_id"] for key in keys if key["is_live"])
    return [*found, *(f"account {each} has {count} live keys" for each, count in live.items() if count > LIVE_MAX)]
