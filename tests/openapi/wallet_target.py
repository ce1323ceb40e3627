"""The wallet under test: wallets with money in several currencies, and fresh ones for what happens once."""

import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from itertools import cycle
from typing import Any, Final

import httpx2
from prometheus_client import CollectorRegistry
from schemathesis.specs.openapi.checks import negative_data_rejection
from tests.openapi.conformance import Excluded
from tests.openapi.filling import Fill, Json
from tests.openapi.targets import BEHIND_PROXY, Target

from contracts.ids import new_id_text
from local_stack.services import CENTURY_S, EXAMPLE_RATES
from servicekit.access.admission import Authority
from servicekit.clock import monotonic_s
from servicekit.http.edge.outermost import Edge
from servicekit.telemetry import Telemetry, Tracing
from testkit.databases import Database
from wallet.bootstrap import SERVICE, migration_sources
from wallet.bootstrap.api import open_api
from wallet.bootstrap.housekeeping import open_maintenance
from wallet.config import WalletSettings

REFERENCE: Final = "order-1"
AMOUNTS: Final = {"USD": "1.05", "JPY": "7", "BHD": "0.125"}
"""A currency of every number of decimals in use, and a little of it."""
PLENTY: Final = "1000000"
ASKED: Final = {"source_currency": "USD", "destination_currency": "JPY", "source_amount": "1.05", "valid_s": 300}
OFFERED: Final = [{"source_currency": "USD", "destination_currency": currency} for currency in ("JPY", "EUR")]
RATES_WITHIN_S: Final = 60.0
PATIENCE_S: Final = 60.0
DAY_S: Final = 86_400.0
SECTIONS: Final = {
    "change_hold_terms": "holds",
    "change_fees": "fees",
    "change_fx_terms": "fx",
    "change_tiers": "tiers",
}
"""What each command that changes the policy sets."""
TERMS: Final[Mapping[str, Json]] = {
    "change_limits": {
        "time_zone": "Europe/Berlin",
        "limits": [{"scope": "wallet", "operation": "debit", "currency": "USD", "day_amount": "9.50", "day_count": 3}],
    },
    "change_overdraft": {"limit": {"amount": "7.00", "currency": "USD"}},
    "change_details": {"label": "household"},
}
"""What each command that sets a wallet's terms or details sets."""


def wait_for_rates(http: httpx2.Client, asked: Json) -> None:
    """Return once a quote can be had; raise TimeoutError."""
    until_s = monotonic_s() + RATES_WITHIN_S
    while http.post("/v1/fx/quotes", json=asked, headers={"Idempotency-Key": new_id_text()}).status_code != 201:
        if monotonic_s() > until_s:
            raise TimeoutError
        time.sleep(0.1)


