"""The registry of scopes: what a credential may ask for, and which kinds of callers may hold it.

A principal carries its scopes as one integer of bits. A bit is never used for another scope; a scope that is given up
keeps its place here, without kinds. `docs/scopes.md` is made from this.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Kind(StrEnum):
    """What kind of caller a credential is for."""

    USER = "user"
    """A customer of the tenant, who acts for owners of wallets."""
    SERVICE = "service"
    """A backend of the tenant."""
    OPERATOR = "operator"
    """Staff: support, risk, operations."""


ANYBODY: Final = frozenset(Kind)
NEVER_USERS: Final = frozenset({Kind.SERVICE, Kind.OPERATOR})
STAFF: Final = frozenset({Kind.OPERATOR})


class UnknownScope(ValueError):
    """There is no scope of that name."""


@dataclass(frozen=True, slots=True)
class Scope:
    """A scope: *bit* is its place in a principal's bits, *kinds* may hold it."""

    bit: int
    name: str
    kinds: frozenset[Kind]
    meaning: str

    @property
    def mask(self) -> int:
        """The integer with this scope's bit alone."""
        return 1 << self.bit


_BY_NAME: dict[str, Scope] = {}


def _register(bit: int, name: str, kinds: frozenset[Kind], meaning: str) -> Scope:
    assert name not in _BY_NAME, f"the scope {name} is registered twice"
    assert all(known.bit != bit for known in _BY_NAME.values()), f"the bit {bit} is used twice"
    scope = _BY_NAME[name] = Scope(bit, name, kinds, meaning)
    return scope


WALLETS_READ: Final = _register(0, "wallets:read", ANYBODY, "Read wallets, their balances and their restrictions.")
WALLETS_OPEN: Final = _register(1, "wallets:open", ANYBODY, "Open wallets.")
WALLETS_CLOSE: Final = _register(2, "wallets:close", ANYBODY, "Close wallets.")
WALLETS_RESTRICT: Final = _register(
    3, "wallets:restrict", NEVER_USERS, "Freeze and unfreeze wallets; never a user's: it would lift what staff set."
)
DEPOSITS_CREATE: Final = _register(4, "deposits:create", NEVER_USERS, "Take money in; never a user's: it makes money.")
WITHDRAWALS_CREATE: Final = _register(5, "withdrawals:create", ANYBODY, "Pay money out.")
TRANSFERS_CREATE: Final = _register(6, "transfers:create", ANYBODY, "Move money between wallets.")
TRANSACTIONS_READ: Final = _register(7, "transactions:read", ANYBODY, "Read transactions.")
HISTORY_READ: Final = _register(8, "history:read", ANYBODY, "Read the history of wallets.")
WEBHOOKS_READ: Final = _register(9, "webhooks:read", NEVER_USERS, "Read webhook endpoints and deliveries.")
WEBHOOKS_WRITE: Final = _register(
    10, "webhooks:write", NEVER_USERS, "Make, change and delete webhook endpoints, and send deliveries again."
)
RISK_READ: Final = _register(
    11, "risk:read", NEVER_USERS, "Read fraud decisions, rules and profiles; never a user's: it would teach to evade."
)
CREDENTIALS_READ: Final = _register(
    12, "credentials:read", NEVER_USERS, "Read the tenant's issuers, service accounts, keys, subjects and rate limits."
)
CREDENTIALS_WRITE: Final = _register(
    13, "credentials:write", NEVER_USERS, "Make, change and revoke the tenant's issuers, service accounts and keys."
)
TENANTS_WRITE: Final = _register(
    14,
    "tenants:write",
    STAFF,
    "Create, suspend and resume tenants, set their rates, and make credentials in them: of scopes that one holds.",
)
OPERATIONS_READ: Final = _register(
    15, "operations:read", STAFF, "Read what the platform's processes tell of themselves."
)
HOLDS_WRITE: Final = _register(16, "holds:write", ANYBODY, "Place holds, and increase, capture and void one's own.")
PAYMENTS_CREATE: Final = _register(17, "payments:create", ANYBODY, "Pay from one wallet to many.")
REFUNDS_CREATE: Final = _register(
    18, "refunds:create", NEVER_USERS, "Refund and reverse transactions; never a user's: it takes from whom was paid."
)
CHARGEBACKS_CREATE: Final = _register(19, "chargebacks:create", STAFF, "Take deposits back that a bank took back.")
FORCED_CREATE: Final = _register(
    20, "forced:create", STAFF, "Debit below a wallet's floor and through its restrictions."
)
CONVERSIONS_CREATE: Final = _register(21, "conversions:create", ANYBODY, "Ask for quotes, and convert by them.")
POLICY_READ: Final = _register(22, "policy:read", NEVER_USERS, "Read the policy: tiers, fees, exchange, holds.")
POLICY_WRITE: Final = _register(23, "policy:write", NEVER_USERS, "Change the policy.")
LIMITS_WRITE: Final = _register(24, "limits:write", NEVER_USERS, "Set wallets' limits, and owners' tiers.")
OVERDRAFT_WRITE: Final = _register(25, "overdraft:write", STAFF, "Set credit lines.")
WALLETS_DESCRIBE: Final = _register(26, "wallets:describe", ANYBODY, "Change wallets' labels and metadata.")
HISTORY_EXPORT: Final = _register(
    27, "history:export", ANYBODY, "Have files made of the history, fetch them and hand out links to them."
)
HISTORY_REPORT: Final = _register(
    28,
    "history:report",
    NEVER_USERS,
    "Have reports made, say how statements are made and close periods; never a user's: owners are given them.",
)

SCOPES: Final[Sequence[Scope]] = tuple(sorted(_BY_NAME.values(), key=lambda scope: scope.bit))
"""Every scope, by bit."""


def scope_named(name: str) -> Scope:
    """Return the scope of that name; raises UnknownScope if there is none."""
    try:
        return _BY_NAME[name]
    except KeyError:
        raise UnknownScope(name) from None


def mask_of(names: Iterable[str]) -> int:
    """Return the bits of the scopes of those names; raises UnknownScope if there is no such scope."""
    mask = 0
    for name in names:
        mask |= scope_named(name).mask
    return mask


def known_mask_of(names: Iterable[str]) -> int:
    """Return the bits of those of *names* that are scopes: an identity provider's token has scopes of others too."""
    mask = 0
    for name in names:
        known = _BY_NAME.get(name)
        if known is not None:
            mask |= known.mask
    return mask


def names_of(mask: int) -> list[str]:
    """Return the names of the scopes whose bits are in *mask*, by bit."""
    return [scope.name for scope in SCOPES if mask & scope.mask]


def mask_for(kind: Kind) -> int:
    """Return the bits of every scope that a caller of *kind* may hold."""
    return _MASKS[kind]


_MASKS: Final = {kind: sum(scope.mask for scope in SCOPES if kind in scope.kinds) for kind in Kind}
