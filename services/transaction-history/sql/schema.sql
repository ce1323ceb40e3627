-- The schema in force. Made by `make docs` of the migrations and the functions' files; not to be edited.

create schema servicekit;

create schema transaction_history;

create function servicekit.forget_rates(now_us bigint, most integer) returns bigint
    language plpgsql
    as $$
declare
    forgotten bigint;
begin
    delete from servicekit.rate_instance i
     where i.id in (select j.id from servicekit.rate_instance j where j.seen_us < now_us - 60000000
                       for update skip locked);
    delete from servicekit.rate_bucket b
     where b.ctid = any (array(select c.ctid from servicekit.rate_bucket c where c.tat_us < now_us - 10000000
                                limit most for update skip locked));
    get diagnostics forgotten = row_count;
    return forgotten;
end $$;

create function servicekit.settle_rates(now_us bigint, instance uuid, kinds smallint[], ids bytea[], emissions_us bigint[], bursts bigint[], debits bigint[], rooms bigint[], shorts bigint[], out ordinal bigint, out granted bigint, out units_left bigint, out instances bigint) returns setof record
    language plpgsql
    as $$
begin
    insert into servicekit.rate_instance as i (id, seen_us) values (instance, now_us)
        on conflict (id) do update set seen_us = excluded.seen_us;
    instances := (select count(*) from servicekit.rate_instance i
                   where i.seen_us > now_us - 2000000 and i.seen_us < now_us + 2000000);
    if cardinality(ids) = 0 then
        return next;
        return;
    end if;
    -- In the order of the keys, here and below: two instances never wait for each other.
    insert into servicekit.rate_bucket (kind, id, tat_us)
    select u.kind, u.id, 0 from unnest(kinds, ids) u (kind, id) order by u.kind, u.id
        on conflict (kind, id) do nothing;
    perform 1 from servicekit.rate_bucket b join unnest(kinds, ids) u (kind, id) on b.kind = u.kind and b.id = u.id
      order by b.kind, b.id for update of b;
    return query
    with asked as (
        select u.*, b.tat_us
          from unnest(kinds, ids, emissions_us, bursts, debits, rooms, shorts)
               with ordinality u (kind, id, emission_us, burst, debit, room, short, ordinal)
          join servicekit.rate_bucket b on b.kind = u.kind and b.id = u.id),
    debited as (
        select a.*, least(greatest(least(greatest(a.tat_us, now_us), now_us + 2 * a.burst * a.emission_us)
                                   + a.debit * a.emission_us, now_us), now_us + 2 * a.burst * a.emission_us) as debited_us
          from asked a),
    known as (
        select d.*, floor((d.burst * d.emission_us - (d.debited_us - now_us)) / d.emission_us::numeric)::bigint as units
          from debited d),
    shared as (
        select k.*, greatest(0, least(k.units, k.room,
                                      greatest(ceil(k.units / instances::numeric)::bigint, k.short))) as grants
          from known k)
    update servicekit.rate_bucket b set tat_us = s.debited_us + s.grants * s.emission_us
      from shared s where b.kind = s.kind and b.id = s.id
    returning s.ordinal, s.grants, s.units - s.grants, instances;
end $$;

create function transaction_history.make_partitions(entries date[], transactions date[]) returns void
    language plpgsql security definer
    set search_path to 'pg_catalog', 'pg_temp'
    as $$
declare
    own     oid;
    home    text;
    parent  text;
    child   text;
    month   date;
    bounds  text;
