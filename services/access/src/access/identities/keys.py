"""What is done with API keys, each in a transaction that its caller has opened. A secret is made here and not kept."""

import secrets
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from access.domain.grants import Grantor
from access.domain.keys import ApiKey, Rotation, WantedKey, decide_create, decide_revoke, decide_rotate
from access.domain.outcomes import Entity, Forbidden, Invalid, Refused, Unknown
from access.identities.accounts import find_account, locked_account
from access.identities.events import Keyed
from access.identities.key_rows import find_key, insert_key, locked_keys, update_key
from access.identities.recording import Done, Recorder
from contracts.api_keys import SECRET_BYTES, digest_of, make_key
from contracts.ids import new_id
from contracts.scopes import Kind
from servicekit.postgres import Connection, Transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyOf:
    """A key, and whose it is."""

    key: ApiKey
    subject: str
    kind: Kind


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A new key with its *text*, which is shown once, and the key it replaces in a rotation, else None."""

    made: KeyOf
    text: str
    replaced: KeyOf | None = None


class Keys:
    """Commands on API keys."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder

    async def create(
        self, tx: Transaction, tenant_id: UUID, account_id: UUID, wanted: WantedKey, *, grantor: Grantor
    ) -> Done[Made] | Unknown | Refused | Forbidden | Invalid:
        """Make a key of an account."""
        account = await locked_account(tx, tenant_id, account_id)
        if account is None:
            return Unknown(Entity.SERVICE_ACCOUNT)
        now, key_id, secret = await self._recorder.now(tx), new_id(), secrets.token_bytes(SECRET_BYTES)
        key = decide_create(
            wanted,
            account=account,
            grantor=grantor,
            siblings=await locked_keys(tx, account_id),
            key_id=key_id,
            digest=digest_of(key_id, secret),
            now=now,
        )
        if not isinstance(key, ApiKey):
            return key
        await insert_key(tx, key)
        positions = await self._recorder.record(tx, Keyed(key, account), now=now)
        made = KeyOf(key=key, subject=account.subject, kind=account.kind)
        return Done(Made(made=made, text=make_key(key_id, secret)), positions)

    async def rotate(
        self, tx: Transaction, tenant_id: UUID, key_id: UUID, overlap: timedelta, *, grantor: Grantor
    ) -> Done[Made] | Unknown | Refused | Forbidden:
        """Make a key of the same powers in the place of another, which ends after *overlap*."""
        held = await self._held(tx, tenant_id, key_id)
        if held is None:
            return Unknown(Entity.API_KEY)
        keyed, siblings = held
        now, made_id, secret = await self._recorder.now(tx), new_id(), secrets.token_bytes(SECRET_BYTES)
        rotation = decide_rotate(
            keyed.key,
            overlap=overlap,
            account=keyed.account,
            grantor=grantor,
            siblings=siblings,
            key_id=made_id,
            digest=digest_of(made_id, secret),
            now=now,
        )
        if not isinstance(rotation, Rotation):
            return rotation
        await update_key(tx, rotation.old)
        await insert_key(tx, rotation.new)
        account = keyed.account
        both = Keyed(rotation.old, account), Keyed(rotation.new, account)
        positions = await self._recorder.record(tx, *both, now=now)
        old, new = (KeyOf(key=each.key, subject=account.subject, kind=account.kind) for each in both)
        return Done(Made(made=new, text=make_key(made_id, secret), replaced=old), positions)

    async def revoke(self, tx: Transaction, tenant_id: UUID, key_id: UUID) -> Done[KeyOf] | Unknown:
        """End a key at once; one that is revoked stays as it is."""
        held = await self._held(tx, tenant_id, key_id)
        if held is None:
            return Unknown(Entity.API_KEY)
        keyed, _ = held
        now = await self._recorder.now(tx)
        revoked = decide_revoke(keyed.key, now=now)
        shown = KeyOf(key=revoked, subject=keyed.account.subject, kind=keyed.account.kind)
        if revoked == keyed.key:
            return Done(shown)
        await update_key(tx, revoked)
        return Done(shown, await self._recorder.record(tx, Keyed(revoked, keyed.account), now=now))

    async def _held(self, tx: Transaction, tenant_id: UUID, key_id: UUID) -> tuple[Keyed, list[ApiKey]] | None:
        """Return the key and its siblings, with their account's row locked; None where the tenant has no such key."""
        found = await find_key(tx.connection, tenant_id, key_id)
        if isinstance(found, Unknown):
            return None
        account = await locked_account(tx, tenant_id, found.service_account_id)
        if account is None:
            return None
        keys = await locked_keys(tx, account.id)
        key = next(each for each in keys if each.id == key_id)
        return Keyed(key, account), [each for each in keys if each.id != key_id]


async def key_with_account(connection: Connection, tenant_id: UUID, key_id: UUID) -> KeyOf | Unknown:
    """Return a key of the tenant and whose it is; the key of a deleted account is not found."""
    found = await find_key(connection, tenant_id, key_id)
    if isinstance(found, Unknown):
        return found
    account = await find_account(connection, tenant_id, found.service_account_id)
    if isinstance(account, Unknown):
        return Unknown(Entity.API_KEY)
    return KeyOf(key=found, subject=account.subject, kind=account.kind)
