"""Limits under random commands and a clock that jumps over midnights, month ends and summer time, against the model.

Refusals are compared to the unit, with what is used and when it resets.
"""

import random
from datetime import UTC, datetime, timedelta
from typing import Any, Final, cast
from uuid import UUID

import msgspec
import pytest
from services.wallet.tests.ledgers import PLANNING
from services.wallet.tests.limits_model import ENDS, Limit, LimitsModel, ModelHold, ModelWallet, Refusal

from contracts.envelope import rfc3339
from contracts.ids import new_id
from contracts.money import format_minor, money
from wallet.application.plan import BatchPlan
from wallet.application.rows import BatchInput
from wallet.application.units import Stored, Unit, fingerprint
from wallet.domain import limits as rules
from wallet.domain.commands import Command
from wallet.domain.destinations import Destination
from wallet.domain.hold_commands import CaptureHold, IncreaseHold, PlaceHold, VoidHold
from wallet.domain.lifecycle import OpenWallet
from wallet.domain.limit_commands import ChangeLimits, ChangeTier
from wallet.domain.mandate import platform_mandate
from wallet.domain.money import DepositFunds, TransferFunds, WithdrawFunds
from wallet.domain.overdrafts import ChangeOverdraft
from wallet.domain.policy import policy_in_force, policy_name
from wallet.domain.policy_commands import ChangeTiers
from wallet.domain.rows import RowName, Rows

SEEDS: Final = 40
STEPS: Final = 150
ZONES: Final = ("UTC", "Europe/Berlin", "America/New_York")
STARTS: Final = (
    datetime(2026, 3, 27, 22, tzinfo=UTC),  # summer time begins in Berlin
    datetime(2026, 3, 7, 3, tzinfo=UTC),  # and in New York
    datetime(2026, 10, 24, 20, tzinfo=UTC),  # it ends in Berlin, a week before it does in New York
    datetime(2026, 12, 30, 22, tzinfo=UTC),
)
LONGEST: Final = timedelta(days=31)


