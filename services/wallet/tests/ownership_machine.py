"""Senders of every kind at a ledger, under a state machine: what must never be has a name here."""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, Final
from uuid import UUID

import msgspec
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule
from services.wallet.tests.ledgers import Kept, LedgerAtWork
from services.wallet.tests.ownership import (
    ABSENT,
    CARRIED_OUT,
    NOT_TO_GIVE,
    REFUSED,
    Ownership,
    Purse,
    Sender,
    Verdict,
    taken_from,
)

from contracts.ids import new_id
from contracts.scopes import Kind
from servicekit.clock import monotonic_s
from wallet.application.units import Done, Forbidden, NotFound, Outcome, Refused, Stored, Unit, fingerprint
from wallet.domain.commands import Command
from wallet.domain.lifecycle import CloseWallet, OpenWallet
from wallet.domain.mandate import Mandate
from wallet.domain.money import DepositFunds, TransferFunds, WithdrawFunds
from wallet.domain.restrictions import FreezeWallet, UnfreezeWallet
from wallet.domain.wallets import Wallet, WalletStatus

TAKEN: Final = "money was taken from another's wallet"
OPENED: Final = "a wallet was opened for another's owner"
CHANGED: Final = "what was not done has changed something"
APART: Final = "what is another's is told from what does not exist"
SHOWN: Final = "an answer shows of another's wallet more than its id and its amount"
ANSWERED: Final = "the answer is not what the model says"
LEDGER: Final = "the ledger is not what the model says"

OWNERS: Final = ("ann", "bob", "ced")
WALLETS_MAX: Final = 12
"""After so many, openings become deposits: chance has to meet the same wallets again."""
OF_OTHERS: Final = frozenset({"amount", "wallet_id"})

Request = tuple[Sender, tuple[Command, ...], str]
"""Who sends which commands, all or none, under which key."""
Wanted = tuple[str, int, int, int]

amounts = st.integers(1, 900)
pick = st.integers(0, 10_000)
"""One of several, by its number modulo how many there are."""
a_command = st.tuples(
    st.sampled_from(
        ("open", "deposit", "deposit", "withdraw", "withdraw", "transfer", "transfer", "freeze", "unfreeze", "close")
    ),
    pick,
    pick,
    amounts,
)


class Breach(AssertionError):
    """What must never be: one of the names above, and what was seen."""

    def __init__(self, check: str, seen: object) -> None:
        super().__init__(f"{check}: {seen}")


