"""Owners of wallets: their tiers, by which fees and limits differ, and what was counted under limits of theirs."""

from datetime import datetime
from functools import lru_cache
from typing import ClassVar, Final
from uuid import UUID

import msgspec

from contracts import events
from contracts.event_types import EventType
from contracts.events import Private
from contracts.ids import digest_id_in, home_shard
from wallet.domain.facts import JournalEvent, RowFact, body_of
from wallet.domain.limits import DEFAULT_TIER, NO_LIMITS, TierLimits, Usages
from wallet.domain.policy import Policy, policy_name, policy_of
from wallet.domain.rows import RowKind, RowName, Rows, StateName, StateRow
from wallet.domain.wallets import Wallet


class Owner(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What an owner's row holds besides its columns. *usage* is what was counted under limits of all its wallets."""

    owner_id: str
    tier: str = DEFAULT_TIER
    usage: Usages = ()


OWNER: Final = RowKind(5, "owner", Owner)


@lru_cache(maxsize=100_000)
def owner_name(tenant_id: UUID, owner_id: str) -> StateName:
    """Return the name of the owner's row: a stable id over tenant and owner, in the owner's own shard."""
    material = tenant_id.bytes + b"|owner|" + owner_id.encode()
    return StateName(OWNER.number, digest_id_in(home_shard(tenant_id, owner_id), material))


def owner_of(row: StateRow) -> Owner:
    """Return the body of an owner's row."""
    assert isinstance(row.body, Owner)
    return row.body


def tier_in_force(policy: Policy, rows: Rows, wallet: Wallet) -> str:
    """Return the tier by which the wallet's fees and limits are: the default one where its owner's is no more.

    Raises UnnamedRowError where the policy looks at owners, and nobody looked for this one.
    """
    if not policy.looks_at_owners:
        return DEFAULT_TIER
    row = rows[owner_name(wallet.tenant_id, wallet.owner_id)]
    return policy.known_tier(owner_of(row).tier) if isinstance(row, StateRow) else DEFAULT_TIER


def tier_limits(policy: Policy, rows: Rows, wallet: Wallet) -> TierLimits:
    """Return the limits of the wallet's owner's tier."""
    if not policy.tiers:
        return NO_LIMITS
    return policy.limits_by_tier.get(tier_in_force(policy, rows, wallet), NO_LIMITS)


def owners_usage(rows: Rows, wallet: Wallet) -> Usages:
    """Return what was counted of all the wallets of the wallet's owner."""
    row = rows[owner_name(wallet.tenant_id, wallet.owner_id)]
    return owner_of(row).usage if isinstance(row, StateRow) else ()


class WalletUsage(msgspec.Struct, frozen=True, gc=False):
    """What is counted of a wallet's own from now on."""

    wallet_id: UUID
    usage: Usages

    def apply(self, rows: Rows, at: datetime) -> None:
        """Put it into the wallet's row."""
        del at
        wallet = rows[self.wallet_id]
        assert isinstance(wallet, Wallet)
        rows[self.wallet_id] = msgspec.structs.replace(wallet, usage=self.usage)


class OwnerUsage(msgspec.Struct, frozen=True, gc=False):
    """What is counted of all an owner's wallets from now on."""

    tenant_id: UUID
    owner_id: str
    usage: Usages

    def apply(self, rows: Rows, at: datetime) -> None:
        """Put it into the owner's row, whose version counts its events and stays; an owner without any has 0."""
        name = owner_name(self.tenant_id, self.owner_id)
        row = rows[name]
        if row is None:
            rows[name] = new_owner(self.tenant_id, Owner(owner_id=self.owner_id, usage=self.usage), at, version=0)
            return
        assert isinstance(row, StateRow)
        rows[name] = msgspec.structs.replace(row, body=msgspec.structs.replace(owner_of(row), usage=self.usage))


def owner_names(rows: Rows, tenant_id: UUID) -> set[RowName]:
    """Return the names of the rows of those who own a tenant's wallets among *rows*.

    There are none as long as its policy does not look at owners, or is not among the rows.
    """
    policy = rows.get(policy_name(tenant_id))
    if policy is None or not policy_of(policy).looks_at_owners:
        return set()
    wallets = (row for row in rows.values() if isinstance(row, Wallet) and row.tenant_id == tenant_id)
    return {owner_name(tenant_id, owner_id) for owner_id in {wallet.owner_id for wallet in wallets}}


class OwnerChanged(RowFact, frozen=True):
    """The owner is of another tier from now on."""

    event: ClassVar[EventType] = events.OWNER_CHANGED
    kind: ClassVar[RowKind] = OWNER
    owner_id: str
    tier: str
    tier_before: str

    def evolve(self, row: StateRow | None, at: datetime) -> StateRow:
        """Return the owner's row with the tier."""
        if row is not None:
            body = msgspec.structs.replace(owner_of(row), tier=self.tier)
            changed_at = max(at, row.changed_at) if row.version else at  # of counting alone no event tells
            return msgspec.structs.replace(row, body=body, version=row.version + 1, changed_at=changed_at)
        return new_owner(self.tenant_id, Owner(owner_id=self.owner_id, tier=self.tier), at, version=1)

    def payload(self, after: StateRow, actor: str, private: Private | None) -> msgspec.Struct:
        """Return the event's body."""
        del after, actor
        return events.OwnerChanged(
            owner_id=self.owner_id, tier=self.tier, tier_before=self.tier_before, private=private
        )

    @classmethod
    def read(cls, event: JournalEvent) -> "OwnerChanged":
        """Return the fact that *event* tells."""
        body = body_of(event, events.OwnerChanged)
        return cls(event.account_id, event.tenant_id, body.owner_id, body.tier, body.tier_before)


def new_owner(tenant_id: UUID, body: Owner, at: datetime, *, version: int) -> StateRow:
    """Return an owner's first row; *version* counts its events."""
    return StateRow(
        kind=OWNER.number,
        id=owner_name(tenant_id, body.owner_id).id,
        tenant_id=tenant_id,
        wallet_id=None,
        status=0,
        cap_minor=None,
        used_minor=0,
        due_at=None,
        version=version,
        changed_at=at,
        body=body,
        private=None,
    )
