"""What is set, and moves nothing: wallets, their lines and limits, tiers, and the policy."""

from dataclasses import replace
from typing import Any

from services.wallet.tests.money_model import asked
from services.wallet.tests.money_model.asking import Asking
from services.wallet.tests.money_model.things import Refusal, Rule, Sum, Wallet


class Settings(Asking):
    """Wallets are opened, bounded, restricted and closed; the policy changes."""

    def open(self, name: str, command: asked.Open) -> None:
        """Open a wallet."""
        self.wallets[name] = Wallet(command.owner, command.currency, line=command.line)

    def freeze(self, _name: str, command: asked.Freeze) -> None:
        """Restrict a wallet; what its source has said before is replaced."""
        others = self._others(command.wallet, command.source)
        self.change(command.wallet, restrictions={**others, command.source: command.scope})

    def unfreeze(self, _name: str, command: asked.Unfreeze) -> None:
        """Lift a restriction."""
        others = self._others(command.wallet, command.source)
        if len(others) == len(self.wallets[command.wallet].restrictions):
            raise Refusal("wallet_not_frozen", command.wallet)
        self.change(command.wallet, restrictions=others)

    def close(self, _name: str, command: asked.Close) -> None:
        """Close an empty wallet."""
        known, held = self._not_closed(command.wallet), self.held(command.wallet)
        if known.posted or held:
            available = Sum(self.available(command.wallet), known.currency)
            raise Refusal("wallet_not_empty", command.wallet, available=available, held=Sum(held, known.currency))
        self.change(command.wallet, is_closed=True)

    def set_line(self, _name: str, command: asked.SetLine) -> None:
        """Set a credit line, never to less than is in use."""
        known, used = self._not_closed(command.wallet), max(0, -self.available(command.wallet))
        self._same_currency(command.wallet, command.currency)
        if command.line < used:
            raise Refusal("overdraft_in_use", command.wallet, used=Sum(used, known.currency))
        self.change(command.wallet, line=command.line)
        self.settle_floor(command.wallet)

    def set_limits(self, _name: str, command: asked.SetLimits) -> None:
        """Set a wallet's zone and limits."""
        self._not_closed(command.wallet)
        for limit in command.limits:
            self._same_currency(command.wallet, limit["currency"])
        self.change(command.wallet, zone=command.zone, own=command.limits)

    def set_tier(self, _name: str, command: asked.SetTier) -> None:
        """Set an owner's tier."""
        if command.tier != "default" and command.tier not in self.policy.tiers:
            raise Refusal("unknown_tier", None, tier=command.tier)
        self.tier_of[command.owner] = command.tier

    def set_tiers(self, _name: str, command: asked.SetTiers) -> None:
        """Set all tiers."""
        self._change_policy(command.version, tiers=dict(command.tiers))
        self.forget_owners()

    def set_fees(self, _name: str, command: asked.SetFees) -> None:
        """Set all fee rules."""
        self._change_policy(command.version, fees=command.rules)

    def set_terms(self, _name: str, command: asked.SetTerms) -> None:
        """Set the terms of holds."""
        terms = {"days": command.days, "days_max": command.days_max, "overcapture_ppm": command.overcapture_ppm}
        self._change_policy(command.version, **terms)

    def set_pairs(self, _name: str, command: asked.SetPairs) -> None:
        """Set what may be converted."""
        pairs = {(source, destination): spread for source, destination, spread in command.pairs}
        self._change_policy(command.version, spread_ppm=command.spread_ppm, pairs=pairs)

    def _change_policy(self, version: int, **changes: Any) -> None:
        if version != self.policy.version:
            raise Refusal("policy_version_conflict", None, version=self.policy.version)
        after = replace(self.policy, version=version + 1, **changes)
        unknown = next((rule.tier for rule in after.fees if _is_unknown(rule, after.tiers)), None)
        if unknown is not None:
            raise Refusal("unknown_tier", None, tier=unknown)
        self.policy = after

    def _others(self, wallet: str, source: str) -> dict[str, str]:
        restrictions = self._not_closed(wallet).restrictions
        return {each: scope for each, scope in restrictions.items() if each != source}

    def _not_closed(self, wallet: str) -> Wallet:
        if self.wallets[wallet].is_closed:
            raise Refusal("wallet_closed", wallet)
        return self.wallets[wallet]

    def _same_currency(self, wallet: str, currency: str) -> None:
        if self.wallets[wallet].currency != currency:
            raise Refusal("currency_mismatch", wallet, currency=self.wallets[wallet].currency)


def _is_unknown(rule: Rule, tiers: Any) -> bool:
    return rule.tier not in {None, "default", *tiers}
