"""What an answer must tell of what was done, and what is kept of it."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from tests.mix.amounts import minor, money
from tests.mix.exchange import Quote
from tests.mix.model import World
from tests.mix.things import Done, Hold, Json, Posted


def happened_at(body: Json, asked_at: datetime) -> datetime:
    """Return when a command happened, as its answer tells; *asked_at* where it does not."""
    told = body.get("updated_at") or body.get("created_at")
    return asked_at if told is None else datetime.fromisoformat(told)


def check(world: World, done: Done, body: Json) -> None:
    """Raise AssertionError where an answer tells another thing than what must have been *done*; keep what was made."""
    keep(world, done, body.get("id", ""))
    check_told(done.told, body)
    if done.entries:
        check_entries(done.entries, body)
        fees = [(each["rule"], each["wallet_id"], minor(each["amount"])) for each in body["fees"]]
        assert sorted(fees) == sorted(done.fees), (fees, done.fees)
    elif done.hold is not None:
        check_hold(done.hold, body)
    elif done.quote is not None:
        promised = (minor(body["source_amount"]), minor(body["destination_amount"]), body["spread_ppm"])
        assert promised == (done.quote.source, done.quote.destination, done.quote.spread_ppm), (promised, done.quote)
    elif done.wallet is not None:
        check_wallet(world, done.wallet, body)


def check_told(facts: Mapping[str, Any], body: Json) -> None:
    """Raise AssertionError where *body* tells another of *facts*."""
    told = {
        name: datetime.fromisoformat(body[name]) if isinstance(fact, datetime) else body.get(name)
        for name, fact in facts.items()
    }
    assert told == facts, (told, facts)


def keep(world: World, done: Done, answered_id: str) -> None:
    """Keep what was made, if anything, under its id, and list that where it is listed."""
    if done.listed is not None:
        done.listed.append(answered_id)
    if done.made is not None:
        _kept(world, done.made)[answered_id] = done.made
        world.forget()


def _kept(world: World, made: Any) -> dict[str, Any]:
    """Return where *world* keeps what is of that kind."""
    if isinstance(made, Hold):
        return world.holds
    if isinstance(made, Posted):
        return world.transactions
    return world.quotes if isinstance(made, Quote) else world.wallets


def check_entries(entries: list[tuple[str, int]], body: Json) -> None:
    """Raise AssertionError where *body* has other entries."""
    told = [(each.get("wallet_id") or each["system_account"], minor(each["amount"])) for each in body["entries"]]
    assert told == entries, (told, entries)


def check_hold(hold: Hold, body: Json) -> None:
    """Raise AssertionError where *body* is not the hold."""
    names = ("amount", "fee_reserved", "captured", "released", "remaining")
    told = (body["status"], *(minor(body[name]) for name in names), body["captures"])
    figures = (hold.placed, hold.fee_left, hold.captured, hold.released, hold.remaining)
    wanted = (hold.status, *figures, hold.captures)
    assert told == wanted, (told, wanted)
    if hold.is_end_known:
        check_told({"expires_at": hold.expires_at}, body)


def check_wallet(world: World, wallet_id: str, body: Json) -> None:
    """Raise AssertionError where *body* is not the wallet."""
    wallet = world.wallets[wallet_id]
    balance = {"posted": wallet.posted, "held": world.held(wallet_id), "available": world.available(wallet_id)}
    wanted = {
        "owner_id": wallet.owner,
        "currency": wallet.currency,
        "status": "closed" if wallet.is_closed else "frozen" if wallet.scope else "open",
        "label": wallet.label,
        "metadata": wallet.metadata,
        "balance": {name: money(each, wallet.currency) for name, each in balance.items()},
        "overdraft_limit": money(wallet.overdraft, wallet.currency),
    }
    check_told(wanted, body)


def check_limits(world: World, wallet_id: str, body: Json, now: datetime) -> None:
    """Raise AssertionError where *body* does not tell the limits on the wallet, and what is used of them."""
    wallet = world.wallets[wallet_id]
    told = [
        {**each, "resets_at": each["resets_at"] and datetime.fromisoformat(each["resets_at"])}
        for each in body["limits"]
    ]
    wanted = world.limits.told(wallet_id, wallet, now)
    assert told == wanted, (told, wanted)
    assert body["time_zone"] == wallet.zone, (body["time_zone"], wallet.zone)


def check_owner(world: World, owner: str, body: Json) -> None:
    """Raise AssertionError where *body* is not the owner."""
    tier = world.limits.tier_of.get(owner, "default")
    check_told({"id": owner, "tier": tier, "version": world.owner_versions.get(owner, 0)}, body)


def check_transaction(posted: Posted, body: Json) -> None:
    """Raise AssertionError where *body* is not the transaction, with what was taken back of it."""
    refunded = money(posted.refunded, posted.currency) if posted.taken else body["refunded"]
    wanted = {"type": posted.kind, "status": posted.status, "refunds": posted.taken, "refunded": refunded}
    check_told(wanted, body)
    check_entries([(account, amount) for account, amount in posted.entries if amount], body)


def is_due(hold: Hold, now: datetime, margin: timedelta) -> bool:
    """Tell whether the hold ends within *margin*, or has ended and nobody has released it yet."""
    return hold.status == "open" and hold.expires_at <= now + margin
