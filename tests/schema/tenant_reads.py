"""Every read of every API, each by what it finds, and the rows of one tenant that it finds them in."""

from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, Final
from uuid import UUID

from tests.schema.history_reads import KEPT, dashboard_reads, job_reads, ledger_reads, search_reads, statement_reads

from access.domain.issuers import Issuer
from access.domain.outcomes import Unknown
from access.domain.subjects import Subject, SubjectStatus
from access.identities.accounts import find_account, find_accounts
from access.identities.issuer_rows import find_issuer, find_issuers
from access.identities.key_rows import find_keys
from access.identities.keys import key_with_account
from access.identities.limits import find_limits
from access.identities.subjects import find_subject
from fraud.reads.reads_postgres import DecisionFilter, RiskReads
from notifications.deliveries.queries import Attempted, DeliveryQueries
from notifications.deliveries.store_postgres import DeliveryFilter
from notifications.domain.endpoints import Endpoint
from notifications.endpoints.queries import EndpointQueries
from servicekit.principal import Principal
from servicekit.tenant_pool import TenantPool
from testkit.access import principal_of
from testkit.events import EPOCH
from wallet.domain.mandate import platform_mandate
from wallet.reads.queries import WalletFilter
from wallet.reads.reads_postgres import LedgerReads

Read = Callable[[UUID], Coroutine[Any, Any, Sequence[object]]]
"""Reads for a tenant; returns what it found, nothing where it found nothing."""

ID: Final = UUID("00000000-0000-7000-8000-0000000000a1")
"""Of whatever the rows have an id of: the wallet, its transaction, the decision, the endpoint, the delivery."""
OWNER: Final = "owner"
REFERENCE: Final = b"reference"
AT: Final = EPOCH.isoformat()

