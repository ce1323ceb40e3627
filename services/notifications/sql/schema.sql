-- The schema in force. Made by `make docs` of the migrations and the functions' files; not to be edited.

create schema notifications;

create schema servicekit;

create function notifications.lease_deliveries(token uuid, lease_s double precision, endpoints uuid[], attempts integer[], attempts_max integer[], attempts_kept integer, secrets_max integer) returns table(id uuid, endpoint_id uuid, message_id uuid, tenant_id uuid, attempt integer, failures integer, url text, type text, wallet_id uuid, body bytea, traceparent text, secret_ids uuid[], key_versions smallint[], sealed bytea[])
    language plpgsql
    set enable_seqscan to 'off'
    set enable_hashjoin to 'off'
    set enable_mergejoin to 'off'
    as $$
declare
    held uuid[];
begin
    held := array(
        select e.id from notifications.endpoint as e
        where e.id = any (endpoints) and e.status = 'active'
        for no key update skip locked);
    return query
        with chosen as materialized (
            select picked.id
            from unnest(endpoints, attempts, attempts_max) as wanted (endpoint_id, attempts, attempts_max)
            cross join lateral (
                select d.id from notifications.delivery as d
                where d.endpoint_id = wanted.endpoint_id and d.status = 'pending' and d.next_attempt_at <= now()
                order by d.next_attempt_at, d.id
                limit greatest(0, least(wanted.attempts, wanted.attempts_max - (
                    select count(*) from notifications.delivery as busy
                    where busy.endpoint_id = wanted.endpoint_id and busy.lease_token is not null
                      and busy.next_attempt_at > now())))
            ) as picked
            where wanted.endpoint_id = any (held)
        ), leased as (
            update notifications.delivery as d
            set lease_token = token, next_attempt_at = now() + make_interval(secs => lease_s),
                attempts = d.attempts + 1
            from chosen
            where d.id = chosen.id and d.status = 'pending' and d.next_attempt_at <= now()
            returning d.id, d.endpoint_id, d.message_id, d.tenant_id, d.attempts, d.failures
        ), begun as (
            insert into notifications.attempt (delivery_id, number, started_at, outcome)
            select leased.id, leased.attempts, now(), 'unknown' from leased
        ), forgotten as (
            delete from notifications.attempt as a using leased
            where leased.attempts > attempts_kept and a.delivery_id = leased.id
              and a.number <= leased.attempts - attempts_kept
        )
        select leased.*, e.url, m.type, m.wallet_id, m.body, m.traceparent, s.ids, s.key_versions, s.sealed
        from leased
        join notifications.endpoint as e on e.id = leased.endpoint_id
        join notifications.message as m on m.id = leased.message_id
        cross join lateral (
            select array_agg(live.id order by live.id desc) as ids,
                   array_agg(live.key_version order by live.id desc) as key_versions,
                   array_agg(live.sealed order by live.id desc) as sealed
            from (
                select s.id, s.key_version, s.sealed from notifications.endpoint_secret as s
                where s.endpoint_id = e.id and (s.expires_at is null or s.expires_at > now())
                order by s.id desc limit secrets_max
            ) as live
        ) as s;
end $$;

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

create table notifications.attempt (
    delivery_id uuid not null,
    number integer not null,
    started_at timestamp with time zone not null,
    outcome text not null collate pg_catalog."C",
    duration_ms integer,
    status_code smallint,
    error text collate pg_catalog."C",
    response_head text
)
with (fillfactor='80');

create table notifications.delivery (
    id uuid not null,
    tenant_id uuid not null,
    endpoint_id uuid not null,
    message_id uuid not null,
    type text not null collate pg_catalog."C",
    status text not null collate pg_catalog."C",
    attempts integer default 0 not null,
    failures integer default 0 not null,
    next_attempt_at timestamp with time zone not null,
    lease_token uuid,
    created_at timestamp with time zone not null,
    delivered_at timestamp with time zone,
    settled_at timestamp with time zone,
    constraint delivery_status_is_known check ((status = any (array['pending'::text, 'delivered'::text, 'exhausted'::text, 'cancelled'::text])))
)
with (fillfactor='70');

