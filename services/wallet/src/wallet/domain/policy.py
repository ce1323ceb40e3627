"""A tenant's policy: the rules that it sets itself, one document of sections, and the commands that change them."""

from collections.abc import Mapping
from datetime import datetime
from functools import cached_property, lru_cache
from typing import Any, ClassVar, Final
from uuid import UUID

import msgspec

from contracts import events
from contracts.event_types import EventDataError, EventType
from contracts.events import Private
from contracts.ids import digest_id
from wallet.domain.facts import JournalEvent, RowFact, body_of
from wallet.domain.fee_rules import FeeRule, FeeRules
from wallet.domain.fx import FxTerms
from wallet.domain.limits import DEFAULT_TIER, OF_OWNER, Tier, TierLimits
from wallet.domain.rows import RowKind, Rows, StateName, StateRow

HOLD_DAYS_MAX: Final = 31


class HoldTerms(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How long holds last: *days*, unless their placing says otherwise, *days_max* at most.

    Up to *overcapture_ppm* parts in a million of a hold more than it holds may be captured, where the money is there.
    """

    days: int = 7
    days_max: int = HOLD_DAYS_MAX
    overcapture_ppm: int = 0


class Policy(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """A policy's sections. The defaults are in force where there is no policy."""

    fees: tuple[FeeRule, ...] = ()
    holds: HoldTerms = HoldTerms()
    tiers: tuple[Tier, ...] = ()
    owners_counted_since: datetime | None = None
    """Since when there are limits of all an owner's wallets, None where there are none: no section, told by them."""
    fx: FxTerms = FxTerms()

    @cached_property
    def looks_at_owners(self) -> bool:
        """Whether what a command comes to depends on owners' tiers, or on what was counted of owners."""
        is_tiered = any(tier.name != DEFAULT_TIER for tier in self.tiers) or any(rule.tier for rule in self.fees)
        return is_tiered or self.counts_owners

    @cached_property
    def counts_owners(self) -> bool:
        """Whether a limit is of all an owner's wallets."""
        return any(limit.scope == OF_OWNER for tier in self.tiers for limit in tier.limits)

    @cached_property
    def limits_by_tier(self) -> Mapping[str, TierLimits]:
        """The limits of each tier, found by what they are for."""
        return {tier.name: TierLimits(tier.limits) for tier in self.tiers}

    @property
    def unknown_tier(self) -> str | None:
        """A tier that a fee rule names, and that there is not; None where there are all."""
        known = {DEFAULT_TIER, *(tier.name for tier in self.tiers)}
        return next((rule.tier for rule in self.fees if rule.tier is not None and rule.tier not in known), None)

    def changed(self, section: str, document: Any, at: datetime) -> "Policy":
        """Return the policy with *section* being *document* from then on."""
        after = msgspec.structs.replace(self, **{section: document})
        since = (self.owners_counted_since or at) if after.counts_owners else None
        return msgspec.structs.replace(after, owners_counted_since=since)

    @cached_property
    def rules(self) -> FeeRules:
        """The fee rules, found by what they are for."""
        return FeeRules(self.fees)


POLICY: Final = RowKind(1, "policy", Policy)
_NO_SECTION: Final = "owners_counted_since"
SECTIONS: Final[Mapping[str, Any]] = {
    field.name: field.type for field in msgspec.structs.fields(Policy) if field.name != _NO_SECTION
}
"""The type of each section's document."""


class PolicyInForce(msgspec.Struct, frozen=True, gc=False):
    """A tenant's policy as a command is decided by it; *version* is 0 where none was ever set."""

    policy: Policy
    version: int


NO_POLICY: Final = PolicyInForce(Policy(), 0)


@lru_cache(maxsize=10_000)
def policy_id(tenant_id: UUID) -> UUID:
    """Return the stable id of the tenant's policy."""
    return digest_id(tenant_id.bytes + b"|policy")


def policy_name(tenant_id: UUID) -> StateName:
    """Return the name of the tenant's policy."""
    return StateName(POLICY.number, policy_id(tenant_id))


def policy_in_force(rows: Rows, tenant_id: UUID) -> PolicyInForce:
    """Return the tenant's policy among *rows*; raises UnnamedRowError where nobody looked for it."""
    row = rows[policy_name(tenant_id)]
    return NO_POLICY if row is None else PolicyInForce(policy_of(row), row.version)


def policy_of(row: object) -> Policy:
    """Return the body of a policy's row."""
    assert isinstance(row, StateRow)
    assert isinstance(row.body, Policy)
    return row.body


class PolicyChanged(RowFact, frozen=True):
    """A *section* of the policy is *document* from now on."""

    event: ClassVar[EventType] = events.POLICY_CHANGED
    kind: ClassVar[RowKind] = POLICY
    section: str
    document: Any

    def evolve(self, row: StateRow | None, at: datetime) -> StateRow:
        """Return the policy with the section changed."""
        before = Policy() if row is None else policy_of(row)
        changed_at = at if row is None else max(at, row.changed_at)
        return StateRow(
            kind=POLICY.number,
            id=self.row_id,
            tenant_id=self.tenant_id,
            wallet_id=None,
            status=0,
            cap_minor=None,
            used_minor=0,
            due_at=None,
            version=1 if row is None else row.version + 1,
            changed_at=changed_at,
            body=before.changed(self.section, self.document, changed_at),
            private=None,
        )

    def payload(self, after: StateRow, actor: str, private: Private | None) -> msgspec.Struct:
        """Return the event's body."""
        del after, private
        return events.PolicyChanged(section=self.section, document=msgspec.to_builtins(self.document), changed_by=actor)

    @classmethod
    def read(cls, event: JournalEvent) -> "PolicyChanged":
        """Return the fact that *event* tells."""
        body = body_of(event, events.PolicyChanged)
        try:
            document = msgspec.convert(body.document, SECTIONS[body.section])
        except (KeyError, msgspec.ValidationError) as error:
            raise EventDataError(f"policy {event.account_id}: version {event.version}: {error!r}") from error
        return cls(event.account_id, event.tenant_id, body.section, document)