ROWS: Final[Mapping[str, str]] = {
    "wallet": f"""
        insert into wallet.wallet
        values ('{ID}', :tenant, '{OWNER}', 'USD', 0, null, 1, 0, 0, 1, '{AT}', '{AT}', null, 0, false, 1, null, null);
        insert into wallet.state values (1, '{ID}', :tenant, null, 0, null, 0, null, 1, '{AT}', '{{}}', null, 1);
        insert into wallet.journal
        values (0, 1, '{ID}', :tenant, '{ID}', null, 1, '{ID}', 0, 2, 1, 'USD', 1, 0, 1, 0, '{AT}', '', null, null, '');
        create table wallet.journal_99 (like wallet.journal including all);
        alter table wallet.archived_journal attach partition wallet.journal_99 for values from (0) to (10);
        insert into wallet.archived_journal
        values (0, 2, '{ID}', :tenant, '{ID}', null, 2, '{ID}', 1, 2, 1, 'USD', 1, 0, 1, 0, '{AT}', '', null, null, '');
        insert into wallet.archived_partition values (99, 0, 10, 1, 1, '{ID}', '{ID}');
        insert into wallet.transaction_reference values (:tenant, '{REFERENCE.decode()}', '{ID}', 0);""",
    "transaction_history": f"""
        create table transaction_history.entry_all partition of transaction_history.entry default;
        create table transaction_history.state_change_all partition of transaction_history.state_change default;
        create table transaction_history.system_entry_all partition of transaction_history.system_entry default;
        create table transaction_history.transaction_all partition of transaction_history.transaction default;
        insert into transaction_history.wallet
        values ('{ID}', :tenant, '{OWNER}', 'USD', 'open', '[]', 0, 1, 0, 1, '{AT}', '{AT}', null, 0, 1, 1, 0, 0,
                '{AT}', '{AT}');
        insert into transaction_history.entry
        values ('{ID}', 1, 1, '{ID}', :tenant, '{OWNER}', 't', '{ID}', 't', 0, 2, 'USD', 1, 1, 0, null, null, null,
                null, '{AT}', null, false, null, null, null, null, null, 0, 1, 1, 0, 0);
        insert into transaction_history.system_entry
        values ('{ID}', 1, '{ID}', 2, '{ID}', :tenant, 't', 2, 'external:USD', 'USD', -1, '{AT}', 0);
        insert into transaction_history.state_change
        values ('{ID}', 2, 2, '{ID}', :tenant, '{OWNER}', 't', null, null, null, '{AT}', 0);
        insert into transaction_history.transaction
        values ('{ID}', :tenant, 't', 2, 2, '{{"USD": 1}}', '{AT}', '{AT}', null, null, '{{}}', 0, null, null);
        insert into transaction_history.hold
        values ('{ID}', '{ID}', :tenant, '{OWNER}', 0, 'USD', 'payment', 'open', 1, 0, 0, 0, 1, '{AT}', '{AT}', '{AT}',
                1, '{{}}');
        insert into transaction_history.balance_day
        values ('{ID}', '{AT}', :tenant, '{OWNER}', 0, 'USD', 1, 1, 0, 1, 1, 0, 0);
        select history_index.ensure_search_segments(array['{AT}'::timestamptz], 'week', true);
        insert into history_index.search_entry
        values ('{AT}', 1, 1, :tenant, '{OWNER}', '{ID}', 1, '{ID}', 'USD', 1, array[1]);
        insert into history_index.wallet_hour values ('{ID}', '{AT}', 1, :tenant, '{OWNER}', 'USD', 1, 1, 0);
        insert into history_index.counterparty
        values ('{ID}', null, 'external:USD', null, 1, :tenant, '{OWNER}', 'USD', 1, 1, 0, '{AT}', '{AT}');
        insert into history_index.day_total values (:tenant, '{AT}', 'USD', 't', 1, 1, 1, 1, 0);
        insert into history_index.minute_total values (:tenant, '{AT}', 'USD', 't', 1, 1, 1, 1, 0);
        insert into history_index.wallet_hour
        values ('{ID}', date_trunc('hour', now()), 1, :tenant, '{OWNER}', 'USD', 1, 1, 0);
        insert into history_index.day_total values (:tenant, now(), 'USD', 't', 1, 1, 1, 1, 0);
        insert into history_index.minute_total values (:tenant, date_trunc('minute', now()), 'USD', 't', 1, 1, 1, 1, 0);
        insert into history_index.shard_total values (:tenant, 'USD', 1, 1, 1, 0);
        insert into history_jobs.cached_answer values (:tenant, {KEPT});
        insert into history_jobs.job (id, tenant_id, kind, request, subject, scopes, status, due_at, created_at,
                                      finished_at, sha256, file_rows, size_bytes, file_name, media_type)
        values ('{ID}', :tenant, 'export', '{{}}', 's', 0, 'succeeded', '{AT}', '{AT}', '{AT}', '', 0, 0, 'f', 'm');
        insert into history_jobs.job_part values ('{ID}', 0, 'o', 0, 0, true, null);
        insert into history_jobs.link values ('{ID}', :tenant, '{ID}', 's', '{AT}', now() + interval '1 day');
        insert into history_jobs.statement_setting
        values (:tenant, '{OWNER}', '{ID}', 'UTC', 'en', 'none', '{{}}', '{AT}');
        insert into history_jobs.statement
        values ('{ID}', :tenant, '{OWNER}', '{ID}', 1, '{AT}', '{AT}', '{AT}', '{AT}', 'UTC', 'en', 'USD', null, 1, 1,
                '{AT}', 0, 1, 1, 0, 0, 1, 0, 0, '[]', '[]', 0, 1, '{AT}', '{AT}');
        insert into history_jobs.statement_issue values ('{ID}', 2, :tenant, 'en', 's', '{AT}');
        insert into history_jobs.statement_file (statement_id, issue, format, volume, tenant_id, status, due_at)
        values ('{ID}', 1, 'csv', 1, :tenant, 'queued', '{AT}');""",
    "fraud": f"""
        insert into fraud.rules_version values ('v', 'h', '', 1, false);
        insert into fraud.profile values ('{ID}', :tenant, '{OWNER}', 'USD', 1, '{AT}',
                                          '{{"debits":{{}},"restrictions":[],"cool_downs":{{}}}}');
        insert into fraud.decision
        values ('{ID}', :tenant, '{ID}', '{OWNER}', 1, 'hold', 'live', 'v', '{ID}', 0, 1, '{AT}', '[]');""",
    "notifications": f"""
        insert into notifications.endpoint
        values ('{ID}', :tenant, 'https://x.example/', null, '{{}}', true, 'active', null, null,
                array_fill(0::bigint, array[64]), '{AT}', '{AT}');
        insert into notifications.endpoint_wallet values (:tenant, '{ID}', '{ID}');
        insert into notifications.message values ('{ID}', :tenant, 't', null, '', null, '{AT}');
        insert into notifications.delivery
        values ('{ID}', :tenant, '{ID}', '{ID}', 't', 'pending', 1, 1, '{AT}', null, '{AT}');
        insert into notifications.attempt values ('{ID}', 1, '{AT}', 'timeout');""",
    "access": f"""
        insert into access.issuer (id, tenant_id, name, issuer, audience, status, kinds, claims, max_lifetime_s,
                                   created_at, updated_at)
        values ('{ID}', :tenant, 'login', 'i', 'a', 'active', '{{user}}', '{{}}', 60, '{AT}', '{AT}');
        insert into access.issuer_key values ('{ID}', 'k', 'ES256', '{{}}');
        insert into access.service_account values ('{ID}', :tenant, 'n', 'service', 'active', '{AT}', '{AT}');
        insert into access.api_key
        values ('{ID}', :tenant, '{ID}', '{{}}', null, '{{}}', decode(repeat('00', 32), 'hex'), '{AT}', '{AT}', '{AT}');
        insert into access.subject values (:tenant, 'login|ann', 'disabled');
        insert into access.rate_limit_policy values (:tenant, 'read', 1, 1);""",
}


