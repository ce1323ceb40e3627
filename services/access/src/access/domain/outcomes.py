"""What commands come to besides success. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class RefusalCode(StrEnum):
    """Which rule refuses: the codes of problems."""

    ISSUER_EXISTS = "issuer_exists"
    ISSUER_LIMIT_REACHED = "issuer_limit_reached"
    SERVICE_ACCOUNT_LIMIT_REACHED = "service_account_limit_reached"
    API_KEY_LIMIT_REACHED = "api_key_limit_reached"
    API_KEY_NOT_LIVE = "api_key_not_live"
    OWN_TENANT = "own_tenant"
    NO_KEY_SET_URL = "no_key_set_url"


class Entity(StrEnum):
    """What a command is about."""

    TENANT = "tenant"
    ISSUER = "issuer"
    SERVICE_ACCOUNT = "service_account"
    API_KEY = "api_key"
    SUBJECT = "subject"


@dataclass(frozen=True, slots=True)
class Refused:
    """A rule says no; *facts* are what a client needs to act."""

    code: RefusalCode
    detail: str
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Unknown:
    """The caller's tenant has no such entity."""

    entity: Entity


@dataclass(frozen=True, slots=True)
class Forbidden:
    """The caller would give what is not its own to give; *scope* is what it lacks, None where it is no scope."""

    detail: str
    scope: str | None = None


@dataclass(frozen=True, slots=True)
class Invalid:
    """A value is not one of those allowed where it stands: *pointer* into the body, the *code* of a field error."""

    pointer: str
    code: str
    detail: str
