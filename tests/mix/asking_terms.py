"""How wallets, owners and the policy are asked to change."""

from typing import Any, Final

from tests.mix import governing
from tests.mix.amounts import EXPONENTS, money, text
from tests.mix.limits import OPERATIONS, ZONES
from tests.mix.model import World
from tests.mix.steps import CURRENCIES, OWNERS, TIERS, Chance, Step, Weights, on, plain, setting
from tests.mix.things import Json

from contracts.ids import new_id_text

WALLETS_MAX: Final = 24
USES: Final = tuple(
    (operation, bearer)
    for operation in ("deposit", "withdrawal", "transfer", "payment", "capture", "conversion")
    for bearer in ("payer", "payee")
    if (operation, bearer) not in {("deposit", "payer"), ("withdrawal", "payee")}
)
"""What fees are for."""


def open_wallet(chance: Chance, world: World) -> Step | None:
    """Return the opening of a wallet, unless enough are open."""
    opened = sum(not wallet.is_closed for wallet in world.wallets.values())
    return opening(chance) if opened < WALLETS_MAX else None


def opening(chance: Chance) -> Step:
    """Return the opening of a wallet, some with a credit line."""
    owner, currency = chance.random.choice(OWNERS), chance.random.choice(CURRENCIES)
    overdraft = 2_000 if chance.is_once_in(5) else 0
    body: Json = {"owner_id": owner, "currency": currency, "placement": new_id_text()}
    if overdraft:
        body["overdraft_limit"] = money(overdraft, currency)
    return plain("/v1/wallets", "open_wallet", body, lambda _: governing.open_wallet(owner, currency, overdraft))


def restrict(chance: Chance, world: World) -> Step:
    """Return a restriction."""
    wallet, scope = chance.wallet(world), chance.random.choice(("debits", "all"))
    body = {"scope": scope, "reason": "r"}
    return on(("wallet", wallet), "freeze", "freeze", body, lambda of: governing.restrict(of, wallet, scope))


def lift(chance: Chance, world: World) -> Step | None:
    """Return the lifting of a restriction, seldom where there is none."""
    restricted = [each for each, wallet in world.wallets.items() if wallet.scope]
    if not restricted and not chance.is_once_in(10):
        return None
    wallet = chance.random.choice(restricted) if restricted else chance.wallet(world)
    return on(("wallet", wallet), "unfreeze", "unfreeze", {}, lambda of: governing.lift(of, wallet))


def close(chance: Chance, world: World) -> Step | None:
    """Return the closing of a wallet, of one with nothing in it every other time, unless there are few."""
    if len(world.wallets) < WALLETS_MAX // 2:
        return None
    empty = [each for each, found in world.wallets.items() if not (found.is_closed or found.posted or world.held(each))]
    wallet = chance.random.choice(empty) if empty and chance.is_once_in(2) else chance.wallet(world)
    return on(("wallet", wallet), "close", "close", {}, lambda of: governing.close(of, wallet))


def overdraft(chance: Chance, world: World) -> Step:
    """Return a credit line."""
    wallet, limit = chance.wallet(world), chance.random.choice((0, 500, 5_000))
    body = {"limit": money(limit, world.wallets[wallet].currency), "reason": "r"}
    return setting(
        ("wallet", wallet), "overdraft", "change_overdraft", body, lambda of: governing.set_overdraft(of, wallet, limit)
    )


def details(chance: Chance, world: World) -> Step:
    """Return what a wallet is called: a label, metadata, or both; none of them sometimes."""
    wallet = chance.wallet(world)
    label = None if chance.is_once_in(4) else new_id_text()
    metadata = None if chance.is_once_in(4) else {"team": new_id_text()}
    body: Json = chance.random.choice(
        ({"label": label}, {"metadata": metadata}, {"label": label, "metadata": metadata})
    )
    return setting(
        ("wallet", wallet), "details", "change_details", body, lambda of: governing.describe(of, wallet, body)
    )


def own_limits(chance: Chance, world: World) -> Step:
    """Return a wallet's own limits, its zone, or both."""
    wallet = chance.wallet(world)
    currency = "EUR" if chance.is_once_in(20) else world.wallets[wallet].currency
    body: Json = {}
    if chance.is_once_in(2):
        body["time_zone"] = chance.random.choice(ZONES)
    if not body or chance.is_once_in(2):
        body["limits"] = _limits(chance, [("wallet", operation, currency) for operation in OPERATIONS])
    return setting(("wallet", wallet), "limits", "change_limits", body, lambda of: governing.bound(of, wallet, body))