class World:
    """The rules on rows in memory, and the model beside them."""

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)
        self.model = LimitsModel()
        self.now = self.dice.choice(STARTS)
        self._mandate = platform_mandate(new_id())
        self._rows: dict[RowName, Any] = {}
        self._wallets: list[UUID] = []
        self._holds: dict[int, UUID] = {}
        for owner in ("ann", "ann", "ben", "cleo"):
            self._wallets.append(UUID(self._done(OpenWallet(owner, "USD"))["id"]))
            self.model.wallets.append(ModelWallet(owner))

    def step(self) -> None:
        """Move the clock, and do something at random."""
        self._move_clock()
        wallet = self.dice.randrange(len(self._wallets))
        act: Any = self.dice.choices(
            [
                self._debit,
                self._deposit,
                self._transfer,
                self._place,
                self._increase,
                self._end_hold,
                self._set_limits,
                self._set_tiers,
                self._set_tier,
                self._set_line,
            ],
            [20, 16, 16, 12, 6, 8, 8, 5, 3, 3],
        )[0]
        act(wallet)

    # -- what is done, and what the model says of it

    def _debit(self, wallet: int) -> None:
        amount = self._amount()
        said = self.model.debit(wallet, "withdrawal", amount, self.now)
        self._compare(WithdrawFunds(self._wallets[wallet], amount, "USD"), said)

    def _deposit(self, wallet: int) -> None:
        amount = self._amount() * 3
        said = self.model.deposit(wallet, amount, self.now)
        self._compare(DepositFunds(self._wallets[wallet], amount, "USD"), said)

    def _transfer(self, wallet: int) -> None:
        amount, payee = self._amount(), (wallet + 1) % len(self._wallets)
        command = TransferFunds(self._wallets[wallet], self._wallets[payee], amount, "USD")
        full = self.model.full(payee, amount, self.model.posted(payee))
        if full is None:
            said = self.model.debit(wallet, "transfer", amount, self.now)
            if said is None:
                self.model.wallets[payee].available += amount
            self._compare(command, said)
            return
        trial = self._try(command)
        assert trial["code"] in {"limit_exceeded", "insufficient_funds"}
        if trial["wallet_id"] == str(self._wallets[payee]):
            self._is(trial, full)

    def _place(self, wallet: int) -> None:
        amount, number = self._amount(), len(self._holds)
        said = self.model.debit(wallet, "hold", amount, self.now, number)
        ends_at = self.now + LONGEST
        answer = self._compare(PlaceHold(self._wallets[wallet], amount, "USD", ends_at), said)
        if said is None:
            self._holds[number] = UUID(answer["id"])
            self.model.holds[number] = ModelHold(wallet, amount, ends_at)

    def _increase(self, _wallet: int) -> None:
        number = self._open_hold()
        if number is None or self.now >= self.model.holds[number].ends_at:
            return
        amount, hold = self._amount(), self.model.holds[number]
        said = self.model.debit(hold.wallet, "increase", amount, self.now, number)
        self._compare(IncreaseHold(self._holds[number], amount, "USD"), said)
        if said is None:
            hold.remaining += amount

    def _end_hold(self, _wallet: int) -> None:
        number = self._open_hold()
        if number is None:
            return
        hold = self.model.holds[number]
        captured = self.dice.randrange(hold.remaining)
        if captured and self.now < hold.ends_at and self.dice.random() < 0.5:
            outside = (Destination(amount_minor=captured),)
            self._done(CaptureHold(self._holds[number], outside, captured, "USD", is_final=True))
        else:
            captured = 0
            self._done(VoidHold(self._holds[number]))
        self.model.release(number, hold.remaining - captured, self.now)
        del self.model.holds[number]

    def _set_limits(self, wallet: int) -> None:
        known = self.model.wallets[wallet]
        known.zone = self.dice.choice(ZONES)
        known.own = self._limits("wallet") if self.dice.random() < 0.7 else []
        self._done(ChangeLimits(self._wallets[wallet], known.zone, tuple(map(as_sent, known.own))))

    def _set_tiers(self, _wallet: int) -> None:
        counts_owners = self.dice.random() < 0.6
        tiers = {
            name: self._limits("wallet") + (self._limits("owner") if counts_owners else [])
            for name in ("default", "gold")
            if self.dice.random() < 0.7
        }
        self.model.set_tiers(tiers)
        document = tuple(rules.Tier(name=name, limits=tuple(map(as_sent, limits))) for name, limits in tiers.items())
        version = policy_in_force(self._read([policy_name(self._mandate.tenant_id)]), self._mandate.tenant_id).version
        self._done(ChangeTiers(version, document))

    def _set_tier(self, wallet: int) -> None:
        owner, tier = self.model.wallets[wallet].owner, self.dice.choice(("default", "gold"))
        answer = self._try(ChangeTier(owner, tier, "asked"))
        if tier != "default" and tier not in self.model.tiers:
            assert answer["code"] == "unknown_tier"
            return
        assert answer["tier"] == tier
        self.model.tier_of[owner] = tier

    def _set_line(self, wallet: int) -> None:
        known, limit = self.model.wallets[wallet], self.dice.randrange(300)
        answer = self._try(ChangeOverdraft(self._wallets[wallet], limit, "USD", "asked"))
        used = max(0, -known.available)
        if limit < used:
            assert (answer["code"], answer["used"]) == ("overdraft_in_use", dollars(used))
            return
        assert answer["overdraft_limit"] == dollars(limit)
        known.line = limit

    # -- odds

    def _amount(self) -> int:
        return self.dice.choice((1, 7, 50, 99, 100, 101, self.dice.randrange(1, 250)))

    def _open_hold(self) -> int | None:
        started = [number for number in self.model.holds if self.model.holds[number].remaining > 1]
        return self.dice.choice(started) if started else None

    def _limits(self, scope: str) -> list[Limit]:
        made = []
        for operation in ("withdrawal", "transfer", "payment", "debit", "deposit"):
            if self.dice.random() < 0.6:
                continue
            limit: Limit = {"scope": scope, "operation": operation, "currency": "USD"}
            for name, most in (("per_transaction", 250), ("day_amount", 500), ("month_amount", 900)):
                if self.dice.random() < 0.4:
                    limit[name] = self.dice.randrange(most)
            for name, most in (("day_count", 5), ("month_count", 9)):
                if self.dice.random() < 0.3:
                    limit[name] = self.dice.randrange(most)
            if (scope, operation) == ("wallet", "deposit") and self.dice.random() < 0.5:
                limit["balance"] = self.dice.randrange(2_000)
            made.append(limit)
        return made

    def _move_clock(self) -> None:
        """Go on by a moment, by hours, or to around the end of a day or a month somewhere."""
        zone = self.dice.choice(ZONES)
        move = self.dice.random()
        if move < 0.6:
            self.now += timedelta(seconds=self.dice.randrange(1, 3_000), microseconds=1)
        elif move < 0.95:
            end = ENDS["day"](self.now, zone)
            self.now = max(self.now + timedelta(microseconds=1), end + self.dice.choice(_AROUND))
        else:
            end = ENDS["month"](self.now, zone)
            self.now = max(self.now + timedelta(microseconds=1), end + self.dice.choice(_AROUND))

    # -- the rules

    def _compare(self, command: Command, said: Refusal | str | None) -> Any:
        answer = self._try(command)
        if said is None:
            assert "code" not in answer, answer
        elif isinstance(said, str):
            assert answer.get("code") == said, answer
        else:
            self._is(answer, said)
        return answer

    def _is(self, answer: Any, said: Refusal) -> None:
        assert answer.get("code") == "limit_exceeded", (answer, said)
        told = {name: answer.get(name) for name in Refusal._fields}
        figures = {
            name: getattr(said, name) if said.measure == "count" else dollars(getattr(said, name))
            for name in ("max", "used", "remaining")
        }
        resets_at = None if said.resets_at is None else rfc3339(said.resets_at)
        assert told == {**said._asdict(), **figures, "resets_at": resets_at}

    def _done(self, command: Command) -> Any:
        answer = self._try(command)
        assert "code" not in answer, answer
        return answer

    def _try(self, command: Command) -> Any:
        unit = Unit(
            "/v1/x",
            (command,),
            False,
            self._mandate,
            "svc:test",
            (new_id(), "key", 0),
            fingerprint("/v1/x", (command,)),
            0.0,
            outcome=cast("Any", None),
        )
        known, unnamed = Rows(), set[RowName]()
        for _ in range(5):
            rows = self._read([*command.names(known), policy_name(self._mandate.tenant_id), *unnamed])
            stamps = {name: None if row is None else 1 for name, row in rows.items()}
            plan = BatchPlan([unit], PLANNING)
            plan(BatchInput(rows, stamps, {}, self.now))
            known, unnamed = rows, unnamed | plan.unnamed
            if not plan.unnamed and set(command.names(known)) <= rows.keys():
                break
        (outcome,) = plan.outcomes(range(1, 100))
        assert isinstance(outcome, Stored), outcome
        self._rows |= {name: known.row for name, known in plan.after.items()}
        return msgspec.json.decode(outcome.answer[1])

    def _read(self, names: list[RowName]) -> Rows:
        return Rows({name: self._rows.get(name) for name in names})


_AROUND: Final = (
    *(timedelta(microseconds=each) for each in (-1, 0, 1)),
    timedelta(hours=1),
    timedelta(hours=-1),
)


def as_sent(limit: Limit) -> rules.Limit:
    """Return the limit of the model as the rules have it."""
    amounts: dict[str, Any] = {name: format_minor(limit[name], "USD") for name in _AMOUNTS if name in limit}
    sent: dict[str, Any] = {**limit, **amounts}
    return rules.Limit(**sent)


_AMOUNTS: Final = ("per_transaction", "day_amount", "month_amount", "balance")


def dollars(minor: int) -> dict[str, str]:
    """Return an amount as problems tell it."""
    return {"amount": money(minor, "USD").amount, "currency": "USD"}


@pytest.mark.parametrize("seed", range(SEEDS))
def test_whatever_is_counted_is_what_the_model_counts(seed: int) -> None:
    world = World(seed)
    for _ in range(STEPS):
        world.step()
