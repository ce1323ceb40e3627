"""Requests to the wallet: every command alone, and as a member of both kinds of batches."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from tests.access_matrix.callers import OTHER_OWNER, OURS, OWNER, THEIRS, Caller, Home
from tests.access_matrix.recipes import Json, Recipe, Recipes, Setup, listed, made, post
from tests.openapi.wallet_target import wait_for_rates

from contracts import scopes
from contracts.ids import new_id_text
from contracts.scopes import Scope

CURRENCY: Final = "USD"
PLENTY: Final = "1000000"
LITTLE: Final = {"amount": "0.01", "currency": CURRENCY}
ANN: Final = Home(OURS, OWNER)
HOMES: Final = (ANN, Home(OURS, OTHER_OWNER), Home(THEIRS, OWNER))
WALLETS: Final = "/v1/wallets"
HOLDS: Final = "/v1/holds"
MISSING: Final = "wallet_not_found"
MISSING_HOLD: Final = "hold_not_found"
MISSING_QUOTE: Final = "quote_not_found"
PAIR: Final[Json] = {"source_currency": CURRENCY, "destination_currency": "EUR"}
OFFERED: Final[Json] = {"pairs": [PAIR]}
ASKED: Final[Json] = {**PAIR, "source_amount": "0.10", "valid_s": 300}
HOLD_CHANGES: Final[Mapping[str, Json]] = {
    "increase_hold": {"amount": LITTLE},
    "capture": {"external": {}},
    "void_hold": {},
}
"""What is done with a hold, as members of batches and as bodies."""
DOCUMENTS: Final[Mapping[str, Any]] = {
    "change_hold_terms": {},
    "change_fees": [],
    "change_fx_terms": OFFERED,
    "change_tiers": [],
}
"""What each command that changes the policy sets its section to."""
MISSING_TRANSACTION: Final = "transaction_not_found"
TAKING_BACK: Final[Mapping[str, tuple[Scope, Json]]] = {
    "refund": (scopes.REFUNDS_CREATE, {"reason": "goods came back"}),
    "reversal": (scopes.REFUNDS_CREATE, {"reason": "goods came back"}),
    "chargeback": (scopes.CHARGEBACKS_CREATE, {"reason": "a bank's word"}),
}
"""What is done with a transaction, as members of batches and as bodies."""
TERMS: Final[Mapping[str, tuple[Scope, Json]]] = {
    "change_limits": (scopes.LIMITS_WRITE, {"time_zone": "Europe/Berlin"}),
    "change_overdraft": (scopes.OVERDRAFT_WRITE, {"limit": LITTLE, "reason": "a look"}),
    "change_details": (scopes.WALLETS_DESCRIBE, {"label": "household"}),
}
"""What is set of a wallet, with its scope, as members of batches and as bodies."""
TIER: Final[Json] = {"tier": "default", "reason": "a look"}
BY_OWNER_IN_BODY: Final = "/owner_id"
OF_NOBODY: Final = None
MODES: Final = {"atomic": True, "independent": False}


class Wallets:
    """Makes wallets. *rich* has one with money of every home; *reference* is of one deposit to the owner."""

    def __init__(self, setup: Setup) -> None:
        self._setup = setup
        for tenants in (ANN, HOMES[-1]):
            self._offer(tenants)
        self.reference = new_id_text()
        self.rich: Mapping[Home, str] = {home: self.empty(home) for home in HOMES}
        self.transaction, *_ = (self._deposit(home) for home in HOMES)
        self.reference = new_id_text()
        self.referenced = self._deposit(ANN)

    def empty(self, home: Home = ANN) -> str:
        """Return a new wallet."""
        return made(post(self._setup.admin(home), WALLETS, {"owner_id": home.owner, "currency": CURRENCY}))

    def frozen(self, home: Home = ANN) -> str:
        """Return a new wallet that staff froze."""
        wallet_id = self.empty(home)
        made(post(self._setup.admin(home), f"{WALLETS}/{wallet_id}/freeze", _FREEZE))
        return wallet_id

    def quote(self, home: Home = ANN) -> str:
        """Return a new quote of the home's tenant."""
        return made(post(self._setup.admin(home), "/v1/fx/quotes", ASKED))

    def euros(self, home: Home = ANN) -> str:
        """Return a new wallet for euros."""
        return made(post(self._setup.admin(home), WALLETS, {"owner_id": home.owner, "currency": "EUR"}))

    def _offer(self, home: Home) -> None:
        http = self._setup.admin(home)
        body = {"expected_version": self.policy_version(home), "document": OFFERED}
        assert http.put("/v1/policy/fx", json=body, headers={"Idempotency-Key": new_id_text()}).is_success
        wait_for_rates(http, ASKED)

    def held(self, home: Home = ANN) -> str:
        """Return a new hold that staff placed."""
        return made(post(self._setup.admin(home), HOLDS, _move(self.rich[home])))

    def deposited(self, home: Home = ANN) -> str:
        """Return a new deposit."""
        return made(post(self._setup.admin(home), "/v1/deposits", _move(self.rich[home])))

    def policy_version(self, home: Home) -> int:
        """Return the version of the tenant's policy."""
        version: int = self._setup.admin(home).get("/v1/policy").json()["version"]
        return version

    def _deposit(self, home: Home) -> str:
        amount = {"amount": PLENTY, "currency": CURRENCY}
        body = {"wallet_id": self.rich[home], "amount": amount, "reference": self.reference}
        return made(post(self._setup.admin(home), "/v1/deposits", body))


