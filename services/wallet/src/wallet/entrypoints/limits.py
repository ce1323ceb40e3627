"""Wallets' own limits, what is used of all that apply, and owners' tiers."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Final
from uuid import UUID

import msgspec
from fastapi import Path
from msgspec import UNSET, Meta, Struct, UnsetType

from contracts import problems, scopes
from contracts.envelope import rfc3339
from contracts.money import Money, money
from contracts.zones import zone_names
from servicekit.access.admission import Access, Cost, NotAllowed
from servicekit.http.edge.decoding import invalid_request
from servicekit.http.problems import FieldError
from servicekit.http.route import Route
from servicekit.http.routes.dependencies import Caller, PathId
from servicekit.http.routes.parsing import path_id
from wallet.application.ports import CarriedOut
from wallet.application.units import Answer
from wallet.domain.limit_commands import ChangeLimits, ChangeTier, LimitsChanged
from wallet.domain.limiting import limits_in_force
from wallet.domain.limits import DEFAULT_TIER, OF_WALLET, Excess
from wallet.domain.owners import owner_of
from wallet.domain.policy import policy_in_force
from wallet.domain.rows import StateRow
from wallet.domain.wallets import Wallet
from wallet.entrypoints.bodies import WalletBody
from wallet.entrypoints.fields import OWNER_ID_SCHEMA, ReasonText, is_owner_id
from wallet.entrypoints.limit_documents import LimitDocuments, TierName, limits_of
from wallet.entrypoints.mandates import mandate_of
from wallet.entrypoints.rendering import OK, answer_wallet
from wallet.entrypoints.slices import CommandSlice
from wallet.entrypoints.wallets import TO_WALLET
from wallet.reads.reads_postgres import LedgerReads

OwnerPath = Annotated[str, Path(json_schema_extra=OWNER_ID_SCHEMA)]
_LIMITS: Final = "/v1/wallets/{wallet_id}/limits"
_OWNER: Final = "/v1/owners/{owner_id}"
_TAG: Final = "limits"
_wallet_id: Final = path_id(problems.WALLET_NOT_FOUND, "There is no wallet {}.")
_owner_id: Final = path_id(problems.OWNER_NOT_FOUND, "There is no owner {}.")
_encode: Final = msgspec.json.Encoder().encode
ZoneName = Annotated[str, Meta(min_length=1, max_length=64, description="An IANA time zone, such as Europe/Berlin.")]


class ChangeLimitsRequest(Struct, forbid_unknown_fields=True, kw_only=True):
    """Set a wallet's time zone, or its own limits, or both: what is left out stays.

    They are of the scope `wallet`, and replace those of its owner's tier of the same operation.
    """

    time_zone: ZoneName | UnsetType = UNSET
    limits: LimitDocuments | UnsetType = UNSET


class ChangeTierRequest(Struct, forbid_unknown_fields=True, kw_only=True):
    """Give an owner a tier of the policy, or `default`."""

    tier: TierName
    reason: ReasonText


class LimitUseBody(Struct, frozen=True):
    """One measure of a limit, and what is used of it: money where *measure* is `amount`, a number where `count`.

    *window* is `transaction`, `day`, `month` or `balance`. *resets_at* is null where nothing is counted.
    """

    scope: str
    operation: str
    window: str
    measure: str
    max: Money | int
    used: Money | int
    remaining: Money | int
    resets_at: str | None
    is_own: bool
    """Whether it is the wallet's own, not its owner's tier's."""


class LimitsBody(Struct, frozen=True):
    """What limits apply to a wallet, and what is used of them."""

    wallet_id: UUID
    time_zone: str
    limits: list[LimitUseBody]


class OwnerBody(Struct, frozen=True):
    """An owner of wallets. *version* is 0, and *updated_at* null, where it never got a tier."""

    id: str
    tier: str
    version: int
    updated_at: str | None


def owner_body(owner_id: str, row: StateRow | None) -> OwnerBody:
    """Return the owner, who may have no row."""
    if row is None or row.version == 0:
        return OwnerBody(owner_id, DEFAULT_TIER, 0, None)
    return OwnerBody(owner_id, owner_of(row).tier, row.version, rfc3339(row.changed_at))


def _change_limits(request: ChangeLimitsRequest, wallet_id: UUID, pointer: str) -> ChangeLimits:
    if request.time_zone is UNSET and request.limits is UNSET:
        raise invalid_request(FieldError(pointer or "/", "missing", "Give a time zone, limits, or both."))
    if request.time_zone is not UNSET and request.time_zone not in zone_names():
        raise invalid_request(FieldError(f"{pointer}/time_zone", "unknown_time_zone", "There is no such time zone."))
    if request.limits is UNSET:
        return ChangeLimits(wallet_id, request.time_zone)
    limits = limits_of(request.limits, f"{pointer}/limits")
    for index, limit in enumerate(limits):
        if limit.scope != OF_WALLET:
            detail = "Limits of all an owner's wallets are those of its tier."
            raise invalid_request(FieldError(f"{pointer}/limits/{index}/scope", "invalid_value", detail))
    return ChangeLimits(wallet_id, request.time_zone, limits)


