"""The cells of what is shown: each operation that shows a transaction or a restriction, asked by both sides and others.

They stand beside the matrix: that says who is answered, this what the answer may hold.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import httpx2
from tests.access_matrix.callers import (
    OPERATOR,
    OTHER_OWNER,
    OTHER_OWNERS_USER,
    OURS,
    OWNER,
    OWNERS_USER,
    SERVICE,
    SERVICE_FOR_OWNER,
    Caller,
    Home,
)
from tests.access_matrix.matrix import Matrix
from tests.access_matrix.of_readers import PAYEES_MINOR, PAYERS_MINOR
from tests.access_matrix.of_wallet import ASKED, CURRENCY, LITTLE, MODES, WALLETS
from tests.access_matrix.operations import document, guarded_operations
from tests.access_matrix.recipes import Ask, Json, made, post
from tests.access_matrix.shown import Side, of_others, of_restrictions

from contracts.ids import new_id_text
from contracts.scopes import HOLDS_WRITE, TRANSFERS_CREATE, Kind, Scope

CALLERS: Final = (OWNERS_USER, OTHER_OWNERS_USER, SERVICE_FOR_OWNER, SERVICE, OPERATOR)
"""Payer, payee, and those who act for one or for both."""
SHOWS_TRANSACTIONS: Final = frozenset({"entries", "counterparty", "results"})
SHOWS_RESTRICTIONS: Final = frozenset({"restrictions"})
HOMES: Final = {owner: Home(OURS, owner) for owner in (OWNER, OTHER_OWNER)}
MINOR: Final = {OWNER: PAYERS_MINOR, OTHER_OWNER: PAYEES_MINOR}
OBSTACLES: Final = {"frozen": "wallet_frozen", "closed": "wallet_closed", "of another currency": "currency_mismatch"}
"""Why a payee's wallet refuses, and the code that who acts for it is told."""
_FREEZE: Final[Json] = {"reason": "a secret suspicion", "scope": "all"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """A request and how its answer is judged: *judge* returns what is wrong, a line each."""

    operation: str
    name: str
    ask: Callable[[Caller], Ask]
    judge: Callable[[httpx2.Response, Caller], Sequence[str]]


def marks_of(owner: str) -> tuple[str, ...]:
    """Return what gives a wallet of *owner* away: no cell moves more than the last digits of its balance."""
    return f'"{owner}"', f"label of {owner}", f'"{MINOR[owner] // 10_000}'


def judged(matrix: Matrix, cell: Cell, callers: Sequence[Caller] = CALLERS) -> list[str]:
    """Judge *cell* for *callers*, and the answer to a repeat of each command; return what is wrong, a line each."""
    findings: list[str] = []
    (operation,) = (each for each in guarded_operations(matrix.world.service) if each.name == cell.operation)
    needed: frozenset[Scope] = frozenset({operation.scope or TRANSFERS_CREATE})
    for caller in callers:
        key, ask = new_id_text(), cell.ask(caller)
        matrix.world.credentials.headers(caller, needed)
        answer = matrix.world.send(ask, caller, needed, key=key)
        wrong = [*cell.judge(answer, caller)]
        if ask.method != "GET":
            again = matrix.world.send(ask, caller, needed, key=key)
            if (again.status_code, again.json().get("code")) != (answer.status_code, answer.json().get("code")):
                wrong.append(f"a repeat is answered {again.status_code} {again.text[:200]}")
            wrong += [f"in a repeat: {each}" for each in cell.judge(again, caller)]
            matrix.cells += 1
        matrix.cells += 1
        findings += [f"{cell.operation} [{cell.name}]: {caller.name}: {each}" for each in wrong]
    return findings


def shown_to_users(service: str, members: frozenset[str]) -> set[str]:
    """Return the operations that users may ask for whose answers have any of *members*, however deep."""
    return {
        operation.name
        for operation in guarded_operations(service)
        if Kind.USER in operation.kinds and members & _members_of(service, operation.name)
    }


def _members_of(service: str, operation_id: str) -> set[str]:
    whole = document(service)
    (found,) = (
        each
        for item in whole["paths"].values()
        for each in item.values()
        if isinstance(each, dict) and each.get("operationId") == operation_id
    )
    members: set[str] = set()
    left = [answer for status, answer in found["responses"].items() if status.startswith("2")]
    seen: set[str] = set()
    while left:
        part = left.pop()
        if isinstance(part, dict):
            members |= set(part.get("properties", ()))
            reference = part.get("$ref")
            if reference is not None and reference not in seen:
                seen.add(reference)
                target = whole
                for name in reference.removeprefix("#/").split("/"):
                    target = target[name]
                left.append(target)
            left += part.values()
        elif isinstance(part, list):
            left += part
    return members


# -- the ledger


class LedgerCells:
    """Wallets of two owners with money, a transfer between them, and wallets that refuse."""

    def __init__(self, matrix: Matrix) -> None:
        self._world = matrix.world
        self._admin = matrix.world.admin(HOMES[OWNER])
        self.sides = {owner: self._side(owner) for owner in HOMES}
        self.euros = {owner: self._side(owner, "EUR") for owner in HOMES}
        self.reference = new_id_text()
        body = self._transfer(OWNER, self.sides[OTHER_OWNER].wallet_id) | {"reference": self.reference}
        self.transaction = made(post(self._admin, "/v1/transfers", body))
        self.refusing = {why: self._refusing(why) for why in OBSTACLES}
        self.restricted = {owner: self._restricted(owner) for owner in HOMES}

    def transactions(self) -> Mapping[str, Sequence[Cell]]:
        """Return the cells of operations that show a transaction, by the operation."""
        cells = [
            self._about_both("transfer", "alone", lambda who: self._post("/v1/transfers", self._between(who))),
            *(self._about_both("batch", mode, partial(self._batch, mode)) for mode in MODES),
            self._about_both("pay", "alone", lambda who: self._post("/v1/payments", self._paying(who))),
            self._about_both("capture_hold", "alone", self._capturing),
            Cell(
                operation="convert",
                name="alone",
                ask=self._converting,
                judge=lambda answer, who: _judged(answer, who, [self._own(who), self._euros_for(who)]),
            ),
            self._about_both("get_transaction", "of both", lambda _: _get(f"/v1/transactions/{self.transaction}")),
            self._about_both(
                "list_transactions", "by reference", lambda _: _get("/v1/transactions", reference=self.reference)
            ),
            Cell(
                operation="withdraw",
                name="alone",
                ask=lambda who: self._post(
                    "/v1/withdrawals", {"wallet_id": self._own(who).wallet_id, "amount": LITTLE}
                ),
                judge=lambda answer, who: _judged(answer, who, [self._own(who)]),
            ),
        ]
        return _by_operation(cells)

    def refusals(self) -> Sequence[Cell]:
        """Return the cells of payments that the payee's wallet refuses, alone and in both kinds of batches."""

        def cell(operation: str, name: str, why: str, ask: Callable[[Json], Ask]) -> Cell:
            refusing = self.refusing[why]
            return Cell(
                operation=operation,
                name=f"{name}, to a wallet that is {why}",
                ask=lambda who: ask(self._transfer(who.home.owner, refusing)),
                judge=lambda answer, who: _refused(answer, who, why, refusing),
            )

        return [
            each
            for why in OBSTACLES
            for each in (
                cell("transfer", "alone", why, partial(self._post, "/v1/transfers")),
                *(cell("batch", mode, why, partial(self._post_batch, mode)) for mode in MODES),
            )
        ]

    def restrictions(self) -> Mapping[str, Sequence[Cell]]:
        """Return the cells of operations that show a restricted wallet to who acts for it, by the operation."""

        def cell(operation: str, ask: Callable[[str], Ask], status: int = 200) -> Cell:
            return Cell(
                operation=operation,
                name="restricted",
                ask=lambda who: ask(self.restricted[who.home.owner]),
                judge=lambda answer, who: _status(answer, status) or of_restrictions(answer.json(), who),
            )

        def withdrawal(wallet_id: str) -> Ask:
            return self._post("/v1/withdrawals", {"wallet_id": wallet_id, "amount": LITTLE})

        cells = [
            cell("get_wallet", lambda wallet_id: _get(f"{WALLETS}/{wallet_id}")),
            cell("list_wallets", lambda _: _get(WALLETS, status="frozen", limit="200")),
            cell("withdraw", withdrawal, 409),
            cell(
                "change_details",
                lambda wallet_id: Ask(method="PUT", path=f"{WALLETS}/{wallet_id}/details", json={"label": "mine"}),
            ),
            Cell(
                operation="close_wallet",
                name="restricted",
                ask=lambda who: self._post(f"{WALLETS}/{self._restricted(who.home.owner)}/close", {}),
                judge=lambda answer, who: _status(answer, 200) or of_restrictions(answer.json(), who),
            ),
        ]
        return _by_operation(cells)

    def _about_both(self, operation: str, name: str, ask: Callable[[Caller], Ask]) -> Cell:
        return Cell(
            operation=operation,
            name=name,
            ask=ask,
            judge=lambda answer, who: _judged(answer, who, [*self.sides.values()]),
        )

    def _own(self, caller: Caller) -> Side:
        return self.sides[caller.home.owner]

    def _between(self, caller: Caller) -> Json:
        """Return a transfer from the caller's wallet to the other one."""
        (payee,) = (side for owner, side in self.sides.items() if owner != caller.home.owner)
        return self._transfer(caller.home.owner, payee.wallet_id)

    def _paying(self, caller: Caller) -> Json:
        transfer = self._between(caller)
        payee = {"wallet_id": transfer.pop("destination_wallet_id"), "rest": True}
        return {**transfer, "destinations": [payee]}

    def _capturing(self, caller: Caller) -> Ask:
        """Return the capture of a hold that the caller itself has placed."""
        transfer = self._between(caller)
        place = self._post("/v1/holds", {"wallet_id": transfer["source_wallet_id"], "amount": LITTLE})
        hold_id = made(self._world.send(place, caller, frozenset({HOLDS_WRITE}), key=new_id_text()))
        return self._post(f"/v1/holds/{hold_id}/capture", {"destination_wallet_id": transfer["destination_wallet_id"]})

    def _converting(self, caller: Caller) -> Ask:
        """Return the use of a quote, into the other owner's wallet for euros."""
        quote_id = made(post(self._admin, "/v1/fx/quotes", ASKED))
        source, destination = self._own(caller).wallet_id, self._euros_for(caller).wallet_id
        body = {"quote_id": quote_id, "source_wallet_id": source, "destination_wallet_id": destination}
        return self._post("/v1/conversions", body)

    def _euros_for(self, caller: Caller) -> Side:
        (payee,) = (side for owner, side in self.euros.items() if owner != caller.home.owner)
        return payee

    def _transfer(self, owner: str, payee: str) -> Json:
        return {
            "source_wallet_id": self.sides[owner].wallet_id,
            "destination_wallet_id": payee,
            "amount": LITTLE,
            "description": "for the two of us",
        }

    def _batch(self, mode: str, caller: Caller) -> Ask:
        return self._post_batch(mode, self._between(caller))

    def _post_batch(self, mode: str, transfer: Json) -> Ask:
        body = {"mode": mode, "commands": [{"type": "transfer", **transfer}]}
        return self._post("/v1/batches", body)

    def _post(self, path: str, body: Json) -> Ask:
        return Ask(method="POST", path=path, json=body)

    def _opened(self, owner: str, currency: str = CURRENCY) -> str:
        label = {"label": f"label of {owner}", "metadata": {"of": f"label of {owner}"}}
        return made(post(self._admin, WALLETS, {"owner_id": owner, "currency": currency, **label}))

    def _side(self, owner: str, currency: str = CURRENCY) -> Side:
        wallet_id = self._opened(owner, currency)
        amount = {"amount": f"{MINOR[owner] // 100}.00", "currency": currency}
        made(post(self._admin, "/v1/deposits", {"wallet_id": wallet_id, "amount": amount}))
        return Side(wallet_id=wallet_id, owner=owner, marks=marks_of(owner))

    def _restricted(self, owner: str) -> str:
        wallet_id = self._opened(owner)
        made(post(self._admin, f"{WALLETS}/{wallet_id}/freeze", _FREEZE))
        return wallet_id

    def _refusing(self, why: str) -> str:
        if why == "frozen":
            return self._restricted(OTHER_OWNER)
        wallet_id = self._opened(OTHER_OWNER, "EUR" if why == "of another currency" else CURRENCY)
        if why == "closed":
            made(post(self._admin, f"{WALLETS}/{wallet_id}/close", {}))
        return wallet_id


def _judged(answer: httpx2.Response, caller: Caller, sides: Sequence[Side]) -> list[str]:
    """Judge an answer to what must succeed, in a batch too."""
    if not answer.is_success:
        return [f"{answer.status_code} {answer.text[:300]}"]
    body = answer.json()
    refused = [each for each in body.get("results", ()) if each["problem"] is not None]
    return [f"{each}" for each in refused] or of_others(body, sides, caller)


def _refused(answer: httpx2.Response, caller: Caller, why: str, payee: str) -> list[str]:
    """Judge a refusal that stands in the payee's way: its code, and that it says nothing more to who may not know."""
    body: Any = answer.json()
    body = body["results"][0]["problem"] if "results" in body else body.get("problem", body)
    is_told = caller.covers(OTHER_OWNER)
    code = OBSTACLES[why] if is_told else "payee_refuses"
    wrong = [] if body.get("code") == code else [f"is told {body.get('code')} instead of {code}"]
    if not is_told:
        more = body.keys() - {"type", "title", "status", "detail", "instance", "code", "wallet_id", "request_id"}
        wrong += [f"is told the payee's {name}" for name in sorted(more)]
        wrong += [f"is told {mark} of the payee" for mark in marks_of(OTHER_OWNER) if mark in answer.text]
        if why in answer.text.replace(payee, ""):
            wrong.append(f"is told that the payee's wallet is {why}")
    if why == "frozen":
        wrong += of_restrictions(body, caller)
    return wrong


def _status(answer: httpx2.Response, status: int) -> list[str]:
    return [] if answer.status_code == status else [f"{answer.status_code} {answer.text[:300]} instead of {status}"]


def _get(path: str, **params: str) -> Ask:
    return Ask(method="GET", path=path, params=params)


def _by_operation(cells: Sequence[Cell]) -> Mapping[str, Sequence[Cell]]:
    names = dict.fromkeys(cell.operation for cell in cells)
    return {name: [cell for cell in cells if cell.operation == name] for name in names}


# -- the history


def history_cells(matrix: Matrix) -> Mapping[str, Sequence[Cell]]:
    """Return the cells of the history's operations that show a transaction, by the operation."""
    found = matrix.world.admin(HOMES[OWNER]).get("/v1/history/entries", params={"owner_id": OWNER}).json()["data"]
    entry = next(each for each in found if each["transaction_type"] == "transfer")
    wallets = {OWNER: entry["wallet_id"], OTHER_OWNER: entry["counterparty"]["wallet_id"]}
    sides = {owner: Side(wallet_id=each, owner=owner, marks=marks_of(owner)) for owner, each in wallets.items()}

    def cell(operation: str, ask: Callable[[str], Ask]) -> Cell:
        return Cell(
            operation=operation,
            name="of both",
            ask=lambda who: ask(who.home.owner),
            judge=lambda answer, who: _judged(answer, who, [*sides.values()]),
        )

    return _by_operation(
        [
            cell("get_transaction", lambda _: _get(f"/v1/history/transactions/{entry['transaction_id']}")),
            cell("list_wallet_entries", lambda owner: _get(f"/v1/history/wallets/{wallets[owner]}/entries")),
            cell("list_owner_entries", lambda owner: _get(f"/v1/history/owners/{owner}/entries")),
            cell("list_entries", lambda owner: _get("/v1/history/entries", owner_id=owner)),
            cell("search_entries", lambda owner: _get("/v1/history/search", q="thing", owner_id=owner)),
        ]
    )
