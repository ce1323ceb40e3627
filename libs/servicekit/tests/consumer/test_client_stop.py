"""A Kafka client that does not stop in order leaves its consumer at work."""

import asyncio
from typing import Any, cast

from servicekit.consumer.client import stop_client


class ClientWithACancelledTask:
    """Ends its stop as aiokafka does that awaits a task of its own which it has cancelled."""

    async def stop(self) -> None:
        raise asyncio.CancelledError


async def test_a_cancellation_inside_the_client_is_none_of_the_consumer() -> None:
    task = asyncio.ensure_future(stop_client(cast("Any", ClientWithACancelledTask())))

    await asyncio.wait({task})

    assert not task.cancelled()
    assert task.exception() is None
