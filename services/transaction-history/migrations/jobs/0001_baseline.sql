-- What does not come from events: jobs, their parts and files, links to files. No rebuild renames this schema.

create schema history_jobs;

-- A tenant that ever had a job. Its row is locked while a job of it is added or taken, so that what is counted is exact.
create table history_jobs.tenant (
    tenant_id uuid        not null,
    served_at timestamptz not null,                        -- when a job of it was last taken: who waited longest is next
    constraint tenant_pk primary key (tenant_id)
) with (fillfactor = 70);

create table history_jobs.job (
    id             uuid        not null,                   -- UUIDv7: in the order of time
    tenant_id      uuid        not null,
    kind           text collate "C" not null,
    request        text        not null,                   -- JSON, as it was checked when it was asked for
    subject        text        not null,                   -- who asked, with which scopes and for which owners
    scopes         bigint      not null,
    owners         text[] collate "C",                     -- null: every owner
    status         text collate "C" not null,
    attempts       smallint    not null default 0,
    due_at         timestamptz not null,
    lease_token    uuid,                                   -- of the worker that has it; whoever has another writes nothing
    leased_until   timestamptz,
    done_rows      bigint      not null default 0,
    as_of          bigint[],                               -- by shard: the sequence up to which rows are taken
    parked         uuid[],                                 -- wallets that were parked then, whose rows are left out
    failure        text collate "C",
    file_name      text,
    media_type     text,
    file_rows      bigint,
    size_bytes     bigint,
    sha256         bytea,
    created_at     timestamptz not null,
    started_at     timestamptz,
    finished_at    timestamptz,
    expires_at     timestamptz,                            -- of a file
    is_cleared     boolean     not null default false,     -- its objects are deleted
    constraint job_pk primary key (id),
    constraint job_status_is_known check (status in ('queued', 'running', 'succeeded', 'failed', 'cancelled', 'expired')),
    constraint job_is_held_while_it_runs check ((status = 'running') = (lease_token is not null)),
    constraint job_ends_once check ((status in ('queued', 'running')) = (finished_at is null))
) with (fillfactor = 70);

create index job_open on history_jobs.job (tenant_id, id) where status in ('queued', 'running');
create index job_by_tenant on history_jobs.job (tenant_id, id);
create index job_expiring on history_jobs.job (expires_at) where status = 'succeeded';
create index job_uncleared on history_jobs.job (finished_at)
    where status in ('failed', 'cancelled', 'expired') and not is_cleared;
create index job_forgettable on history_jobs.job (finished_at) where is_cleared;

-- What an attempt has finished for good: an object, and where the next part goes on. A file is its parts that are served.
create table history_jobs.job_part (
    job_id     uuid     not null,
    number     integer  not null,
    object     text     not null,
    rows       bigint   not null,
    size_bytes bigint   not null,
    is_served  boolean  not null,
    after      text,                                       -- JSON of the last row's place; null: there is nothing behind
    constraint job_part_pk primary key (job_id, number),
    constraint job_part_job_fk foreign key (job_id) references history_jobs.job (id) on delete cascade
);

-- A link to a file, for whoever has it. The token that is handed out is not kept.
create table history_jobs.link (
    id         uuid        not null,
    tenant_id  uuid        not null,
    job_id     uuid        not null,
    subject    text        not null,
    created_at timestamptz not null,
    expires_at timestamptz not null,
    revoked_at timestamptz,
    constraint link_pk primary key (id),
    constraint link_job_fk foreign key (job_id) references history_jobs.job (id) on delete cascade
);

create index link_by_job on history_jobs.link (job_id);

create table history_jobs.idempotency (
    client      uuid        not null,                      -- hash of tenant and subject, never of a credential
    key         text collate "C" not null,
    fingerprint bytea       not null,
    status      smallint    not null,
    location    text,
    body        bytea       not null,                      -- without secrets
    created_at  timestamptz not null,
    constraint idempotency_pk primary key (client, key)
);

create index idempotency_by_age on history_jobs.idempotency (created_at);

grant usage on schema history_jobs to :"app_role", :"reader_role";
grant select, insert, update, delete on history_jobs.tenant, history_jobs.job, history_jobs.job_part, history_jobs.link,
    history_jobs.idempotency to :"app_role";
grant select on history_jobs.job, history_jobs.job_part, history_jobs.link to :"reader_role";

alter table history_jobs.job enable row level security;
alter table history_jobs.job_part enable row level security;
alter table history_jobs.link enable row level security;

create policy of_one_tenant on history_jobs.job for select to :"reader_role"
    using (tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid);
-- A part is its job's, which this policy's own look at it sees for one tenant.
create policy of_one_tenant on history_jobs.job_part for select to :"reader_role"
    using (exists (select from history_jobs.job j where j.id = job_id));
create policy of_one_tenant on history_jobs.link for select to :"reader_role"
    using (tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid);