begin
    get diagnostics own = pg_routine_oid;
    select n.nspname into home from pg_proc p join pg_namespace n on n.oid = p.pronamespace where p.oid = own;
    perform pg_advisory_xact_lock(hashtextextended(home, 0));
    for parent, month, bounds in
        select p, m, format('from (%L) to (%L)', m::timestamp at time zone 'UTC',
                            (m + interval '1 month')::timestamp at time zone 'UTC')
        from unnest(array['entry', 'state_change']) as p, unnest(entries) as m
        union all
        select p, m, format('from (%L) to (%L)', i.first, i.next)
        from unnest(array['transaction', 'system_entry']) as p, unnest(transactions) as m,
             lateral (select (lpad(to_hex((extract(epoch from m) * 1000)::bigint), 12, '0') || repeat('0', 20))::uuid,
                             (lpad(to_hex((extract(epoch from m + interval '1 month') * 1000)::bigint), 12, '0')
                              || repeat('0', 20))::uuid) as i (first, next)
        order by 1, 2
    loop
        if month <> date_trunc('month', month) or month < date '2000-01-01' or month > now() + interval '130 days' then
            raise exception 'no partition is made for %', month using errcode = 'datetime_field_overflow';
        end if;
        child := format('%I.%I', home, parent || to_char(month, '_YYYY_MM'));
        if to_regclass(child) is null then
            execute format('create table %s (like %I.%I including all)', child, home, parent);
            execute format('alter table %I.%I attach partition %s for values %s', home, parent, child, bounds);
        end if;
    end loop;
end;
$$;

create function transaction_history.of_a_newer_release() returns smallint
    language plpgsql
    as $$
begin
    raise exception 'these tables belong to a newer release' using errcode = 'serialization_failure';
end;
$$;

create table servicekit.access_entity (
    id uuid not null,
    kind smallint not null,
    tenant_id uuid not null,
    lookup text collate pg_catalog."C",
    body bytea not null,
    change bigint not null
);

create table servicekit.checkpoint (
    projection text not null collate pg_catalog."C",
    shard smallint not null,
    last_seq bigint default 0 not null,
    last_event_id uuid,
    topic_partition integer not null,
    kafka_offset bigint default 0 not null,
    stopped text collate pg_catalog."C",
    seek_to bigint,
    updated_at timestamp with time zone default clock_timestamp() not null,
    constraint checkpoint_shard_is_known check (((shard >= 0) and (shard <= 63))),
    constraint checkpoint_stop_is_known check ((stopped = any (array['gap'::text, 'diverged'::text])))
)
with (fillfactor='50');

create table servicekit.function_in_force (
    source text not null collate pg_catalog."C",
    name text not null collate pg_catalog."C",
    sha256 text not null collate pg_catalog."C",
    applied_at timestamp with time zone default clock_timestamp() not null
);

create table servicekit.migration (
    source text not null collate pg_catalog."C",
    number integer not null,
    name text not null collate pg_catalog."C",
    sha256 text not null collate pg_catalog."C",
    applied_at timestamp with time zone default clock_timestamp() not null
);

create table servicekit.parked_subject (
    projection text not null collate pg_catalog."C",
    subject uuid not null,
    shard smallint not null,
    seq bigint not null,
    reason text not null,
    parked_at timestamp with time zone default clock_timestamp() not null,
    kafka_offset bigint default 0 not null,
    events bigint default 0 not null
);

create table servicekit.projection_lag (
    projection text not null collate pg_catalog."C",
    topic_partition integer not null,
    lag_records bigint not null,
    lag_ms bigint not null,
    measured_at timestamp with time zone not null
)
with (fillfactor='50');

create unlogged table servicekit.rate_bucket (
    kind smallint not null,
    id bytea not null,
    tat_us bigint not null,
    constraint rate_bucket_id_is_short check ((octet_length(id) <= 32))
)
with (fillfactor='50');

create unlogged table servicekit.rate_instance (
    id uuid not null,
    seen_us bigint not null
)
with (fillfactor='50');

create table servicekit.watermark (
    projection text not null collate pg_catalog."C",
    shard smallint not null,
    known_seq bigint not null,
    known_at timestamp with time zone not null,
    covered_seq bigint,
    covered_at timestamp with time zone,
    constraint watermark_shard_is_known check (((shard >= 0) and (shard <= 63)))
)
with (fillfactor='50');

