"""What a customer does with the platform behind its gateway, in short."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import Any, Final

import httpx2
from tests.images.composed import until

from contracts.ids import new_id_text

TENANT: Final = "00000000-0000-7000-8000-000000000009"
PLAN: Final = f"""\
[[tenants]]
id = "{TENANT}"
name = "Images"

[[tenants.service_accounts]]
name = "customer"
kind = "service"
key = {{ all_scopes = true, lifetime_days = 1 }}
"""
BOOTSTRAP: Final = (
    "sh",
    "-euc",
    'echo "$1" > /tmp/plan.toml; python -m access bootstrap --file /tmp/plan.toml',
    "sh",
    PLAN,
)
"""What makes the first key, in a container of access."""
KNOWN_S_MAX: Final = 30.0
VISIBLE_S_MAX: Final = 30.0
ANSWER_S_MAX: Final = 15.0
UNKNOWN: Final = "outcome_unknown"
"""What a busy machine may answer: the client asks again under the same key."""
ATTEMPTS_MAX: Final = 5


def key_of(printed: str) -> str:
    """Return the key among the lines that bootstrap *printed*."""
    (key,) = (str(json.loads(line)["key"]) for line in printed.splitlines() if line.startswith("{"))
    return key


@dataclass(slots=True)
class Customer:
    """A customer with *key*, at the gateway of *address*."""

    address: str
    key: str

    def ask(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        min_position: str | None = None,
        idempotency_key: str | None = None,
    ) -> httpx2.Response:
        """Return the answer to one request."""
        sent = {"authorization": f"Bearer {self.key}", "idempotency-key": idempotency_key or new_id_text()}
        if min_position is not None:
            sent["min-position"] = min_position
        return httpx2.request(method, self.address + path, json=body, headers=sent, timeout=ANSWER_S_MAX)

    def wait_known(self) -> None:
        """Wait until every service knows the key."""
        for path in ("/v1/wallets", "/v1/history/owners/nobody/entries", "/v1/risk/decisions", "/v1/webhook-endpoints"):
            self._until(partial(self._is_known, path), f"{path} did not know the key")

    def _is_known(self, path: str) -> bool:
        return self.ask("GET", f"{path}?limit=1").is_success

    def open_wallet(self, owner: str) -> str:
        """Open a wallet; return its id."""
        return str(self._made("/v1/wallets", {"owner_id": owner, "currency": "USD"}).json()["id"])

    def deposit(self, wallet_id: str) -> str:
        """Pay a dollar in; return the position after it."""
        body = {"wallet_id": wallet_id, "amount": {"amount": "1.00", "currency": "USD"}, "reference": "images"}
        return self._made("/v1/deposits", body).headers["ledger-position"]

    def wait_visible(self, wallet_id: str, position: str) -> int:
        """Wait until the wallet's history is at *position*; return how many entries it has, at most a page of them."""
        path = f"/v1/history/wallets/{wallet_id}/entries?limit=200"
        found: list[httpx2.Response] = []

        def reached() -> bool:
            found[:] = [self.ask("GET", path, min_position=position)]
            return found[0].status_code == HTTPStatus.OK

        self._until(reached, "the deposit never reached the history")
        return len(found[0].json()["data"])

    def have_told(self, url: str) -> None:
        """Have *url* told of every deposit."""
        body = {"url": url, "description": "images", "event_types": ["wallet.funds_deposited.v1"]}
        self._made("/v1/webhook-endpoints", body)

    def _made(self, path: str, body: dict[str, Any]) -> httpx2.Response:
        key = new_id_text()
        for _ in range(ATTEMPTS_MAX):
            answer = self.ask("POST", path, body, idempotency_key=key)
            if answer.status_code != HTTPStatus.SERVICE_UNAVAILABLE or answer.json()["code"] != UNKNOWN:
                break
        assert answer.is_success, f"{path} answered {answer.status_code}: {answer.text}"
        return answer

    def _until(self, satisfied: Callable[[], bool], what: str) -> None:
        until(satisfied, within_s=max(KNOWN_S_MAX, VISIBLE_S_MAX), what=what)
