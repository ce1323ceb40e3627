"""The state that an event carries, written into the row of its entity: what a change had written before it was lost.

An event does not carry all of a row. What it leaves out stays as the row has it; in a new row, an issuer has no URL for
its keys, an account and a tenant were made at their first event, and a key expires when it was to end by then.
"""

from datetime import datetime
from functools import singledispatch
from typing import Final
from uuid import UUID

import msgspec

from contracts.access import (
    AccessData,
    ApiKeyChanged,
    IssuerChanged,
    RateLimitsChanged,
    ServiceAccountChanged,
    SubjectChanged,
    TenantChanged,
)
from contracts.envelope import Envelope
from servicekit.postgres import Transaction

ORDER: Final = (
    TenantChanged,
    IssuerChanged,
    ServiceAccountChanged,
    ApiKeyChanged,
    SubjectChanged,
    RateLimitsChanged,
)
"""In which kinds are written: a key's row refers to its account's."""
_encode = msgspec.json.Encoder(order="deterministic").encode

_TENANT: Final = """
    insert into access.tenant (id, name, status, created_at, updated_at) values ($1, $2, $3, $4, $4)
    on conflict (id) do update set name = excluded.name, status = excluded.status, updated_at = excluded.updated_at"""
# Where its keys come from may be another URL by now: nothing is fetched from the old one.
_ISSUER: Final = """
    insert into access.issuer
        (id, tenant_id, name, issuer, audience, status, kinds, claims, max_lifetime_s, is_development, created_at,
         updated_at)
    values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $11)
    on conflict (id) do update
        set issuer = excluded.issuer, audience = excluded.audience, status = excluded.status, kinds = excluded.kinds,
            claims = excluded.claims, max_lifetime_s = excluded.max_lifetime_s, updated_at = excluded.updated_at,
            is_development = excluded.is_development, etag = null, poll_at = null"""
_NO_ISSUER_KEYS: Final = "delete from access.issuer_key where issuer_id = $1"
_ISSUER_KEY: Final = "insert into access.issuer_key (issuer_id, kid, alg, jwk) values ($1, $2, $3, $4)"
_ACCOUNT: Final = """
    insert into access.service_account (id, tenant_id, name, kind, status, created_at, updated_at)
    values ($1, $2, $3, $4, $5, $6, $6)
    on conflict (id) do update set name = excluded.name, status = excluded.status, updated_at = excluded.updated_at"""
_KEY: Final = """
    insert into access.api_key
        (id, tenant_id, service_account_id, scopes, acts_for, ranges, digest, created_at, expires_at, ends_at,
         is_revoked)
    values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $9, $10)
    on conflict (id) do update set ends_at = excluded.ends_at, is_revoked = excluded.is_revoked"""
_SUBJECT: Final = """
    insert into access.subject (tenant_id, subject, status, tokens_valid_from) values ($1, $2, $3, $4)
    on conflict (tenant_id, subject) do update
        set status = excluded.status, tokens_valid_from = excluded.tokens_valid_from"""
_NO_RATES: Final = "delete from access.rate_limit_policy where tenant_id = $1"
_RATE: Final = "insert into access.rate_limit_policy (tenant_id, name, per_s, burst) values ($1, $2, $3, $4)"


async def write_state(tx: Transaction, event: Envelope, state: AccessData) -> None:
    """Write the *state* that *event* carries; events of one entity are written in their order, kinds in `ORDER`."""
    await _write(state, tx, event)


@singledispatch
async def _write(state: AccessData, _tx: Transaction, _event: Envelope) -> None:
    raise AssertionError(f"no row of {type(state)}")


@_write.register
async def _(state: TenantChanged, tx: Transaction, event: Envelope) -> None:
    await tx.connection.execute(_TENANT, event.subject, state.name, state.status, event.time)


@_write.register
async def _(state: IssuerChanged, tx: Transaction, event: Envelope) -> None:
    await tx.connection.execute(
        _ISSUER,
        event.subject,
        event.tenant_id,
        state.name,
        state.issuer,
        state.audience,
        state.status,
        state.kinds,
        _encode(state.claims),
        state.max_lifetime_s,
        state.is_development,
        event.time,
    )
    await tx.connection.execute(_NO_ISSUER_KEYS, event.subject)
    keys = [(event.subject, key.kid, key.alg, _encode(key.jwk)) for key in state.keys]
    await tx.connection.executemany(_ISSUER_KEY, keys)


@_write.register
async def _(state: ServiceAccountChanged, tx: Transaction, event: Envelope) -> None:
    await tx.connection.execute(
        _ACCOUNT, event.subject, event.tenant_id, state.name, state.kind, state.status, event.time
    )


@_write.register
async def _(state: ApiKeyChanged, tx: Transaction, event: Envelope) -> None:
    await tx.connection.execute(
        _KEY,
        event.subject,
        event.tenant_id,
        UUID(state.service_account_id),
        state.scopes,
        state.acts_for,
        state.ranges,
        bytes.fromhex(state.digest),
        datetime.fromisoformat(state.created_at),
        datetime.fromisoformat(state.ends_at),
        state.is_revoked,
    )


@_write.register
async def _(state: SubjectChanged, tx: Transaction, event: Envelope) -> None:
    since = None if state.tokens_valid_from is None else datetime.fromisoformat(state.tokens_valid_from)
    await tx.connection.execute(_SUBJECT, event.tenant_id, state.subject, state.status, since)


@_write.register
async def _(state: RateLimitsChanged, tx: Transaction, event: Envelope) -> None:
    await tx.connection.execute(_NO_RATES, event.tenant_id)
    rates = [(event.tenant_id, name, rate.per_s, rate.burst) for name, rate in state.limits.items()]
    await tx.connection.executemany(_RATE, rates)
