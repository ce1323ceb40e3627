"""What a file says an installation begins with: TOML, read as strictly as requests are."""

import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from access.domain.issuers import WantedIssuer
from access.domain.keys import LIFETIME_DEFAULT, LIFETIME_MAX
from access.entrypoints.requests import (
    CreateApiKey,
    CreateIssuer,
    CreateServiceAccount,
    Name,
    issuer_name_of,
    wanted_issuer_of,
)
from contracts.ids import parse_id
from servicekit.access.key_sets import DOCUMENT_BYTES_MAX, KeySetRefused, parse_key_set
from servicekit.http.problems import Problem

PLAN_BYTES_MAX: Final = 1_024 * 1_024

ReadFile = Callable[[Path], bytes]


class PlanError(Exception):
    """The file says something that cannot be; the message is for its author."""


class PlannedIssuer(CreateIssuer):
    """An issuer, found again by its name. Its key set may stand in a file of its own, named from the plan's folder."""

    key_set_file: str | None = None
    is_development: bool = False


class PlannedKey(CreateApiKey):
    """An account's first key: made where the account never had one. *all_scopes*: every scope its kind may hold."""

    scopes: list[str] = Field(default_factory=list)
    all_scopes: bool = False
    lifetime_days: Annotated[int, Field(ge=1, le=LIFETIME_MAX.days)] = LIFETIME_DEFAULT.days


class PlannedAccount(CreateServiceAccount):
    """A service account, found again by its name."""

    key: PlannedKey | None = None


class PlannedTenant(BaseModel):
    """A tenant, found again by its id."""

    model_config = ConfigDict(extra="forbid", strict=True)

    id: Annotated[str, Field(max_length=36)]
    name: Name
    issuers: Annotated[list[PlannedIssuer], Field(max_length=20)] = Field(default_factory=list)
    service_accounts: Annotated[list[PlannedAccount], Field(max_length=1_000)] = Field(default_factory=list)


class Plan(BaseModel):
    """All of the file."""

    model_config = ConfigDict(extra="forbid", strict=True)

    tenants: Annotated[list[PlannedTenant], Field(max_length=1_000)]


def read_plan(path: Path, *, allow_development: bool, read: ReadFile = Path.read_bytes) -> Plan:
    """Return what the file at *path* says, with the key sets of the files that it names.

    Raises PlanError for what is no TOML or no plan, for a key set that is none, and for a development issuer unless
    *allow_development*: everybody has its private key.
    """
    raw = read(path)
    if len(raw) > PLAN_BYTES_MAX:
        raise PlanError(f"{path} is larger than {PLAN_BYTES_MAX} bytes")
    try:
        plan = Plan.model_validate(tomllib.loads(raw.decode("utf-8")))
    except ValidationError as error:
        told = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
        raise PlanError(f"{path}: {told}") from None
    except ValueError as error:
        raise PlanError(f"{path} is not TOML: {error}") from None
    for tenant in plan.tenants:
        if parse_id(tenant.id) is None:
            raise PlanError(f"{path}: the tenant {tenant.name} has no id")
        for issuer in tenant.issuers:
            if issuer.is_development and not allow_development:
                raise PlanError(f"{path}: the issuer {issuer.name} is for development")
            if issuer.key_set_file is not None:
                issuer.key_set = _key_set(path.parent / issuer.key_set_file, read)
    return plan


def wanted_of(issuer: PlannedIssuer) -> WantedIssuer:
    """Return what *issuer* is to be; raises PlanError."""
    try:
        issuer_name_of(issuer)
        return wanted_issuer_of(issuer, is_development=issuer.is_development)
    except Problem as problem:
        raise PlanError(f"the issuer {issuer.name}: {problem_text(problem)}") from None


def problem_text(problem: Problem) -> str:
    """Return what *problem* says, with its fields."""
    return "; ".join([problem.detail, *(f"{each.pointer}: {each.detail}" for each in problem.errors)])


def _key_set(path: Path, read: ReadFile) -> dict[str, Any]:
    raw = read(path)
    if len(raw) > DOCUMENT_BYTES_MAX:
        raise PlanError(f"{path} is larger than {DOCUMENT_BYTES_MAX} bytes")
    try:
        keys = parse_key_set(raw)
    except KeySetRefused as refused:
        raise PlanError(f"{path}: {refused.detail}") from None
    return {"keys": [{**key.jwk, "kid": key.kid, "alg": key.alg} for key in keys]}