create table transaction_history.balance_day (
    wallet_id uuid not null,
    day date not null,
    tenant_id uuid not null,
    owner_id text not null collate pg_catalog."C",
    shard smallint not null,
    currency text not null collate pg_catalog."C",
    version bigint not null,
    posted_minor bigint not null,
    held_minor bigint not null,
    entries bigint not null,
    credits_total numeric not null,
    debits_total numeric not null,
    fees_total numeric not null
)
with (fillfactor='80');

create table transaction_history.entry (
    wallet_id uuid not null,
    version bigint not null,
    seq bigint not null,
    event_id uuid not null,
    tenant_id uuid not null,
    owner_id text not null collate pg_catalog."C",
    type text not null collate pg_catalog."C",
    transaction_id uuid,
    transaction_type text collate pg_catalog."C",
    entry_index smallint,
    entry_count smallint,
    currency text not null collate pg_catalog."C",
    amount_minor bigint not null,
    posted_minor_after bigint not null,
    held_minor_after bigint not null,
    counterparty_wallet_id uuid,
    counterparty_owner_id text collate pg_catalog."C",
    counterparty_account text collate pg_catalog."C",
    private text,
    occurred_at timestamp with time zone not null,
    related_transaction_id uuid,
    is_forced boolean not null,
    refund_minor bigint,
    refundable_minor bigint,
    refund_currency text collate pg_catalog."C",
    hold_id uuid,
    fee_rule text collate pg_catalog."C",
    shard smallint default transaction_history.of_a_newer_release() not null,
    entries_after bigint not null,
    credits_after numeric not null,
    debits_after numeric not null,
    fees_after numeric not null
)
partition by range (occurred_at);

create table transaction_history.hold (
    wallet_id uuid not null,
    hold_id uuid not null,
    tenant_id uuid not null,
    owner_id text not null collate pg_catalog."C",
    shard smallint not null,
    currency text not null collate pg_catalog."C",
    purpose text not null collate pg_catalog."C",
    status text not null collate pg_catalog."C",
    amount_minor bigint not null,
    fee_reserved_minor bigint not null,
    captured_minor bigint not null,
    released_minor bigint not null,
    remaining_minor bigint not null,
    expires_at timestamp with time zone not null,
    placed_at timestamp with time zone not null,
    last_at timestamp with time zone not null,
    version bigint not null,
    transactions uuid[] not null
)
with (fillfactor='80');

create table transaction_history.state_change (
    wallet_id uuid not null,
    version bigint not null,
    seq bigint not null,
    event_id uuid not null,
    tenant_id uuid not null,
    owner_id text not null collate pg_catalog."C",
    type text not null collate pg_catalog."C",
    source text collate pg_catalog."C",
    scope text collate pg_catalog."C",
    private text,
    occurred_at timestamp with time zone not null,
    shard smallint default transaction_history.of_a_newer_release() not null
)
partition by range (occurred_at);

create table transaction_history.system_entry (
    transaction_id uuid not null,
    entry_index smallint not null,
    wallet_id uuid not null,
    seq bigint not null,
    event_id uuid not null,
    tenant_id uuid not null,
    transaction_type text not null collate pg_catalog."C",
    entry_count smallint not null,
    account text not null collate pg_catalog."C",
    currency text not null collate pg_catalog."C",
    amount_minor bigint not null,
    occurred_at timestamp with time zone not null,
    shard smallint default transaction_history.of_a_newer_release() not null
)
partition by range (transaction_id);

create table transaction_history.transaction (
    transaction_id uuid not null,
    tenant_id uuid not null,
    type text collate pg_catalog."C",
    entry_count smallint,
    entries_seen smallint not null,
    amounts jsonb not null,
    created_at timestamp with time zone,
    last_entry_at timestamp with time zone,
    reverses uuid,
    reversed_by uuid,
    refunds uuid[] not null,
    refunded_minor bigint not null,
    refundable_minor bigint,
    refund_currency text collate pg_catalog."C",
    status text generated always as (
case
    when (reversed_by is not null) then 'reversed'::text
    when (refunded_minor = 0) then 'posted'::text
    when (refunded_minor = refundable_minor) then 'refunded'::text
    else 'partially_refunded'::text
end) stored not null collate pg_catalog."C"
)
partition by range (transaction_id);

