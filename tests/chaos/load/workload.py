"""The bank: seeded commands between wallets, some of them hot, each repeated under its key until it is settled."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from tests.chaos.load.client import HttpClient, Response, Unanswered
from tests.chaos.load.exchanges import Exchange, timed
from tests.chaos.load.history import OK, Command, Done, Entry, History, is_definite

from servicekit.clock import utc_now

WALLETS = 32
HOT = 3
FUNDS_MINOR = 100_000
CLIENTS = 16
SETTLED_WITHIN_S = 45.0
PAUSE_S = (0.0, 0.02)
"""Between a client's commands: about two thirds of what a closed loop would send."""
RETRY_S = (0.02, 0.2)
MIX = {
    "transfer": 44,
    "deposit": 10,
    "withdrawal": 8,
    "payment": 5,
    "refund": 4,
    "convert": 3,
    "hold": 8,
    "settle": 6,
    "atomic": 4,
    "independent": 4,
    "repeat": 4,
}
SHORT = timedelta(seconds=2)
"""How long holds last that nobody settles: the sweeper does."""
CURRENCY = "USD"
EUROS = "EUR"
EURO_WALLETS = 3
TERMS: dict[str, Any] = {
    "fees": [{"id": "pay", "operation": "payment", "currency": CURRENCY, "bearer": "payer", "rate_ppm": 9_999}],
    "tiers": [
        {
            "name": "default",
            "limits": [
                {"scope": "wallet", "operation": "withdrawal", "currency": CURRENCY, "day_amount": "100000.00"},
                {"scope": "wallet", "operation": "debit", "currency": CURRENCY, "per_transaction": "90000.00"},
            ],
        }
    ],
    "fx": {"spread_ppm": 5_000, "pairs": [{"source_currency": CURRENCY, "destination_currency": EUROS}]},
}
"""The policy that everything happens under, by section."""
_REFUNDABLE = frozenset({"deposit", "transfer", "withdrawal", "payment", "capture", "conversion"})


@dataclass(frozen=True, slots=True)
class Placed:
    """A hold that nobody has settled yet."""

    hold_id: str
    wallet: str
    amount_minor: int


