"""One round of the probe: money in, across, seen, out, and told of."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

from observability.probe.canary import CURRENCY, Endpoint, Wallets, find_wallets
from observability.probe.inbox import Inbox
from observability.probe.platform import Failed, Platform
from servicekit.clock import monotonic_s

STEPS: Final = ("deposit", "transfer", "read", "withdraw", "webhook")
AMOUNT: Final = {"amount": "1.00", "currency": CURRENCY}
ENTRIES_READ: Final = 20
READ_AGAIN_S: Final = 0.05


@dataclass(slots=True)
class Outcome:
    """How long each step took that succeeded, in seconds, and which did not, with the reason."""

    seconds: dict[str, float] = field(default_factory=dict)
    failed: str | None = None
    why: str | None = None


class _StepFailed(Exception):
    def __init__(self, step: str, why: str) -> None:
        super().__init__(why)
        self.step = step


class Prober:
    """Plays rounds, of which each step may take *step_s* seconds; without a *webhook* its last step is left out."""

    def __init__(self, platform: Platform, webhook: tuple[Inbox, Endpoint] | None, *, step_s: float) -> None:
        self._platform = platform
        self._webhook = webhook
        self._step_s = step_s
        self._wallets: Wallets | None = None
        self._has_endpoint = False

    async def play(self) -> Outcome:
        """Play a round: after a step that fails the others are left out."""
        outcome = Outcome()
        try:
            await self._play(outcome.seconds)
        except _StepFailed as error:
            outcome.failed, outcome.why = error.step, str(error)
        return outcome

    async def _play(self, seconds: dict[str, float]) -> None:
        async with self._step("deposit", seconds):
            wallets = self._wallets = self._wallets or await find_wallets(self._platform)
            no_endpoint = await self._ensure_endpoint(wallets)
            await self._move("/v1/deposits", {"wallet_id": wallets.payer})
        async with self._step("transfer", seconds):
            both = {"source_wallet_id": wallets.payer, "destination_wallet_id": wallets.payee}
            transaction_id, position = await self._move("/v1/transfers", both)
        transferred_s = monotonic_s()
        async with self._step("read", seconds):
            await self._read(wallets.payee, transaction_id, position)
        async with self._step("withdraw", seconds):
            await self._move("/v1/withdrawals", {"wallet_id": wallets.payee})
        if self._webhook is None:
            return
        self._has_endpoint = False  # until a webhook has come
        async with self._step("webhook", seconds, since_s=transferred_s):
            if no_endpoint is not None:
                raise no_endpoint
            await self._webhook[0].wait_for(transaction_id)
        self._has_endpoint = True

    @asynccontextmanager
    async def _step(self, name: str, seconds: dict[str, float], *, since_s: float | None = None) -> AsyncIterator[None]:
        begun_s = monotonic_s() if since_s is None else since_s
        try:
            async with asyncio.timeout(self._step_s):
                yield
        except TimeoutError as error:
            raise _StepFailed(name, f"took more than {self._step_s} s") from error
        except (Failed, KeyError, ValueError) as error:  # the last two for an answer of another shape
            raise _StepFailed(name, str(error) or type(error).__name__) from error
        seconds[name] = monotonic_s() - begun_s

    async def _ensure_endpoint(self, wallets: Wallets) -> Failed | None:
        """Return what is in the way of webhooks: the steps before them do not suffer from it."""
        if self._webhook is not None and not self._has_endpoint:
            try:
                await self._webhook[1].ensure(wallets)
            except Failed as error:
                return error
        return None

    async def _move(self, path: str, wallets: dict[str, str]) -> tuple[str, str]:
        """Carry out a money command; return the transaction's id and the position after it."""
        answer = await self._platform.command(
            self._platform.addresses.wallet, path, {**wallets, "amount": AMOUNT, "reference": "canary"}
        )
        return str(answer.json()["id"]), answer.headers["ledger-position"]

    async def _read(self, wallet_id: str, transaction_id: str, position: str) -> None:
        """Return once the wallet's history has the transaction; raises Failed where it lacks it at that position."""
        path = f"/v1/history/wallets/{wallet_id}/entries?limit={ENTRIES_READ}"
        address = self._platform.addresses.history
        while (page := await self._platform.read(address, path, min_position=position)) is None:  # noqa: ASYNC110 - it comes about there
            await asyncio.sleep(READ_AGAIN_S)
        if not any(each["transaction_id"] == transaction_id for each in page["data"]):
            raise Failed("the history at the transfer's position lacks the transfer")