def tier(chance: Chance, _world: World) -> Step:
    """Return an owner's tier."""
    owner, name = chance.random.choice(OWNERS), chance.random.choice(TIERS)
    body = {"tier": name, "reason": "r"}
    return setting(("owner", owner), "tier", "change_tier", body, lambda of: governing.change_tier(of, owner, name))


def tiers(chance: Chance, world: World) -> Step:
    """Return the tiers that there are, and what bounds each."""
    uses = [
        (scope, operation, currency)
        for scope in ("wallet", "owner")
        for operation in OPERATIONS
        for currency in ("USD", "USD", "JPY")
    ]
    document = [
        {"name": name, "limits": _limits(chance, uses)} for name in TIERS[: chance.random.choice((0, 1, 2, 3, 3))]
    ]
    return _policy(chance, world, "tiers", "change_tiers", document)


def _limits(chance: Chance, uses: list[tuple[str, str, str]]) -> list[Json]:
    """Return limits on some of *uses*, which let most things pass."""
    chosen = set(chance.random.sample(uses, chance.random.randint(0, min(8, len(uses)))))
    return [_limit(chance, *use) for use in sorted(chosen)]


def _limit(chance: Chance, scope: str, operation: str, currency: str) -> Json:
    most = {
        "per_transaction": text(chance.random.randint(10_000, 60_000), currency),
        "day_amount": text(chance.random.randint(20_000, 600_000), currency),
        "day_count": chance.random.randint(1, 25),
        "month_amount": text(chance.random.randint(100_000, 2_000_000), currency),
        "month_count": chance.random.randint(2, 50),
    }
    if (scope, operation) == ("wallet", "deposit"):
        most["balance"] = text(chance.random.randint(100_000, 1_000_000), currency)
    measures = chance.random.sample(sorted(most), chance.random.randint(1, 3))
    named = {"scope": scope, "operation": operation, "currency": currency}
    return {**named, **{measure: most[measure] for measure in measures}}


def fees(chance: Chance, world: World) -> Step:
    """Return fee rules, some of a tier, which there mostly is."""
    rules: list[Json] = []
    for operation, bearer in chance.random.sample(USES, chance.random.randint(0, 4)):
        for name in (None, *([chance.random.choice(TIERS)] if chance.is_once_in(4) else [])):
            rule: Json = {
                "id": f"{operation}-{bearer}-{name}-{chance.random.randint(1, 3)}",
                "operation": operation,
                "currency": "USD",
                "bearer": bearer,
                "rate_ppm": chance.random.randint(0, 50_000),
                "flat": text(chance.random.randint(0, 30), "USD"),
            }
            rule |= {} if name is None else {"tier": name}
            rule |= {"minimum": "0.05", "maximum": "2.00"} if chance.random.random() < 0.4 else {}
            rules.append(rule)
    return _policy(chance, world, "fees", "change_fees", rules)


def hold_terms(chance: Chance, world: World) -> Step:
    """Return how long holds last, and what may be captured beyond them."""
    over = chance.random.choice((0, 50_000, 150_000))
    return _policy(chance, world, "holds", "change_hold_terms", {"days": 2, "days_max": 3, "overcapture_ppm": over})


def fx(chance: Chance, world: World) -> Step:
    """Return the pairs that are offered, mostly all."""
    pairs = [(one, other) for one in EXPONENTS for other in EXPONENTS if one != other]
    offered = chance.random.sample(pairs, chance.random.randint(3, len(pairs)))
    document = {
        "spread_ppm": chance.random.choice((0, 2_500, 12_345)),
        "pairs": [{"source_currency": source, "destination_currency": to} for source, to in offered],
    }
    return _policy(chance, world, "fx", "change_fx_terms", document)


def _policy(chance: Chance, world: World, section: str, member: str, document: Any) -> Step:
    version = world.policy_version + chance.is_once_in(10)
    body = {"expected_version": version, "document": document}
    return Step(
        method="PUT",
        path=f"/v1/policy/{section}",
        body=body,
        member={"type": member, **body},
        model=lambda of: governing.change_policy(of, section, version, document),
    )


WEIGHTS: Final[Weights] = {
    open_wallet: 2,
    restrict: 1,
    lift: 4,
    close: 1,
    overdraft: 1,
    details: 1,
    own_limits: 4,
    tier: 3,
    tiers: 2,
    fees: 2,
    hold_terms: 1,
    fx: 2,
}