_FREEZE: Final[Json] = {"reason": "a look", "scope": "all"}


class _Members:
    """The commands, as members of batches and as bodies of their own."""

    def __init__(self, wallets: Wallets) -> None:
        self._wallets = wallets
        rich = wallets.rich
        empty, frozen = wallets.empty, wallets.frozen
        self.commands: Mapping[str, tuple[Scope, Callable[[Home], str], Callable[[str, Caller], Json], Any]] = {
            "open_wallet": (
                scopes.WALLETS_OPEN,
                lambda home: home.owner,
                lambda thing, _: {"owner_id": thing, "currency": CURRENCY},
                BY_OWNER_IN_BODY,
            ),
            "deposit": (scopes.DEPOSITS_CREATE, rich.__getitem__, _moved, OF_NOBODY),
            "withdrawal": (scopes.WITHDRAWALS_CREATE, rich.__getitem__, _moved, "/wallet_id"),
            "transfer": (scopes.TRANSFERS_CREATE, rich.__getitem__, self.transfer, "/source_wallet_id"),
            "payment": (scopes.PAYMENTS_CREATE, rich.__getitem__, self.payment, "/source_wallet_id"),
            "hold": (scopes.HOLDS_WRITE, rich.__getitem__, lambda thing, _: _move(thing), "/wallet_id"),
            **{
                member: (scopes.HOLDS_WRITE, wallets.held, _of_hold(body), "{hold_id}")
                for member, body in HOLD_CHANGES.items()
            },
            **{
                member: (scope, wallets.deposited, _of_transaction(body), "{transaction_id}")
                for member, (scope, body) in TAKING_BACK.items()
            },
            **{
                change: (scopes.POLICY_WRITE, lambda _: "", self.change_policy(change), OF_NOBODY)
                for change in DOCUMENTS
            },
            **{member: (scope, empty, _of_wallet_with(body), "{wallet_id}") for member, (scope, body) in TERMS.items()},
            "change_tier": (
                scopes.LIMITS_WRITE,
                lambda home: home.owner,
                lambda thing, _: {"owner_id": thing, **TIER},
                BY_OWNER_IN_BODY,
            ),
            "quote": (scopes.CONVERSIONS_CREATE, lambda _: "", lambda *_: ASKED, OF_NOBODY),
            "conversion": (scopes.CONVERSIONS_CREATE, rich.__getitem__, self.convert, "/source_wallet_id"),
            "freeze": (scopes.WALLETS_RESTRICT, empty, lambda thing, _: {"wallet_id": thing, **_FREEZE}, "{wallet_id}"),
            "unfreeze": (scopes.WALLETS_RESTRICT, frozen, _of_wallet, "{wallet_id}"),
            "close": (scopes.WALLETS_CLOSE, empty, _of_wallet, "{wallet_id}"),
        }

    def transfer(self, source: str, caller: Caller) -> Json:
        """Return a transfer to a wallet of the caller's own tenant."""
        to = self._of(caller, but=source)
        return {"source_wallet_id": source, "destination_wallet_id": to, "amount": LITTLE}

    def transfer_to(self, destination: str, caller: Caller) -> Json:
        """Return a transfer out of a wallet of the caller's own."""
        return {
            "source_wallet_id": self._of(caller, but=destination),
            "destination_wallet_id": destination,
            "amount": LITTLE,
        }

    def payment(self, source: str, caller: Caller) -> Json:
        """Return a payment to a wallet of the caller's own tenant."""
        return _as_payment(self.transfer(source, caller))

    def payment_to(self, destination: str, caller: Caller) -> Json:
        """Return a payment out of a wallet of the caller's own."""
        return _as_payment(self.transfer_to(destination, caller))

    def change_policy(self, change: str) -> Callable[[str, Caller], Json]:
        """Return what makes a change of the policy as the caller's tenant has it."""

        def body(_thing: str, caller: Caller) -> Json:
            version = self._wallets.policy_version(_known(caller))
            return {"expected_version": version, "document": DOCUMENTS[change]}

        return body

    def convert(self, source: str, caller: Caller) -> Json:
        """Return a conversion into a wallet of the caller's own tenant."""
        home = _known(caller)
        return _conversion(self._wallets.quote(home), source, self._wallets.euros(home))

    def convert_to(self, destination: str, caller: Caller) -> Json:
        """Return a conversion out of a wallet of the caller's own."""
        home = _known(caller)
        return _conversion(self._wallets.quote(home), self._wallets.rich[home], destination)

    def convert_by(self, quote: str, caller: Caller) -> Json:
        """Return a conversion by that quote."""
        home = _known(caller)
        return _conversion(quote, self._wallets.rich[home], self._wallets.euros(home))

    def recipe(self, member: str, mode: str) -> Recipe:
        """Return the recipe of a batch with a command of that type: in an atomic one the second, after an own one."""
        scope, fresh, command, owned = self.commands[member]
        is_atomic, is_change, is_policys = MODES[mode], member in HOLD_CHANGES, scope is scopes.POLICY_WRITE

        def body(thing: str, caller: Caller) -> Json:
            home = _known(caller)
            if is_change:
                own = {"type": "hold", **_move(self._wallets.rich[home])}
            else:
                own = {"type": member, **command(fresh(home), caller)}
            commands = [*([own] if is_atomic else []), {"type": member, **command(thing, caller)}]
            if is_policys:
                commands[-1]["expected_version"] += len(commands) - 1
            return {"mode": mode, "commands": commands}

        names_nothing = is_policys or member == "quote" or owned == BY_OWNER_IN_BODY
        return Recipe(
            fresh=lambda: fresh(ANN),
            body=body,
            owned=owned,
            missing=None if names_nothing else _missing(member),
            is_anothers_doing=is_change,
            member=member,
            scope=scope,
            is_atomic=is_atomic,
        )

    def _of(self, caller: Caller, *, but: str) -> str:
        """Return a wallet with money, of the caller's home if that is another than *but*."""
        home = _known(caller)
        own = self._wallets.rich[home]
        return own if own != but else self._wallets.empty(home)


