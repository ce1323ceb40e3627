"""A read model and the API over it in one process, as tests speak to them."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx2

from contracts.envelope import Envelope
from servicekit.consumer.processing import Processor
from servicekit.principal import Principal
from testkit.access import AdmitsAs
from testkit.events import Stream, received

_OF_EACH_REQUEST = "request-id"


class ReadApi:
    """Feeds events to the projection through *processor*, and asks the API behind *client*.

    *prefix* is what every path begins with; requests are admitted by *authority*.
    """

    def __init__(self, client: httpx2.AsyncClient, processor: Processor, authority: AdmitsAs, *, prefix: str) -> None:
        self.client = client
        self.stream = Stream()
        self._processor = processor
        self._authority = authority
        self._prefix = prefix

    async def project(self, *events: Envelope) -> None:
        """Feed events to the projection as its consumer does."""
        await self._processor.process([received(event, event.sequence) for event in events])

    async def ask(self, path: str, **headers: str) -> httpx2.Response:
        """Return the answer, whatever it is."""
        return await self.client.get(f"{self._prefix}/{path}", headers=headers)

    async def get(self, path: str, status: int = 200, **headers: str) -> Any:
        """Return the body of the answer, which has *status*."""
        answer = await self.ask(path, **headers)
        assert answer.status_code == status, answer.text
        return answer.json()

    @contextmanager
    def asked_by(self, caller: Principal) -> Iterator[None]:
        """Have *caller* ask in the body."""
        before, self._authority.principal = self._authority.principal, caller
        try:
            yield
        finally:
            self._authority.principal = before


def all_but(answer: httpx2.Response, *texts: object) -> tuple[int, bytes, dict[str, str]]:
    """Return all that *answer* tells, status, body and headers, but for *texts* and the request's own id.

    Of its tag it is told that there is one: that it differs says only that another path was asked for.
    """
    body = answer.content
    for text in texts:
        body = body.replace(str(text).encode(), b"-")
    headers = {name: value for name, value in answer.headers.items() if name != _OF_EACH_REQUEST}
    return answer.status_code, body, headers | ({"etag": "-"} if "etag" in headers else {})