create table notifications.endpoint (
    id uuid not null,
    tenant_id uuid not null,
    url text not null,
    description text,
    event_types text[] not null collate pg_catalog."C",
    has_wallets boolean not null,
    status text not null collate pg_catalog."C",
    disabled_reason text collate pg_catalog."C",
    failing_since timestamp with time zone,
    from_seqs bigint[] not null,
    created_at timestamp with time zone not null,
    updated_at timestamp with time zone not null,
    slowness smallint default 0 not null,
    paid_until timestamp with time zone,
    constraint endpoint_disabled_has_a_reason check (((status = 'disabled'::text) = (disabled_reason is not null))),
    constraint endpoint_has_all_shards check ((cardinality(from_seqs) = 64)),
    constraint endpoint_status_is_known check ((status = any (array['active'::text, 'paused'::text, 'disabled'::text, 'deleted'::text])))
)
with (fillfactor='80');

create table notifications.endpoint_secret (
    id uuid not null,
    endpoint_id uuid not null,
    key_version smallint not null,
    sealed bytea not null,
    created_at timestamp with time zone not null,
    expires_at timestamp with time zone
);

create table notifications.endpoint_wallet (
    tenant_id uuid not null,
    wallet_id uuid not null,
    endpoint_id uuid not null
);

create table notifications.idempotency (
    client uuid not null,
    key text not null collate pg_catalog."C",
    fingerprint bytea not null,
    status smallint not null,
    location text,
    body bytea not null,
    created_at timestamp with time zone not null
);

create table notifications.message (
    id uuid not null,
    tenant_id uuid not null,
    type text not null collate pg_catalog."C",
    wallet_id uuid,
    body bytea not null,
    traceparent text,
    occurred_at timestamp with time zone not null
);

create table notifications.wallet_version (
    wallet_id uuid not null,
    version bigint not null,
    seq bigint not null
)
with (fillfactor='70');

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

alter table only notifications.attempt
    add constraint attempt_pk primary key (delivery_id, number);

alter table only notifications.delivery
    add constraint delivery_is_one_per_endpoint_and_event unique (endpoint_id, message_id);

alter table only notifications.delivery
    add constraint delivery_pk primary key (id);

alter table only notifications.endpoint
    add constraint endpoint_pk primary key (id);

alter table only notifications.endpoint_secret
    add constraint endpoint_secret_pk primary key (id);

alter table only notifications.endpoint_wallet
    add constraint endpoint_wallet_pk primary key (tenant_id, wallet_id, endpoint_id);

alter table only notifications.idempotency
    add constraint idempotency_pk primary key (client, key);

alter table only notifications.message
    add constraint message_pk primary key (id);

alter table only notifications.wallet_version
    add constraint wallet_version_pk primary key (wallet_id);

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

create index delivery_by_endpoint on notifications.delivery using btree (endpoint_id, id);

create index delivery_by_message on notifications.delivery using btree (message_id);

create index delivery_by_tenant on notifications.delivery using btree (tenant_id, id);

create index delivery_due on notifications.delivery using btree (endpoint_id, next_attempt_at, id) where (status = 'pending'::text);

create index delivery_exhausted on notifications.delivery using btree (endpoint_id, id) where (status = 'exhausted'::text);

create index delivery_leased on notifications.delivery using btree (endpoint_id, next_attempt_at) where (lease_token is not null);

create index delivery_settled on notifications.delivery using btree (settled_at) where (settled_at is not null);

create index endpoint_active on notifications.endpoint using btree (id) where (status = 'active'::text);

create index endpoint_by_tenant on notifications.endpoint using btree (tenant_id, id) where (status <> 'deleted'::text);

create index endpoint_left on notifications.endpoint using btree (id) where (status <> 'active'::text);

create index endpoint_secret_by_endpoint on notifications.endpoint_secret using btree (endpoint_id, id);

create index endpoint_secret_by_expiry on notifications.endpoint_secret using btree (expires_at) where (expires_at is not null);

create index endpoint_wallet_by_endpoint on notifications.endpoint_wallet using btree (endpoint_id, wallet_id);

create index idempotency_by_age on notifications.idempotency using btree (created_at);

create unique index access_entity_change on servicekit.access_entity using btree (change);

create index access_entity_lookup on servicekit.access_entity using btree (lookup) where (lookup is not null);

alter table only notifications.attempt
    add constraint attempt_delivery_fk foreign key (delivery_id) references notifications.delivery(id) on delete cascade;

