import asyncio
from dataclasses import dataclass, field
from typing import cast

import pytest

from demo.attack_lane import AttackLane
from demo.run import beside


@dataclass
class Lane:
    """Attackers who stop when the traffic has ended."""

    is_played: asyncio.Event = field(default_factory=asyncio.Event)
    is_cancelled: bool = False

    async def run(self) -> None:
        try:
            await self.is_played.wait()
        except asyncio.CancelledError:
            self.is_cancelled = True
            raise


async def test_attackers_go_on_until_the_traffic_has_ended() -> None:
    lane = Lane()

    await beside(cast("AttackLane", lane), asyncio.sleep(0))

    assert lane.is_played.is_set()
    assert not lane.is_cancelled


async def test_traffic_that_fails_ends_the_attackers() -> None:
    lane = Lane()

    async def fail() -> None:
        await asyncio.sleep(0)
        raise ValueError("the platform is away")

    with pytest.raises(ValueError, match="is away"):
        await beside(cast("AttackLane", lane), fail())

    assert lane.is_cancelled
