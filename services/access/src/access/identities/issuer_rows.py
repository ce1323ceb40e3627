"""Issuers and their keys in PostgreSQL."""

from collections.abc import Sequence
from uuid import UUID

import asyncpg
import msgspec

from access.domain.issuers import Issuer, IssuerStatus, Polling
from access.domain.outcomes import Entity, Unknown
from contracts.access import ClaimMapping, IssuerKey
from contracts.scopes import Kind
from servicekit.postgres import Connection, Transaction

_ISSUERS_LOCK = 20
"""The advisory lock of whoever registers an issuer: these are few, and must not name the same tokens as another."""
_COLUMNS = """
    i.id, i.tenant_id, i.name, i.issuer, i.audience, i.status, i.kinds, i.claims, i.max_lifetime_s, i.key_set_url,
    i.is_development, i.created_at, i.updated_at,
    array(select k.kid from access.issuer_key as k where k.issuer_id = i.id order by k.kid) as kids,
    array(select k.alg from access.issuer_key as k where k.issuer_id = i.id order by k.kid) as algs,
    array(select k.jwk from access.issuer_key as k where k.issuer_id = i.id order by k.kid) as jwks"""
_encode = msgspec.json.Encoder(order="deterministic").encode


async def claim_place(tx: Transaction, tenant_id: UUID) -> int:
    """Return how many issuers the tenant has; until *tx* ends nobody else registers or changes one."""
    await tx.connection.execute("select pg_advisory_xact_lock($1, 0)", _ISSUERS_LOCK)
    count: int = await tx.connection.fetchval(
        "select count(*) from access.issuer where tenant_id = $1 and status <> 'deleted'", tenant_id
    )
    return count


async def registered_elsewhere(tx: Transaction, issuer: Issuer) -> bool:
    """Tell whether another active issuer, whoever's, has the same tokens; the caller has claimed a place."""
    return bool(
        await tx.connection.fetchval(
            """select exists (select from access.issuer
                              where issuer = $1 and audience = $2 and status = 'active' and id <> $3)""",
            issuer.issuer,
            issuer.audience,
            issuer.id,
        )
    )


async def insert_issuer(tx: Transaction, issuer: Issuer) -> bool:
    """Add an issuer, to be polled at once where it has a URL; return False where its name or tokens are taken."""
    is_added = await tx.connection.fetchval(
        """insert into access.issuer
               (id, tenant_id, name, issuer, audience, status, kinds, claims, max_lifetime_s, key_set_url,
                is_development, created_at, updated_at, poll_at)
           values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13,
                   case when $10::text is null then null else now() end)
           on conflict do nothing returning true""",
        issuer.id,
        issuer.tenant_id,
        issuer.name,
        issuer.issuer,
        issuer.audience,
        issuer.status,
        issuer.kinds,
        _encode(issuer.claims),
        issuer.max_lifetime_s,
        issuer.key_set_url,
        issuer.is_development,
        issuer.created_at,
        issuer.updated_at,
    )
    if is_added:
        await _write_keys(tx, issuer)
    return bool(is_added)


async def update_issuer(tx: Transaction, issuer: Issuer) -> None:
    """Write what can change; the caller holds the row. Where the URL changed its keys are fetched anew, at once."""
    await tx.connection.execute(
        """update access.issuer
           set issuer = $2, audience = $3, status = $4::text, kinds = $5, claims = $6, max_lifetime_s = $7,
               key_set_url = $8::text, updated_at = $9,
               etag = case when key_set_url = $8::text then etag end,
               failing_since = case when key_set_url = $8::text then failing_since end,
               failure = case when key_set_url = $8::text then failure end,
               fetched_at = case when key_set_url = $8::text then fetched_at end,
               attempted_at = case when key_set_url = $8::text then attempted_at end,
               failures = case when key_set_url = $8::text then failures else 0 end,
               poll_at = case when $8::text is null or $4::text = 'deleted' then null else now() end
           where id = $1""",
        issuer.id,
        issuer.issuer,
        issuer.audience,
        issuer.status,
        issuer.kinds,
        _encode(issuer.claims),
        issuer.max_lifetime_s,
        issuer.key_set_url,
        issuer.updated_at,
    )
    await _write_keys(tx, issuer)


async def poll_now(tx: Transaction, issuer_id: UUID) -> None:
    """Have the issuer's keys fetched by the next worker that looks."""
    await tx.connection.execute("update access.issuer set poll_at = now() where id = $1", issuer_id)


async def claim_due(tx: Transaction, *, every_s: float, limit: int) -> Sequence[tuple[UUID, UUID]]:
    """Return up to *limit* issuers (tenant, id) whose keys are due; no other worker takes them for *every_s*."""
    rows = await tx.connection.fetch(
        """update access.issuer set poll_at = now() + make_interval(secs => $1)
           where id in (select id from access.issuer where poll_at <= now() order by poll_at limit $2
                        for update skip locked)
           returning tenant_id, id""",
        every_s,
        limit,
    )
    return [(row["tenant_id"], row["id"]) for row in rows]