def _missing(member: str) -> str:
    """Return the code that says that what the command names does not exist."""
    if member in HOLD_CHANGES:
        return MISSING_HOLD
    return MISSING_TRANSACTION if member in TAKING_BACK else MISSING


def _known(caller: Caller) -> Home:
    """Return the home whose wallets the caller uses; nobody of a suspended tenant gets that far."""
    return caller.home if caller.home in HOMES else ANN


def _of_wallet(wallet_id: str, _caller: Caller) -> Json:
    return {"wallet_id": wallet_id}


def _of_wallet_with(body: Json) -> Callable[[str, Caller], Json]:
    return lambda wallet_id, _caller: {"wallet_id": wallet_id, **body}


def _set(wallets: Wallets, member: str) -> Recipe:
    return Recipe(fresh=wallets.empty, body=lambda *_: TERMS[member][1], missing=MISSING)


def _move(wallet_id: str) -> Json:
    return {"wallet_id": wallet_id, "amount": LITTLE}


def _moved(wallet_id: str, _caller: Caller) -> Json:
    return _move(wallet_id)


def _of_hold(body: Json) -> Callable[[str, Caller], Json]:
    return lambda hold_id, _caller: {"hold_id": hold_id, **body}


def _of_transaction(body: Json) -> Callable[[str, Caller], Json]:
    return lambda transaction_id, _caller: {"transaction_id": transaction_id, **body}


def _taken_back(wallets: Wallets, member: str) -> Recipe:
    _, body = TAKING_BACK[member]
    return Recipe(fresh=wallets.deposited, body=lambda *_: body, missing=MISSING_TRANSACTION)


