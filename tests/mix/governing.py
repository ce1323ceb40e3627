"""What must become of commands on wallets, owners and the policy, which move no money."""

from collections.abc import Mapping, Sequence
from typing import Any

from tests.mix.amounts import Refused, money
from tests.mix.model import World
from tests.mix.things import Done, Wallet

Json = dict[str, Any]


def open_wallet(owner: str, currency: str, overdraft: int) -> Done:
    """Open a wallet."""
    return Done(made=Wallet(owner, currency, overdraft=overdraft))


def restrict(of: World, wallet: str, scope: str) -> Done:
    """Restrict a wallet."""
    of.must_be_open(wallet).scope = scope
    return Done(wallet=wallet)


def lift(of: World, wallet: str) -> Done:
    """Lift the restriction."""
    found = of.must_be_open(wallet)
    if found.scope is None:
        raise Refused("wallet_not_frozen")
    found.scope = None
    return Done(wallet=wallet)


def close(of: World, wallet: str) -> Done:
    """Close an empty wallet."""
    found = of.must_be_open(wallet)
    if found.posted or of.held(wallet):
        raise Refused("wallet_not_empty")
    found.is_closed = True
    return Done(wallet=wallet)


def set_overdraft(of: World, wallet: str, limit: int) -> Done:
    """Set a credit line."""
    found = of.must_be_open(wallet)
    used = max(0, -of.available(wallet))
    if limit < used:
        raise Refused("overdraft_in_use", used=money(used, found.currency))
    found.overdraft = limit
    return Done(wallet=wallet)


def describe(of: World, wallet: str, details: Json) -> Done:
    """Change what a wallet is called: what is left out stays."""
    found = of.must_be_open(wallet)
    found.label = details.get("label", found.label)
    found.metadata = details.get("metadata", found.metadata)
    return Done(wallet=wallet)


def bound(of: World, wallet: str, terms: Json) -> Done:
    """Set a wallet's own limits and its zone: what is left out stays."""
    found = of.must_be_open(wallet)
    limits: Sequence[Mapping[str, Any]] = terms.get("limits", found.limits)
    if any(limit["currency"] != found.currency for limit in limits):
        raise Refused("currency_mismatch", currency=found.currency)
    found.zone, found.limits = terms.get("time_zone", found.zone), limits
    return Done(wallet=wallet)


def change_tier(of: World, owner: str, tier: str) -> Done:
    """Give an owner a tier."""
    if tier != "default" and tier not in of.limits.tiers:
        raise Refused("unknown_tier", tier=tier)
    of.limits.tier_of[owner] = tier
    of.owner_versions[owner] = of.owner_versions.get(owner, 0) + 1
    return Done(told={"id": owner, "tier": tier, "version": of.owner_versions[owner]})


def change_policy(of: World, section: str, version: int, document: Any) -> Done:
    """Change a section of the policy."""
    if version != of.policy_version:
        raise Refused("policy_version_conflict", version=of.policy_version)
    fees = document if section == "fees" else of.fees
    tiers = [tier["name"] for tier in document] if section == "tiers" else list(of.limits.tiers)
    for rule in fees:
        if rule.get("tier", "default") not in {*tiers, "default"}:
            raise Refused("unknown_tier", tier=rule["tier"])
    of.policy_version += 1
    of.fees = fees
    if section == "fx":
        of.fx = document
    elif section == "tiers":
        of.limits.change_tiers(document, of.at)
    elif section == "holds":
        of.hold_terms = document
    return Done(told={"version": of.policy_version})