class OwnershipMachine(RuleBasedStateMachine):
    """Drives the ledger that `make_ledger` makes, in `loop`: both are given by a subclass."""

    loop: ClassVar[asyncio.AbstractEventLoop]
    make_ledger: ClassVar[Callable[[], LedgerAtWork]]

    def __init__(self) -> None:
        super().__init__()
        self.model = Ownership()
        self.tenants = new_id(), new_id()
        self.senders = [sender for tenant_id in self.tenants for sender in _senders(tenant_id)]
        self.stored: list[tuple[Request, Stored]] = []
        self.keys = 0
        self.ledger: LedgerAtWork = self.run(self._started())
        self.kept = self.look()

    def run(self, waiting: Any) -> Any:
        return self.loop.run_until_complete(waiting)

    async def _started(self) -> LedgerAtWork:
        return type(self).make_ledger()

    def teardown(self) -> None:
        self.run(self.ledger.close())

    # -- what is sent

    @initialize()
    def everybody_has_a_wallet(self) -> None:
        for tenant_id in self.tenants:
            (everybodys, *_) = (each for each in self.senders if each.tenant_id == tenant_id and each.for_everybody)
            for owner in OWNERS:
                known = set(self.model.purses)
                self.do(everybodys, OpenWallet(owner, "USD"))
                (opened,) = self.model.purses.keys() - known
                self.do(everybodys, DepositFunds(opened, 1_000, "USD"))

    @rule(who=pick, wanted=a_command)
    def one_command(self, who: int, wanted: Wanted) -> None:
        self.do(self.sender(who), self.command(*wanted))

    @rule(who=pick, wanted=st.lists(a_command, min_size=2, max_size=4))
    def atomic_batch(self, who: int, wanted: list[Wanted]) -> None:
        self.do(self.sender(who), *(self.command(*each) for each in wanted))

    @rule(wanted=st.lists(st.tuples(pick, a_command), min_size=2, max_size=5))
    def several_at_once(self, wanted: list[tuple[int, Wanted]]) -> None:
        """Let batches be made of what different senders ask for."""
        self.judge([(self.sender(who), (self.command(*each),), self.fresh_key()) for who, each in wanted])

    @rule(who=pick, of_whom=pick, amount=amounts)
    def reach_for_anothers(self, who: int, of_whom: int, amount: int) -> None:
        """Pay oneself out of another's wallet: alone, and in an atomic batch behind a command of one's own."""
        sender = self.sender(who)
        own = [each for each in self.wallets if not self.model.is_anothers(sender, each)]
        others = [each for each in self.wallets if self.model.is_anothers(sender, each)]
        if own and others:
            robbed = others[of_whom % len(others)]
            theft = TransferFunds(robbed, own[0], amount, self.model.purses[robbed].currency)
            self.do(sender, theft)
            self.do(sender, DepositFunds(own[0], 1, self.model.purses[own[0]].currency), theft)

    @rule(which=pick)
    def repeat(self, which: int) -> None:
        """Expect the first answer, to the byte, and no change."""
        if self.stored:
            request, first = self.stored[which % len(self.stored)]
            (again,) = self.send(request)
            _hold(ANSWERED, isinstance(again, Stored) and again.is_replayed and again.answer == first.answer, again)
            _hold(CHANGED, self.look() == self.kept, request)

    @rule(which=pick, who=pick)
    def repeat_as_another(self, which: int, who: int) -> None:
        """Expect that another's key means nothing: whoever sends it is answered what is its own to see."""
        if self.stored:
            (_, commands, key), _ = self.stored[which % len(self.stored)]
            sender = self.sender(who)
            if (sender.client, key) not in self.kept.keys:
                self.judge([(sender, commands, key)])

    @property
    def wallets(self) -> list[UUID]:
        return list(self.model.purses)

    def sender(self, number: int) -> Sender:
        return self.senders[number % len(self.senders)]

    def command(self, kind: str, first: int, second: int, amount: int) -> Command:
        """Return a command about wallets by their numbers; every now and then about one that does not exist."""
        known = [*self.wallets, new_id()]
        if kind == "open" and len(known) <= WALLETS_MAX:
            return OpenWallet(OWNERS[first % 3], "EUR" if second % 4 == 0 else "USD", placement=str(second))
        wallet = known[first % len(known)]
        others = [each for each in known if each != wallet]
        currency = self.model.purses[wallet].currency if wallet in self.model.purses else "USD"
        source = "fraud" if second % 2 else "operator"
        made: Mapping[str, Command] = {
            "deposit": DepositFunds(wallet, amount, currency),
            "withdraw": WithdrawFunds(wallet, amount, currency),
            "transfer": TransferFunds(wallet, others[second % len(others)], amount, currency),
            "freeze": FreezeWallet(wallet, source, "all" if amount % 2 else "debits", "a look"),
            "unfreeze": UnfreezeWallet(wallet, source),
            "close": CloseWallet(wallet),
        }
        return made.get(kind, made["deposit"])

    def fresh_key(self) -> str:
        self.keys += 1
        return f"key-{self.keys}"

    def send(self, *requests: Request) -> list[Outcome]:
        async def all_of_them() -> list[Outcome]:
            return await self.ledger.carry_out([_unit_of(*request) for request in requests])

        outcomes: list[Outcome] = self.run(all_of_them())
        return outcomes

    def look(self) -> Kept:
        clients = [sender.client for sender in self.senders]
        kept: Kept = self.run(self.ledger.kept(self.tenants, clients))
        return kept

    # -- how it is judged

    def do(self, sender: Sender, *commands: Command) -> None:
        self.judge([(sender, commands, self.fresh_key())])

    def judge(self, requests: Sequence[Request]) -> None:
        """Send *requests* at once, and compare all that comes of them with the model; raises Breach."""
        outcomes, before = self.send(*requests), self.kept
        self.kept = self.look()
        answered = list(zip(requests, outcomes, strict=True))
        served = [request for request, outcome in answered if _verdict_of(outcome) == CARRIED_OUT]
        self.judge_served(served, before)
        for (sender, _, _), outcome in answered:
            self.judge_what_is_shown(sender, outcome)
        if not served:
            _hold(
                CHANGED, (self.kept.wallets, self.kept.journal_rows) == (before.wallets, before.journal_rows), requests
            )
        is_stored = {(sender.client, key) for (sender, _, key), outcome in answered if isinstance(outcome, Stored)}
        _hold(CHANGED, self.kept.keys == before.keys | is_stored, requests)
        opened: list[Purse] = []
        for request, outcome in answered:
            opened += self.judge_verdict(request, outcome, is_alone=len(requests) == 1)
        self.judge_ledger(opened)

    def judge_served(self, served: Sequence[Request], before: Kept) -> None:
        """Judge what was done by who owns what alone."""
        for sender, commands, _ in served:
            for command in commands:
                taken = taken_from(command)
                _hold(TAKEN, taken is None or not self.model.is_anothers(sender, taken), (sender, command))
                if isinstance(command, OpenWallet):
                    _hold(OPENED, sender.acts_for(sender.tenant_id, command.owner_id), (sender, command))
        senders = [sender for sender, _, _ in served]
        for wallet_id, wallet in before.wallets.items():
            if self.kept.wallets[wallet_id].posted_minor < wallet.posted_minor:
                may = any(sender.acts_for(wallet.tenant_id, wallet.owner_id) for sender in senders)
                _hold(TAKEN, may, (senders, wallet))

    def judge_what_is_shown(self, sender: Sender, outcome: Outcome) -> None:
        """Judge the members of a stored answer: of others' wallets, and of restrictions."""
        if not isinstance(outcome, Stored):
            return
        for shown in _objects(msgspec.json.decode(outcome.answer[1])):
            wallet_id = shown.get("wallet_id")
            if "amount" in shown and wallet_id is not None and self.model.is_anothers(sender, UUID(wallet_id)):
                _hold(SHOWN, shown.keys() <= OF_OTHERS, (sender, shown))
            if "owner_id" in shown:
                _hold(SHOWN, sender.acts_for(sender.tenant_id, shown["owner_id"]), (sender, shown))
            if sender.kind != "operator":
                _hold(SHOWN, not shown.keys() & {"source", "reason"}, (sender, shown))

    def judge_verdict(self, request: Request, outcome: Outcome, *, is_alone: bool) -> Sequence[Purse]:
        """Judge an answer by the model, which learns of it; return the wallets that were opened."""
        sender, commands, _ = request
        verdict, after = self.model.expects(sender, commands)
        if verdict.what == ABSENT:
            _hold(APART, isinstance(outcome, NotFound), (request, outcome))
            if is_alone:
                self.compare_with_nothing(request, verdict, outcome)
        _hold(ANSWERED, _verdict_of(outcome) == verdict, (request, outcome, verdict))
        self.model.purses = dict(after)
        if isinstance(outcome, Stored):
            self.stored.append((request, outcome))
        if verdict != CARRIED_OUT:
            return ()
        return [
            Purse(tenant_id=sender.tenant_id, owner=command.owner_id, currency=command.currency)
            for command in commands
            if isinstance(command, OpenWallet)
        ]

    def compare_with_nothing(self, request: Request, verdict: Verdict, outcome: Outcome) -> None:
        """Judge that the answer about what is another's is the one about an id that nothing has."""
        sender, commands, _ = request
        assert verdict.wallet_id is not None
        index, nothing = verdict.index or 0, new_id()
        named = _naming(commands[index], verdict.wallet_id, nothing)
        (twin,) = self.send((sender, (*commands[:index], named, *commands[index + 1 :]), self.fresh_key()))
        told = _as_nothing(outcome, verdict.wallet_id, nothing)
        _hold(APART, told == twin, (request, outcome, twin))
        _hold(CHANGED, self.look() == self.kept, request)

    def judge_ledger(self, opened: Sequence[Purse]) -> None:
        """Judge every wallet of the ledger by the model, which learns the ids of what was *opened*."""
        found = {wallet_id: _purse_of(wallet) for wallet_id, wallet in self.kept.wallets.items()}
        new = [(wallet_id, purse) for wallet_id, purse in found.items() if wallet_id not in self.model.purses]
        new.sort(key=lambda each: _order(each[1]))
        _hold(LEDGER, [purse for _, purse in new] == sorted(opened, key=_order), (new, opened))
        self.model.purses |= new
        _hold(LEDGER, found == self.model.purses, (found, self.model.purses))


