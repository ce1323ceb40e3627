"""What comes to the probe's webhook."""

import asyncio
import json
from collections import deque
from collections.abc import Mapping
from typing import Final

from standardwebhooks.webhooks import Webhook, WebhookVerificationError

ARRIVALS_MAX: Final = 256


class Inbox:
    """Keeps which transactions were told of, and only where the signature is right."""

    def __init__(self) -> None:
        self._verifier: Webhook | None = None
        self._told: deque[str] = deque(maxlen=ARRIVALS_MAX)
        self._arrival = asyncio.Event()

    def trust(self, secret: str) -> None:
        """Take from now on what is signed with *secret*, and nothing else."""
        self._verifier = Webhook(secret)

    def take(self, headers: Mapping[str, str], body: bytes) -> bool:
        """Keep one webhook, whose header names are lower case; return whether it is one, and rightly signed."""
        if self._verifier is None:
            return False
        try:
            self._verifier.verify(body, dict(headers))
            transaction_id = json.loads(body)["data"]["transaction_id"]
        except (WebhookVerificationError, ValueError, KeyError, TypeError):
            return False
        self._told.append(str(transaction_id))
        self._arrival.set()
        return True

    async def wait_for(self, transaction_id: str) -> None:
        """Return once a webhook has told of the transaction; the caller has the deadline."""
        while transaction_id not in self._told:
            self._arrival.clear()
            await self._arrival.wait()
