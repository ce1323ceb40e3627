"""The commands that a player may give: how each is asked for, what the model says of it, what its answer must tell."""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from tests.mix.amounts import EXPONENTS, text
from tests.mix.checking import minor
from tests.mix.model import World
from tests.mix.things import Done, Hold, Wallet

from contracts.ids import new_id_text
from servicekit.clock import utc_now

CURRENCIES: Final = ("USD", "USD", "USD", "JPY", "EUR")
WALLETS_MAX: Final = 24
QUOTED_FOR: Final = timedelta(seconds=120)
Json = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A command: its request, as a batch's member *member* too, and what the *model* makes of it."""

    path: str
    body: Json
    model: Callable[[World], Done]
    member: Json
    method: str = "POST"


class Dice:
    """Throws the next command for a *world*, by a seeded chance."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._steps: Mapping[Callable[[World], Step | None], int] = {
            self._deposit: 10,
            self._withdrawal: 6,
            self._transfer: 30,
            self._payment: 10,
            self._place: 14,
            self._increase: 4,
            self._capture: 12,
            self._void: 3,
            self._open: 2,
            self._restrict: 1,
            self._lift: 4,
            self._close: 1,
            self._fees: 2,
            self._hold_terms: 1,
            self._fx: 1,
            self._tiers: 1,
            self._refund: 5,
            self._charge_back: 1,
            self._reverse: 2,
            self._overdraft: 1,
            self._details: 1,
            self._quote: 6,
            self._convert: 6,
        }

    def opening(self) -> Step:
        """Return the opening of a wallet."""
        owner, currency = f"owner-{self._chance.randint(1, 5)}", self._chance.choice(CURRENCIES)
        body = {"owner_id": owner, "currency": currency, "placement": new_id_text()}
        return _step("/v1/wallets", "open_wallet", body, lambda _: Done(made=Wallet(owner, currency)))

    def funding(self, world: World) -> Step:
        """Return a deposit into the newest wallet."""
        return self._deposited(world, list(world.wallets)[-1])

    def step(self, world: World) -> Step:
        """Return the next command."""
        while True:
            (make,) = self._chance.choices(list(self._steps), weights=list(self._steps.values()))
            made = make(world)
            if made is not None:
                return made

    # -- parts

    def _wallet(self, world: World) -> str:
        """Return a wallet, mostly one that is open."""
        wallet = self._chance.choice(list(world.wallets))
        return self._chance.choice(list(world.wallets)) if world.wallets[wallet].is_closed else wallet

    def _amount(self, world: World, wallet_id: str) -> int:
        """Return an amount that is mostly there, and sometimes a little more."""
        available = max(world.available(wallet_id), 1)
        return self._chance.randint(1, available // self._chance.choice((1, 10, 40, 100)) + 1)

    def _payees(self, world: World, payer: str, amount: int) -> list[Json]:
        currency = world.wallets[payer].currency
        others = [each for each in world.wallets if each != payer and world.wallets[each].currency == currency]
        chosen = self._chance.sample(others, min(len(others), self._chance.randint(0, 3)))
        payees: list[Json] = [{"wallet_id": each} for each in chosen]
        if not payees or self._chance.random() < 0.3:
            payees.append({"external": {}})
        self._share(payees, amount, currency)
        return payees

    def _share(self, payees: list[Json], amount: int, currency: str) -> None:
        """Give each of *payees* its part, which mostly sum up."""
        ways = self._chance.choice(("rest", "shares", "amounts"))
        if ways == "shares":
            each = 1_000_000 // len(payees)
            for payee in payees:
                payee["share_ppm"] = each
            payees[-1]["share_ppm"] += 1_000_000 - each * len(payees)
            return
        for payee in payees[:-1]:
            payee["amount"] = _money(self._chance.randint(1, max(1, amount // len(payees))), currency)
        if ways == "rest":
            payees[-1]["rest"] = True
        else:
            fixed = sum(minor(payee["amount"]) for payee in payees[:-1])
            payees[-1]["amount"] = _money(max(1, amount - fixed), currency)

    def _an_open_hold(self, world: World) -> tuple[str, Hold] | None:
        found = list(world.holds.items())[-40:]
        if not found:
            return None
        opened = [each for each in found if each[1].status == "open"]
        return self._chance.choice(opened if opened and self._chance.random() < 0.9 else found)

    # -- commands

    def _open(self, world: World) -> Step | None:
        return self.opening() if len(world.wallets) < WALLETS_MAX else None

    def _deposit(self, world: World) -> Step:
        return self._deposited(world, self._wallet(world))

    def _deposited(self, world: World, wallet: str) -> Step:
        amount = self._chance.randint(1, 100_000)
        body = {"wallet_id": wallet, "amount": _money(amount, world.wallets[wallet].currency)}
        return _step("/v1/deposits", "deposit", body, lambda of: of.deposit(wallet, amount))

    def _withdrawal(self, world: World) -> Step:
        wallet = self._wallet(world)
        amount = self._amount(world, wallet)
        body = {"wallet_id": wallet, "amount": _money(amount, world.wallets[wallet].currency)}
        return _step("/v1/withdrawals", "withdrawal", body, lambda of: of.withdrawal(wallet, amount))

    def _transfer(self, world: World) -> Step | None:
        source, destination = self._wallet(world), self._wallet(world)
        if source == destination:
            return None
        amount = self._amount(world, source)
        amount_body = _money(amount, world.wallets[source].currency)
        body = {"source_wallet_id": source, "destination_wallet_id": destination, "amount": amount_body}
        return _step("/v1/transfers", "transfer", body, lambda of: of.transfer(source, destination, amount))

    def _payment(self, world: World) -> Step:
        source = self._wallet(world)
        amount = self._amount(world, source)
        payees = self._payees(world, source, amount)
        amount_body = _money(amount, world.wallets[source].currency)
        body = {"source_wallet_id": source, "amount": amount_body, "destinations": payees}
        return _step("/v1/payments", "payment", body, lambda of: of.payment(source, amount, payees))

    def _place(self, world: World) -> Step:
        wallet = self._wallet(world)
        amount, now = self._amount(world, wallet), utc_now()
        lasts = timedelta(seconds=self._chance.randint(8, 12)) if self._chance.random() < 0.1 else timedelta(hours=20)
        until = now + lasts
        amount_body = _money(amount, world.wallets[wallet].currency)
        body = {"wallet_id": wallet, "amount": amount_body, "expires_at": until.isoformat()}
        return _step("/v1/holds", "hold", body, lambda of: of.place(wallet, amount, now, until))

    def _increase(self, world: World) -> Step | None:
        found = self._an_open_hold(world)
        if found is None:
            return None
        hold_id, hold = found
        amount = self._amount(world, hold.wallet)
        body = {"amount": _money(amount, world.wallets[hold.wallet].currency)}
        return _of_hold(hold_id, "increase", "increase_hold", body, lambda of: of.increase(hold_id, amount))

    def _capture(self, world: World) -> Step | None:
        found = self._an_open_hold(world)
        if found is None:
            return None
        hold_id, hold = found
        whole = self._chance.random() < 0.3
        amount = None if whole else self._chance.randint(1, hold.remaining * 11 // 10 + 1)
        payees = self._payees(world, hold.wallet, hold.remaining if amount is None else amount)
        final = self._chance.random() < 0.4
        body: Json = {"destinations": payees, "final": final}
        if amount is not None:
            body["amount"] = _money(amount, world.wallets[hold.wallet].currency)

        def model(of: World) -> Done:
            return of.capture(hold_id, amount, payees, final=final)

        return _of_hold(hold_id, "capture", "capture", body, model)

    def _void(self, world: World) -> Step | None:
        found = self._an_open_hold(world)
        if found is None:
            return None
        hold_id, _ = found
        return _of_hold(hold_id, "void", "void_hold", {}, lambda of: of.void(hold_id))

    def _restrict(self, world: World) -> Step:
        wallet, scope = self._wallet(world), self._chance.choice(("debits", "all"))
        return _of_wallet(wallet, "freeze", {"scope": scope, "reason": "r"}, lambda of: of.restrict(wallet, scope))

    def _lift(self, world: World) -> Step | None:
        restricted = [each for each, wallet in world.wallets.items() if wallet.scope]
        if not restricted and self._chance.random() < 0.9:
            return None
        wallet = self._chance.choice(restricted) if restricted else self._wallet(world)
        return _of_wallet(wallet, "unfreeze", {}, lambda of: of.lift(wallet))

    def _close(self, world: World) -> Step | None:
        wallet = self._wallet(world)
        if len(world.wallets) < WALLETS_MAX // 2:
            return None
        return _of_wallet(wallet, "close", {}, lambda of: of.close(wallet))

    def _fees(self, world: World) -> Step:
        uses = [
            (operation, bearer)
            for operation in ("deposit", "withdrawal", "transfer", "payment", "capture", "conversion")
            for bearer in ("payer", "payee")
            if (operation, bearer) not in {("deposit", "payer"), ("withdrawal", "payee")}
        ]
        rules: list[Json] = []
        for operation, bearer in self._chance.sample(uses, self._chance.randint(0, 4)):
            rule: Json = {
                "id": f"{operation}-{bearer}-{self._chance.randint(1, 3)}",
                "operation": operation,
                "currency": "USD",
                "bearer": bearer,
                "rate_ppm": self._chance.randint(0, 50_000),
                "flat": text(self._chance.randint(0, 30), "USD"),
            }
            if self._chance.random() < 0.4:
                rule |= {"minimum": "0.05", "maximum": "2.00"}
            rules.append(rule)
        return self._policy(world, "fees", "change_fees", rules)

    def _hold_terms(self, world: World) -> Step:
        over = self._chance.choice((0, 50_000, 150_000))
        return self._policy(world, "holds", "change_hold_terms", {"days": 2, "days_max": 3, "overcapture_ppm": over})

    def _posted(self, world: World) -> tuple[str, str] | None:
        """Return a transaction that may be taken back, and its currency."""
        if not world.transactions:
            return None
        transaction_id = self._chance.choice(list(world.transactions)[-40:])
        account = next(each for each, _ in world.transactions[transaction_id].entries if each in world.wallets)
        return transaction_id, world.wallets[account].currency

    def _refund(self, world: World) -> Step | None:
        return self._part_back(world, "refunds", "refund")

    def _charge_back(self, world: World) -> Step | None:
        return self._part_back(world, "chargebacks", "chargeback")

    def _part_back(self, world: World, action: str, member: str) -> Step | None:
        found = self._posted(world)
        if found is None:
            return None
        transaction_id, currency = found
        left = world.transactions[transaction_id].left
        amount = None if self._chance.random() < 0.2 else self._chance.randint(1, left * 11 // 10 + 1)
        body: Json = {"reason": "asked for"}
        if amount is not None:
            body["amount"] = _money(amount, currency)
        return _of_transaction(
            transaction_id, action, member, body, lambda of: of.take_back(transaction_id, amount, member)
        )

    def _reverse(self, world: World) -> Step | None:
        found = self._posted(world)
        if found is None:
            return None
        transaction_id, _ = found
        body = {"reason": "a mistake"}
        return _of_transaction(
            transaction_id, "reversal", "reversal", body, lambda of: of.take_back(transaction_id, None, "reversal")
        )

    def _overdraft(self, world: World) -> Step:
        wallet, limit = self._wallet(world), self._chance.choice((0, 500, 5_000))
        body = {"limit": _money(limit, world.wallets[wallet].currency), "reason": "r"}
        return _set(wallet, "overdraft", "change_overdraft", body, lambda of: of.set_overdraft(wallet, limit))

    def _details(self, world: World) -> Step:
        wallet = self._wallet(world)
        return _set(wallet, "details", "change_details", {"label": new_id_text()}, lambda of: of.describe(wallet))

    def _tiers(self, world: World) -> Step:
        """Bound what wallets of the tier that all owners have may move at once."""
        operations = self._chance.sample(
            ("withdrawal", "transfer", "payment", "conversion", "debit", "deposit"), self._chance.randint(0, 3)
        )
        limits = [
            {
                "scope": "wallet",
                "operation": operation,
                "currency": "USD",
                "per_transaction": text(self._chance.randint(10_000, 60_000), "USD"),
            }
            for operation in operations
        ]
        return self._policy(world, "tiers", "change_tiers", [{"name": "default", "limits": limits}])

    def _fx(self, world: World) -> Step:
        pairs = [(one, other) for one in EXPONENTS for other in EXPONENTS if one != other]
        offered = self._chance.sample(pairs, self._chance.randint(3, len(pairs)))
        document = {
            "spread_ppm": self._chance.choice((0, 2_500, 12_345)),
            "pairs": [{"source_currency": source, "destination_currency": to} for source, to in offered],
        }
        return self._policy(world, "fx", "change_fx_terms", document)

    def _quote(self, _world: World) -> Step:
        source, destination = self._chance.sample(sorted(EXPONENTS), 2)
        amount, until = self._chance.randint(1, 5_000), utc_now() + QUOTED_FOR
        body = {
            "source_currency": source,
            "destination_currency": destination,
            "source_amount": text(amount, source),
            "valid_s": int(QUOTED_FOR.total_seconds()),
        }
        return _step("/v1/fx/quotes", "quote", body, lambda of: of.quote(source, destination, amount, until))

    def _convert(self, world: World) -> Step | None:
        """Return the use of a quote that will not expire meanwhile, between wallets that mostly fit it."""
        fresh = [each for each, quote in world.quotes.items() if quote.expires_at - utc_now() > QUOTED_FOR / 2]
        if not fresh:
            return None
        quote_id = self._chance.choice(fresh[-10:])
        quote = world.quotes[quote_id]
        payer, payee = (
            self._of_currency(world, quote.source_currency),
            self._of_currency(world, quote.destination_currency),
        )
        if payer == payee:
            return None
        body = {"quote_id": quote_id, "source_wallet_id": payer, "destination_wallet_id": payee}
        return _step("/v1/conversions", "conversion", body, lambda of: of.convert(quote_id, payer, payee))

    def _of_currency(self, world: World, currency: str) -> str:
        fitting = [each for each, wallet in world.wallets.items() if wallet.currency == currency]
        return self._chance.choice(fitting) if fitting and self._chance.random() < 0.95 else self._wallet(world)

    def _policy(self, world: World, section: str, member: str, document: Any) -> Step:
        version = world.policy_version if self._chance.random() < 0.9 else world.policy_version + 1
        body = {"expected_version": version, "document": document}
        return Step(
            method="PUT",
            path=f"/v1/policy/{section}",
            body=body,
            member={"type": member, **body},
            model=lambda of: of.change_policy(section, version, document),
        )


def _step(path: str, member: str, body: Json, model: Callable[[World], Done]) -> Step:
    return Step(path=path, body=body, model=model, member={"type": member, **body})


def _of_hold(hold_id: str, action: str, member: str, body: Json, model: Callable[[World], Done]) -> Step:
    path = f"/v1/holds/{hold_id}/{action}"
    return Step(path=path, body=body, model=model, member={"type": member, "hold_id": hold_id, **body})


def _of_transaction(transaction_id: str, action: str, member: str, body: Json, model: Callable[[World], Done]) -> Step:
    path = f"/v1/transactions/{transaction_id}/{action}"
    return Step(path=path, body=body, model=model, member={"type": member, "transaction_id": transaction_id, **body})


def _set(wallet: str, what: str, member: str, body: Json, model: Callable[[World], Done]) -> Step:
    path = f"/v1/wallets/{wallet}/{what}"
    command = {"type": member, "wallet_id": wallet, **body}
    return Step(method="PUT", path=path, body=body, model=model, member=command)


def _of_wallet(wallet: str, action: str, body: Json, model: Callable[[World], Done]) -> Step:
    path = f"/v1/wallets/{wallet}/{action}"
    return Step(path=path, body=body, model=model, member={"type": action, "wallet_id": wallet, **body})


def _money(amount: int, currency: str) -> Json:
    return {"amount": text(amount, currency), "currency": currency}
