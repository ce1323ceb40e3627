"""The Kafka client's own life: started, looked after and stopped, none of which may hang or go unnoticed."""

import asyncio
from typing import Final

import structlog
from aiokafka import AIOKafkaConsumer
from aiokafka.consumer.group_coordinator import GroupCoordinator

from servicekit.lifecycle import Shutdown

_log = structlog.get_logger(__name__)

STOP_TIMEOUT_S: Final = 5.0


class ClientEnded(Exception):
    """A task of the client's own has ended, and without it the client never reads again: make a new one."""


async def start_client(consumer: AIOKafkaConsumer, shutdown: Shutdown) -> None:
    """Start *consumer*, which waits for the broker without a bound, or return at the process's end."""
    start, stopped = asyncio.ensure_future(consumer.start()), asyncio.ensure_future(shutdown.wait())
    try:
        await asyncio.wait({start, stopped}, return_when=asyncio.FIRST_COMPLETED)
        if start.done():
            await start
    finally:
        for task in (start, stopped):
            task.cancel()
        await asyncio.gather(start, stopped, return_exceptions=True)


async def stop_client(consumer: AIOKafkaConsumer) -> None:
    """Stop *consumer*, or leave it behind: leaving the group asks the broker, which may be away.

    Its `stop` can swallow a cancellation and wait on, so it is not awaited beyond the deadline; it can also end with
    the cancellation of a task of its own, which is not a cancellation of ours.
    """
    stopping = asyncio.ensure_future(consumer.stop())
    done, _ = await asyncio.wait({stopping}, timeout=STOP_TIMEOUT_S)
    if not done:
        stopping.cancel()
        return
    error = asyncio.CancelledError() if stopping.cancelled() else stopping.exception()
    if error is not None:
        _log.info("consumer.not_stopped_in_order", error=type(error).__name__)


def require_at_work(consumer: AIOKafkaConsumer) -> None:
    """Raise ClientEnded if one of the client's tasks has ended.

    An error that a task does not expect ends it without a sign: uvloop's RuntimeError for a write to a connection
    that broke a moment before, for example, ends the one that all others wait for when they need to know the brokers.
    """
    coordinator = consumer._coordinator  # noqa: SLF001  no public call shows it
    tasks = [
        consumer._client._sync_task,  # noqa: SLF001  see above
        consumer._fetcher._fetch_task,  # noqa: SLF001  see above
    ]
    if isinstance(coordinator, GroupCoordinator):
        tasks.append(coordinator._coordination_task)  # noqa: SLF001  see above
    if any(task.done() for task in tasks):
        raise ClientEnded