alter table only notifications.delivery
    add constraint delivery_message_fk foreign key (message_id) references notifications.message(id);

alter table only notifications.endpoint_secret
    add constraint endpoint_secret_endpoint_fk foreign key (endpoint_id) references notifications.endpoint(id);

alter table only notifications.endpoint_wallet
    add constraint endpoint_wallet_endpoint_fk foreign key (endpoint_id) references notifications.endpoint(id);

alter table notifications.attempt enable row level security;

alter table notifications.delivery enable row level security;

alter table notifications.endpoint enable row level security;

alter table notifications.endpoint_wallet enable row level security;

alter table notifications.message enable row level security;

create policy of_one_tenant on notifications.attempt for select to :"reader_role" using ((exists ( select
   from notifications.delivery d
  where (d.id = attempt.delivery_id))));

create policy of_one_tenant on notifications.delivery for select to :"reader_role" using ((tenant_id = (nullif(current_setting('app.tenant_id'::text, true), ''::text))::uuid));

create policy of_one_tenant on notifications.endpoint for select to :"reader_role" using ((tenant_id = (nullif(current_setting('app.tenant_id'::text, true), ''::text))::uuid));

create policy of_one_tenant on notifications.endpoint_wallet for select to :"reader_role" using ((tenant_id = (nullif(current_setting('app.tenant_id'::text, true), ''::text))::uuid));

create policy of_one_tenant on notifications.message for select to :"reader_role" using ((tenant_id = (nullif(current_setting('app.tenant_id'::text, true), ''::text))::uuid));

grant usage on schema notifications to :"app_role";
grant usage on schema notifications to :"reader_role";

grant usage on schema servicekit to :"app_role";

revoke all on function notifications.lease_deliveries(token uuid, lease_s double precision, endpoints uuid[], attempts integer[], attempts_max integer[], attempts_kept integer, secrets_max integer) from public;
grant all on function notifications.lease_deliveries(token uuid, lease_s double precision, endpoints uuid[], attempts integer[], attempts_max integer[], attempts_kept integer, secrets_max integer) to :"app_role";

revoke all on function servicekit.append_to_outbox(shards smallint[], event_ids uuid[], tenant_ids uuid[], subjects uuid[], types smallint[], occurred_at timestamp with time zone[], causation_ids uuid[], traceparents text[], payloads bytea[]) from public;
grant all on function servicekit.append_to_outbox(shards smallint[], event_ids uuid[], tenant_ids uuid[], subjects uuid[], types smallint[], occurred_at timestamp with time zone[], causation_ids uuid[], traceparents text[], payloads bytea[]) to :"app_role";

revoke all on function servicekit.forget_rates(now_us bigint, most integer) from public;
grant all on function servicekit.forget_rates(now_us bigint, most integer) to :"app_role";

revoke all on function servicekit.settle_rates(now_us bigint, instance uuid, kinds smallint[], ids bytea[], emissions_us bigint[], bursts bigint[], debits bigint[], rooms bigint[], shorts bigint[], out ordinal bigint, out granted bigint, out units_left bigint, out instances bigint) from public;
grant all on function servicekit.settle_rates(now_us bigint, instance uuid, kinds smallint[], ids bytea[], emissions_us bigint[], bursts bigint[], debits bigint[], rooms bigint[], shorts bigint[], out ordinal bigint, out granted bigint, out units_left bigint, out instances bigint) to :"app_role";

grant select,insert,delete,update on table notifications.attempt to :"app_role";
grant select on table notifications.attempt to :"reader_role";

grant select,insert,delete,update on table notifications.delivery to :"app_role";
grant select on table notifications.delivery to :"reader_role";

grant select,insert,delete,update on table notifications.endpoint to :"app_role";
grant select on table notifications.endpoint to :"reader_role";

grant select,insert,delete,update on table notifications.endpoint_secret to :"app_role";

grant select,insert,delete,update on table notifications.endpoint_wallet to :"app_role";
grant select on table notifications.endpoint_wallet to :"reader_role";

grant select,insert,delete,update on table notifications.idempotency to :"app_role";

grant select,insert,delete,update on table notifications.message to :"app_role";
grant select on table notifications.message to :"reader_role";

grant select,insert,update on table notifications.wallet_version to :"app_role";

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