def _change_tier(request: ChangeTierRequest, owner_id: str, _pointer: str) -> ChangeTier:
    return ChangeTier(owner_id, request.tier, request.reason)


def _answer_owner(command: ChangeTier, done: CarriedOut) -> Answer:
    return OK, _encode(owner_body(command.owner_id, done.states[0]))


CHANGE_LIMITS: Final = CommandSlice(
    command=ChangeLimits,
    facts=(LimitsChanged,),
    request=ChangeLimitsRequest,
    to_command=_change_limits,
    answer=answer_wallet,
    method="PUT",
    path=_LIMITS,
    access=Access(scopes.LIMITS_WRITE, "{wallet_id}", Cost.COMMAND),
    operation_id="change_limits",
    summary="Set a wallet's own limits, and its time zone",
    tag=_TAG,
    response=WalletBody,
    problems=(problems.WALLET_NOT_FOUND, problems.WALLET_CLOSED, problems.CURRENCY_MISMATCH),
    links=TO_WALLET,
)
CHANGE_TIER: Final = CommandSlice(
    command=ChangeTier,
    request=ChangeTierRequest,
    to_command=_change_tier,
    answer=_answer_owner,
    method="PUT",
    path=f"{_OWNER}/tier",
    access=Access(scopes.LIMITS_WRITE, "{owner_id}", Cost.COMMAND),
    operation_id="change_tier",
    summary="Give an owner a tier",
    tag=_TAG,
    response=OwnerBody,
    problems=(problems.OWNER_NOT_FOUND, problems.UNKNOWN_TIER),
    is_path_text=True,
)
SLICES: Final = (CHANGE_LIMITS, CHANGE_TIER)


def limit_reads(reads: LedgerReads) -> Sequence[Route]:
    """Return the routes that read limits and owners."""
    handlers = _LimitHandlers(reads)
    return (
        Route(
            method="GET",
            path=_LIMITS,
            handler=handlers.limits,
            access=Access(scopes.WALLETS_READ, "{wallet_id}", Cost.READ),
            operation_id="get_limits",
            summary="The limits on a wallet, and what is used of them",
            tags=[_TAG],
            response=LimitsBody,
            problems=[problems.WALLET_NOT_FOUND],
        ),
        Route(
            method="GET",
            path=_OWNER,
            handler=handlers.owner,
            access=Access(scopes.WALLETS_READ, "{owner_id}", Cost.READ),
            operation_id="get_owner",
            summary="An owner of wallets, and its tier",
            tags=[_TAG],
            response=OwnerBody,
            problems=[problems.OWNER_NOT_FOUND],
        ),
    )


@dataclass(frozen=True, slots=True)
class _LimitHandlers:
    reads: LedgerReads

    async def limits(self, wallet_id: PathId, caller: Caller) -> LimitsBody:
        mandate = mandate_of(caller)
        found = await self.reads.limited(mandate, _wallet_id(wallet_id))
        if found is None:
            raise _wallet_id.missing(wallet_id)
        wallet = found.rows.wallet(_wallet_id(wallet_id), mandate.tenant_id)
        assert wallet is not None
        policy = policy_in_force(found.rows, mandate.tenant_id).policy
        uses = [_use_body(each, wallet) for each in limits_in_force(wallet, found.rows, policy, found.now)]
        return LimitsBody(wallet.id, wallet.time_zone, uses)

    async def owner(self, owner_id: OwnerPath, caller: Caller) -> OwnerBody:
        mandate = mandate_of(caller)
        if not is_owner_id(owner_id):
            raise _owner_id.missing(owner_id)
        if not mandate.covers(owner_id):
            raise NotAllowed("The credentials do not act for this owner.", kind=mandate.kind)
        row, has_wallets = await self.reads.owner(mandate, owner_id)
        if row is None and not has_wallets:
            raise _owner_id.missing(owner_id)
        return owner_body(owner_id, row)


def _use_body(excess: Excess, wallet: Wallet) -> LimitUseBody:
    limit = excess.limit
    figures = excess.highest, excess.used, excess.remaining
    highest, used, remaining = (
        figures if excess.measure == "count" else (money(minor, limit.currency) for minor in figures)
    )
    return LimitUseBody(
        limit.scope,
        limit.operation,
        excess.window,
        excess.measure,
        highest,
        used,
        remaining,
        None if excess.resets_at is None else rfc3339(excess.resets_at),
        wallet.terms is not None and limit in wallet.terms.limits,
    )
