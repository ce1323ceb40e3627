-- The schema in force. Made by `make docs` of the migrations and the functions' files; not to be edited.

create schema access;

create schema servicekit;

create function servicekit.append_to_outbox(shards smallint[], event_ids uuid[], tenant_ids uuid[], subjects uuid[], types smallint[], occurred_at timestamp with time zone[], causation_ids uuid[], traceparents text[], payloads bytea[]) returns void
    language plpgsql
    set enable_seqscan to 'off'
    as $$
declare
    s smallint;
begin
    -- Whatever the session is set to: a relay must never publish what a crash then takes back.
    perform set_config('synchronous_commit', 'on', true);
    for s in select distinct x from unnest(shards) x order by 1 loop
        perform pg_advisory_xact_lock(9, s);
    end loop;
    with head as materialized (
        select d.shard, coalesce((select o.seq from servicekit.outbox o where o.shard = d.shard
                                   order by o.seq desc limit 1), 0) as seq
          from (select distinct x as shard from unnest(shards) x) d)
    insert into servicekit.outbox (shard, seq, event_id, tenant_id, subject, type, occurred_at, causation_id,
                                   traceparent, payload)
    select head.shard, head.seq + row_number() over (partition by u.shard order by u.ordinal), u.event_id, u.tenant_id,
           u.subject, u.type, u.occurred_at, u.causation_id, u.traceparent, u.payload
      from unnest(shards, event_ids, tenant_ids, subjects, types, occurred_at, causation_ids, traceparents, payloads)
           with ordinality u (shard, event_id, tenant_id, subject, type, occurred_at, causation_id, traceparent,
                              payload, ordinal)
      join head using (shard);
end $$;

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

create table access.api_key (
    id uuid not null,
    tenant_id uuid not null,
    service_account_id uuid not null,
    scopes text[] not null collate pg_catalog."C",
    acts_for text[],
    ranges text[] not null collate pg_catalog."C",
    digest bytea not null,
    created_at timestamp with time zone not null,
    expires_at timestamp with time zone not null,
    ends_at timestamp with time zone not null,
    is_revoked boolean default false not null,
    replaced_by uuid,
    constraint api_key_ends_by_its_expiry check ((ends_at <= expires_at)),
    constraint api_key_has_a_digest check ((octet_length(digest) = 32))
);

create table access.idempotency (
    client uuid not null,
    key text not null collate pg_catalog."C",
    fingerprint bytea not null,
    status smallint not null,
    location text,
    body bytea not null,
    "position" text,
    created_at timestamp with time zone not null
);

create table access.issuer (
    id uuid not null,
    tenant_id uuid not null,
    name text not null collate pg_catalog."C",
    issuer text not null collate pg_catalog."C",
    audience text not null collate pg_catalog."C",
    status text not null collate pg_catalog."C",
    kinds text[] not null collate pg_catalog."C",
    claims bytea not null,
    max_lifetime_s integer not null,
    key_set_url text,
    is_development boolean default false not null,
    created_at timestamp with time zone not null,
    updated_at timestamp with time zone not null,
    etag text,
    poll_at timestamp with time zone,
    failing_since timestamp with time zone,
    failure text collate pg_catalog."C",
    fetched_at timestamp with time zone,
    attempted_at timestamp with time zone,
    failures integer default 0 not null,
    constraint issuer_status_is_known check ((status = any (array['active'::text, 'deleted'::text])))
);

create table access.issuer_key (
    issuer_id uuid not null,
    kid text not null collate pg_catalog."C",
    alg text not null collate pg_catalog."C",
    jwk bytea not null
);

create table access.rate_limit_policy (
    tenant_id uuid not null,
    name text not null collate pg_catalog."C",
    per_s integer not null,
    burst integer not null,
    constraint rate_limit_policy_is_positive check (((per_s > 0) and (burst > 0)))
);

create table access.service_account (
    id uuid not null,
    tenant_id uuid not null,
    name text not null,
    kind text not null collate pg_catalog."C",
    status text not null collate pg_catalog."C",
    created_at timestamp with time zone not null,
    updated_at timestamp with time zone not null,
    constraint service_account_kind_is_known check ((kind = any (array['service'::text, 'operator'::text]))),
    constraint service_account_status_is_known check ((status = any (array['active'::text, 'deleted'::text])))
);

create table access.subject (
    tenant_id uuid not null,
    subject text not null collate pg_catalog."C",
    status text default 'active'::text not null collate pg_catalog."C",
    tokens_valid_from timestamp with time zone,
    constraint subject_status_is_known check ((status = any (array['active'::text, 'disabled'::text])))
);

create table access.tenant (
    id uuid not null,
    name text not null,
    status text not null collate pg_catalog."C",
    created_at timestamp with time zone not null,
    updated_at timestamp with time zone not null,
    constraint tenant_status_is_known check ((status = any (array['active'::text, 'suspended'::text])))
);

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

create table servicekit.lease (
    name text not null collate pg_catalog."C",
    owner text not null collate pg_catalog."C",
    epoch bigint not null,
    expires_at timestamp with time zone not null
)
with (fillfactor='50');

