"""Whether a broker answers: asked over a connection that is for nothing else."""

import random
from contextlib import suppress
from typing import Final

from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError
from aiokafka.protocol.metadata import MetadataRequest

from servicekit.brokers import Brokers

_REQUEST_MS: Final = 1_000


class BrokerProbe:
    """Asks one broker of *brokers* after another; it connects when it is asked, and closes at `aclose`."""

    def __init__(self, brokers: Brokers, client_id: str) -> None:
        self._brokers = brokers
        self._client_id = f"{client_id}-probe"
        self._client: AIOKafkaClient | None = None

    async def ask(self) -> None:
        """Return when a broker has answered; raises KafkaError or OSError where none does."""
        try:
            client = await self._connected()
            nodes = [broker.nodeId for broker in client.cluster.brokers()]
            await client.send(random.choice(nodes), MetadataRequest([]))  # noqa: S311  a choice is no secret
        except BaseException:
            await self.aclose()  # the next one looks for brokers afresh, also where this one was given up
            raise

    async def aclose(self) -> None:
        """Close the connection."""
        client, self._client = self._client, None
        if client is not None:
            with suppress(KafkaError, OSError):
                await client.close()

    async def _connected(self) -> AIOKafkaClient:
        if self._client is None:
            self._client = AIOKafkaClient(
                **self._brokers.client(), client_id=self._client_id, request_timeout_ms=_REQUEST_MS
            )
            await self._client.bootstrap()
        return self._client