def reads_of(service: str, tenants: TenantPool) -> Mapping[str, Read]:
    """Return every read of the service's API, by name."""
    return _READS[service](tenants)


def _wallet(tenants: TenantPool) -> Mapping[str, Read]:
    reads, every = LedgerReads(tenants), WalletFilter(owner_id=None, currency=None, status=None)

    async def wallet(tenant: UUID) -> Sequence[object]:
        return _found(await reads.wallet(platform_mandate(tenant), ID))

    async def snapshot(tenant: UUID) -> Sequence[object]:
        return _found((await reads.snapshot(tenant, [ID])).rows[ID])

    return {
        "wallet": wallet,
        "wallets": lambda tenant: reads.wallets(platform_mandate(tenant), every, before=None, limit=9),
        "snapshot": snapshot,
        "entries": lambda tenant: reads.entries(platform_mandate(tenant), [ID]),
        "transactions_by_reference": lambda tenant: reads.transactions_by_reference(
            platform_mandate(tenant), REFERENCE, before=None, limit=9
        ),
    }


def _fraud(tenants: TenantPool) -> Mapping[str, Read]:
    reads = RiskReads(tenants)

    async def profile(tenant: UUID) -> Sequence[object]:
        return _found(await reads.profile(_every(tenant), ID))

    async def decision(tenant: UUID) -> Sequence[object]:
        return _found(await reads.decision(_every(tenant), ID))

    return {
        "profile": profile,
        "decision": decision,
        "decisions": lambda tenant: reads.decisions(_every(tenant), DecisionFilter(wallet_id=ID), before=None, limit=9),
    }


def _notifications(tenants: TenantPool) -> Mapping[str, Read]:
    endpoints, deliveries = EndpointQueries(tenants), DeliveryQueries(tenants)
    every = DeliveryFilter(endpoint_id=None, status=None, type=None)

    async def endpoint(tenant: UUID) -> Sequence[object]:
        found = await endpoints.endpoint(tenant, ID)
        return found.wallet_ids if isinstance(found, Endpoint) else []

    async def delivery(tenant: UUID) -> Sequence[object]:
        found = await deliveries.delivery(tenant, ID)
        return found.attempts if isinstance(found, Attempted) else []

    return {
        "endpoints": lambda tenant: endpoints.endpoints(tenant, before=None, limit=9),
        "endpoint": endpoint,
        "deliveries": lambda tenant: deliveries.deliveries(tenant, every, before=None, limit=9),
        "delivery": delivery,
    }


def _access(tenants: TenantPool) -> Mapping[str, Read]:
    async def issuer(tenant: UUID) -> Sequence[object]:
        async with tenants.reading(tenant) as connection:
            found = await find_issuer(connection, tenant, ID)
        return found.keys if isinstance(found, Issuer) else []

    async def issuers(tenant: UUID) -> Sequence[object]:
        async with tenants.reading(tenant) as connection:
            return await find_issuers(connection, tenant, before=None, limit=9)

    async def account(tenant: UUID) -> Sequence[object]:
        async with tenants.reading(tenant) as connection:
            return _known(await find_account(connection, tenant, ID))

    async def accounts(tenant: UUID) -> Sequence[object]:
        async with tenants.reading(tenant) as connection:
            return await find_accounts(connection, tenant, before=None, limit=9)

    async def key(tenant: UUID) -> Sequence[object]:
        async with tenants.reading(tenant) as connection:
            return _known(await key_with_account(connection, tenant, ID))

    async def keys(tenant: UUID) -> Sequence[object]:
        async with tenants.reading(tenant) as connection:
            return await find_keys(connection, tenant, ID, before=None, limit=9)

    async def subject(tenant: UUID) -> Sequence[object]:
        async with tenants.reading(tenant) as connection:
            found = await find_subject(connection, tenant, "login|ann")
        return [found] if isinstance(found, Subject) and found.status is SubjectStatus.DISABLED else []

    async def limits(tenant: UUID) -> Sequence[object]:
        async with tenants.reading(tenant) as connection:
            return list((await find_limits(connection, tenant)).rates)

    return {
        "issuer": issuer,
        "issuers": issuers,
        "service_account": account,
        "service_accounts": accounts,
        "api_key": key,
        "api_keys": keys,
        "subject": subject,
        "rate_limits": limits,
    }


def _known(found: object) -> Sequence[object]:
    return [] if isinstance(found, Unknown) else [found]


def _every(tenant: UUID) -> Principal:
    """Return a caller that acts for every owner of the tenant."""
    return principal_of(tenant_id=tenant)


def _found(row: object | None) -> Sequence[object]:
    return [] if row is None else [row]


_READS: Final = {
    "wallet": _wallet,
    "transaction_history": lambda tenants: {
        **ledger_reads(tenants, ID, OWNER),
        **search_reads(tenants, ID),
        **job_reads(tenants, ID),
        **statement_reads(tenants, ID, OWNER),
        **dashboard_reads(tenants),
    },
    "fraud": _fraud,
    "notifications": _notifications,
    "access": _access,
}