@dataclass(kw_only=True)
class Bank:
    """The wallets, the clients' addresses, what was answered and each exchange. *mix* weighs the kinds of commands.

    *settled_within_s* is how long a command is repeated until it is settled.
    """

    seed: int
    ports: Sequence[int]
    history: History = field(default_factory=History)
    exchanges: list[Exchange] = field(default_factory=list)
    wallets: list[str] = field(default_factory=list)
    euro_wallets: list[str] = field(default_factory=list)
    terms: Mapping[str, Any] = field(default_factory=lambda: TERMS)
    policy_version: int = 0
    mix: dict[str, int] = field(default_factory=lambda: dict(MIX))
    is_opposite: bool = False
    clients: int = CLIENTS
    settled_within_s: float = SETTLED_WITHIN_S
    _keys: int = 0
    _placed: list[Placed] = field(default_factory=list)
    _turns: asyncio.Semaphore = field(init=False)

    def __post_init__(self) -> None:
        """Let every client have a command under way."""
        self._turns = asyncio.Semaphore(self.clients)

    async def open(self) -> None:
        """Set the policy, open the wallets and pay a first deposit into each."""
        client = Client(self, random.Random(self.seed))
        for section, document in self.terms.items():
            await client.settle(self.policy(section, document))
        client.close()
        for _ in range(WALLETS):
            self.wallets.append(await self.open_wallet())
        for _ in range(EURO_WALLETS):
            self.euro_wallets.append(await self.open_wallet(EUROS))
        await self.fund()

    async def fund(self) -> None:
        """Pay a deposit into each wallet."""
        client = Client(self, random.Random(self.seed))
        for wallet in self.wallets:
            await client.settle(self.deposit(wallet, FUNDS_MINOR))
        client.close()

    async def open_wallet(self, currency: str = CURRENCY) -> str:
        """Open a wallet and return its id; the load does not know of it."""
        command = Command(
            "open",
            self.key("open"),
            "/v1/wallets",
            {"owner_id": f"owner-{self._keys % 8}", "currency": currency, "placement": f"group-{self._keys}"},
        )
        client = Client(self, random.Random(command.key))
        try:
            opened = await client.settle(command)
        finally:
            client.close()
        assert opened is not None, "a wallet could not be opened"
        wallet: str = opened.answer.json()["id"]
        return wallet

    async def run(self, stop: asyncio.Event) -> None:
        """Run the clients until *stop*, and until each command under way is settled."""
        async with asyncio.TaskGroup() as clients:
            for number in range(self.clients):
                clients.create_task(self._client(random.Random(f"{self.seed}/{number}"), stop))

    async def _client(self, chance: random.Random, stop: asyncio.Event) -> None:
        client = Client(self, chance)
        try:
            while not stop.is_set():
                async with self._turns:
                    await self._one(client, chance)
                await asyncio.sleep(chance.uniform(*PAUSE_S))
        finally:
            client.close()

    async def _one(self, client: "Client", chance: random.Random) -> None:
        kind = chance.choices(list(self.mix), list(self.mix.values()))[0]
        if kind == "repeat":
            await client.repeat()
        elif kind == "hold":
            await self._hold(client, chance)
        elif kind == "settle":
            await self._settle_hold(client, chance)
        elif kind == "refund":
            await self._refund(client, chance)
        elif kind == "convert":
            await self._convert(client, chance)
        else:
            await client.settle(self._command(kind, chance))

    async def _hold(self, client: "Client", chance: random.Random) -> None:
        """Hold a little of a wallet: for a moment, or until it is settled."""
        wallet, amount_minor = self._wallet(chance), chance.choice((1, 137, 2_500))
        lasts = SHORT if chance.random() < 0.3 else None
        done = await client.settle(self.hold(wallet, amount_minor, lasts=lasts))
        if done is not None and done.answer.status in OK and lasts is None:
            self._placed.append(Placed(done.answer.json()["id"], wallet, amount_minor))

    async def _settle_hold(self, client: "Client", chance: random.Random) -> None:
        """Capture or void a hold that is open."""
        if not self._placed:
            return
        placed = self._placed.pop(chance.randrange(len(self._placed)))
        payee = chance.choice([wallet for wallet in self.wallets if wallet != placed.wallet])
        await client.settle(self.capture(placed, payee) if chance.random() < 0.7 else self.void(placed))

    async def _refund(self, client: "Client", chance: random.Random) -> None:
        """Take a little of a transaction back, or now and then more than is left of it."""
        done = chance.choice(self.history.done)
        if done.command.kind in _REFUNDABLE and done.moved:
            await client.settle(self.refund(done, chance.choice((1, 137, 10_000))))

    async def _convert(self, client: "Client", chance: random.Random) -> None:
        """Ask for a quote and use it."""
        quoted = await client.settle(self.quote(chance.choice((137, 2_500))))
        if quoted is not None and quoted.answer.status in OK:
            payer, payee = self._wallet(chance), chance.choice(self.euro_wallets)
            await client.settle(self.conversion(quoted.answer.json()["id"], payer, payee))

    @asynccontextmanager
    async def paused(self) -> AsyncIterator[None]:
        """Keep the clients still while the body runs; what they have under way is settled first."""
        for _ in range(self.clients):
            await self._turns.acquire()
        try:
            yield
        finally:
            for _ in range(self.clients):
                self._turns.release()

    # -- commands

    def key(self, kind: str) -> str:
        """Return a key never used before."""
        self._keys += 1
        return f"{kind}-{self.seed}-{self._keys}"

    def deposit(self, wallet: str, amount_minor: int) -> Command:
        """Return a deposit."""
        return self._single("deposit", {"wallet_id": wallet}, amount_minor, ((wallet, amount_minor),))

    def withdrawal(self, wallet: str, amount_minor: int) -> Command:
        """Return a withdrawal."""
        return self._single("withdrawal", {"wallet_id": wallet}, amount_minor, ((wallet, -amount_minor),))

    def transfer(self, source: str, destination: str, amount_minor: int) -> Command:
        """Return a transfer."""
        body = {"source_wallet_id": source, "destination_wallet_id": destination}
        return self._single("transfer", body, amount_minor, ((source, -amount_minor), (destination, amount_minor)))

    def _single(self, kind: str, body: dict[str, Any], amount_minor: int, entries: tuple[Entry, ...]) -> Command:
        return Command(kind, self.key(kind), f"/v1/{kind}s", {**body, "amount": _amount(amount_minor)}, (entries,))

    def _command(self, kind: str, chance: random.Random) -> Command:
        # Now and then more than any wallet holds: a refusal is settled too.
        amount_minor = chance.choice((1, 137, 2_500, 10_000, 60_000_000))
        match kind:
            case "transfer":
                return self.transfer(*self._pair(chance), amount_minor)
            case "deposit":
                return self.deposit(self._wallet(chance), min(amount_minor, 10_000))
            case "withdrawal":
                return self.withdrawal(self._wallet(chance), amount_minor)
            case "payment":
                return self.payment(chance.sample(self.wallets, 3), amount_minor)
            case _:
                kinds = chance.choices(("transfer", "deposit", "withdrawal"), k=4)
                return self.batch(kind, [self._command(each, chance) for each in kinds])

    def hold(self, wallet: str, amount_minor: int, *, lasts: timedelta | None = None) -> Command:
        """Return the placing of a hold."""
        until = {} if lasts is None else {"expires_at": (utc_now() + lasts).isoformat()}
        body = {"wallet_id": wallet, "amount": _amount(amount_minor), **until}
        return Command("hold", self.key("hold"), "/v1/holds", body)

    def capture(self, placed: "Placed", payee: str) -> Command:
        """Return the capture of all that a hold holds."""
        entries = ((placed.wallet, -placed.amount_minor), (payee, placed.amount_minor))
        path, body = f"/v1/holds/{placed.hold_id}/capture", {"destination_wallet_id": payee}
        return Command("capture", self.key("capture"), path, body, (entries,))

    def void(self, placed: "Placed") -> Command:
        """Return the void of a hold."""
        return Command("void", self.key("void"), f"/v1/holds/{placed.hold_id}/void", {})

    def payment(self, wallets: Sequence[str], amount_minor: int) -> Command:
        """Return a payment of the first of three wallets to the others; the answer tells fee and shares."""
        payer, first, second = wallets
        destinations = [{"wallet_id": first, "share_ppm": 333_333}, {"wallet_id": second, "rest": True}]
        body = {"source_wallet_id": payer, "amount": _amount(amount_minor), "destinations": destinations}
        return Command("payment", self.key("payment"), "/v1/payments", body, ((),))

    def refund(self, done: Done, amount_minor: int) -> Command:
        """Return a refund of what a client was told of, in the currency that its payee got."""
        currency = EUROS if done.command.kind == "conversion" else CURRENCY
        body = {"reason": "chaos", "amount": {**_amount(amount_minor), "currency": currency}}
        path = f"/v1/transactions/{done.moved[0].transaction_id}/refunds"
        return Command("refund", self.key("refund"), path, body, ((),))

    def quote(self, amount_minor: int) -> Command:
        """Return the request of a quote."""
        body = {"source_currency": CURRENCY, "destination_currency": EUROS, "source_amount": _text(amount_minor)}
        return Command("quote", self.key("quote"), "/v1/fx/quotes", body)

    def conversion(self, quote_id: str, payer: str, payee: str) -> Command:
        """Return the use of a quote."""
        body = {"quote_id": quote_id, "source_wallet_id": payer, "destination_wallet_id": payee}
        return Command("conversion", self.key("conversion"), "/v1/conversions", body, ((),))

    def policy(self, section: str, document: Any) -> Command:
        """Return the next change of the policy."""
        body = {"expected_version": self.policy_version, "document": document}
        self.policy_version += 1
        return Command("policy", self.key("policy"), f"/v1/policy/{section}", body, method="PUT")

    def batch(self, mode: str, singles: Sequence[Command]) -> Command:
        """Return a batch of *singles*."""
        commands = [{"type": single.kind, **single.body} for single in singles]
        entries = tuple(single.entries[0] for single in singles)
        return Command(mode, self.key(mode), "/v1/batches", {"mode": mode, "commands": commands}, entries)

    def _wallet(self, chance: random.Random) -> str:
        return chance.choice(self.wallets[:HOT] if chance.random() < 0.5 else self.wallets)

    def _pair(self, chance: random.Random) -> tuple[str, str]:
        """Return payer and payee; in opposite order as often, and half of them on one wallet, where that is asked."""
        if not self.is_opposite:
            source, destination = self._wallet(chance), chance.choice(self.wallets)
            return (source, destination) if source != destination else self._pair(chance)
        first = 0 if chance.random() < 0.5 else chance.randrange(1, 4)
        pair = [self.wallets[first], self.wallets[chance.randrange(4, 8)]]
        chance.shuffle(pair)
        return pair[0], pair[1]


