-- The index over the history: what may come half a second later than the ledger's tables. A projection of its own, with
-- checkpoints and a rebuild of its own; every row comes from the events of one shard. Where rows are shared between
-- wallets the shard is in their key, so that no two indexers ever write one row: readers add up the 64.

create schema history_index;

-- An entry as it is found again. terms are keyed hashes, see docs/history.md: a bigint array needs no extension.
create table history_index.search_entry (
    occurred_at   timestamptz not null,
    shard         smallint    not null,
    seq           bigint      not null,
    tenant_id     uuid        not null,
    owner_id      text collate "C" not null,
    wallet_id     uuid        not null,
    version       bigint      not null,
    event_id      uuid        not null,
    currency      text collate "C" not null,
    amount_minor  bigint      not null,                     -- signed; 0 where only what is held changed
    terms         bigint[]    not null,
    constraint search_entry_pk primary key (wallet_id, occurred_at, event_id)
) partition by range (occurred_at);

create index search_entry_by_time on history_index.search_entry (tenant_id, occurred_at, event_id);
create index search_entry_by_owner on history_index.search_entry (tenant_id, owner_id, occurred_at, event_id);
-- A pending list would be read by every search.
create index search_entry_by_term on history_index.search_entry using gin (terms) with (fastupdate = off);

-- The partitions of search_entry: what search goes through, newest first.
create table history_index.search_segment (
    begins_at  timestamptz not null,
    ends_at    timestamptz not null,
    name       text collate "C" not null,
    is_used    boolean     not null,                        -- whether it has, or had, entries
    constraint search_segment_pk primary key (begins_at),
    constraint search_segment_is_not_empty check (begins_at < ends_at)
);

create table history_index.wallet_hour (
    wallet_id  uuid        not null,
    hour       timestamptz not null,
    shard      smallint    not null,
    tenant_id  uuid        not null,
    owner_id   text collate "C" not null,
    currency   text collate "C" not null,
    entries    bigint      not null,
    credits    numeric     not null,                        -- minor units
    debits     numeric     not null,                        -- minor units, positive
    constraint wallet_hour_pk primary key (wallet_id, hour)
) with (fillfactor = 80);

create index wallet_hour_by_hour on history_index.wallet_hour (tenant_id, hour, wallet_id);

-- A wallet's other sides: a wallet, or a system account.
create table history_index.counterparty (
    wallet_id               uuid        not null,
    counterparty_wallet_id  uuid,
    counterparty_account    text collate "C",
    counterparty_owner_id   text collate "C",
    shard                   smallint    not null,
    tenant_id               uuid        not null,
    owner_id                text collate "C" not null,
    currency                text collate "C" not null,
    entries                 bigint      not null,
    credits                 numeric     not null,
    debits                  numeric     not null,
    first_at                timestamptz not null,
    last_at                 timestamptz not null,
    constraint counterparty_key unique nulls not distinct (wallet_id, counterparty_wallet_id, counterparty_account)
) with (fillfactor = 80);

create table history_index.day_total (
    tenant_id     uuid        not null,
    day           date        not null,                     -- of UTC
    currency      text collate "C" not null,
    type          text collate "C" not null,                -- the transaction's
    shard         smallint    not null,
    transactions  bigint      not null,                     -- whose first entry is of the shard
    entries       bigint      not null,
    credits       numeric     not null,
    debits        numeric     not null,
    constraint day_total_pk primary key (tenant_id, day, currency, type, shard)
) with (fillfactor = 50);

-- The same by minute, for eight days.
create table history_index.minute_total (
    tenant_id     uuid        not null,
    minute        timestamptz not null,
    currency      text collate "C" not null,
    type          text collate "C" not null,
    shard         smallint    not null,
    transactions  bigint      not null,
    entries       bigint      not null,
    credits       numeric     not null,
    debits        numeric     not null,
    constraint minute_total_pk primary key (tenant_id, minute, currency, type, shard)
) with (fillfactor = 50);

create index minute_total_by_minute on history_index.minute_total (minute);

create table history_index.shard_total (
    tenant_id  uuid     not null,
    currency   text collate "C" not null,
    shard      smallint not null,
    wallets    bigint   not null,                           -- that are open
    posted     numeric  not null,
    held       numeric  not null,
    constraint shard_total_pk primary key (tenant_id, currency, shard)
) with (fillfactor = 50);

-- What is held of each wallet that ever had something held: an event tells what is held after it, a total needs by how
-- much that changed.
create table history_index.wallet_held (
    wallet_id   uuid   not null,
    shard       smallint not null,
    held_minor  bigint not null,
    constraint wallet_held_pk primary key (wallet_id)
) with (fillfactor = 70);

grant usage on schema history_index to :"app_role";
grant select, insert on history_index.search_entry to :"app_role";
grant select on history_index.search_segment to :"app_role";
grant select, insert, update on history_index.wallet_hour, history_index.counterparty, history_index.day_total,
    history_index.minute_total, history_index.shard_total, history_index.wallet_held to :"app_role";
grant delete on history_index.minute_total to :"app_role";

grant usage on schema history_index to :"reader_role";
grant select on history_index.search_entry, history_index.search_segment, history_index.wallet_hour,
    history_index.counterparty, history_index.day_total, history_index.minute_total, history_index.shard_total
    to :"reader_role";

alter table history_index.search_entry enable row level security;
alter table history_index.wallet_hour enable row level security;
alter table history_index.counterparty enable row level security;
alter table history_index.day_total enable row level security;
alter table history_index.minute_total enable row level security;
alter table history_index.shard_total enable row level security;

create policy of_one_tenant on history_index.search_entry for select to :"reader_role"
    using (tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid);
create policy of_one_tenant on history_index.wallet_hour for select to :"reader_role"
    using (tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid);
create policy of_one_tenant on history_index.counterparty for select to :"reader_role"
    using (tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid);
create policy of_one_tenant on history_index.day_total for select to :"reader_role"
    using (tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid);
create policy of_one_tenant on history_index.minute_total for select to :"reader_role"
    using (tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid);
create policy of_one_tenant on history_index.shard_total for select to :"reader_role"
    using (tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid);
