"""The probe's rounds against a platform of its own making, some of whose parts fail."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from typing import Any

import httpx2
import pytest
from prometheus_client import CollectorRegistry
from standardwebhooks.webhooks import Webhook

from observability.probe.canary import Endpoint
from observability.probe.inbox import Inbox
from observability.probe.platform import Addresses, Platform
from observability.probe.process import ProbeMetrics
from observability.probe.receiving import BODY_BYTES_MAX, with_webhook
from observability.probe.round import STEPS, Outcome, Prober
from servicekit.clock import utc_now

SECRET = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
ADDRESSES = Addresses(wallet="http://wallet", history="http://history", notifications="http://notifications")
URL = "http://127.0.0.1:9489/webhook"


def signed(body: bytes, *, secret: str = SECRET, at: datetime | None = None) -> dict[str, str]:
    at = at or utc_now()
    signature = Webhook(secret).sign("msg_1", at, body.decode())
    return {"webhook-id": "msg_1", "webhook-timestamp": str(int(at.timestamp())), "webhook-signature": signature}


class Pretended:
    """A platform in memory: wallets with balances, entries, endpoints. *broken* are paths that answer 503."""

    def __init__(self, inbox: Inbox) -> None:
        self.inbox = inbox
        self.broken: set[str] = set()
        self.is_late = 0
        self.sends = True
        self.posted: dict[str, int] = {}
        self.owners: dict[str, str] = {}
        self.restricted: dict[str, list[str]] = {}
        self.keys: dict[str, httpx2.Response] = {}
        self.entries: list[dict[str, Any]] = []
        self.endpoints: list[dict[str, Any]] = []
        self.asked: list[str] = []

    def answer(self, request: httpx2.Request) -> httpx2.Response:
        path = request.url.path
        self.asked.append(f"{request.method} {path}")
        assert request.headers["authorization"] == "Bearer wpk_canary"
        if path in self.broken:
            return httpx2.Response(503, json={"code": "unavailable"})
        if request.method == "POST":
            key = request.headers["idempotency-key"]
            if key not in self.keys:
                self.keys[key] = self._do(path, json.loads(request.content))
            return self.keys[key]
        if request.method == "DELETE":
            self.endpoints = [each for each in self.endpoints if not path.endswith(each["id"])]
            return httpx2.Response(204)
        return self._tell(path, dict(request.url.params), request.headers)

    def _tell(self, path: str, query: dict[str, str], headers: httpx2.Headers) -> httpx2.Response:
        if path == "/v1/wallets":
            found = [wallet for wallet, owner in self.owners.items() if owner == query["owner_id"]]
            shown = [{"id": each, "status": "open", "restrictions": self.restricted.get(each, [])} for each in found]
            return httpx2.Response(200, json={"data": shown})
        if path == "/v1/webhook-endpoints":
            return httpx2.Response(200, json={"data": self.endpoints})
        assert headers["min-position"] == f"3-{len(self.keys)}"
        if self.is_late:
            self.is_late -= 1
            return httpx2.Response(409, json={"code": "position_not_reached"})
        return httpx2.Response(200, json={"data": self.entries})

    def _do(self, path: str, body: dict[str, Any]) -> httpx2.Response:
        if path == "/v1/wallets":
            wallet = f"wallet-{len(self.owners)}"
            self.owners[wallet] = body["owner_id"]
            return httpx2.Response(201, json={"id": wallet})
        if path == "/v1/webhook-endpoints":
            self.endpoints.append({"id": f"endpoint-{len(self.keys)}", "status": "active", **body})
            return httpx2.Response(201, json={**self.endpoints[-1], "secret": SECRET})
        transaction = f"transaction-{len(self.keys)}"
        moved = {
            "wallet_id": -1 if path == "/v1/withdrawals" else 1,
            "source_wallet_id": -1,
            "destination_wallet_id": 1,
        }
        for name, sign in moved.items():
            if name in body:
                self.posted[body[name]] = self.posted.get(body[name], 0) + sign
        self.entries = [{"transaction_id": transaction}]
        if path == "/v1/transfers" and self.sends and self.endpoints:
            told = json.dumps({"data": {"transaction_id": transaction}}).encode()
            assert self.inbox.take(signed(told), told)
        return httpx2.Response(201, json={"id": transaction}, headers={"ledger-position": f"3-{len(self.keys) + 1}"})


class Bench:
    """A probe, and the platform that it uses."""

    def __init__(self) -> None:
        self.inbox = Inbox()
        self.pretended = Pretended(self.inbox)
        self._client = httpx2.AsyncClient(transport=httpx2.MockTransport(self.pretended.answer))
        self.prober = self.start()

    def start(self) -> Prober:
        """Return the prober of a process that has just started."""
        platform = Platform(self._client, ADDRESSES, "wpk_canary")
        return Prober(platform, (self.inbox, Endpoint(platform, self.inbox, URL)), step_s=0.2)

    async def close(self) -> None:
        await self._client.aclose()


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    made = Bench()
    yield made
    await made.close()


async def test_a_round_leaves_the_balances_as_they_were(bench: Bench) -> None:
    bench.pretended.is_late = 2

    outcome = await bench.prober.play()

    assert (outcome.failed, tuple(outcome.seconds)) == (None, STEPS)
    assert set(bench.pretended.posted.values()) == {0}


async def test_wallets_and_the_endpoint_are_made_once(bench: Bench) -> None:
    await bench.prober.play()
    await bench.prober.play()

    opened = [each for each in bench.pretended.asked if each in {"POST /v1/wallets", "POST /v1/webhook-endpoints"}]
    assert len(opened) == 3
    assert sorted(bench.pretended.owners.values()) == ["canary-payee", "canary-payer"]


async def test_a_probe_that_starts_again_finds_its_wallets_and_makes_its_endpoint_anew(bench: Bench) -> None:
    await bench.prober.play()
    before = list(bench.pretended.endpoints)

    outcome = await bench.start().play()

    assert outcome.failed is None
    assert len(bench.pretended.owners) == 2
    assert len(bench.pretended.endpoints) == 1
    assert bench.pretended.endpoints != before, "nobody knows the secret of the one before"


async def test_a_wallet_that_somebody_froze_is_replaced_by_the_next_probe(bench: Bench) -> None:
    await bench.prober.play()
    bench.pretended.restricted = {"wallet-1": ["debits"]}

    assert (await bench.start().play()).failed is None
    assert list(bench.pretended.owners.values()) == ["canary-payer", "canary-payee", "canary-payee"]


@pytest.mark.parametrize(
    ("path", "step"),
    [
        ("/v1/wallets", "deposit"),
        ("/v1/deposits", "deposit"),
        ("/v1/transfers", "transfer"),
        ("/v1/history/wallets/wallet-1/entries", "read"),
        ("/v1/withdrawals", "withdraw"),
        ("/v1/webhook-endpoints", "webhook"),
    ],
)
async def test_the_step_that_fails_is_named_and_the_rest_left_out(bench: Bench, path: str, step: str) -> None:
    bench.pretended.broken = {path}

    outcome = await bench.prober.play()

    assert outcome.failed == step
    assert outcome.why is not None
    assert outcome.why.startswith("answered 503")
    assert tuple(outcome.seconds) == STEPS[: STEPS.index(step)]


async def test_a_webhook_that_does_not_come_is_waited_for_no_longer_than_a_step(bench: Bench) -> None:
    bench.pretended.sends = False

    outcome = await bench.prober.play()
    bench.pretended.sends = True

    assert (outcome.failed, outcome.why) == ("webhook", "took more than 0.2 s")
    assert (await bench.prober.play()).failed is None
    assert len(bench.pretended.endpoints) == 1, "one that is still there is not made again"


async def test_an_endpoint_that_somebody_removed_is_made_again(bench: Bench) -> None:
    await bench.prober.play()
    bench.pretended.endpoints.clear()
    bench.pretended.sends = False
    await bench.prober.play()
    bench.pretended.sends = True

    assert (await bench.prober.play()).failed is None
    assert len(bench.pretended.endpoints) == 1


async def test_a_history_that_lacks_the_transfer_has_failed(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    await bench.prober.play()
    told = bench.pretended._tell
    monkeypatch.setattr(
        bench.pretended,
        "_tell",
        lambda path, *rest: httpx2.Response(200, json={"data": []}) if "history" in path else told(path, *rest),
    )

    outcome = await bench.prober.play()

    assert outcome.failed == "read"


def test_steps_that_were_left_out_have_not_succeeded() -> None:
    registry = CollectorRegistry()
    metrics = ProbeMetrics(registry)

    metrics.tell(Outcome(seconds=dict.fromkeys(STEPS, 0.25)), ended_s=1.0)
    metrics.tell(Outcome(seconds={"deposit": 0.5}, failed="transfer", why="answered 503"), ended_s=2.0)

    success = {step: registry.get_sample_value("probe_success", {"step": step}) for step in STEPS}
    assert success == {"deposit": 1, "transfer": 0, "read": 0, "withdraw": 0, "webhook": 0}
    assert registry.get_sample_value("probe_seconds", {"step": "deposit"}) == 0.5
    assert registry.get_sample_value("probe_seconds", {"step": "read"}) == 0.25
    assert registry.get_sample_value("probe_last_run_timestamp_seconds") == 2.0


TOLD = b'{"data": {"transaction_id": "t"}}'
ANOTHER = "whsec_ZmVkY2JhOTg3NjU0MzIxMGZlZGNiYTk4NzY1NDMyMTA="


@pytest.mark.parametrize(
    ("method", "headers", "body", "status"),
    [
        ("POST", signed(TOLD), TOLD, 204),
        ("POST", signed(TOLD), TOLD + b" ", 401),
        ("POST", signed(TOLD, secret=ANOTHER), TOLD, 401),
        ("POST", signed(TOLD, at=datetime(2020, 1, 1, tzinfo=UTC)), TOLD, 401),
        ("POST", {}, TOLD, 401),
        ("POST", signed(b'"text"'), b'"text"', 401),
        ("POST", {}, b"x" * (BODY_BYTES_MAX + 1), 413),
        ("GET", {}, b"", 405),
    ],
    ids=["signed", "changed", "of another", "old", "unsigned", "no event", "too large", "no post"],
)
async def test_only_what_is_rightly_signed_is_taken(
    method: str, headers: dict[str, str], body: bytes, status: int
) -> None:
    inbox = Inbox()
    inbox.trust(SECRET)

    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(with_webhook(_pages, inbox))) as client:
        answer = await client.request(method, URL, headers=headers, content=body)
        elsewhere = await client.get("http://127.0.0.1:9489/metrics")

    assert answer.status_code == status
    assert elsewhere.status_code == 418
    if status == 204:
        async with asyncio.timeout(1):
            await inbox.wait_for("t")


async def _pages(scope: Any, _receive: Callable[..., Any], send: Callable[..., Any]) -> None:
    await send({"type": "http.response.start", "status": 418, "headers": []})
    await send({"type": "http.response.body", "body": scope["path"].encode()})