create table servicekit.maintenance_job (
    name text not null collate pg_catalog."C",
    interval_s double precision not null,
    has_leader boolean not null,
    may_pause boolean not null,
    seen_at timestamp with time zone not null,
    paused_at timestamp with time zone,
    paused_by text,
    asked bigint default 0 not null,
    asked_at timestamp with time zone,
    asked_by text,
    ran bigint default 0 not null,
    ran_at timestamp with time zone,
    outcome text,
    rows bigint,
    error text,
    instance text,
    succeeded_at timestamp with time zone,
    constraint maintenance_job_is_paused_by_someone check (((paused_at is null) = (paused_by is null))),
    constraint maintenance_job_words_are_short check (((greatest(length(name), length(outcome), length(error)) <= 64) and (greatest(length(paused_by), length(asked_by), length(instance)) <= 200)))
)
with (fillfactor='50');

create table servicekit.migration (
    source text not null collate pg_catalog."C",
    number integer not null,
    name text not null collate pg_catalog."C",
    sha256 text not null collate pg_catalog."C",
    applied_at timestamp with time zone default clock_timestamp() not null
);

create table servicekit.outbox (
    shard smallint not null,
    seq bigint not null,
    event_id uuid not null,
    tenant_id uuid not null,
    subject uuid not null,
    version bigint,
    transaction_id uuid,
    entry_index smallint,
    entry_count smallint,
    type smallint not null,
    occurred_at timestamp with time zone not null,
    causation_id uuid,
    traceparent text,
    payload bytea not null,
    constraint outbox_shard_is_known check (((shard >= 0) and (shard <= 63)))
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

create table servicekit.relay_halt (
    topic text not null collate pg_catalog."C",
    topic_partition integer not null,
    kafka_offset bigint not null,
    shard smallint not null,
    seq bigint not null,
    event_id uuid not null,
    halted_at timestamp with time zone default clock_timestamp() not null,
    cleared_at timestamp with time zone,
    cleared_by text
);

create table servicekit.relay_instance (
    owner text not null collate pg_catalog."C",
    expires_at timestamp with time zone not null
)
with (fillfactor='50');

create table servicekit.relay_lease (
    shard smallint not null,
    cursor bigint default 0 not null,
    epoch bigint default 0 not null,
    owner text collate pg_catalog."C",
    expires_at timestamp with time zone default '-infinity'::timestamp with time zone not null,
    constraint relay_lease_cursor_is_not_negative check ((cursor >= 0)),
    constraint relay_lease_shard_is_known check (((shard >= 0) and (shard <= 63)))
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

alter table only access.api_key
    add constraint api_key_pk primary key (id);

alter table only access.idempotency
    add constraint idempotency_pk primary key (client, key);

alter table only access.issuer_key
    add constraint issuer_key_pk primary key (issuer_id, kid);

alter table only access.issuer
    add constraint issuer_name_is_one_of_the_tenants unique (tenant_id, name);

alter table only access.issuer
    add constraint issuer_pk primary key (id);

alter table only access.rate_limit_policy
    add constraint rate_limit_policy_pk primary key (tenant_id, name);

alter table only access.service_account
    add constraint service_account_pk primary key (id);

alter table only access.subject
    add constraint subject_pk primary key (tenant_id, subject);

alter table only access.tenant
    add constraint tenant_pk primary key (id);

alter table only servicekit.access_entity
    add constraint access_entity_pk primary key (id);

alter table only servicekit.checkpoint
    add constraint checkpoint_pk primary key (projection, shard);

alter table only servicekit.function_in_force
    add constraint function_in_force_pk primary key (source, name);

alter table only servicekit.lease
    add constraint lease_pk primary key (name);

alter table only servicekit.maintenance_job
    add constraint maintenance_job_pkey primary key (name);

alter table only servicekit.migration
    add constraint migration_pk primary key (source, number);

alter table only servicekit.outbox
    add constraint outbox_pk primary key (shard, seq);

alter table only servicekit.parked_subject
    add constraint parked_subject_pk primary key (projection, subject);

alter table only servicekit.projection_lag
    add constraint projection_lag_pk primary key (projection, topic_partition);

alter table only servicekit.rate_bucket
    add constraint rate_bucket_pk primary key (kind, id);

alter table only servicekit.rate_instance
    add constraint rate_instance_pk primary key (id);

alter table only servicekit.relay_halt
    add constraint relay_halt_pk primary key (topic, topic_partition, kafka_offset);

alter table only servicekit.relay_instance
    add constraint relay_instance_pk primary key (owner);

alter table only servicekit.relay_lease
    add constraint relay_lease_pk primary key (shard);

alter table only servicekit.watermark
    add constraint watermark_pk primary key (projection, shard);

create index api_key_by_account on access.api_key using btree (service_account_id, id);

create index idempotency_by_age on access.idempotency using btree (created_at);

create index issuer_by_tenant on access.issuer using btree (tenant_id, id) where (status <> 'deleted'::text);

create unique index issuer_is_registered_once on access.issuer using btree (issuer, audience) where (status = 'active'::text);

create index issuer_to_poll on access.issuer using btree (poll_at) where (poll_at is not null);

create index service_account_by_tenant on access.service_account using btree (tenant_id, id) where (status <> 'deleted'::text);

create unique index access_entity_change on servicekit.access_entity using btree (change);

create index access_entity_lookup on servicekit.access_entity using btree (lookup) where (lookup is not null);

alter table only access.api_key
    add constraint api_key_account_fk foreign key (service_account_id) references access.service_account(id);

alter table only access.issuer_key
    add constraint issuer_key_issuer_fk foreign key (issuer_id) references access.issuer(id);

alter table access.api_key enable row level security;

alter table access.issuer enable row level security;

alter table access.issuer_key enable row level security;

create policy of_one_tenant on access.api_key for select to :"reader_role" using ((tenant_id = (nullif(current_setting('app.tenant_id'::text, true), ''::text))::uuid));

create policy of_one_tenant on access.issuer for select to :"reader_role" using ((tenant_id = (nullif(current_setting('app.tenant_id'::text, true), ''::text))::uuid));

create policy of_one_tenant on access.issuer_key for select to :"reader_role" using ((exists ( select
   from access.issuer i
  where (i.id = issuer_key.issuer_id))));

create policy of_one_tenant on access.rate_limit_policy for select to :"reader_role" using ((tenant_id = (nullif(current_setting('app.tenant_id'::text, true), ''::text))::uuid));

create policy of_one_tenant on access.service_account for select to :"reader_role" using ((tenant_id = (nullif(current_setting('app.tenant_id'::text, true), ''::text))::uuid));

create policy of_one_tenant on access.subject for select to :"reader_role" using ((tenant_id = (nullif(current_setting('app.tenant_id'::text, true), ''::text))::uuid));

alter table access.rate_limit_policy enable row level security;

alter table access.service_account enable row level security;

alter table access.subject enable row level security;

grant usage on schema access to :"app_role";
grant usage on schema access to :"reader_role";

grant usage on schema servicekit to :"app_role";

revoke all on function servicekit.append_to_outbox(shards smallint[], event_ids uuid[], tenant_ids uuid[], subjects uuid[], types smallint[], occurred_at timestamp with time zone[], causation_ids uuid[], traceparents text[], payloads bytea[]) from public;
grant all on function servicekit.append_to_outbox(shards smallint[], event_ids uuid[], tenant_ids uuid[], subjects uuid[], types smallint[], occurred_at timestamp with time zone[], causation_ids uuid[], traceparents text[], payloads bytea[]) to :"app_role";

revoke all on function servicekit.forget_rates(now_us bigint, most integer) from public;
grant all on function servicekit.forget_rates(now_us bigint, most integer) to :"app_role";

revoke all on function servicekit.settle_rates(now_us bigint, instance uuid, kinds smallint[], ids bytea[], emissions_us bigint[], bursts bigint[], debits bigint[], rooms bigint[], shorts bigint[], out ordinal bigint, out granted bigint, out units_left bigint, out instances bigint) from public;
grant all on function servicekit.settle_rates(now_us bigint, instance uuid, kinds smallint[], ids bytea[], emissions_us bigint[], bursts bigint[], debits bigint[], rooms bigint[], shorts bigint[], out ordinal bigint, out granted bigint, out units_left bigint, out instances bigint) to :"app_role";

grant select,insert,update on table access.api_key to :"app_role";
grant select on table access.api_key to :"reader_role";

grant select,insert,delete,update on table access.idempotency to :"app_role";

grant select,insert,update on table access.issuer to :"app_role";
grant select on table access.issuer to :"reader_role";

grant select,insert,delete,update on table access.issuer_key to :"app_role";
grant select on table access.issuer_key to :"reader_role";

grant select,insert,delete,update on table access.rate_limit_policy to :"app_role";
grant select on table access.rate_limit_policy to :"reader_role";

grant select,insert,update on table access.service_account to :"app_role";
grant select on table access.service_account to :"reader_role";

grant select,insert,update on table access.subject to :"app_role";
grant select on table access.subject to :"reader_role";

grant select,insert,update on table access.tenant to :"app_role";

grant select,insert,update on table servicekit.access_entity to :"app_role";

grant select,insert,update on table servicekit.checkpoint to :"app_role";

grant select on table servicekit.function_in_force to :"app_role";

grant select,insert,update on table servicekit.lease to :"app_role";

grant select,insert,update on table servicekit.maintenance_job to :"app_role";

grant select on table servicekit.migration to :"app_role";

grant select,insert on table servicekit.outbox to :"app_role";

grant select,insert,delete,update on table servicekit.parked_subject to :"app_role";

grant select,insert,update on table servicekit.projection_lag to :"app_role";

grant select,insert,delete,update on table servicekit.rate_bucket to :"app_role";

grant select,insert,delete,update on table servicekit.rate_instance to :"app_role";

grant select,insert,update on table servicekit.relay_halt to :"app_role";

grant select,insert,delete,update on table servicekit.relay_instance to :"app_role";

grant select,update on table servicekit.relay_lease to :"app_role";

grant select,insert,update on table servicekit.watermark to :"app_role";