create table transaction_history.wallet (
    wallet_id uuid not null,
    tenant_id uuid not null,
    owner_id text not null collate pg_catalog."C",
    currency text not null collate pg_catalog."C",
    status text not null collate pg_catalog."C",
    restrictions text not null,
    overdraft_limit_minor bigint not null,
    posted_minor bigint not null,
    held_minor bigint not null,
    version bigint not null,
    opened_at timestamp with time zone not null,
    last_at timestamp with time zone not null,
    private text,
    shard smallint default transaction_history.of_a_newer_release() not null,
    entries bigint not null,
    credits_total numeric not null,
    debits_total numeric not null,
    fees_total numeric not null,
    first_entry_at timestamp with time zone,
    last_entry_at timestamp with time zone,
    constraint wallet_status_is_known check ((status = any (array['open'::text, 'closed'::text])))
)
with (fillfactor='70');

alter table only servicekit.access_entity
    add constraint access_entity_pk primary key (id);

alter table only servicekit.checkpoint
    add constraint checkpoint_pk primary key (projection, shard);

alter table only servicekit.function_in_force
    add constraint function_in_force_pk primary key (source, name);

alter table only servicekit.migration
    add constraint migration_pk primary key (source, number);

alter table only servicekit.parked_subject
    add constraint parked_subject_pk primary key (projection, subject);

alter table only servicekit.projection_lag
    add constraint projection_lag_pk primary key (projection, topic_partition);

alter table only servicekit.rate_bucket
    add constraint rate_bucket_pk primary key (kind, id);

alter table only servicekit.rate_instance
    add constraint rate_instance_pk primary key (id);

alter table only servicekit.watermark
    add constraint watermark_pk primary key (projection, shard);

alter table only transaction_history.balance_day
    add constraint balance_day_pk primary key (wallet_id, day);

alter table only transaction_history.entry
    add constraint entry_pk primary key (wallet_id, occurred_at, version);

alter table only transaction_history.hold
    add constraint hold_pk primary key (wallet_id, hold_id);

alter table only transaction_history.state_change
    add constraint state_change_pk primary key (wallet_id, occurred_at, version);

alter table only transaction_history.system_entry
    add constraint system_entry_pk primary key (transaction_id, entry_index);

alter table only transaction_history.transaction
    add constraint transaction_pk primary key (transaction_id);

alter table only transaction_history.wallet
    add constraint wallet_pk primary key (wallet_id);

create unique index access_entity_change on servicekit.access_entity using btree (change);

create index access_entity_lookup on servicekit.access_entity using btree (lookup) where (lookup is not null);

create index entry_by_owner on only transaction_history.entry using btree (tenant_id, owner_id, occurred_at, event_id);

create index entry_by_time on only transaction_history.entry using btree (tenant_id, occurred_at, event_id);

create index entry_by_transaction on only transaction_history.entry using btree (transaction_id, occurred_at) where (transaction_id is not null);

create index transaction_by_time on only transaction_history.transaction using btree (tenant_id, created_at, transaction_id);

create index wallet_by_opening on transaction_history.wallet using btree (tenant_id, opened_at, wallet_id);

create index wallet_by_owner on transaction_history.wallet using btree (tenant_id, owner_id);

alter table transaction_history.balance_day enable row level security;

alter table transaction_history.entry enable row level security;

alter table transaction_history.hold enable row level security;

create policy of_one_tenant on transaction_history.balance_day for select to :"reader_role" using ((tenant_id = (nullif(current_setting('app.tenant_id'::text, true), ''::text))::uuid));

create policy of_one_tenant on transaction_history.entry for select to :"reader_role" using ((tenant_id = (nullif(current_setting('app.tenant_id'::text, true), ''::text))::uuid));

create policy of_one_tenant on transaction_history.hold for select to :"reader_role" using ((tenant_id = (nullif(current_setting('app.tenant_id'::text, true), ''::text))::uuid));

