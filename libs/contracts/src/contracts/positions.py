"""Ledger positions: where in the journal a command landed, as clients carry it between command and read.

The header is `Ledger-Position: <shard>-<seq>[, <shard>-<seq>…]` with ascending shards.
"""

import re
from collections.abc import Iterable, Mapping

from contracts.ids import SHARDS

_PAIR = re.compile(r"([0-9]{1,2})-([0-9]{1,19})", re.ASCII)


class PositionError(ValueError):
    """The text is not a ledger position."""


def format_position(pairs: Iterable[tuple[int, int]]) -> str:
    """Return the header's value for (shard, sequence) *pairs*, which must ascend by shard."""
    return ", ".join(f"{shard}-{seq}" for shard, seq in pairs)


def parse_position(text: str) -> dict[int, int]:
    """Return shard to sequence; raise PositionError unless shards ascend and lie in range."""
    position: dict[int, int] = {}
    last_shard = -1
    for part in text.split(",", maxsplit=SHARDS):
        match = _PAIR.fullmatch(part.strip())
        if match is None:
            raise PositionError("a position is <shard>-<seq>, separated by commas")
        shard, seq = int(match[1]), int(match[2])
        if not last_shard < shard < SHARDS:
            raise PositionError("shards ascend and are below 64")
        position[shard] = seq
        last_shard = shard
    return position


def covers(reached: Mapping[int, int], wanted: Mapping[int, int]) -> bool:
    """Return whether every shard of *wanted* has been *reached*."""
    return all(reached.get(shard, 0) >= seq for shard, seq in wanted.items())
