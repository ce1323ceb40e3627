-- Statements: what tenants and owners want, how far each wallet is closed, what was closed, and the files of it.

-- What holds of an owner's wallets; of all others of the tenant what stands with the empty owner. A change is a new id.
create table history_jobs.statement_setting (
    tenant_id  uuid        not null,
    owner_id   text collate "C" not null,
    id         uuid        not null,
    time_zone  text collate "C" not null,
    locale     text collate "C" not null,
    schedule   text collate "C" not null,
    formats    text[] collate "C" not null,
    updated_at timestamptz not null,
    constraint statement_setting_pk primary key (tenant_id, owner_id),
    constraint statement_setting_locale_is_known check (locale in ('en', 'de', 'ar')),
    constraint statement_setting_schedule_is_known check (schedule in ('weekly', 'monthly', 'quarterly', 'none'))
);

-- How far a wallet is closed, and when its next period ends: null where nothing is due.
create table history_jobs.statement_account (
    wallet_id      uuid        not null,
    tenant_id      uuid        not null,
    owner_id       text collate "C" not null,
    shard          smallint    not null,
    setting_id     uuid,                                   -- what due_at was reckoned by
    number         integer     not null default 0,         -- of the newest statement
    ended_at       timestamptz not null,                   -- where its period ended; the opening before the first
    due_at         timestamptz,
    is_ended       boolean     not null default false,     -- the wallet was closed, and has its last statement
    version        bigint      not null default 0,         -- the wallet's last entry in a statement, and its totals then
    occurred_at    timestamptz,
    posted_minor   bigint      not null default 0,
    held_minor     bigint      not null default 0,
    entries        bigint      not null default 0,
    credits        numeric     not null default 0,
    debits         numeric     not null default 0,
    fees           numeric     not null default 0,
    summed         jsonb       not null default '[]',      -- of a busy wallet: totals by type so far, and up to where
    summed_entries bigint      not null default 0,
    summed_at      timestamptz,
    summed_version bigint,
    constraint statement_account_pk primary key (wallet_id),
    constraint statement_account_ends_once check (not is_ended or due_at is null)
) with (fillfactor = 70);

create index statement_account_due on history_jobs.statement_account (shard, due_at, wallet_id) where due_at is not null;

create table history_jobs.statement (
    id              uuid        not null,
    tenant_id       uuid        not null,
    owner_id        text collate "C" not null,
    wallet_id       uuid        not null,
    number          integer     not null,
    period_from     date        not null,
    period_to       date        not null,                  -- not included
    from_instant    timestamptz not null,
    to_instant      timestamptz not null,                  -- not included
    time_zone       text collate "C" not null,
    locale          text collate "C" not null,
    currency        text collate "C" not null,
    private         text,                                  -- the wallet's free text then
    first_version   bigint      not null,
    last_version    bigint      not null,                  -- first_version - 1: nothing happened
    lines_from      timestamptz not null,                  -- no entry of it occurred before
    opening         bigint      not null,
    closing         bigint      not null,
    credits         numeric     not null,
    debits          numeric     not null,
    fees            numeric     not null,
    entries         bigint      not null,
    entries_before  bigint      not null,                  -- of the wallet, since it was opened
    fees_before     numeric     not null,
    by_type         jsonb       not null,
    holds           jsonb       not null,
    holds_left_out  integer     not null,
    issue           smallint    not null default 1,        -- the newest one
    complete_until  timestamptz not null,                  -- all that occurred up to then was there
    closed_at       timestamptz not null,
    constraint statement_pk primary key (id),
    constraint statement_number_is_dense unique (wallet_id, number),
    constraint statement_balances check (opening + credits - debits = closing)
);

-- Statements of periods in which nothing happened begin and end with the same version.
create unique index statement_covers_a_version_once on history_jobs.statement (wallet_id, first_version)
    where last_version >= first_version;
create index statement_by_wallet on history_jobs.statement (wallet_id, to_instant, id);
create index statement_by_owner on history_jobs.statement (tenant_id, owner_id, to_instant, id);
create index statement_by_period on history_jobs.statement (tenant_id, to_instant, id);

-- A statement told anew: the same figures, in the language of then. The first issue is the statement's own.
create table history_jobs.statement_issue (
    statement_id uuid        not null,
    issue        smallint    not null,
    tenant_id    uuid        not null,
    locale       text collate "C" not null,
    subject      text        not null,
    issued_at    timestamptz not null,
    constraint statement_issue_pk primary key (statement_id, issue),
    constraint statement_issue_statement_fk foreign key (statement_id) references history_jobs.statement (id)
);

-- Files of statements, asked for by a closing or by somebody: a queue, and what became of each.
create table history_jobs.statement_file (
    statement_id       uuid        not null,
    issue              smallint    not null,
    format             text collate "C" not null,
    volume             integer     not null,
    tenant_id          uuid        not null,
    status             text collate "C" not null,
    is_asked           boolean     not null default false, -- somebody waits: before what only a closing asked for
    due_at             timestamptz not null,
    attempts           smallint    not null default 0,
    lease_token        uuid,
    leased_until       timestamptz,
    failure            text collate "C",
    object             text,
    size_bytes         bigint,
    sha256             bytea,                              -- stays when the object is gone: the next one is compared
    template_version   integer,
    unknown_characters integer,
    finished_at        timestamptz,
    expires_at         timestamptz,
    constraint statement_file_pk primary key (statement_id, issue, format, volume),
    constraint statement_file_format_is_known check (format in ('pdf', 'csv')),
    constraint statement_file_status_is_known check (status in ('queued', 'running', 'succeeded', 'failed', 'expired')),
    constraint statement_file_is_held_while_it_runs check ((status = 'running') = (lease_token is not null)),
    constraint statement_file_is_there check (status <> 'succeeded' or object is not null),
    constraint statement_file_statement_fk foreign key (statement_id) references history_jobs.statement (id)
) with (fillfactor = 70);

create index statement_file_open on history_jobs.statement_file (tenant_id, is_asked desc, due_at)
    where status in ('queued', 'running');
create index statement_file_expiring on history_jobs.statement_file (expires_at) where status = 'succeeded';
create index statement_file_uncleared on history_jobs.statement_file (expires_at)
    where status = 'expired' and object is not null;

-- Whose files are made next: who waited longest.
create table history_jobs.statement_tenant (
    tenant_id uuid        not null,
    served_at timestamptz not null,
    constraint statement_tenant_pk primary key (tenant_id)
) with (fillfactor = 70);

grant select, insert, update on history_jobs.statement_setting, history_jobs.statement_account, history_jobs.statement,
    history_jobs.statement_file, history_jobs.statement_tenant to :"app_role";
grant select, insert on history_jobs.statement_issue to :"app_role";
grant select on history_jobs.statement_setting, history_jobs.statement, history_jobs.statement_issue,
    history_jobs.statement_file to :"reader_role";

alter table history_jobs.statement_setting enable row level security;
alter table history_jobs.statement enable row level security;
alter table history_jobs.statement_issue enable row level security;
alter table history_jobs.statement_file enable row level security;

create policy of_one_tenant on history_jobs.statement_setting for select to :"reader_role"
    using (tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid);
create policy of_one_tenant on history_jobs.statement for select to :"reader_role"
    using (tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid);
create policy of_one_tenant on history_jobs.statement_issue for select to :"reader_role"
    using (tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid);
create policy of_one_tenant on history_jobs.statement_file for select to :"reader_role"
    using (tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid);