create policy of_one_tenant on transaction_history.state_change for select to :"reader_role" using ((tenant_id = (nullif(current_setting('app.tenant_id'::text, true), ''::text))::uuid));

create policy of_one_tenant on transaction_history.system_entry for select to :"reader_role" using ((tenant_id = (nullif(current_setting('app.tenant_id'::text, true), ''::text))::uuid));

create policy of_one_tenant on transaction_history.transaction for select to :"reader_role" using ((tenant_id = (nullif(current_setting('app.tenant_id'::text, true), ''::text))::uuid));

create policy of_one_tenant on transaction_history.wallet for select to :"reader_role" using ((tenant_id = (nullif(current_setting('app.tenant_id'::text, true), ''::text))::uuid));

alter table transaction_history.state_change enable row level security;

alter table transaction_history.system_entry enable row level security;

alter table transaction_history.transaction enable row level security;

alter table transaction_history.wallet enable row level security;

grant usage on schema servicekit to :"app_role";
grant usage on schema servicekit to :"reader_role";

grant usage on schema transaction_history to :"app_role";
grant usage on schema transaction_history to :"reader_role";

revoke all on function servicekit.forget_rates(now_us bigint, most integer) from public;
grant all on function servicekit.forget_rates(now_us bigint, most integer) to :"app_role";

revoke all on function servicekit.settle_rates(now_us bigint, instance uuid, kinds smallint[], ids bytea[], emissions_us bigint[], bursts bigint[], debits bigint[], rooms bigint[], shorts bigint[], out ordinal bigint, out granted bigint, out units_left bigint, out instances bigint) from public;
grant all on function servicekit.settle_rates(now_us bigint, instance uuid, kinds smallint[], ids bytea[], emissions_us bigint[], bursts bigint[], debits bigint[], rooms bigint[], shorts bigint[], out ordinal bigint, out granted bigint, out units_left bigint, out instances bigint) to :"app_role";

revoke all on function transaction_history.make_partitions(entries date[], transactions date[]) from public;
grant all on function transaction_history.make_partitions(entries date[], transactions date[]) to :"app_role";

grant select,insert,update on table servicekit.access_entity to :"app_role";

grant select,insert,update on table servicekit.checkpoint to :"app_role";
grant select on table servicekit.checkpoint to :"reader_role";

grant select on table servicekit.function_in_force to :"app_role";

grant select on table servicekit.migration to :"app_role";

grant select,insert,delete,update on table servicekit.parked_subject to :"app_role";

grant select(projection) on table servicekit.parked_subject to :"reader_role";

grant select(subject) on table servicekit.parked_subject to :"reader_role";

grant select,insert,update on table servicekit.projection_lag to :"app_role";
grant select on table servicekit.projection_lag to :"reader_role";

grant select,insert,delete,update on table servicekit.rate_bucket to :"app_role";

grant select,insert,delete,update on table servicekit.rate_instance to :"app_role";

grant select,insert,update on table servicekit.watermark to :"app_role";
grant select on table servicekit.watermark to :"reader_role";

grant select,insert,update on table transaction_history.balance_day to :"app_role";
grant select on table transaction_history.balance_day to :"reader_role";

grant select,insert on table transaction_history.entry to :"app_role";
grant select on table transaction_history.entry to :"reader_role";

grant select,insert,update on table transaction_history.hold to :"app_role";
grant select on table transaction_history.hold to :"reader_role";

grant select,insert on table transaction_history.state_change to :"app_role";
grant select on table transaction_history.state_change to :"reader_role";

grant select,insert on table transaction_history.system_entry to :"app_role";
grant select on table transaction_history.system_entry to :"reader_role";

grant select,insert,update on table transaction_history.transaction to :"app_role";
grant select on table transaction_history.transaction to :"reader_role";

grant select,insert,update on table transaction_history.wallet to :"app_role";
grant select on table transaction_history.wallet to :"reader_role";