class Wallets:
    """Makes wallets and fills commands with them."""

    def __init__(self, http: httpx2.Client) -> None:
        self._http = http
        self._rich = {currency: (self._paid(currency), self._paid(currency)) for currency in AMOUNTS}
        self._currencies = cycle(AMOUNTS)
        self._offer()
        self.transaction_id = self._deposit(self.rich(), "USD")["id"]
        self._fills: Mapping[str, Callable[[Json], None]] = {
            **dict.fromkeys(("open_wallet", "change_tier", *TERMS), self._open_or_set),
            **{change: self.change_policy(section) for change, section in SECTIONS.items()},
            **dict.fromkeys(("deposit", "withdrawal"), self.move),
            "transfer": self.transfer,
            "payment": self.pay,
            "hold": self.hold,
            **dict.fromkeys(("increase_hold", "capture", "void_hold"), self._change),
            "quote": self.ask_quote,
            "conversion": self.convert,
            **dict.fromkeys(("refund", "reversal", "chargeback"), self.take_back),
            **dict.fromkeys(("freeze", "close"), self._empties),
            "unfreeze": self._frozens,
        }
        """What fills the members of batches, by their types."""

    def _offer(self) -> None:
        """Let dollars be converted, and wait until rates were fetched."""
        body = {"expected_version": self._policy()["version"], "document": {"pairs": OFFERED}}
        assert self._http.put("/v1/policy/fx", json=body, headers={"Idempotency-Key": new_id_text()}).is_success
        wait_for_rates(self._http, ASKED)

    def rich(self) -> str:
        """Return a wallet with money."""
        return self._rich["USD"][0]

    def empty(self) -> str:
        """Return a new wallet."""
        return str(self._post("/v1/wallets", {"owner_id": "owner", "currency": "USD"})["id"])

    def frozen(self) -> str:
        """Return a new wallet that an operator froze."""
        wallet_id = self.empty()
        self._post(f"/v1/wallets/{wallet_id}/freeze", {"reason": "a look", "scope": "all"})
        return wallet_id

    def move(self, body: Json) -> None:
        """Fill a deposit or a withdrawal."""
        currency = next(self._currencies)
        body["wallet_id"] = self._rich[currency][0]
        body["amount"] = {"amount": AMOUNTS[currency], "currency": currency}

    def transfer(self, body: Json) -> None:
        """Fill a transfer."""
        currency = next(self._currencies)
        body["source_wallet_id"], body["destination_wallet_id"] = self._rich[currency]
        body["amount"] = {"amount": AMOUNTS[currency], "currency": currency}

    def pay(self, body: Json) -> None:
        """Fill a payment."""
        currency = next(self._currencies)
        payer, payee = self._rich[currency]
        body["source_wallet_id"] = payer
        body["amount"] = {"amount": AMOUNTS[currency], "currency": currency}
        body["destinations"] = [{"wallet_id": payee, "rest": True}]

    def hold(self, body: Json) -> None:
        """Fill a hold."""
        self.move(body)
        body["expires_at"] = None

    def held(self) -> str:
        """Return a new hold."""
        amount = {"amount": "2.00", "currency": "USD"}
        return str(self._post("/v1/holds", {"wallet_id": self.rich(), "amount": amount})["id"])

    def increase(self, body: Json) -> None:
        """Fill the increase of a hold."""
        body["amount"], body["expires_at"] = {"amount": "1.05", "currency": "USD"}, None

    def capture(self, body: Json) -> None:
        """Fill the capture of a hold."""
        body["amount"] = {"amount": "1.05", "currency": "USD"}
        body["destination_wallet_id"] = self._rich["USD"][1]
        body["external"] = body["destinations"] = None

    def deposited(self) -> str:
        """Return a new deposit of 2.00."""
        amount = {"amount": "2.00", "currency": "USD"}
        return str(self._post("/v1/deposits", {"wallet_id": self.rich(), "amount": amount})["id"])

    def take_back(self, body: Json) -> None:
        """Fill a refund, a reversal or a chargeback of such a deposit."""
        if "transaction_id" in body:  # as a member of a batch
            body["transaction_id"] = self.deposited()
        for name in ("amount", "parts"):
            if name in body:
                body[name] = None

    def change_policy(self, section: str) -> Callable[[Json], None]:
        """Return what fills the change of a section: of the policy as it is now, to what it is."""

        def fill(body: Json) -> None:
            policy = self._policy()
            body["expected_version"], body["document"] = policy["version"], policy[section]

        return fill

    def opened(self, body: Json) -> None:
        """Fill an opening: a credit line is in the wallet's currency."""
        if body.get("overdraft_limit") is not None:
            body["overdraft_limit"] = {"amount": "7", "currency": body["currency"]}

    def terms(self, change: str) -> Callable[[Json], None]:
        """Return what fills a change of a wallet's terms or details."""

        def fill(body: Json) -> None:
            body |= TERMS[change]

        return fill

    def tier(self, body: Json) -> None:
        """Fill the change of an owner's tier."""
        body["tier"] = "default"
        if "owner_id" in body:
            body["owner_id"] = "owner"

    def ask_quote(self, body: Json) -> None:
        """Fill the request for a quote."""
        body.update(ASKED, destination_amount=None)

    def quote(self) -> str:
        """Return a new quote."""
        return str(self._post("/v1/fx/quotes", ASKED)["id"])

    def convert(self, body: Json) -> None:
        """Fill a conversion."""
        body["quote_id"] = self.quote()
        body["source_wallet_id"], body["destination_wallet_id"] = self._rich["USD"][0], self._rich["JPY"][0]

    def batch(self, body: Json) -> None:
        """Fill every command of a batch; one key is enough for an atomic one."""
        version = self._policy()["version"]
        for command in body["commands"]:
            self._fills[command["type"]](command)
            if command["type"] in SECTIONS:
                command["expected_version"] = version
                version += 1
            command["idempotency_key"] = new_id_text() if body["mode"] == "independent" else None

    def _open_or_set(self, command: Json) -> None:
        """Fill an opening, or what is set of a wallet or an owner."""
        match command["type"]:
            case "open_wallet":
                self.opened(command)
            case "change_tier":
                self.tier(command)
            case change:
                command["wallet_id"] = self.empty()
                self.terms(change)(command)

    def _empties(self, command: Json) -> None:
        command["wallet_id"] = self.empty()

    def _frozens(self, command: Json) -> None:
        command["wallet_id"] = self.frozen()

    def _policy(self) -> Json:
        found: dict[str, Any] = self._http.get("/v1/policy").json()
        return found

    def _change(self, command: Json) -> None:
        """Fill a command on a hold, which is placed for it."""
        command["hold_id"] = self.held()
        if command["type"] == "increase_hold":
            self.increase(command)
        elif command["type"] == "capture":
            self.capture(command)

    def _paid(self, currency: str) -> str:
        opened = self._post("/v1/wallets", {"owner_id": "owner", "currency": currency})
        self._deposit(opened["id"], currency)
        return str(opened["id"])

    def _deposit(self, wallet_id: str, currency: str) -> Json:
        amount = {"amount": PLENTY, "currency": currency}
        return self._post("/v1/deposits", {"wallet_id": wallet_id, "amount": amount, "reference": REFERENCE})

    def _post(self, path: str, body: Json) -> Json:
        answer = self._http.post(path, json=body, headers={"Idempotency-Key": new_id_text()})
        assert answer.is_success, answer.text
        found: dict[str, Any] = answer.json()
        return found