async def find_polling(connection: Connection, issuer_id: UUID) -> Polling:
    """Return how fetching the keys of an issuer, which there is, goes."""
    row = await connection.fetchrow(
        "select etag, failing_since, failure, fetched_at, attempted_at, failures from access.issuer where id = $1",
        issuer_id,
    )
    assert row is not None, "an issuer's row is never removed"
    return Polling(**dict(row))


async def keep_polling(tx: Transaction, issuer_id: UUID, polling: Polling) -> None:
    """Write how fetching goes; the caller holds the row."""
    await tx.connection.execute(
        """update access.issuer
           set etag = $2, failing_since = $3, failure = $4, fetched_at = $5, attempted_at = $6, failures = $7
           where id = $1""",
        issuer_id,
        polling.etag,
        polling.failing_since,
        polling.failure,
        polling.fetched_at,
        polling.attempted_at,
        polling.failures,
    )


async def find_fetching(connection: Connection) -> tuple[float, int]:
    """Return the greatest age of a key set and how many fail now, of all active issuers' with a URL; (0, 0) for none.

    The age is the seconds since the last fetch that succeeded; where none ever did, since the issuer was made.
    """
    row = await connection.fetchrow(
        """select coalesce(max(extract(epoch from clock_timestamp() - coalesce(fetched_at, created_at))), 0) as age_s,
                  count(*) filter (where failures > 0) as failing
           from access.issuer where poll_at is not null"""
    )
    assert row is not None, "an aggregate has a row"
    return max(0.0, float(row["age_s"])), row["failing"]


async def replace_keys(tx: Transaction, issuer: Issuer) -> None:
    """Write the issuer's keys; the caller holds the row."""
    await tx.connection.execute("update access.issuer set updated_at = $2 where id = $1", issuer.id, issuer.updated_at)
    await _write_keys(tx, issuer)


async def locked_issuer(tx: Transaction, tenant_id: UUID, issuer_id: UUID) -> Issuer | None:
    """Return an issuer whose row and keys nobody else writes until *tx* ends; None if the tenant has none such."""
    row = await tx.connection.fetchrow(
        "select true from access.issuer where id = $1 and tenant_id = $2 and status <> 'deleted' for update",
        issuer_id,
        tenant_id,
    )
    if row is None:
        return None
    # A statement of its own: it sees the keys as they are once the row is held.
    found = await find_issuer(tx.connection, tenant_id, issuer_id)
    return None if isinstance(found, Unknown) else found


async def find_issuer(connection: Connection, tenant_id: UUID, issuer_id: UUID) -> Issuer | Unknown:
    """Return an issuer of the tenant."""
    row = await connection.fetchrow(
        f"select {_COLUMNS} from access.issuer as i where i.id = $1 and i.tenant_id = $2 and i.status <> 'deleted'",
        issuer_id,
        tenant_id,
    )
    return Unknown(Entity.ISSUER) if row is None else _issuer(row)


async def issuer_named(tx: Transaction, tenant_id: UUID, name: str) -> UUID | None:
    """Return the id of the tenant's active issuer of that name; returns None if there is none."""
    sql = "select id from access.issuer where tenant_id = $1 and name = $2 and status = 'active'"
    found: UUID | None = await tx.connection.fetchval(sql, tenant_id, name)
    return found


async def find_issuers(connection: Connection, tenant_id: UUID, *, before: UUID | None, limit: int) -> Sequence[Issuer]:
    """Return up to *limit* issuers of the tenant older than *before*, newest first."""
    rows = await connection.fetch(
        f"""select {_COLUMNS} from access.issuer as i
            where i.tenant_id = $1 and i.status <> 'deleted' and ($2::uuid is null or i.id < $2)
            order by i.id desc limit $3""",
        tenant_id,
        before,
        limit,
    )
    return [_issuer(row) for row in rows]


async def _write_keys(tx: Transaction, issuer: Issuer) -> None:
    await tx.connection.execute("delete from access.issuer_key where issuer_id = $1", issuer.id)
    await tx.connection.executemany(
        "insert into access.issuer_key (issuer_id, kid, alg, jwk) values ($1, $2, $3, $4)",
        [(issuer.id, key.kid, key.alg, _encode(key.jwk)) for key in issuer.keys],
    )


def _issuer(row: "asyncpg.Record") -> Issuer:
    members = dict(row)
    keyed = zip(members.pop("kids"), members.pop("algs"), members.pop("jwks"), strict=True)
    typed = {
        "status": IssuerStatus(row["status"]),
        "kinds": tuple(map(Kind, row["kinds"])),
        "claims": msgspec.json.decode(row["claims"], type=ClaimMapping),
        "keys": tuple(IssuerKey(kid=kid, alg=alg, jwk=msgspec.json.decode(jwk)) for kid, alg, jwk in keyed),
    }
    return Issuer(**{**members, **typed})
