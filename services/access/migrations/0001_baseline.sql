-- Who may do what: tenants, the issuers of their tokens, service accounts and their keys, and what was said of subjects.
-- Every change of a row stands in one transaction with its event in servicekit.outbox.

create schema access;

create table access.tenant (
    id         uuid        not null,
    name       text        not null,
    status     text collate "C" not null,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    constraint tenant_pk primary key (id),
    constraint tenant_status_is_known check (status in ('active', 'suspended'))
);

create table access.issuer (
    id             uuid        not null,
    tenant_id      uuid        not null,
    name           text collate "C" not null,              -- begins its subjects: never changed, never used again
    issuer         text collate "C" not null,              -- the `iss` of its tokens
    audience       text collate "C" not null,
    status         text collate "C" not null,
    kinds          text[] collate "C" not null,
    claims         bytea       not null,                   -- JSON: where its tokens say what
    max_lifetime_s integer     not null,
    key_set_url    text,                                   -- null: its keys were given
    is_development boolean     not null default false,
    created_at     timestamptz not null,
    updated_at     timestamptz not null,
    -- How fetching its keys goes: of no interest to anybody else, and so in no event.
    etag           text,
    poll_at        timestamptz,                            -- null: it has no URL, or is deleted
    failing_since  timestamptz,                            -- the first failure after the last success; null: none
    failure        text collate "C",                       -- of the last fetch; a code
    fetched_at     timestamptz,                            -- the last success
    constraint issuer_pk primary key (id),
    constraint issuer_name_is_one_of_the_tenants unique (tenant_id, name),
    constraint issuer_status_is_known check (status in ('active', 'deleted'))
);

-- Over all tenants: a token must say by itself whose it is.
create unique index issuer_is_registered_once on access.issuer (issuer, audience) where status = 'active';
create index issuer_by_tenant on access.issuer (tenant_id, id) where status <> 'deleted';
create index issuer_to_poll on access.issuer (poll_at) where poll_at is not null;

create table access.issuer_key (
    issuer_id uuid  not null,
    kid       text collate "C" not null,
    alg       text collate "C" not null,                   -- the one algorithm it verifies
    jwk       bytea not null,                              -- JSON: its public members
    constraint issuer_key_pk primary key (issuer_id, kid),
    constraint issuer_key_issuer_fk foreign key (issuer_id) references access.issuer (id)
);

create table access.service_account (
    id         uuid        not null,
    tenant_id  uuid        not null,
    name       text        not null,
    kind       text collate "C" not null,
    status     text collate "C" not null,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    constraint service_account_pk primary key (id),
    constraint service_account_kind_is_known check (kind in ('service', 'operator')),
    constraint service_account_status_is_known check (status in ('active', 'deleted'))
);

create index service_account_by_tenant on access.service_account (tenant_id, id) where status <> 'deleted';

create table access.api_key (
    id                 uuid        not null,
    tenant_id          uuid        not null,
    service_account_id uuid        not null,
    scopes             text[] collate "C" not null,
    acts_for           text[],                             -- null: every owner of the tenant
    ranges             text[] collate "C" not null,        -- none: from anywhere
    digest             bytea       not null,               -- SHA-256 over id and secret
    created_at         timestamptz not null,
    expires_at         timestamptz not null,
    ends_at            timestamptz not null,               -- its expiry; earlier where it was replaced or revoked
    is_revoked         boolean     not null default false,
    replaced_by        uuid,
    constraint api_key_pk primary key (id),
    constraint api_key_account_fk foreign key (service_account_id) references access.service_account (id),
    constraint api_key_has_a_digest check (octet_length(digest) = 32),
    constraint api_key_ends_by_its_expiry check (ends_at <= expires_at)
);

create index api_key_by_account on access.api_key (service_account_id, id);

-- A subject of whom nothing was said has no row.
create table access.subject (
    tenant_id         uuid        not null,
    subject           text collate "C" not null,
    status            text collate "C" not null default 'active',
    tokens_valid_from timestamptz,
    constraint subject_pk primary key (tenant_id, subject),
    constraint subject_status_is_known check (status in ('active', 'disabled'))
);

create table access.rate_limit_policy (
    tenant_id uuid    not null,
    name      text collate "C" not null,
    per_s     integer not null,
    burst     integer not null,
    constraint rate_limit_policy_pk primary key (tenant_id, name),
    constraint rate_limit_policy_is_positive check (per_s > 0 and burst > 0)
);

create table access.idempotency (
    client      uuid        not null,                      -- of tenant and subject, never of a credential
    key         text collate "C" not null,
    fingerprint bytea       not null,
    status      smallint    not null,
    location    text,
    body        bytea       not null,                      -- without secrets
    position    text,                                      -- the Access-Position of the change; null: none
    created_at  timestamptz not null,
    constraint idempotency_pk primary key (client, key)
);

create index idempotency_by_age on access.idempotency (created_at);

grant usage on schema access to :"app_role";
grant select, insert, update on access.tenant, access.issuer, access.service_account, access.api_key, access.subject
    to :"app_role";
grant select, insert, update, delete on access.issuer_key, access.rate_limit_policy, access.idempotency to :"app_role";

-- What the API reads as: a role that sees the rows of the tenant its connection was lent for, and no other's. The
-- predicate in each statement stays. Tenants themselves are read by the app role: staff sees all of them.
grant usage on schema access to :"reader_role";
grant select on access.issuer, access.issuer_key, access.service_account, access.api_key, access.subject,
    access.rate_limit_policy to :"reader_role";

alter table access.issuer enable row level security;
alter table access.issuer_key enable row level security;
alter table access.service_account enable row level security;
alter table access.api_key enable row level security;
alter table access.subject enable row level security;
alter table access.rate_limit_policy enable row level security;

create policy of_one_tenant on access.issuer for select to :"reader_role"
    using (tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid);
-- A key is its issuer's, which this policy's own look at it sees for one tenant.
create policy of_one_tenant on access.issuer_key for select to :"reader_role"
    using (exists (select from access.issuer i where i.id = issuer_id));
create policy of_one_tenant on access.service_account for select to :"reader_role"
    using (tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid);
create policy of_one_tenant on access.api_key for select to :"reader_role"
    using (tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid);
create policy of_one_tenant on access.subject for select to :"reader_role"
    using (tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid);
create policy of_one_tenant on access.rate_limit_policy for select to :"reader_role"
    using (tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid);
