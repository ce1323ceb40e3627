"""What the model of money asks, as commands of the product, and what the product answers, as the model tells it."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final, cast
from uuid import UUID

from services.wallet.tests.money_model import asked
from services.wallet.tests.money_model.limits import AMOUNTS
from services.wallet.tests.money_model.things import Entry, Limit, Made, Refusal, Rule, Sum

from contracts.envelope import rfc3339
from contracts.money import format_minor
from wallet.domain import fee_rules, limits
from wallet.domain.commands import Command
from wallet.domain.conversions import Convert
from wallet.domain.destinations import Destination
from wallet.domain.fx import FxTerms, MidRate, PairTerms
from wallet.domain.hold_commands import CaptureHold, ExpireHold, IncreaseHold, PlaceHold, VoidHold
from wallet.domain.lifecycle import CloseWallet, OpenWallet
from wallet.domain.limit_commands import ChangeLimits, ChangeTier
from wallet.domain.money import DepositFunds, TransferFunds, WithdrawFunds
from wallet.domain.originals import Original, OriginalEntry
from wallet.domain.overdrafts import ChangeOverdraft
from wallet.domain.payments import MakePayment
from wallet.domain.policy import HoldTerms
from wallet.domain.policy_commands import ChangeFees, ChangeFxTerms, ChangeHoldTerms, ChangeTiers
from wallet.domain.quotes import ExpireQuote, RequestQuote
from wallet.domain.refund_commands import ChargeBack, Part, RefundTransaction, ReverseTransaction
from wallet.domain.restrictions import FreezeWallet, UnfreezeWallet
from wallet.domain.texts import FreeText

WHY: Final = "asked"
AS_OF: Final = datetime(2026, 1, 1, tzinfo=UTC)
SUBJECTS: Final = ("wallet_id", "hold_id", "transaction_id", "quote_id")


class Translator:
    """Knows which id of the product each name of the model stands for, and what each transaction *made* was."""

    def __init__(self, made: Callable[[str], Made]) -> None:
        self.ids: dict[str, UUID] = {}
        self._made = made

    def command(self, wanted: asked.Asked) -> Command:
        """Return what is asked as a command."""
        return _MAKES[type(wanted)](self, wanted)

    def told(self, refusal: Refusal) -> dict[str, Any]:
        """Return what a problem must tell of *refusal*: its code and its figures."""
        return {"code": refusal.code, **{name: _fact(value) for name, value in refusal.facts.items()}}

    def is_about(self, refusal: Refusal, problem: Mapping[str, Any]) -> bool:
        """Return whether *problem* names whom the refusal is for."""
        named = {problem.get(name) for name in SUBJECTS}
        return refusal.whom is None or str(self.ids[refusal.whom]) in named

    def _original(self, transaction: str) -> Original:
        made = self._made(transaction)
        return Original(made.kind, tuple(map(self._original_entry, made.entries)))

    def _original_entry(self, entry: Entry) -> OriginalEntry:
        wallet, rule = self.ids[entry.wallet], (entry.rule, entry.version)
        return OriginalEntry(wallet, entry.account, entry.currency, entry.amount, entry.is_fee, *rule)

    def _destinations(self, to: tuple[asked.To, ...]) -> tuple[Destination, ...]:
        return tuple(
            Destination(None if each.wallet is None else self.ids[each.wallet], each.amount, each.share) for each in to
        )

    def _pay(self, wanted: asked.Pay) -> Command:
        to = self._destinations(wanted.to)
        return MakePayment(self.ids[wanted.payer], wanted.amount, wanted.currency, to)

    def _capture(self, wanted: asked.Capture) -> Command:
        return CaptureHold(
            self.ids[wanted.hold],
            self._destinations(wanted.to),
            wanted.amount,
            wanted.currency,
            is_final=wanted.is_final,
            is_forced=wanted.is_forced,
        )

    def _take_back(self, wanted: asked.TakeBack) -> Command:
        transaction, original = self.ids[wanted.transaction], self._original(wanted.transaction)
        given: dict[str, Any] = {"text": FreeText(reason=WHY), "is_forced": wanted.is_forced, "original": original}
        if wanted.how == "reversal":
            return ReverseTransaction(transaction, **given)
        given |= {"amount_minor": wanted.amount, "currency": wanted.currency}
        if wanted.how == "chargeback":
            return ChargeBack(transaction, **given)
        parts = tuple(Part(self.ids[wallet], amount) for wallet, amount in wanted.parts)
        return RefundTransaction(transaction, **given, parts=parts, returns_fees=wanted.returns_fees)

    def _limits(self, wanted: asked.SetLimits) -> Command:
        return ChangeLimits(self.ids[wanted.wallet], wanted.zone, tuple(map(limit_as_sent, wanted.limits)))

    def _tiers(self, wanted: asked.SetTiers) -> Command:
        tiers = [
            limits.Tier(name=name, limits=tuple(map(limit_as_sent, its_limits))) for name, its_limits in wanted.tiers
        ]
        return ChangeTiers(wanted.version, tuple(tiers))


_MAKES: Final[dict[type[asked.Asked], Callable[[Translator, Any], Command]]] = {
    asked.Open: lambda _, wanted: OpenWallet(wanted.owner, wanted.currency, overdraft_limit_minor=wanted.line),
    asked.Deposit: lambda t, wanted: DepositFunds(t.ids[wanted.wallet], wanted.amount, wanted.currency),
    asked.Withdraw: lambda t, wanted: WithdrawFunds(t.ids[wanted.wallet], wanted.amount, wanted.currency),
    asked.Transfer: lambda t, wanted: TransferFunds(
        t.ids[wanted.payer], t.ids[wanted.payee], wanted.amount, wanted.currency
    ),
    asked.Pay: Translator._pay,
    asked.Place: lambda t, wanted: PlaceHold(t.ids[wanted.wallet], wanted.amount, wanted.currency, wanted.ends_at),
    asked.Increase: lambda t, wanted: IncreaseHold(t.ids[wanted.hold], wanted.amount, wanted.currency, wanted.ends_at),
    asked.Capture: Translator._capture,
    asked.Void: lambda t, wanted: VoidHold(t.ids[wanted.hold]),
    asked.Expire: lambda t, wanted: ExpireHold(t.ids[wanted.hold], wanted.due_at),
    asked.TakeBack: Translator._take_back,
    asked.AskForQuote: lambda _, wanted: RequestQuote(
        wanted.source,
        wanted.destination,
        wanted.gives,
        wanted.gets,
        wanted.valid_s,
        None if wanted.rate is None else MidRate(wanted.rate, AS_OF, "desk"),
    ),
    asked.Convert: lambda t, wanted: Convert(t.ids[wanted.quote], t.ids[wanted.payer], t.ids[wanted.payee]),
    asked.ExpireQuote: lambda t, wanted: ExpireQuote(t.ids[wanted.quote], AS_OF),
    asked.Freeze: lambda t, wanted: FreezeWallet(t.ids[wanted.wallet], wanted.source, wanted.scope, WHY),
    asked.Unfreeze: lambda t, wanted: UnfreezeWallet(t.ids[wanted.wallet], wanted.source),
    asked.Close: lambda t, wanted: CloseWallet(t.ids[wanted.wallet]),
    asked.SetLine: lambda t, wanted: ChangeOverdraft(t.ids[wanted.wallet], wanted.line, wanted.currency, WHY),
    asked.SetLimits: Translator._limits,
    asked.SetTier: lambda _, wanted: ChangeTier(wanted.owner, wanted.tier, WHY),
    asked.SetTiers: Translator._tiers,
    asked.SetFees: lambda _, wanted: ChangeFees(wanted.version, tuple(map(rule_as_sent, wanted.rules))),
    asked.SetTerms: lambda _, wanted: ChangeHoldTerms(
        wanted.version,
        HoldTerms(days=wanted.days, days_max=wanted.days_max, overcapture_ppm=wanted.overcapture_ppm),
    ),
    asked.SetPairs: lambda _, wanted: ChangeFxTerms(
        wanted.version,
        FxTerms(
            spread_ppm=wanted.spread_ppm,
            pairs=tuple(
                PairTerms(source_currency=source, destination_currency=destination, spread_ppm=spread)
                for source, destination, spread in wanted.pairs
            ),
        ),
    ),
}


def limit_as_sent(limit: Limit) -> limits.Limit:
    """Return the limit as the product has it."""
    sent: dict[str, Any] = {
        name: format_minor(value, limit["currency"]) if name in AMOUNTS else value for name, value in limit.items()
    }
    return limits.Limit(**sent)


def rule_as_sent(rule: Rule) -> fee_rules.FeeRule:
    """Return the fee rule as the product has it."""

    def text(minor: int | None) -> str | None:
        return None if minor is None else format_minor(minor, rule.currency)

    bands = [
        fee_rules.Band(up_to=text(band.up_to), flat=text(band.flat), rate_ppm=band.rate_ppm) for band in rule.bands
    ]
    return fee_rules.FeeRule(
        id=rule.id,
        operation=cast("fee_rules.FeeOperation", rule.operation),
        currency=rule.currency,
        bearer=cast("fee_rules.Bearer", rule.bearer),
        tier=rule.tier,
        flat=text(rule.flat) if not bands else None,
        rate_ppm=rule.rate_ppm,
        minimum=text(rule.minimum),
        maximum=text(rule.maximum),
        bands=tuple(bands),
        banding="marginal" if rule.is_marginal else "whole",
        valid_from=rule.valid_from,
        valid_until=rule.valid_until,
    )


def _fact(value: Any) -> Any:
    if isinstance(value, Sum):
        return {"amount": format_minor(value.amount, value.currency), "currency": value.currency}
    return rfc3339(value) if isinstance(value, datetime) else value
