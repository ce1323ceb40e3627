"""The commands that change a tenant's policy, one for each section."""

from typing import Any, ClassVar

from wallet.domain.commands import Command, Context
from wallet.domain.fee_rules import FeeRule
from wallet.domain.fx import FxTerms
from wallet.domain.limits import Tier
from wallet.domain.outcomes import Accepted, Decision, RefusalCode, Rejected, Subject
from wallet.domain.policy import POLICY, HoldTerms, PolicyChanged, policy_id
from wallet.domain.rows import RowName, Rows


class ChangePolicy(Command, frozen=True):
    """Set a section of the policy to *document*, where the policy is at *expected_version*: 0 where none was ever set.

    Every batch names the policies of its tenants.
    """

    section: ClassVar[str]
    expected_version: int
    document: Any

    def names(self, known: Rows) -> tuple[RowName, ...]:
        """Return nothing more."""
        del known
        return ()

    def decide(self, rows: Rows, context: Context) -> Decision:
        """Refuse where the policy has changed since, or would contradict itself, else change it."""
        del rows
        tenant_id, in_force = context.mandate.tenant_id, context.policy
        subject = Subject(POLICY.name, policy_id(tenant_id))
        if in_force.version != self.expected_version:
            return Rejected(RefusalCode.POLICY_VERSION_CONFLICT, subject, {"version": in_force.version})
        changed = PolicyChanged(subject.id, tenant_id, self.section, self.document)
        unknown = in_force.policy.changed(self.section, self.document, context.now).unknown_tier
        if unknown is not None:
            return Rejected(RefusalCode.UNKNOWN_TIER, subject, {"tier": unknown})
        return Accepted((), row_facts=(changed,))


class ChangeHoldTerms(ChangePolicy, frozen=True):
    """Set how long holds last, and how much more than they hold may be captured."""

    kind: ClassVar[str] = "change_hold_terms"
    section: ClassVar[str] = "holds"
    document: HoldTerms


class ChangeFxTerms(ChangePolicy, frozen=True):
    """Set which currencies may be converted, and at what spread."""

    kind: ClassVar[str] = "change_fx_terms"
    section: ClassVar[str] = "fx"
    document: FxTerms


class ChangeFees(ChangePolicy, frozen=True):
    """Set the fee rules."""

    kind: ClassVar[str] = "change_fees"
    section: ClassVar[str] = "fees"
    document: tuple[FeeRule, ...]


class ChangeTiers(ChangePolicy, frozen=True):
    """Set the tiers, each with its limits."""

    kind: ClassVar[str] = "change_tiers"
    section: ClassVar[str] = "tiers"
    document: tuple[Tier, ...]