def _hold(check: str, holds: object, seen: object) -> None:
    """Raise Breach unless *holds*."""
    if not holds:
        raise Breach(check, seen)


def _senders(tenant_id: UUID) -> Iterator[Sender]:
    """Return the senders of a tenant: users, a limited service, one for all, staff."""
    for owners in ({"ann"}, {"ann", "bob"}, {"ced"}, set()):
        yield Sender(kind="user", tenant_id=tenant_id, client=new_id(), owners=frozenset(owners))
    yield Sender(kind="service", tenant_id=tenant_id, client=new_id(), owners=frozenset({"bob"}))
    for kind in ("service", "operator"):
        yield Sender(kind=kind, tenant_id=tenant_id, client=new_id(), for_everybody=True)


def _unit_of(sender: Sender, commands: Sequence[Command], key: str) -> Unit:
    """Return the request as the edge makes a unit of it."""
    now_s = monotonic_s()
    path = "/v1/batches" if len(commands) > 1 else "/v1/commands"
    owners = None if sender.for_everybody else sender.owners
    return Unit(
        path=path,
        commands=tuple(commands),
        is_atomic_batch=len(commands) > 1,
        mandate=Mandate(sender.tenant_id, Kind(sender.kind), owners),
        actor=sender.kind,
        key=(sender.client, key, 0),
        fingerprint=fingerprint(path, tuple(commands)),
        deadline_s=now_s + 30,
    )


