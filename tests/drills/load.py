"""400 deposits a second through a stack's gateway, and every cent of them looked for afterwards."""

import asyncio
import contextlib
import json
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass, field
from typing import Any, Final

from tests.chaos.load.client import HttpClient, Response, Unanswered
from tests.chaos.load.exchanges import Exchange, timed
from tests.chaos.load.history import OK, is_definite
from tests.drills.failing import DrillFailed
from tests.drills.stack import DrillStack

from contracts.ids import new_id_text

PER_S: Final = 400
CONNECTIONS: Final = 40
WALLETS: Final = 64
CALM_S: Final = 6.0
AFTERWARDS_S: Final = 2.0
SETTLED_WITHIN_S: Final = 60.0
RETRY_S: Final = 0.2
CENT: Final = {"amount": "0.01", "currency": "USD"}


@dataclass
class Load:
    """Deposits of a cent each, into wallets chosen by *seed*; what each first try came to, and what must be there."""

    stack: DrillStack
    seed: int
    tries: list[Exchange] = field(default_factory=list)
    cents: Counter[str] = field(default_factory=Counter)
    wallets: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._authorization = f"Bearer {self.stack.key()}"
        self._port = int(self.stack.document["gateway"]["url"].rpartition(":")[2])
        self._stopping = asyncio.Event()
        self._chance = random.Random(self.seed)
        self._log = self.stack.folder / "data" / "gateway" / "requests.log"
        self._logged_before = self._log.stat().st_size if self._log.exists() else 0

    @contextlib.asynccontextmanager
    async def going_on(self) -> AsyncIterator[None]:
        """Send deposits from CALM_S before the body until AFTERWARDS_S after it, at their times whatever comes back."""
        await self._open_wallets()
        began_s = time.monotonic()
        sending = asyncio.gather(*(self._send_from(place, began_s) for place in range(CONNECTIONS)))
        try:
            await asyncio.sleep(CALM_S)
            yield
            await asyncio.sleep(AFTERWARDS_S)
        finally:
            self._stopping.set()
            await sending

    async def figures(self) -> dict[str, Any]:
        """Return what came of it: requests, those that failed, were sent again, and how fast they went, before too."""
        began_s = self.tries[0].began_s
        calm = [each for each in self.tries if each.began_s < began_s + CALM_S]
        then = [each for each in self.tries if each.began_s >= began_s + CALM_S]
        return {
            "requests": len(self.tries),
            "failed": sum(not each.is_done for each in self.tries),
            "retried": self._sent_again(),
            "money_differs": await self._differing(),
            "p99_ms": _p99_ms(then),
            "calm_p99_ms": _p99_ms(calm),
        }

    def told(self) -> Counter[str]:
        """Return what the first tries that failed were told."""
        return Counter(f"{each.status or ''} {each.told}".strip() for each in self.tries if not each.is_done)

    async def _open_wallets(self) -> None:
        http = self._client()
        for number in range(WALLETS):
            body = {"owner_id": f"drill-{self.seed}-{number}", "currency": "USD", "label": "drill"}
            answer = await http.request("POST", "/v1/wallets", body, key=new_id_text())
            if answer.status not in OK:
                raise DrillFailed(f"a wallet could not be opened: {answer.body!r}")
            self.wallets.append(answer.json()["id"])
        http.close()

    async def _send_from(self, place: int, began_s: float) -> None:
        http = self._client()
        due_s = began_s + place / PER_S
        while not self._stopping.is_set():
            await asyncio.sleep(max(0.0, due_s - time.monotonic()))
            await self._deposit(http)
            due_s += CONNECTIONS / PER_S
        http.close()

    async def _deposit(self, http: HttpClient) -> None:
        wallet, key = self._chance.choice(self.wallets), new_id_text()
        body = {"wallet_id": wallet, "amount": CENT, "reference": "drill"}
        answer: Response | None = None
        with contextlib.suppress(Unanswered):
            answer = await timed(http, self.tries, "POST", "/v1/deposits", body, key=key)
        deadline_s = time.monotonic() + SETTLED_WITHIN_S
        while answer is None or not is_definite(answer):
            if time.monotonic() > deadline_s:
                raise DrillFailed(f"a deposit is not settled within {SETTLED_WITHIN_S:.0f} s")
            await asyncio.sleep(RETRY_S)
            with contextlib.suppress(Unanswered):
                answer = await http.request("POST", "/v1/deposits", body, key=key)
        if answer.status not in OK:
            raise DrillFailed(f"a deposit is refused: {answer.body!r}")
        self.cents[wallet] += 1

    async def _differing(self) -> int:
        """Return how many wallets hold another sum than was answered, by the ledger or by the history."""
        http = self._client()
        found = [await self._differs(http, wallet) for wallet in self.wallets]
        http.close()
        return sum(found)

    async def _differs(self, http: HttpClient, wallet: str) -> bool:
        wanted = f"{self.cents[wallet] / 100:.2f}"
        ledger = (await http.request("GET", f"/v1/wallets/{wallet}")).json()
        path = f"/v1/history/wallets/{wallet}/balance?version={ledger['version']}"
        deadline_s = time.monotonic() + SETTLED_WITHIN_S
        history = await http.request("GET", path)
        while history.status not in OK and time.monotonic() < deadline_s:  # until it has got so far
            await asyncio.sleep(RETRY_S)
            history = await http.request("GET", path)
        told = [each.get("balance", {}).get("posted", {}).get("amount") for each in (ledger, history.json())]
        return told != [wanted, wanted]

    def sent_to(self, addresses: Collection[str]) -> int:
        """Return how many requests were answered by one of *addresses*, `host:port`."""
        return sum(upstreams in addresses for upstreams in self._upstreams())

    def _sent_again(self) -> int:
        return sum("," in upstreams for upstreams in self._upstreams())

    def _upstreams(self) -> list[str]:
        """Return which instances each request had, with commas."""
        with self._log.open("rb") as file:
            file.seek(self._logged_before)
            return [json.loads(line)["upstreams"] for line in file.read().splitlines()]

    def _client(self) -> HttpClient:
        return HttpClient(self._port, authorization=self._authorization)


def _p99_ms(tries: list[Exchange]) -> float:
    took_s = sorted(each.seconds for each in tries)
    return round(took_s[int(len(took_s) * 0.99)] * 1e3, 1)
