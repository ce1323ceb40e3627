"""Makes what a plan says and is not there yet. What is no longer in the plan stays: it is deleted through the API."""

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from typing import Final, TypeVar
from uuid import UUID

from access.domain.accounts import ServiceAccount
from access.domain.grants import Grantor
from access.domain.issuers import Issuer, decide_change
from access.domain.outcomes import Forbidden, Invalid, Refused, Unknown
from access.entrypoints.requests import wanted_key_of
from access.identities.accounts import Accounts, account_named, locked_account
from access.identities.issuer_rows import issuer_named, locked_issuer
from access.identities.issuers import Issuers
from access.identities.key_rows import locked_keys
from access.identities.keys import Keys
from access.identities.recording import Done, Recorder
from access.identities.tenants import Tenants, locked_tenant, update_tenant
from access.provisioning.plan import (
    Plan,
    PlanError,
    PlannedAccount,
    PlannedIssuer,
    PlannedKey,
    PlannedTenant,
    problem_text,
    wanted_of,
)
from contracts.scopes import Kind, mask_for, names_of
from servicekit.http.problems import Problem
from servicekit.postgres import Pool, Transaction, trial

T = TypeVar("T")

_LOCK_CLASS: Final = 23
"""The advisory lock of whoever provisions."""
_RECORDED: Final = """
    select coalesce(sum(last), 0) from (select max(seq) as last from servicekit.outbox group by shard) s"""
ALL: Final = Grantor(kind=Kind.OPERATOR, scopes=mask_for(Kind.OPERATOR), acts_for=None)
"""Whoever reaches the database may give everything."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewKey:
    """A key that was made, shown once."""

    tenant_id: UUID
    service_account: str
    service_account_id: UUID
    key_id: UUID
    key: str


Show = Callable[[NewKey], None]


class Provisioning:
    """Makes what a plan says, each entity in a transaction of its own, so that a run that ends early is repeated.

    *show* is given a new key before its transaction is committed: one that was shown and not made is worthless and
    another is shown by the next run, while one that was made and not shown could never be used.
    """

    def __init__(self, pool: Pool, recorder: Recorder, show: Show) -> None:
        self._pool = pool
        self._recorder = recorder
        self._show = show
        self._tenants = Tenants(recorder)
        self._issuers = Issuers(recorder)
        self._accounts = Accounts(recorder)
        self._keys = Keys(recorder)

    async def provision(self, plan: Plan) -> None:
        """Make what *plan* says; raises PlanError where a rule refuses it."""
        for step in self._steps(plan):
            async with self._pool.transaction() as tx:
                await step(tx)

    async def count(self, plan: Plan) -> int:
        """Return how many changes `provision` would record, and make none; raises as it does."""
        async with self._pool.connection() as connection, trial(connection) as tx:
            before = await connection.fetchval(_RECORDED)
            for step in self._steps(plan):
                await step(tx)
            return int(await connection.fetchval(_RECORDED) - before)

    def _steps(self, plan: Plan) -> Iterator[Callable[[Transaction], Awaitable[None]]]:
        for tenant in plan.tenants:
            tenant_id = UUID(tenant.id)
            yield partial(self._tenant, tenant_id, tenant)
            for issuer in tenant.issuers:
                yield partial(self._issuer, tenant_id, issuer)
            for account in tenant.service_accounts:
                yield partial(self._account, tenant_id, account)

    async def _tenant(self, tenant_id: UUID, planned: PlannedTenant, tx: Transaction) -> None:
        await _alone(tx)
        tenant = await locked_tenant(tx, tenant_id)
        if tenant is None:
            await self._tenants.create(tx, planned.name, tenant_id)
        elif tenant.name != planned.name:
            now = await self._recorder.now(tx)
            renamed = replace(tenant, name=planned.name, updated_at=now)
            await update_tenant(tx, renamed)
            await self._recorder.record(tx, renamed, now=now)

    async def _issuer(self, tenant_id: UUID, planned: PlannedIssuer, tx: Transaction) -> None:
        await _alone(tx)
        wanted, where = wanted_of(planned), f"the issuer {planned.name}"
        known = await issuer_named(tx, tenant_id, planned.name)
        if known is None:
            _done(await self._issuers.create(tx, tenant_id, planned.name, wanted, grantor=ALL), where)
            return
        issuer = await locked_issuer(tx, tenant_id, known)
        if issuer is None:
            raise PlanError(f"{where} was deleted meanwhile")
        changed = decide_change(issuer, wanted, grantor=ALL, now=issuer.updated_at)
        if not isinstance(changed, Issuer) or changed != issuer:
            _done(await self._issuers.change(tx, tenant_id, known, wanted, grantor=ALL), where)

    async def _account(self, tenant_id: UUID, planned: PlannedAccount, tx: Transaction) -> None:
        await _alone(tx)
        where, kind = f"the service account {planned.name}", Kind(planned.kind)
        known = await account_named(tx, tenant_id, planned.name)
        if known is None:
            made = await self._accounts.create(tx, tenant_id, planned.name, kind, grantor=ALL)
            account: ServiceAccount | None = _done(made, where)
        else:
            account = await locked_account(tx, tenant_id, known)
        if account is None or account.kind is not kind:
            raise PlanError(f"{where} is there with another kind, or was deleted meanwhile")
        if planned.key is not None and not await locked_keys(tx, account.id):
            await self._key(tx, account, planned.key)

    async def _key(self, tx: Transaction, account: ServiceAccount, planned: PlannedKey) -> None:
        where = f"the key of {account.name}"
        try:
            wanted = wanted_key_of(planned)
        except Problem as problem:
            raise PlanError(f"{where}: {problem_text(problem)}") from None
        now = await self._recorder.now(tx)
        scopes = tuple(names_of(mask_for(account.kind))) if planned.all_scopes else wanted.scopes
        expires_at = wanted.expires_at or now + timedelta(days=planned.lifetime_days)
        wanted = replace(wanted, scopes=scopes, expires_at=expires_at)
        made = _done(await self._keys.create(tx, account.tenant_id, account.id, wanted, grantor=ALL), where)
        self._show(
            NewKey(
                tenant_id=account.tenant_id,
                service_account=account.name,
                service_account_id=account.id,
                key_id=made.made.key.id,
                key=made.text,
            )
        )


async def _alone(tx: Transaction) -> None:
    """Wait until no other run provisions."""
    await tx.connection.execute("select pg_advisory_xact_lock($1, 0)", _LOCK_CLASS)


def _done(outcome: Done[T] | Refused | Unknown | Forbidden | Invalid, where: str) -> T:
    """Return what was done; raises PlanError where it was not."""
    match outcome:
        case Done(result=result):
            return result
        case Refused(detail=detail) | Forbidden(detail=detail) | Invalid(detail=detail):
            raise PlanError(f"{where}: {detail}")
        case Unknown(entity=entity):
            raise PlanError(f"{where}: there is no such {entity}")