def _verdict_of(outcome: Outcome) -> Verdict | None:
    """Return what an outcome says, None for one that the model never gives."""
    match outcome:
        case Stored(result=Done()):
            return CARRIED_OUT if outcome.positions else None
        case Stored(result=Refused(code=code)):
            return None if outcome.positions else Verdict(REFUSED, code)
        case NotFound(missing=missing, index=index):
            return Verdict(ABSENT, wallet_id=missing.id, index=index)
        case Forbidden(index=index):
            return Verdict(NOT_TO_GIVE, index=index)
        case _:
            return None


def _naming(command: Command, wallet_id: UUID, other: UUID) -> Command:
    """Return *command* about *other* wherever it names *wallet_id*."""
    named = {
        name: other
        for name in ("wallet_id", "source_wallet_id", "destination_wallet_id")
        if getattr(command, name, None) == wallet_id
    }
    return msgspec.structs.replace(command, **named)


def _as_nothing(outcome: Outcome, wallet_id: UUID, nothing: UUID) -> Outcome:
    """Return *outcome* with the id *nothing* in the place of *wallet_id*."""
    if isinstance(outcome, NotFound) and outcome.missing.id == wallet_id:
        return NotFound(msgspec.structs.replace(outcome.missing, id=nothing), outcome.index)
    return outcome


def _purse_of(wallet: Wallet) -> Purse:
    return Purse(
        tenant_id=wallet.tenant_id,
        owner=wallet.owner_id,
        currency=wallet.currency,
        minor=wallet.posted_minor,
        restrictions=frozenset((each.source, each.scope) for each in wallet.restrictions),
        is_closed=wallet.status is WalletStatus.CLOSED,
    )


def _objects(value: Any) -> Iterator[Mapping[str, Any]]:
    """Return every object of a JSON document, however deep."""
    if isinstance(value, dict):
        yield value
    if isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            yield from _objects(each)


def _order(purse: Purse) -> tuple[UUID, str, str]:
    return purse.tenant_id, purse.owner, purse.currency
