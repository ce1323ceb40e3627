"""The platform as its customer reaches it."""

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

import httpx2

from contracts.ids import new_id_text

BODY_SHOWN_MAX: Final = 200


class Failed(Exception):
    """The platform did not do what it was asked for. The message tells how it answered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Addresses:
    """Where each API is, without a slash at the end."""

    wallet: str
    history: str
    notifications: str


@dataclass(frozen=True, slots=True)
class Platform:
    """Requests to the APIs under one key; *client* has a deadline for each."""

    client: httpx2.AsyncClient
    addresses: Addresses
    key: str

    async def command(
        self, address: str, path: str, body: Mapping[str, Any], *, idempotency_key: str | None = None
    ) -> httpx2.Response:
        """POST *body*, under a key of its own unless one is given; return the answer 200 or 201, else raise Failed."""
        headers = {"idempotency-key": idempotency_key or new_id_text()}
        return self._done(await self._asked("POST", address + path, headers=headers, json=body))

    async def read(self, address: str, path: str, *, min_position: str | None = None) -> Any:
        """Return what *path* answers, a JSON document; None where *min_position* is not reached yet. Raises Failed."""
        headers = {} if min_position is None else {"min-position": min_position}
        response = await self._asked("GET", address + path, headers=headers)
        if min_position is not None and response.status_code == HTTPStatus.CONFLICT:
            return None
        return self._done(response).json()

    async def delete(self, address: str, path: str) -> None:
        """Delete what is at *path*, if it is there; raises Failed."""
        headers = {"idempotency-key": new_id_text()}
        response = await self._asked("DELETE", address + path, headers=headers)
        if response.status_code != HTTPStatus.NOT_FOUND:
            self._done(response)

    async def _asked(self, method: str, url: str, *, headers: Mapping[str, str], json: Any = None) -> httpx2.Response:
        authorized = {"authorization": f"Bearer {self.key}", **headers}
        try:
            return await self.client.request(method, url, headers=authorized, json=json)
        except httpx2.HTTPError as error:
            raise Failed(f"no answer: {type(error).__name__}") from error

    def _done(self, response: httpx2.Response) -> httpx2.Response:
        if response.is_success:
            return response
        raise Failed(f"answered {response.status_code}: {response.text[:BODY_SHOWN_MAX]}")