def _conversion(quote: str, source: str, destination: str) -> Json:
    return {"quote_id": quote, "source_wallet_id": source, "destination_wallet_id": destination}


def _as_payment(transfer: Json) -> Json:
    payee = {"wallet_id": transfer["destination_wallet_id"], "rest": True}
    return {"source_wallet_id": transfer["source_wallet_id"], "amount": LITTLE, "destinations": [payee]}


def _changed(wallets: Wallets, member: str) -> Recipe:
    return Recipe(
        fresh=wallets.held,
        body=lambda *_: HOLD_CHANGES[member],
        missing=MISSING_HOLD,
        is_anothers_doing=True,
    )


def recipes(setup: Setup) -> Recipes:
    """Make wallets with money of two tenants, and return how each operation is asked for."""
    wallets = Wallets(setup)
    members = _Members(wallets)

    def rich() -> str:
        return wallets.rich[ANN]

    return {
        "get_wallet": [Recipe(fresh=rich, missing=MISSING)],
        "list_wallets": [listed(wallets.empty), listed(wallets.empty, lambda _: {"owner_id": OWNER})],
        "open_wallet": [
            Recipe(fresh=lambda: OWNER, body=lambda owner, _: {"owner_id": owner, "currency": CURRENCY}),
        ],
        "get_transaction": [Recipe(fresh=lambda: wallets.transaction, missing="transaction_not_found")],
        "list_transactions": [listed(lambda: wallets.referenced, lambda _: {"reference": wallets.reference})],
        "deposit": [Recipe(fresh=rich, body=_moved, missing=MISSING)],
        "withdraw": [Recipe(fresh=rich, body=_moved, missing=MISSING)],
        "pay": [
            Recipe(fresh=rich, body=members.payment, missing=MISSING),
            Recipe(fresh=wallets.empty, body=members.payment_to, owned=OF_NOBODY, missing=MISSING),
        ],
        "place_hold": [Recipe(fresh=rich, body=_moved, missing=MISSING)],
        "get_hold": [Recipe(fresh=wallets.held, missing=MISSING_HOLD)],
        "list_holds": [listed(wallets.held, lambda _: {"wallet_id": wallets.rich[ANN]})],
        "increase_hold": [_changed(wallets, "increase_hold")],
        "capture_hold": [_changed(wallets, "capture")],
        "void_hold": [_changed(wallets, "void_hold")],
        "refund": [_taken_back(wallets, "refund")],
        "reverse": [_taken_back(wallets, "reversal")],
        "charge_back": [_taken_back(wallets, "chargeback")],
        "transfer": [
            Recipe(fresh=rich, body=members.transfer, missing=MISSING),
            Recipe(fresh=wallets.empty, body=members.transfer_to, owned=OF_NOBODY, missing=MISSING),
        ],
        "get_policy": [Recipe(fresh=lambda: "")],
        **{change: [Recipe(fresh=lambda: "", body=members.change_policy(change))] for change in DOCUMENTS},
        **{member: [_set(wallets, member)] for member in TERMS},
        "get_limits": [Recipe(fresh=rich, missing=MISSING)],
        "get_owner": [Recipe(fresh=lambda: OWNER, owned=BY_OWNER_IN_BODY)],
        "change_tier": [Recipe(fresh=lambda: OWNER, body=lambda *_: TIER, owned=BY_OWNER_IN_BODY)],
        "request_quote": [Recipe(fresh=lambda: "", body=lambda *_: ASKED)],
        "get_quote": [Recipe(fresh=wallets.quote, missing=MISSING_QUOTE)],
        "convert": [
            Recipe(fresh=rich, body=members.convert, missing=MISSING),
            Recipe(fresh=wallets.euros, body=members.convert_to, owned=OF_NOBODY, missing=MISSING),
            Recipe(fresh=wallets.quote, body=members.convert_by, owned=OF_NOBODY, missing=MISSING_QUOTE),
        ],
        "freeze_wallet": [Recipe(fresh=wallets.empty, body=lambda *_: _FREEZE, missing=MISSING)],
        "unfreeze_wallet": [Recipe(fresh=wallets.frozen, body=lambda *_: {}, missing=MISSING)],
        "close_wallet": [Recipe(fresh=wallets.empty, body=lambda *_: {}, missing=MISSING)],
        "batch": [members.recipe(member, mode) for member in members.commands for mode in MODES],
    }