def fills(_database: Database, http: httpx2.Client) -> Mapping[str, Fill]:
    """Return what requests to the wallet are filled with."""
    wallets = Wallets(http)
    return {
        "GET /v1/wallets": Fill(paged={"owner_id": "owner"}),
        "GET /v1/wallets/{wallet_id}": Fill(path={"wallet_id": wallets.rich}),
        "GET /v1/transactions": Fill(paged={"reference": REFERENCE}),
        "GET /v1/transactions/{transaction_id}": Fill(path={"transaction_id": lambda: wallets.transaction_id}),
        "POST /v1/deposits": Fill(body=wallets.move),
        "POST /v1/withdrawals": Fill(body=wallets.move),
        "POST /v1/transfers": Fill(body=wallets.transfer),
        "POST /v1/payments": Fill(body=wallets.pay),
        "GET /v1/holds": Fill(paged={"wallet_id": wallets.rich()}),
        "GET /v1/holds/{hold_id}": Fill(path={"hold_id": wallets.held}),
        "POST /v1/holds": Fill(body=wallets.hold),
        "POST /v1/holds/{hold_id}/increase": Fill(path={"hold_id": wallets.held}, body=wallets.increase),
        "POST /v1/holds/{hold_id}/capture": Fill(path={"hold_id": wallets.held}, body=wallets.capture),
        "POST /v1/holds/{hold_id}/void": Fill(path={"hold_id": wallets.held}),
        **{
            f"POST /v1/transactions/{{transaction_id}}/{how}": Fill(
                path={"transaction_id": wallets.deposited}, body=wallets.take_back
            )
            for how in ("refunds", "reversal", "chargebacks")
        },
        **{f"PUT /v1/policy/{section}": Fill(body=wallets.change_policy(section)) for section in SECTIONS.values()},
        "POST /v1/wallets": Fill(body=wallets.opened),
        **{
            f"PUT /v1/wallets/{{wallet_id}}/{change.removeprefix('change_')}": Fill(
                path={"wallet_id": wallets.empty}, body=wallets.terms(change)
            )
            for change in TERMS
        },
        "GET /v1/wallets/{wallet_id}/limits": Fill(path={"wallet_id": wallets.rich}),
        "GET /v1/owners/{owner_id}": Fill(path={"owner_id": lambda: "owner"}),
        "PUT /v1/owners/{owner_id}/tier": Fill(path={"owner_id": lambda: "owner"}, body=wallets.tier),
        "POST /v1/fx/quotes": Fill(body=wallets.ask_quote),
        "GET /v1/fx/quotes/{quote_id}": Fill(path={"quote_id": wallets.quote}),
        "POST /v1/conversions": Fill(body=wallets.convert),
        "POST /v1/batches": Fill(body=wallets.batch),
        "POST /v1/wallets/{wallet_id}/freeze": Fill(path={"wallet_id": wallets.empty}),
        "POST /v1/wallets/{wallet_id}/unfreeze": Fill(path={"wallet_id": wallets.frozen}),
        "POST /v1/wallets/{wallet_id}/close": Fill(path={"wallet_id": wallets.empty}),
    }


@asynccontextmanager
async def _open_api(database: Database, telemetry: Telemetry, authority: Authority | None) -> AsyncIterator[Edge]:
    """Give the API, beside what fetches its rates."""
    # A busy machine may take its time: what is tested is what is answered, not when.
    patient = WalletSettings(
        wallet_database_url=database.dsn_app,
        wallet_reader_database_url=database.dsn_reader,
        wallet_command_deadline_s=PATIENCE_S,
        wallet_queue_age_s=PATIENCE_S,
        wallet_rates_url=EXAMPLE_RATES.as_uri(),
        wallet_rates_age_max_s=float(CENTURY_S),
        wallet_rates_every_s=DAY_S,
        **BEHIND_PROXY,
    ).model_copy(update={"wallet_sweep_every_s": DAY_S})  # nothing changes by itself while answers are compared
    house = Telemetry("wallet", "house", "0", CollectorRegistry(), Tracing("wallet", 0.0))
    async with open_maintenance(patient, house), open_api(patient, telemetry, authority=authority) as app:
        yield app


_ANY_TEXT: Final = Excluded(
    "GET /v1/owners/{owner_id}",
    negative_data_rejection,
    "An owner's id is any text, so that what is sent in the place of one, such as a number, is one too.",
)
TARGET: Final = Target(
    service=SERVICE, migrations=migration_sources, open_api=_open_api, fills=fills, excluded=(_ANY_TEXT,)
)
