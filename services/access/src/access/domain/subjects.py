"""Subjects: whoever tokens and keys are about, as far as something was said of them. Pure."""

import re
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Final
from uuid import UUID

from contracts.ids import parse_id

SUBJECT_CHARACTERS_MAX: Final = 255
ACCOUNT_PREFIX: Final = "svc:"
RESERVED: Final = frozenset(
    {"access", "fraud", "notifications", "operator", "platform", "svc", "transaction-history", "wallet"}
)
"""Names that no issuer may have and no subject may begin with: those of the platform's own processes."""

_NAME: Final = re.compile(r"[a-z][a-z0-9-]{0,30}", re.ASCII)


class SubjectStatus(StrEnum):
    """Whether a subject is admitted."""

    ACTIVE = "active"
    DISABLED = "disabled"


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What was said of a subject: tokens issued before *tokens_valid_from* are void, None: none are."""

    tenant_id: UUID
    subject: str
    status: SubjectStatus = SubjectStatus.ACTIVE
    tokens_valid_from: datetime | None = None


def is_issuer_name(text: str) -> bool:
    """Tell whether an issuer may have the name *text*."""
    return _NAME.fullmatch(text) is not None and text not in RESERVED


def account_subject(account_id: UUID) -> str:
    """Return the subject of a service account."""
    return f"{ACCOUNT_PREFIX}{account_id}"


def issuer_name_of(subject: str) -> str | None:
    """Return the name of the issuer whose subject *subject* could be; returns None where it can be none's."""
    name, bar, sub = subject.partition("|")
    is_one = bool(bar and sub) and len(subject) <= SUBJECT_CHARACTERS_MAX and subject.isprintable()
    return name if is_one and is_issuer_name(name) else None


def account_id_of(subject: str) -> UUID | None:
    """Return the id of the service account whose subject *subject* is; returns None where it is none's."""
    if not subject.startswith(ACCOUNT_PREFIX):
        return None
    known = parse_id(subject.removeprefix(ACCOUNT_PREFIX))
    return known if known is not None and account_subject(known) == subject else None


def decide_status(subject: Subject, wanted: SubjectStatus) -> Subject:
    """Return *subject* with the status *wanted*."""
    return replace(subject, status=wanted)


def decide_sign_out(subject: Subject, *, now: datetime) -> Subject:
    """Return *subject* with every token void that was issued before *now*; a sign-out never moves back."""
    newest = now if subject.tokens_valid_from is None else max(now, subject.tokens_valid_from)
    return replace(subject, tokens_valid_from=newest)
