"""The policy, as it is read and changed: section by section."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final
from uuid import UUID

import msgspec
from msgspec import Meta, Struct

from contracts import problems, scopes
from contracts.envelope import rfc3339
from contracts.problems import ProblemCode
from servicekit.access.admission import Access, Cost
from servicekit.http.edge.decoding import invalid_request
from servicekit.http.problems import FieldError
from servicekit.http.route import Route
from servicekit.http.routes.dependencies import Caller
from wallet.application.ports import CarriedOut
from wallet.application.units import Answer
from wallet.domain.destinations import PPM
from wallet.domain.fee_rules import RULES_MAX, FeeRule
from wallet.domain.fx import FxTerms
from wallet.domain.limits import TIERS_MAX, Tier
from wallet.domain.owners import OWNER, OwnerChanged
from wallet.domain.policy import HOLD_DAYS_MAX, POLICY, HoldTerms, Policy, PolicyChanged, policy_of
from wallet.domain.policy_commands import ChangeFees, ChangeFxTerms, ChangeHoldTerms, ChangePolicy, ChangeTiers
from wallet.domain.rows import StateRow
from wallet.entrypoints.fees import FeeDocument, fee_rules
from wallet.entrypoints.fx_policy import FxTermsDocument, fx_terms
from wallet.entrypoints.limit_documents import TierDocument, tiers_of
from wallet.entrypoints.rendering import OK
from wallet.entrypoints.slices import CommandSlice
from wallet.reads.reads_postgres import LedgerReads

_POLICY: Final = "/v1/policy"
_TAG: Final = "policy"
DOCUMENT_BYTES_MAX: Final = 48 * 1024
ExpectedVersion = Annotated[
    int, Meta(ge=0, le=2**53, description="The version that was read; 0 where no policy was ever set.")
]
Days = Annotated[int, Meta(ge=1, le=HOLD_DAYS_MAX)]
_encode: Final = msgspec.json.Encoder().encode


class PolicyBody(Struct, frozen=True):
    """A tenant's policy. *version* is 0, and *updated_at* null, where it is as it comes."""

    version: int
    updated_at: str | None
    fees: tuple[FeeRule, ...]
    holds: HoldTerms
    tiers: tuple[Tier, ...]
    fx: FxTerms


class HoldTermsDocument(Struct, forbid_unknown_fields=True, kw_only=True):
    """How long holds last, and up to how much more than one holds may be captured."""

    days: Days = 7
    days_max: Days = HOLD_DAYS_MAX
    overcapture_ppm: Annotated[int, Meta(ge=0, le=PPM)] = 0


class ChangeHoldTermsRequest(Struct, forbid_unknown_fields=True, kw_only=True):
    """Set how long holds last."""

    expected_version: ExpectedVersion
    document: HoldTermsDocument


class ChangeFxTermsRequest(Struct, forbid_unknown_fields=True, kw_only=True):
    """Set which currencies may be converted, and at what spread."""

    expected_version: ExpectedVersion
    document: FxTermsDocument


class ChangeFeesRequest(Struct, forbid_unknown_fields=True, kw_only=True):
    """Set the fee rules."""

    expected_version: ExpectedVersion
    document: Annotated[list[FeeDocument], Meta(max_length=RULES_MAX)]


class ChangeTiersRequest(Struct, forbid_unknown_fields=True, kw_only=True):
    """Set the tiers, each with its limits."""

    expected_version: ExpectedVersion
    document: Annotated[list[TierDocument], Meta(max_length=TIERS_MAX)]


def policy_body(row: StateRow | None) -> PolicyBody:
    """Return the policy, the one in force without any where there is none."""
    policy = Policy() if row is None else policy_of(row)
    version, updated_at = (0, None) if row is None else (row.version, rfc3339(row.changed_at))
    return PolicyBody(version, updated_at, policy.fees, policy.holds, policy.tiers, policy.fx)


def _hold_terms(document: HoldTermsDocument, pointer: str) -> HoldTerms:
    if document.days > document.days_max:
        detail = "Holds last longer by default than they may."
        raise invalid_request(FieldError(f"{pointer}/document/days", "invalid_value", detail))
    return msgspec.convert(document, HoldTerms, from_attributes=True)


def _changed(_command: ChangePolicy, done: CarriedOut) -> Answer:
    return OK, _encode(policy_body(done.states[0]))


def _slice(
    command: type[ChangePolicy],
    request: type[Struct],
    to_document: Callable[[Any, str], Any],
    summary: str,
    *more: ProblemCode,
) -> CommandSlice:
    """Return the slice of the command that sets a section; *to_document* makes the section of what was sent."""

    def to_command(sent: Any, _path_id: UUID | None, pointer: str) -> ChangePolicy:
        if len(_encode(sent.document)) > DOCUMENT_BYTES_MAX:
            detail = f"A section has {DOCUMENT_BYTES_MAX} bytes at most."
            raise invalid_request(FieldError(f"{pointer}/document", "too_large", detail))
        return command(sent.expected_version, to_document(sent.document, pointer))

    return CommandSlice(
        command=command,
        row_facts=(PolicyChanged, OwnerChanged),
        kinds=(POLICY, OWNER),
        request=request,
        to_command=to_command,
        answer=_changed,
        method="PUT",
        path=f"{_POLICY}/{command.section}",
        access=Access(scopes.POLICY_WRITE, None, Cost.COMMAND),
        operation_id=command.kind,
        summary=summary,
        tag=_TAG,
        response=PolicyBody,
        problems=(problems.POLICY_VERSION_CONFLICT, *more),
    )


SLICES: Final = (
    _slice(ChangeFees, ChangeFeesRequest, fee_rules, "Set the fee rules", problems.UNKNOWN_TIER),
    _slice(ChangeHoldTerms, ChangeHoldTermsRequest, _hold_terms, "Set how long holds last"),
    _slice(ChangeTiers, ChangeTiersRequest, tiers_of, "Set the tiers", problems.UNKNOWN_TIER),
    _slice(ChangeFxTerms, ChangeFxTermsRequest, fx_terms, "Set which currencies may be converted"),
)


def policy_reads(reads: LedgerReads) -> Sequence[Route]:
    """Return the route that reads the policy."""
    return (
        Route(
            method="GET",
            path=_POLICY,
            handler=_PolicyHandlers(reads).get,
            access=Access(scopes.POLICY_READ, None, Cost.READ),
            operation_id="get_policy",
            summary="The policy",
            tags=[_TAG],
            response=PolicyBody,
        ),
    )


@dataclass(frozen=True, slots=True)
class _PolicyHandlers:
    reads: LedgerReads

    async def get(self, caller: Caller) -> PolicyBody:
        return policy_body(await self.reads.policy(caller.tenant_id))
