"""Subjects: what was said of them, and what is done, each in a transaction that its caller has opened."""

from uuid import UUID

import asyncpg

from access.domain.outcomes import Entity, Unknown
from access.domain.subjects import (
    Subject,
    SubjectStatus,
    account_id_of,
    decide_sign_out,
    decide_status,
    issuer_name_of,
)
from access.identities.recording import Done, Recorder
from servicekit.postgres import Connection, Transaction

_COLUMNS = "tenant_id, subject, status, tokens_valid_from"


class Subjects:
    """Commands on subjects."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder

    async def set_status(
        self, tx: Transaction, tenant_id: UUID, subject: str, wanted: SubjectStatus
    ) -> Done[Subject] | Unknown:
        """Disable or enable a subject; where it is so already nothing changes."""
        known = await _locked(tx, tenant_id, subject)
        if isinstance(known, Unknown):
            return known
        return await self._keep(tx, known, decide_status(known, wanted))

    async def sign_out(self, tx: Transaction, tenant_id: UUID, subject: str) -> Done[Subject] | Unknown:
        """Make void every token of a subject that was issued before now."""
        known = await _locked(tx, tenant_id, subject)
        if isinstance(known, Unknown):
            return known
        return await self._keep(tx, known, decide_sign_out(known, now=await self._recorder.now(tx)))

    async def _keep(self, tx: Transaction, known: Subject, changed: Subject) -> Done[Subject]:
        if changed == known:
            return Done(known)
        await tx.connection.execute(
            "update access.subject set status = $3, tokens_valid_from = $4 where tenant_id = $1 and subject = $2",
            changed.tenant_id,
            changed.subject,
            changed.status,
            changed.tokens_valid_from,
        )
        return Done(changed, await self._recorder.record(tx, changed, now=await self._recorder.now(tx)))


async def find_subject(connection: Connection, tenant_id: UUID, subject: str) -> Subject | Unknown:
    """Return what was said of a subject; of one of whom nothing was, that it is active.

    Unknown where it can be nobody's: its issuer is not one of the tenant's, now or before, its account is unknown.
    """
    if not await _can_be(connection, tenant_id, subject):
        return Unknown(Entity.SUBJECT)
    row = await connection.fetchrow(
        f"select {_COLUMNS} from access.subject where tenant_id = $1 and subject = $2", tenant_id, subject
    )
    return Subject(tenant_id=tenant_id, subject=subject) if row is None else _subject(row)


async def _locked(tx: Transaction, tenant_id: UUID, subject: str) -> Subject | Unknown:
    """Return as `find_subject` does, with a row that nobody else writes until *tx* ends."""
    if not await _can_be(tx.connection, tenant_id, subject):
        return Unknown(Entity.SUBJECT)
    await tx.connection.execute(
        "insert into access.subject (tenant_id, subject) values ($1, $2) on conflict do nothing", tenant_id, subject
    )
    row = await tx.connection.fetchrow(
        f"select {_COLUMNS} from access.subject where tenant_id = $1 and subject = $2 for update", tenant_id, subject
    )
    assert row is not None, "it was inserted, or was there"
    return _subject(row)


async def _can_be(connection: Connection, tenant_id: UUID, subject: str) -> bool:
    name, account_id = issuer_name_of(subject), account_id_of(subject)
    if name is not None:
        sql = "select exists (select from access.issuer where tenant_id = $1 and name = $2)"
        return bool(await connection.fetchval(sql, tenant_id, name))
    if account_id is not None:
        sql = "select exists (select from access.service_account where tenant_id = $1 and id = $2)"
        return bool(await connection.fetchval(sql, tenant_id, account_id))
    return False


def _subject(row: "asyncpg.Record") -> Subject:
    return Subject(**{**dict(row), "status": SubjectStatus(row["status"])})
