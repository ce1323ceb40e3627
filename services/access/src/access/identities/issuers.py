"""Issuers: what is done with them, each in a transaction that its caller has opened."""

from uuid import UUID

from access.domain.grants import Grantor
from access.domain.issuers import Issuer, WantedIssuer, decide_change, decide_create, decide_delete
from access.domain.outcomes import Entity, Forbidden, Invalid, RefusalCode, Refused, Unknown
from access.identities.issuer_rows import (
    claim_place,
    insert_issuer,
    locked_issuer,
    poll_now,
    registered_elsewhere,
    update_issuer,
)
from access.identities.recording import Done, Recorder
from contracts.ids import new_id
from servicekit.postgres import Transaction


class Issuers:
    """Commands on issuers."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder

    async def create(
        self, tx: Transaction, tenant_id: UUID, name: str, wanted: WantedIssuer, *, grantor: Grantor
    ) -> Done[Issuer] | Refused | Forbidden | Invalid:
        """Register an issuer; one with a URL has no keys until they are fetched."""
        count = await claim_place(tx, tenant_id)
        now = await self._recorder.now(tx)
        issuer = decide_create(
            wanted, name, grantor=grantor, issuer_id=new_id(), tenant_id=tenant_id, count=count, now=now
        )
        if not isinstance(issuer, Issuer):
            return issuer
        if not await insert_issuer(tx, issuer):
            return _EXISTS
        return Done(issuer, await self._recorder.record(tx, issuer, now=now))

    async def change(
        self, tx: Transaction, tenant_id: UUID, issuer_id: UUID, wanted: WantedIssuer, *, grantor: Grantor
    ) -> Done[Issuer] | Unknown | Refused | Forbidden | Invalid:
        """Replace all of an issuer but its name."""
        await claim_place(tx, tenant_id)
        issuer = await locked_issuer(tx, tenant_id, issuer_id)
        if issuer is None:
            return Unknown(Entity.ISSUER)
        now = await self._recorder.now(tx)
        changed = decide_change(issuer, wanted, grantor=grantor, now=now)
        if not isinstance(changed, Issuer):
            return changed
        if await registered_elsewhere(tx, changed):
            return _EXISTS
        await update_issuer(tx, changed)
        return Done(changed, await self._recorder.record(tx, changed, now=now))

    async def delete(self, tx: Transaction, tenant_id: UUID, issuer_id: UUID) -> Done[Issuer] | Unknown:
        """Believe no token of an issuer any more; its name stays taken."""
        issuer = await locked_issuer(tx, tenant_id, issuer_id)
        if issuer is None:
            return Unknown(Entity.ISSUER)
        now = await self._recorder.now(tx)
        deleted = decide_delete(issuer, now=now)
        await update_issuer(tx, deleted)
        return Done(deleted, await self._recorder.record(tx, deleted, now=now))

    async def refresh(self, tx: Transaction, tenant_id: UUID, issuer_id: UUID) -> Done[Issuer] | Unknown | Refused:
        """Have an issuer's keys fetched at once."""
        issuer = await locked_issuer(tx, tenant_id, issuer_id)
        if issuer is None:
            return Unknown(Entity.ISSUER)
        if issuer.key_set_url is None:
            return Refused(RefusalCode.NO_KEY_SET_URL, "The issuer's keys were given: there is nothing to fetch.")
        await poll_now(tx, issuer.id)
        return Done(issuer)


_EXISTS = Refused(
    RefusalCode.ISSUER_EXISTS,
    "The name is or was one of the tenant's issuers', or another has that issuer and audience.",
)