def _amount(amount_minor: int) -> dict[str, str]:
    return {"amount": _text(amount_minor), "currency": CURRENCY}


def _text(amount_minor: int) -> str:
    return f"{amount_minor // 100}.{amount_minor % 100:02d}"


class Client:
    """One user of the bank: an address at a time, the next one when there is no answer."""

    def __init__(self, bank: Bank, chance: random.Random, *, port: int | None = None) -> None:
        self._bank = bank
        self._chance = chance
        self._https = [HttpClient(each) for each in ([port] if port else bank.ports)]
        chance.shuffle(self._https)

    async def settle(self, command: Command) -> Done | None:
        """Send *command* until it is settled and record that; None, recorded too, where it is not in time."""
        answered = await self.answer(command)
        if answered is None:
            self._bank.history.undecided.append(command.key)
            return None
        answer, attempts = answered
        return self._bank.history.settle(command, answer, attempts=attempts)

    async def repeat(self) -> None:
        """Send a settled command of the bank's once more and compare what is answered."""
        done = self._bank.history.done
        first = self._chance.choice(done) if done else None
        if first is not None and not first.is_anothers:
            again = await self.answer(first.command)
            if again is not None:
                self._bank.history.compare(first, again[0])

    def close(self) -> None:
        """Drop the connections."""
        for http in self._https:
            http.close()

    async def answer(self, command: Command) -> tuple[Response, int] | None:
        """Send *command* until it is settled; return the answer, recorded nowhere, and the number of attempts."""
        until_s, attempts = time.monotonic() + self._bank.settled_within_s, 0
        while time.monotonic() < until_s:
            attempts += 1
            try:
                answer = await self._send(command)
            except Unanswered:
                self._bank.history.unanswered += 1
                self._https.append(self._https.pop(0))
            else:
                if is_definite(answer):
                    return answer, attempts
            await asyncio.sleep(self._chance.uniform(*RETRY_S))
        return None

    async def _send(self, command: Command) -> Response:
        http, method, path = self._https[0], command.method, command.path
        return await timed(http, self._bank.exchanges, method, path, command.body, key=command.key)
