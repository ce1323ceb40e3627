-- The schema in force. Made by `make docs` of the migrations and the functions' files; not to be edited.

create schema servicekit;

create schema wallet;

create type wallet.found_record as (
    ordinal bigint,
    fingerprint bytea,
    status smallint,
    body bytea,
    resource_id uuid,
    positions bigint[]
);

create type wallet.idempotency_row as (
    client uuid,
    key text,
    part smallint,
    fingerprint bytea,
    status smallint,
    body bytea,
    resource_id uuid,
    shard smallint,
    first_row integer,
    second_row integer,
    more_rows text
);

create type wallet.journal_row as (
    tenant_id uuid,
    account_id uuid,
    system_account text,
    version bigint,
    transaction_id uuid,
    entry_index smallint,
    entry_count smallint,
    type smallint,
    currency text,
    posted_delta bigint,
    held_delta bigint,
    posted_after bigint,
    held_after bigint,
    actor text,
    causation_id uuid,
    traceparent text,
    payload bytea
);

create type wallet.moved_wallet as (
    id uuid,
    stamp_before bigint,
    version bigint,
    posted_minor bigint,
    held_minor bigint
);

create type wallet.moved_wallet_2 as (
    id uuid,
    stamp_before bigint,
    version bigint,
    posted_minor bigint,
    held_minor bigint,
    usage bytea
);

create type wallet.raised_row as (
    "row" integer,
    at timestamp with time zone
);

create type wallet.reference_row as (
    tenant_id uuid,
    reference_hash bytea,
    transaction_id uuid,
    shard smallint
);

create type wallet.state_name as (
    kind smallint,
    id uuid
);

create type wallet.state_row as (
    kind smallint,
    id uuid,
    tenant_id uuid,
    wallet_id uuid,
    status smallint,
    cap_minor bigint,
    used_minor bigint,
    due_at timestamp with time zone,
    version bigint,
    changed_at timestamp with time zone,
    body bytea,
    private bytea,
    stamp bigint
);

create type wallet.state_stamp as (
    kind smallint,
    id uuid,
    stamp bigint
);

create type wallet.unit_key as (
    client uuid,
    key text,
    part smallint
);

create type wallet.wallet_row as (
    id uuid,
    tenant_id uuid,
    owner_id text,
    currency text,
    status smallint,
    restrictions text,
    posted_minor bigint,
    held_minor bigint,
    overdraft_limit_minor bigint,
    version bigint,
    opened_at timestamp with time zone,
    last_at timestamp with time zone,
    private bytea,
    operator_version bigint,
    stamp bigint
);

create type wallet.wallet_row_2 as (
    id uuid,
    tenant_id uuid,
    owner_id text,
    currency text,
    status smallint,
    restrictions text,
    posted_minor bigint,
    held_minor bigint,
    overdraft_limit_minor bigint,
    version bigint,
    opened_at timestamp with time zone,
    last_at timestamp with time zone,
    private bytea,
    operator_version bigint,
    floor_waived boolean,
    terms bytea,
    usage bytea,
    stamp bigint
);

create type wallet.wallet_stamp as (
    id uuid,
    stamp bigint
);

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

create function wallet.commit_rows(commit_lock boolean, expected_wallets wallet.wallet_stamp[], expected_states wallet.state_stamp[], keys wallet.unit_key[], now timestamp with time zone, stamp bigint, opened wallet.wallet_row[], moved wallet.moved_wallet[], changed wallet.wallet_row[], made_states wallet.state_row[], changed_states wallet.state_row[], shards smallint[], journal wallet.journal_row[], refs wallet.reference_row[], records wallet.idempotency_row[], out seqs bigint[], out at timestamp with time zone) returns record
    language plpgsql
    set plan_cache_mode to 'force_generic_plan'
    set enable_seqscan to 'off'
    set enable_hashjoin to 'off'
    set enable_mergejoin to 'off'
    as $$
declare
    unchanged int;
    absent    int;
begin
    if commit_lock then
        perform pg_advisory_xact_lock(7, 0);
    end if;
    -- Locked in id order; a row that another writer moved on while this one waited is looked at again, and left out.
    select count(*) into unchanged
      from (select 1 from wallet.wallet w join unnest(expected_wallets) e on e.id = w.id
             where w.stamp = e.stamp order by w.id for no key update of w) locked;
    if unchanged <> cardinality(expected_wallets) then
        select count(*) into absent from unnest(expected_wallets) e
         where e.stamp is null and not exists (select from wallet.wallet w where w.id = e.id);
        if unchanged + absent <> cardinality(expected_wallets) then
            raise exception 'a wallet has another stamp' using errcode = 'WL001';
        end if;
    end if;
    if cardinality(expected_states) > 0 then
        select count(*) into unchanged
          from (select 1 from wallet.state s join unnest(expected_states) e on e.kind = s.kind and e.id = s.id
                 where s.stamp = e.stamp order by s.kind, s.id for no key update of s) locked;
        select count(*) into absent from unnest(expected_states) e
         where e.stamp is null and not exists (select from wallet.state s where s.kind = e.kind and s.id = e.id);
        if unchanged + absent <> cardinality(expected_states) then
            raise exception 'a row has another stamp' using errcode = 'WL001';
        end if;
    end if;
    if cardinality(keys) > 0 then
        perform 1 from unnest(keys) k
          join wallet.idempotency i on i.client = k.client and i.key = k.key and i.part = k.part limit 1;
        if found then
            raise exception 'a key is taken' using errcode = 'WL002';
        end if;
    end if;
    at := clock_timestamp();
    -- Decided by a clock that was ahead and has been set back: it would take more wallets along.
    if now > at + interval '1 second' then
        raise exception 'the time of the batch is ahead of the clock' using errcode = 'WL001';
    end if;
    seqs := wallet.write_rows(now, stamp, opened, moved, changed, made_states, changed_states, shards, journal, refs,
                              records, '{}');
end $$;

create function wallet.commit_rows_2(commit_lock boolean, expected_wallets wallet.wallet_stamp[], expected_states wallet.state_stamp[], keys wallet.unit_key[], now timestamp with time zone, stamp bigint, opened wallet.wallet_row_2[], moved wallet.moved_wallet_2[], changed wallet.wallet_row_2[], made_states wallet.state_row[], changed_states wallet.state_row[], shards smallint[], journal wallet.journal_row[], refs wallet.reference_row[], records wallet.idempotency_row[], out seqs bigint[], out at timestamp with time zone) returns record
    language plpgsql
    set plan_cache_mode to 'force_generic_plan'
    set enable_seqscan to 'off'
    set enable_hashjoin to 'off'
    set enable_mergejoin to 'off'
    as $$
declare
    unchanged int;
    absent    int;
begin
    if commit_lock then
        perform pg_advisory_xact_lock(7, 0);
    end if;
    -- Locked in id order; a row that another writer moved on while this one waited is looked at again, and left out.
    select count(*) into unchanged
      from (select 1 from wallet.wallet w join unnest(expected_wallets) e on e.id = w.id
             where w.stamp = e.stamp order by w.id for no key update of w) locked;
    if unchanged <> cardinality(expected_wallets) then
        select count(*) into absent from unnest(expected_wallets) e
         where e.stamp is null and not exists (select from wallet.wallet w where w.id = e.id);
        if unchanged + absent <> cardinality(expected_wallets) then
            raise exception 'a wallet has another stamp' using errcode = 'WL001';
        end if;
    end if;
    if cardinality(expected_states) > 0 then
        select count(*) into unchanged
          from (select 1 from wallet.state s join unnest(expected_states) e on e.kind = s.kind and e.id = s.id
                 where s.stamp = e.stamp order by s.kind, s.id for no key update of s) locked;
        select count(*) into absent from unnest(expected_states) e
         where e.stamp is null and not exists (select from wallet.state s where s.kind = e.kind and s.id = e.id);
        if unchanged + absent <> cardinality(expected_states) then
            raise exception 'a row has another stamp' using errcode = 'WL001';
        end if;
    end if;
    if cardinality(keys) > 0 then
        perform 1 from unnest(keys) k
          join wallet.idempotency i on i.client = k.client and i.key = k.key and i.part = k.part limit 1;
        if found then
            raise exception 'a key is taken' using errcode = 'WL002';
        end if;
    end if;
    at := clock_timestamp();
    -- Decided by a clock that was ahead and has been set back: it would take more wallets along.
    if now > at + interval '1 second' then
        raise exception 'the time of the batch is ahead of the clock' using errcode = 'WL001';
    end if;
    seqs := wallet.write_rows_2(now, stamp, opened, moved, changed, made_states, changed_states, shards, journal, refs,
                              records, '{}');
end $$;

create function wallet.ensure_journal_partitions(ahead integer) returns integer
    language plpgsql security definer
    set search_path to 'pg_catalog'
    as $$
declare
    width   constant bigint := wallet.partition_width();
    head    bigint;
    wanted  int;
    made    int := 0;
    name    text;
begin
    perform pg_advisory_xact_lock(7, 1);
    select greatest((select max(h.seq) from wallet.journal_heads() h),
                    (select max(f.seq) from wallet.archive_end f), 0) into head;
    wanted := head / width + ahead;
    for n in (select coalesce(max(a.number) + 1, 0) from wallet.archived_partition a) .. wanted loop
        name := format('journal_%s', n);
        continue when to_regclass('wallet.' || name) is not null;
        -- Attaching takes a lighter lock than creating in place: writers go on.
        execute format('create table wallet.%I (like wallet.journal including all)', name);
        execute format('alter table wallet.journal attach partition wallet.%I for values from (%s) to (%s)',
                       name, n * width, (n + 1) * width);
        made := made + 1;
    end loop;
    return made;
end $$;

create function wallet.fold_system_accounts(rows_per_shard integer) returns bigint
    language plpgsql
    set enable_seqscan to 'off'
    set enable_bitmapscan to 'off'
    set plan_cache_mode to 'force_custom_plan'
    as $$
declare
    locked_shards  smallint[];
    locked_cursors bigint[];
    folded         bigint;
begin
    select array_agg(mine.shard), array_agg(mine.seq) into locked_shards, locked_cursors
      from (select f.shard, f.seq from wallet.system_account_fold f for update skip locked) mine;
    with chunk as materialized (
        select m.shard, m.seq as before, l.seq as after
          from unnest(locked_shards, locked_cursors) m (shard, seq)
          cross join lateral (
              select max(n.seq) as seq
                from (select j.seq from wallet.journal j where j.shard = m.shard and j.seq > m.seq
                       order by j.seq limit rows_per_shard) n) l
         where l.seq is not null
    ), moved as (
        update wallet.system_account_fold f set seq = chunk.after
          from chunk where f.shard = chunk.shard and f.seq = chunk.before
        returning f.shard, chunk.before, chunk.after
    ), added as (
        insert into wallet.system_account_total as t (tenant_id, system_account, currency, shard, total_minor)
        select j.tenant_id, j.system_account, j.currency, m.shard, sum(j.posted_delta)
          from moved m
          join wallet.journal j on j.shard = m.shard and j.seq > m.before and j.seq <= m.after
         where j.system_account is not null
         group by j.tenant_id, j.system_account, j.currency, m.shard
            on conflict (tenant_id, system_account, currency, shard)
            do update set total_minor = t.total_minor + excluded.total_minor
    )
    select coalesce(sum(moved.after - moved.before), 0)::bigint into folded from moved;
    return folded;
end $$;

create function wallet.forget_quotes(lot integer) returns integer
    language plpgsql security definer
    set search_path to 'pg_catalog'
    as $$
declare
    gone int;
begin
    delete from wallet.state s
     using (select o.id from wallet.state o
             where o.kind = 4 and o.status = 2 and o.due_at <= now()
             order by o.due_at limit lot for update skip locked) old
     where s.kind = 4 and s.id = old.id;
    get diagnostics gone = row_count;
    return gone;
end $$;

create function wallet.journal_heads() returns table(shard smallint, seq bigint)
    language plpgsql stable
    set enable_seqscan to 'off'
    set enable_bitmapscan to 'off'
    as $$
begin
    return query
        select s.shard, h.seq
          from (select n::smallint from generate_series(0, 63) n) s (shard)
          cross join lateral (select j.seq from wallet.journal j where j.shard = s.shard order by j.seq desc limit 1) h;
end $$;

create function wallet.lock_rows(commit_lock boolean, wallet_ids uuid[], state_names wallet.state_name[], keys wallet.unit_key[], out wallets wallet.wallet_row[], out states wallet.state_row[], out records wallet.found_record[], out at timestamp with time zone) returns record
    language plpgsql
    set plan_cache_mode to 'force_generic_plan'
    set enable_seqscan to 'off'
    set enable_hashjoin to 'off'
    set enable_mergejoin to 'off'
    as $$
begin
    if commit_lock then
        perform pg_advisory_xact_lock(7, 0);
    end if;
    if cardinality(wallet_ids) > 0 then
        select array_agg(wallet.wallet_as_read(l.w)) into wallets
          from (select w from wallet.wallet w where w.id = any (wallet_ids) order by w.id for no key update) l;
    end if;
    if cardinality(state_names) > 0 then
        select array_agg(wallet.state_as_read(l.s)) into states
          from (select s from unnest(state_names) n join wallet.state s on s.kind = n.kind and s.id = n.id
                 order by s.kind, s.id for no key update of s) l;
    end if;
    if cardinality(keys) > 0 then
        select array_agg((k.ordinal, i.fingerprint, i.status, i.body, i.resource_id, i.positions)::wallet.found_record)
          into records
          from unnest(keys) with ordinality k (client, key, part, ordinal)
          join wallet.idempotency i on i.client = k.client and i.key = k.key and i.part = k.part;
    end if;
    at := clock_timestamp();
    if records is not null and current_setting('synchronous_standby_names') <> '' then
        perform pg_logical_emit_message(true, 'wallet.barrier', '');
    end if;
end $$;

create function wallet.lock_rows_2(commit_lock boolean, wallet_ids uuid[], state_names wallet.state_name[], keys wallet.unit_key[], out wallets wallet.wallet_row_2[], out states wallet.state_row[], out records wallet.found_record[], out at timestamp with time zone) returns record
    language plpgsql
    set plan_cache_mode to 'force_generic_plan'
    set enable_seqscan to 'off'
    set enable_hashjoin to 'off'
    set enable_mergejoin to 'off'
    as $$
begin
    if commit_lock then
        perform pg_advisory_xact_lock(7, 0);
    end if;
    if cardinality(wallet_ids) > 0 then
        select array_agg(wallet.wallet_as_read_2(l.w)) into wallets
          from (select w from wallet.wallet w where w.id = any (wallet_ids) order by w.id for no key update) l;
    end if;
    if cardinality(state_names) > 0 then
        select array_agg(wallet.state_as_read(l.s)) into states
          from (select s from unnest(state_names) n join wallet.state s on s.kind = n.kind and s.id = n.id
                 order by s.kind, s.id for no key update of s) l;
    end if;
    if cardinality(keys) > 0 then
        select array_agg((k.ordinal, i.fingerprint, i.status, i.body, i.resource_id, i.positions)::wallet.found_record)
          into records
          from unnest(keys) with ordinality k (client, key, part, ordinal)
          join wallet.idempotency i on i.client = k.client and i.key = k.key and i.part = k.part;
    end if;
    at := clock_timestamp();
    if records is not null and current_setting('synchronous_standby_names') <> '' then
        perform pg_logical_emit_message(true, 'wallet.barrier', '');
    end if;
end $$;

create function wallet.partition_width() returns bigint
    language sql immutable parallel safe
    as $$select 262144::bigint$$;

create function wallet.read_rows(wallet_ids uuid[], state_names wallet.state_name[], keys wallet.unit_key[], out wallets wallet.wallet_row[], out states wallet.state_row[], out records wallet.found_record[], out at timestamp with time zone) returns record
    language plpgsql stable
    set plan_cache_mode to 'force_generic_plan'
    set enable_seqscan to 'off'
    set enable_hashjoin to 'off'
    set enable_mergejoin to 'off'
    as $$
begin
    if cardinality(wallet_ids) > 0 then
        select array_agg(wallet.wallet_as_read(w)) into wallets from wallet.wallet w where w.id = any (wallet_ids);
    end if;
    if cardinality(state_names) > 0 then
        select array_agg(wallet.state_as_read(s)) into states
          from unnest(state_names) n join wallet.state s on s.kind = n.kind and s.id = n.id;
    end if;
    if cardinality(keys) > 0 then
        select array_agg((k.ordinal, i.fingerprint, i.status, i.body, i.resource_id, i.positions)::wallet.found_record)
          into records
          from unnest(keys) with ordinality k (client, key, part, ordinal)
          join wallet.idempotency i on i.client = k.client and i.key = k.key and i.part = k.part;
    end if;
    at := clock_timestamp();
end $$;

create function wallet.read_rows_2(wallet_ids uuid[], state_names wallet.state_name[], keys wallet.unit_key[], out wallets wallet.wallet_row_2[], out states wallet.state_row[], out records wallet.found_record[], out at timestamp with time zone) returns record
    language plpgsql stable
    set plan_cache_mode to 'force_generic_plan'
    set enable_seqscan to 'off'
    set enable_hashjoin to 'off'
    set enable_mergejoin to 'off'
    as $$
begin
    if cardinality(wallet_ids) > 0 then
        select array_agg(wallet.wallet_as_read_2(w)) into wallets from wallet.wallet w where w.id = any (wallet_ids);
    end if;
    if cardinality(state_names) > 0 then
        select array_agg(wallet.state_as_read(s)) into states
          from unnest(state_names) n join wallet.state s on s.kind = n.kind and s.id = n.id;
    end if;
    if cardinality(keys) > 0 then
        select array_agg((k.ordinal, i.fingerprint, i.status, i.body, i.resource_id, i.positions)::wallet.found_record)
          into records
          from unnest(keys) with ordinality k (client, key, part, ordinal)
          join wallet.idempotency i on i.client = k.client and i.key = k.key and i.part = k.part;
    end if;
    at := clock_timestamp();
end $$;

create table wallet.state (
    kind smallint not null,
    id uuid not null,
    tenant_id uuid not null,
    wallet_id uuid,
    status smallint not null,
    cap_minor bigint,
    used_minor bigint not null,
    due_at timestamp with time zone,
    version bigint not null,
    changed_at timestamp with time zone not null,
    body bytea not null,
    private bytea,
    stamp bigint not null,
    constraint state_is_used_within_its_cap check (((used_minor >= 0) and (used_minor <= coalesce(cap_minor, used_minor))))
)
with (fillfactor='70');

create function wallet.state_as_read(s wallet.state) returns wallet.state_row
    language sql immutable parallel safe
    as $$
    select (s.kind, s.id, s.tenant_id, s.wallet_id, s.status, s.cap_minor, s.used_minor, s.due_at, s.version,
            s.changed_at, s.body, s.private, s.stamp)::wallet.state_row
$$;

create function wallet.system_account_balances(of_tenant uuid) returns table(system_account text, currency text, total_minor numeric)
    language plpgsql stable
    set enable_seqscan to 'off'
    set enable_bitmapscan to 'off'
    as $$
#variable_conflict use_column
begin
    return query
        select a.system_account, a.currency, sum(a.total_minor)
          from (select t.system_account, t.currency, t.total_minor
                  from wallet.system_account_total t where t.tenant_id = of_tenant
                union all
                select j.system_account, j.currency, j.posted_delta
                  from wallet.system_account_fold f
                  join wallet.journal j on j.shard = f.shard and j.seq > f.seq
                 where j.tenant_id = of_tenant and j.system_account is not null) a
         group by a.system_account, a.currency;
end $$;

create table wallet.wallet (
    id uuid not null,
    tenant_id uuid not null,
    owner_id text not null collate pg_catalog."C",
    currency text not null collate pg_catalog."C",
    status smallint not null,
    restrictions text,
    posted_minor bigint not null,
    held_minor bigint not null,
    overdraft_limit_minor bigint not null,
    version bigint not null,
    opened_at timestamp with time zone not null,
    last_at timestamp with time zone not null,
    private bytea,
    operator_version bigint not null,
    floor_waived boolean default false not null,
    stamp bigint not null,
    terms bytea,
    usage bytea,
    constraint wallet_held_is_not_negative check ((held_minor >= 0)),
    constraint wallet_overdraft_limit_is_not_negative check ((overdraft_limit_minor >= 0)),
    constraint wallet_stays_above_its_floor check ((floor_waived or ((posted_minor - held_minor) >= (- overdraft_limit_minor))))
)
with (fillfactor='70');

create function wallet.wallet_as_read(w wallet.wallet) returns wallet.wallet_row
    language sql immutable parallel safe
    as $$
    select (w.id, w.tenant_id, w.owner_id, w.currency, w.status, w.restrictions, w.posted_minor, w.held_minor,
            w.overdraft_limit_minor, w.version, w.opened_at, w.last_at, w.private, w.operator_version,
            w.stamp)::wallet.wallet_row
$$;

create function wallet.wallet_as_read_2(w wallet.wallet) returns wallet.wallet_row_2
    language sql immutable parallel safe
    as $$
    select (w.id, w.tenant_id, w.owner_id, w.currency, w.status, w.restrictions, w.posted_minor, w.held_minor,
            w.overdraft_limit_minor, w.version, w.opened_at, w.last_at, w.private, w.operator_version,
            w.floor_waived, w.terms, w.usage, w.stamp)::wallet.wallet_row_2
$$;

create function wallet.write_rows(now timestamp with time zone, stamp bigint, opened wallet.wallet_row[], moved wallet.moved_wallet[], changed wallet.wallet_row[], made_states wallet.state_row[], changed_states wallet.state_row[], shards smallint[], journal wallet.journal_row[], refs wallet.reference_row[], records wallet.idempotency_row[], raised wallet.raised_row[]) returns bigint[]
    language plpgsql
    set plan_cache_mode to 'force_generic_plan'
    set enable_seqscan to 'off'
    set enable_hashjoin to 'off'
    set enable_mergejoin to 'off'
    as $$
declare
    touched int;
    seqs    bigint[];
    used    smallint[];
    heads   bigint[];  -- by shard, from 1; null where the batch writes nothing
    s       smallint;
    has_raised constant boolean := cardinality(raised) > 0;
begin
    if cardinality(opened) > 0 then
        insert into wallet.wallet (id, tenant_id, owner_id, currency, status, restrictions, posted_minor, held_minor,
                                   overdraft_limit_minor, version, opened_at, last_at, private, operator_version, stamp)
        select u.* from unnest(opened) u;
    end if;
    if cardinality(moved) > 0 then
        update wallet.wallet w
           set posted_minor = u.posted_minor, held_minor = u.held_minor, version = u.version,
               stamp = write_rows.stamp, last_at = greatest(w.last_at, write_rows.now)
          from unnest(moved) u
         where w.id = u.id and w.stamp = u.stamp_before;
        get diagnostics touched = row_count;
        if touched <> cardinality(moved) then
            raise exception 'a wallet is not as it was read' using errcode = 'WL001';
        end if;
    end if;
    if cardinality(changed) > 0 then
        update wallet.wallet w
           set status = u.status, restrictions = u.restrictions, posted_minor = u.posted_minor,
               held_minor = u.held_minor, overdraft_limit_minor = u.overdraft_limit_minor, version = u.version,
               last_at = u.last_at, private = u.private, operator_version = u.operator_version,
               stamp = u.stamp
          from unnest(changed) u
         where w.id = u.id and w.version < u.version;
        get diagnostics touched = row_count;
        if touched <> cardinality(changed) then
            raise exception 'a wallet is not as it was read' using errcode = 'WL001';
        end if;
    end if;
    if cardinality(made_states) > 0 then
        insert into wallet.state (kind, id, tenant_id, wallet_id, status, cap_minor, used_minor, due_at, version,
                                  changed_at, body, private, stamp)
        select u.* from unnest(made_states) u;
    end if;
    if cardinality(changed_states) > 0 then
        update wallet.state t
           set status = u.status, cap_minor = u.cap_minor, used_minor = u.used_minor, due_at = u.due_at,
               version = u.version, changed_at = u.changed_at, body = u.body, private = u.private, stamp = u.stamp
          from unnest(changed_states) u
         where t.kind = u.kind and t.id = u.id and t.version < u.version;
        get diagnostics touched = row_count;
        if touched <> cardinality(changed_states) then
            raise exception 'a row is not as it was read' using errcode = 'WL001';
        end if;
    end if;
    if cardinality(shards) > 0 then
        select array_agg(distinct x) into used from unnest(shards) x;
        foreach s in array used loop
            perform pg_advisory_xact_lock(8, s);
        end loop;
        -- Who waited for an archiving here takes its snapshot afterwards, and so finds the archive ends it left.
        lock table only wallet.journal in row exclusive mode;
        -- A statement of its own, after the locks: one look-up for each shard in use. The archive's end is looked up
        -- only where all of a shard's rows are archived.
        select array_agg(case when n.shard = any (used)
                              then coalesce((select j.seq from wallet.journal j where j.shard = n.shard
                                              order by j.seq desc limit 1),
                                            (select f.seq from wallet.archive_end f where f.shard = n.shard
                                              order by f.seq desc limit 1), 0) end order by n.shard) into heads
          from (select x::smallint from generate_series(0, 63) x) n (shard);
        select array_agg(heads[r.shard + 1] + r.rank order by r.ordinal) into seqs
          from (select u.ordinal, u.shard, row_number() over (partition by u.shard order by u.ordinal) as rank
                  from unnest(shards) with ordinality u (shard, ordinal)) r;
        insert into wallet.journal (shard, seq, event_id, tenant_id, account_id, system_account, version,
                                    transaction_id, entry_index, entry_count, type, currency, posted_delta, held_delta,
                                    posted_after, held_after, occurred_at, actor, causation_id, traceparent, payload)
        select u.shard, u.seq, uuidv7(), u.tenant_id, u.account_id, u.system_account, u.version, u.transaction_id,
               u.entry_index, u.entry_count, u.type, u.currency, u.posted_delta, u.held_delta, u.posted_after,
               u.held_after,
               case when has_raised
                    then coalesce((select r.at from unnest(raised) r where r."row" = u.ordinal), write_rows.now)
                    else write_rows.now end,
               u.actor, u.causation_id, u.traceparent, u.payload
          from rows from (unnest(shards), unnest(seqs), unnest(journal)) with ordinality
               u (shard, seq, tenant_id, account_id, system_account, version, transaction_id, entry_index, entry_count,
                  type, currency, posted_delta, held_delta, posted_after, held_after, actor, causation_id, traceparent,
                  payload, ordinal);
    end if;
    if cardinality(refs) > 0 then
        insert into wallet.transaction_reference (tenant_id, reference_hash, transaction_id, shard)
        select u.tenant_id, u.reference_hash, u.transaction_id, u.shard from unnest(refs) u;
    end if;
    -- In key order, so that two writers of the same keys never wait for each other in a circle.
    insert into wallet.idempotency (client, key, part, fingerprint, status, body, resource_id, positions, shard,
                                    created_at)
    select u.client, u.key, u.part, u.fingerprint, u.status, u.body, u.resource_id,
           case
               when u.more_rows is not null then
                   (select array_agg(p.part order by m.ordinal, p.ordinal)
                      from unnest(u.more_rows::int[]) with ordinality m (row, ordinal)
                      cross join lateral unnest(array[shards[m.row], seqs[m.row]]) with ordinality p (part, ordinal))
               when u.first_row is null then null
               when u.second_row is null then array[shards[u.first_row], seqs[u.first_row]]
               else array[shards[u.first_row], seqs[u.first_row], shards[u.second_row], seqs[u.second_row]]
           end,
           u.shard, write_rows.now
      from unnest(records) u
     order by u.client, u.key, u.part;
    return seqs;
end $$;

create function wallet.write_rows_2(now timestamp with time zone, stamp bigint, opened wallet.wallet_row_2[], moved wallet.moved_wallet_2[], changed wallet.wallet_row_2[], made_states wallet.state_row[], changed_states wallet.state_row[], shards smallint[], journal wallet.journal_row[], refs wallet.reference_row[], records wallet.idempotency_row[], raised wallet.raised_row[]) returns bigint[]
    language plpgsql
    set plan_cache_mode to 'force_generic_plan'
    set enable_seqscan to 'off'
    set enable_hashjoin to 'off'
    set enable_mergejoin to 'off'
    as $$
declare
    touched int;
    seqs    bigint[];
    used    smallint[];
    heads   bigint[];  -- by shard, from 1; null where the batch writes nothing
    s       smallint;
    has_raised constant boolean := cardinality(raised) > 0;
begin
    if cardinality(opened) > 0 then
        insert into wallet.wallet (id, tenant_id, owner_id, currency, status, restrictions, posted_minor, held_minor,
                                   overdraft_limit_minor, version, opened_at, last_at, private, operator_version,
                                   floor_waived, terms, usage, stamp)
        select u.* from unnest(opened) u;
    end if;
    if cardinality(moved) > 0 then
        update wallet.wallet w
           set posted_minor = u.posted_minor, held_minor = u.held_minor, version = u.version, usage = u.usage,
               stamp = write_rows_2.stamp, last_at = greatest(w.last_at, write_rows_2.now)
          from unnest(moved) u
         where w.id = u.id and w.stamp = u.stamp_before;
        get diagnostics touched = row_count;
        if touched <> cardinality(moved) then
            raise exception 'a wallet is not as it was read' using errcode = 'WL001';
        end if;
    end if;
    if cardinality(changed) > 0 then
        update wallet.wallet w
           set status = u.status, restrictions = u.restrictions, posted_minor = u.posted_minor,
               held_minor = u.held_minor, overdraft_limit_minor = u.overdraft_limit_minor, version = u.version,
               last_at = u.last_at, private = u.private, operator_version = u.operator_version,
               floor_waived = u.floor_waived, terms = u.terms, usage = u.usage, stamp = u.stamp
          from unnest(changed) u
         where w.id = u.id and w.version < u.version;
        get diagnostics touched = row_count;
        if touched <> cardinality(changed) then
            raise exception 'a wallet is not as it was read' using errcode = 'WL001';
        end if;
    end if;
    if cardinality(made_states) > 0 then
        insert into wallet.state (kind, id, tenant_id, wallet_id, status, cap_minor, used_minor, due_at, version,
                                  changed_at, body, private, stamp)
        select u.* from unnest(made_states) u;
    end if;
    if cardinality(changed_states) > 0 then
        update wallet.state t
           set status = u.status, cap_minor = u.cap_minor, used_minor = u.used_minor, due_at = u.due_at,
               version = u.version, changed_at = u.changed_at, body = u.body, private = u.private, stamp = u.stamp
          from unnest(changed_states) u
         where t.kind = u.kind and t.id = u.id and t.version <= u.version;
        get diagnostics touched = row_count;
        if touched <> cardinality(changed_states) then
            raise exception 'a row is not as it was read' using errcode = 'WL001';
        end if;
    end if;
    if cardinality(shards) > 0 then
        select array_agg(distinct x) into used from unnest(shards) x;
        foreach s in array used loop
            perform pg_advisory_xact_lock(8, s);
        end loop;
        -- Who waited for an archiving here takes its snapshot afterwards, and so finds the archive ends it left.
        lock table only wallet.journal in row exclusive mode;
        -- A statement of its own, after the locks: one look-up for each shard in use. The archive's end is looked up
        -- only where all of a shard's rows are archived.
        select array_agg(case when n.shard = any (used)
                              then coalesce((select j.seq from wallet.journal j where j.shard = n.shard
                                              order by j.seq desc limit 1),
                                            (select f.seq from wallet.archive_end f where f.shard = n.shard
                                              order by f.seq desc limit 1), 0) end order by n.shard) into heads
          from (select x::smallint from generate_series(0, 63) x) n (shard);
        select array_agg(heads[r.shard + 1] + r.rank order by r.ordinal) into seqs
          from (select u.ordinal, u.shard, row_number() over (partition by u.shard order by u.ordinal) as rank
                  from unnest(shards) with ordinality u (shard, ordinal)) r;
        insert into wallet.journal (shard, seq, event_id, tenant_id, account_id, system_account, version,
                                    transaction_id, entry_index, entry_count, type, currency, posted_delta, held_delta,
                                    posted_after, held_after, occurred_at, actor, causation_id, traceparent, payload)
        select u.shard, u.seq, uuidv7(), u.tenant_id, u.account_id, u.system_account, u.version, u.transaction_id,
               u.entry_index, u.entry_count, u.type, u.currency, u.posted_delta, u.held_delta, u.posted_after,
               u.held_after,
               case when has_raised
                    then coalesce((select r.at from unnest(raised) r where r."row" = u.ordinal), write_rows_2.now)
                    else write_rows_2.now end,
               u.actor, u.causation_id, u.traceparent, u.payload
          from rows from (unnest(shards), unnest(seqs), unnest(journal)) with ordinality
               u (shard, seq, tenant_id, account_id, system_account, version, transaction_id, entry_index, entry_count,
                  type, currency, posted_delta, held_delta, posted_after, held_after, actor, causation_id, traceparent,
                  payload, ordinal);
    end if;
    if cardinality(refs) > 0 then
        insert into wallet.transaction_reference (tenant_id, reference_hash, transaction_id, shard)
        select u.tenant_id, u.reference_hash, u.transaction_id, u.shard from unnest(refs) u;
    end if;
    -- In key order, so that two writers of the same keys never wait for each other in a circle.
    insert into wallet.idempotency (client, key, part, fingerprint, status, body, resource_id, positions, shard,
                                    created_at)
    select u.client, u.key, u.part, u.fingerprint, u.status, u.body, u.resource_id,
           case
               when u.more_rows is not null then
                   (select array_agg(p.part order by m.ordinal, p.ordinal)
                      from unnest(u.more_rows::int[]) with ordinality m (row, ordinal)
                      cross join lateral unnest(array[shards[m.row], seqs[m.row]]) with ordinality p (part, ordinal))
               when u.first_row is null then null
               when u.second_row is null then array[shards[u.first_row], seqs[u.first_row]]
               else array[shards[u.first_row], seqs[u.first_row], shards[u.second_row], seqs[u.second_row]]
           end,
           u.shard, write_rows_2.now
      from unnest(records) u
     order by u.client, u.key, u.part;
    return seqs;
end $$;

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

create table wallet.archive_end (
    shard smallint not null,
    seq bigint not null,
    hash bytea not null,
    number integer not null
);

create table wallet.archived_journal (
    shard smallint constraint journal_shard_not_null not null,
    seq bigint constraint journal_seq_not_null not null,
    event_id uuid constraint journal_event_id_not_null not null,
    tenant_id uuid constraint journal_tenant_id_not_null not null,
    account_id uuid constraint journal_account_id_not_null not null,
    system_account text collate pg_catalog."C",
    version bigint,
    transaction_id uuid,
    entry_index smallint constraint journal_entry_index_not_null not null,
    entry_count smallint constraint journal_entry_count_not_null not null,
    type smallint constraint journal_type_not_null not null,
    currency text constraint journal_currency_not_null not null collate pg_catalog."C",
    posted_delta bigint constraint journal_posted_delta_not_null not null,
    held_delta bigint constraint journal_held_delta_not_null not null,
    posted_after bigint,
    held_after bigint,
    occurred_at timestamp with time zone constraint journal_occurred_at_not_null not null,
    actor text constraint journal_actor_not_null not null,
    causation_id uuid,
    traceparent text,
    payload bytea constraint journal_payload_not_null not null,
    constraint journal_shard_is_known check (((shard >= 0) and (shard <= 63))),
    constraint journal_system_entry_has_no_version check (((system_account is null) = (version is not null)))
)
partition by range (seq);

create table wallet.archived_partition (
    number integer not null,
    first_seq bigint not null,
    end_seq bigint not null,
    rows bigint not null,
    transactions bigint not null,
    first_transaction_id uuid,
    last_transaction_id uuid,
    archived_at timestamp with time zone default clock_timestamp() not null
);

create table wallet.fx_rate (
    source text not null collate pg_catalog."C",
    base text not null collate pg_catalog."C",
    currency text not null collate pg_catalog."C",
    rate numeric not null,
    as_of timestamp with time zone not null,
    fetched_at timestamp with time zone not null,
    constraint fx_rate_is_positive check (((rate > (0)::numeric) and (rate < 'Infinity'::numeric)))
);

create table wallet.idempotency (
    client uuid not null,
    key text not null collate pg_catalog."C",
    part smallint not null,
    fingerprint bytea not null,
    status smallint not null,
    body bytea not null,
    resource_id uuid,
    positions bigint[],
    shard smallint not null,
    created_at timestamp with time zone not null
);

create table wallet.journal (
    shard smallint not null,
    seq bigint not null,
    event_id uuid not null,
    tenant_id uuid not null,
    account_id uuid not null,
    system_account text collate pg_catalog."C",
    version bigint,
    transaction_id uuid,
    entry_index smallint not null,
    entry_count smallint not null,
    type smallint not null,
    currency text not null collate pg_catalog."C",
    posted_delta bigint not null,
    held_delta bigint not null,
    posted_after bigint,
    held_after bigint,
    occurred_at timestamp with time zone not null,
    actor text not null,
    causation_id uuid,
    traceparent text,
    payload bytea not null,
    constraint journal_shard_is_known check (((shard >= 0) and (shard <= 63))),
    constraint journal_system_entry_has_no_version check (((system_account is null) = (version is not null)))
)
partition by range (seq);

create table wallet.settled_decision (
    decision_id uuid not null,
    tenant_id uuid not null,
    wallet_id uuid not null,
    shard smallint not null,
    judged_version bigint not null,
    rules_version text not null,
    disposition text not null,
    decided_at timestamp with time zone not null,
    settled_at timestamp with time zone default clock_timestamp() not null,
    constraint settled_decision_disposition_is_known check ((disposition = any (array['applied'::text, 'superseded'::text, 'refused'::text, 'noted'::text])))
);

create table wallet.state_opening (
    shard smallint not null,
    kind smallint not null,
    id uuid not null,
    tenant_id uuid not null,
    wallet_id uuid,
    status smallint not null,
    cap_minor bigint,
    used_minor bigint not null,
    due_at timestamp with time zone,
    version bigint not null,
    changed_at timestamp with time zone not null,
    body bytea not null,
    private bytea
);

create table wallet.system_account_fold (
    shard smallint not null,
    seq bigint default 0 not null
)
with (fillfactor='50');

create table wallet.system_account_opening (
    tenant_id uuid not null,
    system_account text not null collate pg_catalog."C",
    currency text not null collate pg_catalog."C",
    shard smallint not null,
    total_minor numeric not null
);

create table wallet.system_account_total (
    tenant_id uuid not null,
    system_account text not null collate pg_catalog."C",
    currency text not null collate pg_catalog."C",
    shard smallint not null,
    total_minor numeric not null
)
with (fillfactor='70');

create table wallet.transaction_opening (
    transaction_id uuid not null,
    currency text not null collate pg_catalog."C",
    entries smallint not null,
    entry_count smallint not null,
    posted_minor numeric not null
);

create table wallet.transaction_reference (
    tenant_id uuid not null,
    reference_hash bytea not null,
    transaction_id uuid not null,
    shard smallint not null
);

create table wallet.verification_round (
    only_row boolean default true not null,
    rounds bigint default 0 not null,
    shard smallint default 0 not null,
    transaction_id uuid,
    began_at timestamp with time zone default clock_timestamp() not null,
    constraint verification_round_only_row_check check (only_row)
)
with (fillfactor='50');

create table wallet.verified (
    shard smallint not null,
    seq bigint not null
)
with (fillfactor='50');

create table wallet.wallet_opening (
    shard smallint not null,
    wallet_id uuid not null,
    tenant_id uuid not null,
    owner_id text not null collate pg_catalog."C",
    currency text not null collate pg_catalog."C",
    status smallint not null,
    restrictions text,
    posted_minor bigint not null,
    held_minor bigint not null,
    overdraft_limit_minor bigint not null,
    version bigint not null,
    opened_at timestamp with time zone not null,
    last_at timestamp with time zone not null,
    private bytea,
    operator_version bigint default 0 not null,
    floor_waived boolean default false not null,
    terms bytea,
    usage bytea
);

create table wallet.wallet_repair (
    wallet_id uuid not null,
    repaired_at timestamp with time zone default clock_timestamp() not null,
    operator text not null,
    was jsonb
);

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

alter table only wallet.archive_end
    add constraint archive_end_pkey primary key (shard, seq);

alter table only wallet.archived_journal
    add constraint archived_journal_pkey primary key (shard, seq);

alter table only wallet.archived_partition
    add constraint archived_partition_pkey primary key (number);

alter table only wallet.fx_rate
    add constraint fx_rate_pkey primary key (source, base, currency);

alter table only wallet.idempotency
    add constraint idempotency_pkey primary key (client, key, part);

alter table only wallet.journal
    add constraint journal_pkey primary key (shard, seq);

alter table only wallet.settled_decision
    add constraint settled_decision_pkey primary key (decision_id);

alter table only wallet.state_opening
    add constraint state_opening_pkey primary key (shard, kind, id);

alter table only wallet.state
    add constraint state_pkey primary key (kind, id);

alter table only wallet.system_account_fold
    add constraint system_account_fold_pkey primary key (shard);

alter table only wallet.system_account_opening
    add constraint system_account_opening_pkey primary key (tenant_id, system_account, currency, shard);

alter table only wallet.system_account_total
    add constraint system_account_total_pkey primary key (tenant_id, system_account, currency, shard);

alter table only wallet.transaction_opening
    add constraint transaction_opening_pkey primary key (transaction_id, currency);

alter table only wallet.transaction_reference
    add constraint transaction_reference_pkey primary key (tenant_id, reference_hash, transaction_id);

alter table only wallet.verification_round
    add constraint verification_round_pkey primary key (only_row);

alter table only wallet.verified
    add constraint verified_pkey primary key (shard);

alter table only wallet.wallet_opening
    add constraint wallet_opening_pkey primary key (shard, wallet_id);

alter table only wallet.wallet
    add constraint wallet_pkey primary key (id);

alter table only wallet.wallet_repair
    add constraint wallet_repair_pkey primary key (wallet_id, repaired_at);

create unique index access_entity_change on servicekit.access_entity using btree (change);

create index access_entity_lookup on servicekit.access_entity using btree (lookup) where (lookup is not null);

create index archived_journal_transaction_id_idx on only wallet.archived_journal using btree (transaction_id);

create index idempotency_by_age on wallet.idempotency using btree (created_at);

create index journal_by_transaction on only wallet.journal using btree (transaction_id);

create index settled_decision_by_wallet on wallet.settled_decision using btree (wallet_id, decided_at);

create index state_due on wallet.state using btree (kind, due_at) where (due_at is not null);

create index state_open_by_wallet on wallet.state using btree (wallet_id, kind, id) where ((status = 0) and (wallet_id is not null));

create index state_opening_by_wallet on wallet.state_opening using btree (wallet_id);

create index wallet_by_owner on wallet.wallet using btree (tenant_id, owner_id, id);

create index wallet_by_tenant on wallet.wallet using btree (tenant_id, id);

alter table only wallet.archive_end
    add constraint archive_end_number_fkey foreign key (number) references wallet.archived_partition(number);

alter table wallet.archived_journal enable row level security;

alter table wallet.journal enable row level security;

create policy of_one_tenant on wallet.archived_journal for select to :"reader_role" using ((tenant_id = (nullif(current_setting('app.tenant_id'::text, true), ''::text))::uuid));

create policy of_one_tenant on wallet.journal for select to :"reader_role" using ((tenant_id = (nullif(current_setting('app.tenant_id'::text, true), ''::text))::uuid));

create policy of_one_tenant on wallet.state for select to :"reader_role" using ((tenant_id = (nullif(current_setting('app.tenant_id'::text, true), ''::text))::uuid));

create policy of_one_tenant on wallet.transaction_reference for select to :"reader_role" using ((tenant_id = (nullif(current_setting('app.tenant_id'::text, true), ''::text))::uuid));

create policy of_one_tenant on wallet.wallet for select to :"reader_role" using ((tenant_id = (nullif(current_setting('app.tenant_id'::text, true), ''::text))::uuid));

alter table wallet.state enable row level security;

alter table wallet.transaction_reference enable row level security;

alter table wallet.wallet enable row level security;

grant usage on schema servicekit to :"app_role";

grant usage on schema wallet to :"app_role";
grant usage on schema wallet to :"reader_role";

revoke all on function servicekit.forget_rates(now_us bigint, most integer) from public;
grant all on function servicekit.forget_rates(now_us bigint, most integer) to :"app_role";

revoke all on function servicekit.settle_rates(now_us bigint, instance uuid, kinds smallint[], ids bytea[], emissions_us bigint[], bursts bigint[], debits bigint[], rooms bigint[], shorts bigint[], out ordinal bigint, out granted bigint, out units_left bigint, out instances bigint) from public;
grant all on function servicekit.settle_rates(now_us bigint, instance uuid, kinds smallint[], ids bytea[], emissions_us bigint[], bursts bigint[], debits bigint[], rooms bigint[], shorts bigint[], out ordinal bigint, out granted bigint, out units_left bigint, out instances bigint) to :"app_role";

revoke all on function wallet.commit_rows(commit_lock boolean, expected_wallets wallet.wallet_stamp[], expected_states wallet.state_stamp[], keys wallet.unit_key[], now timestamp with time zone, stamp bigint, opened wallet.wallet_row[], moved wallet.moved_wallet[], changed wallet.wallet_row[], made_states wallet.state_row[], changed_states wallet.state_row[], shards smallint[], journal wallet.journal_row[], refs wallet.reference_row[], records wallet.idempotency_row[], out seqs bigint[], out at timestamp with time zone) from public;
grant all on function wallet.commit_rows(commit_lock boolean, expected_wallets wallet.wallet_stamp[], expected_states wallet.state_stamp[], keys wallet.unit_key[], now timestamp with time zone, stamp bigint, opened wallet.wallet_row[], moved wallet.moved_wallet[], changed wallet.wallet_row[], made_states wallet.state_row[], changed_states wallet.state_row[], shards smallint[], journal wallet.journal_row[], refs wallet.reference_row[], records wallet.idempotency_row[], out seqs bigint[], out at timestamp with time zone) to :"app_role";

revoke all on function wallet.commit_rows_2(commit_lock boolean, expected_wallets wallet.wallet_stamp[], expected_states wallet.state_stamp[], keys wallet.unit_key[], now timestamp with time zone, stamp bigint, opened wallet.wallet_row_2[], moved wallet.moved_wallet_2[], changed wallet.wallet_row_2[], made_states wallet.state_row[], changed_states wallet.state_row[], shards smallint[], journal wallet.journal_row[], refs wallet.reference_row[], records wallet.idempotency_row[], out seqs bigint[], out at timestamp with time zone) from public;
grant all on function wallet.commit_rows_2(commit_lock boolean, expected_wallets wallet.wallet_stamp[], expected_states wallet.state_stamp[], keys wallet.unit_key[], now timestamp with time zone, stamp bigint, opened wallet.wallet_row_2[], moved wallet.moved_wallet_2[], changed wallet.wallet_row_2[], made_states wallet.state_row[], changed_states wallet.state_row[], shards smallint[], journal wallet.journal_row[], refs wallet.reference_row[], records wallet.idempotency_row[], out seqs bigint[], out at timestamp with time zone) to :"app_role";

revoke all on function wallet.ensure_journal_partitions(ahead integer) from public;
grant all on function wallet.ensure_journal_partitions(ahead integer) to :"app_role";

revoke all on function wallet.fold_system_accounts(rows_per_shard integer) from public;
grant all on function wallet.fold_system_accounts(rows_per_shard integer) to :"app_role";

revoke all on function wallet.forget_quotes(lot integer) from public;
grant all on function wallet.forget_quotes(lot integer) to :"app_role";

revoke all on function wallet.journal_heads() from public;
grant all on function wallet.journal_heads() to :"app_role";

revoke all on function wallet.lock_rows(commit_lock boolean, wallet_ids uuid[], state_names wallet.state_name[], keys wallet.unit_key[], out wallets wallet.wallet_row[], out states wallet.state_row[], out records wallet.found_record[], out at timestamp with time zone) from public;
grant all on function wallet.lock_rows(commit_lock boolean, wallet_ids uuid[], state_names wallet.state_name[], keys wallet.unit_key[], out wallets wallet.wallet_row[], out states wallet.state_row[], out records wallet.found_record[], out at timestamp with time zone) to :"app_role";

revoke all on function wallet.lock_rows_2(commit_lock boolean, wallet_ids uuid[], state_names wallet.state_name[], keys wallet.unit_key[], out wallets wallet.wallet_row_2[], out states wallet.state_row[], out records wallet.found_record[], out at timestamp with time zone) from public;
grant all on function wallet.lock_rows_2(commit_lock boolean, wallet_ids uuid[], state_names wallet.state_name[], keys wallet.unit_key[], out wallets wallet.wallet_row_2[], out states wallet.state_row[], out records wallet.found_record[], out at timestamp with time zone) to :"app_role";

revoke all on function wallet.partition_width() from public;
grant all on function wallet.partition_width() to :"app_role";

revoke all on function wallet.read_rows(wallet_ids uuid[], state_names wallet.state_name[], keys wallet.unit_key[], out wallets wallet.wallet_row[], out states wallet.state_row[], out records wallet.found_record[], out at timestamp with time zone) from public;
grant all on function wallet.read_rows(wallet_ids uuid[], state_names wallet.state_name[], keys wallet.unit_key[], out wallets wallet.wallet_row[], out states wallet.state_row[], out records wallet.found_record[], out at timestamp with time zone) to :"app_role";
grant all on function wallet.read_rows(wallet_ids uuid[], state_names wallet.state_name[], keys wallet.unit_key[], out wallets wallet.wallet_row[], out states wallet.state_row[], out records wallet.found_record[], out at timestamp with time zone) to :"reader_role";

revoke all on function wallet.read_rows_2(wallet_ids uuid[], state_names wallet.state_name[], keys wallet.unit_key[], out wallets wallet.wallet_row_2[], out states wallet.state_row[], out records wallet.found_record[], out at timestamp with time zone) from public;
grant all on function wallet.read_rows_2(wallet_ids uuid[], state_names wallet.state_name[], keys wallet.unit_key[], out wallets wallet.wallet_row_2[], out states wallet.state_row[], out records wallet.found_record[], out at timestamp with time zone) to :"app_role";
grant all on function wallet.read_rows_2(wallet_ids uuid[], state_names wallet.state_name[], keys wallet.unit_key[], out wallets wallet.wallet_row_2[], out states wallet.state_row[], out records wallet.found_record[], out at timestamp with time zone) to :"reader_role";

grant select,insert,update on table wallet.state to :"app_role";
grant select on table wallet.state to :"reader_role";

revoke all on function wallet.state_as_read(s wallet.state) from public;
grant all on function wallet.state_as_read(s wallet.state) to :"app_role";
grant all on function wallet.state_as_read(s wallet.state) to :"reader_role";

revoke all on function wallet.system_account_balances(of_tenant uuid) from public;
grant all on function wallet.system_account_balances(of_tenant uuid) to :"app_role";

grant select,insert,update on table wallet.wallet to :"app_role";
grant select on table wallet.wallet to :"reader_role";

revoke all on function wallet.wallet_as_read(w wallet.wallet) from public;
grant all on function wallet.wallet_as_read(w wallet.wallet) to :"app_role";
grant all on function wallet.wallet_as_read(w wallet.wallet) to :"reader_role";

revoke all on function wallet.wallet_as_read_2(w wallet.wallet) from public;
grant all on function wallet.wallet_as_read_2(w wallet.wallet) to :"app_role";
grant all on function wallet.wallet_as_read_2(w wallet.wallet) to :"reader_role";

revoke all on function wallet.write_rows(now timestamp with time zone, stamp bigint, opened wallet.wallet_row[], moved wallet.moved_wallet[], changed wallet.wallet_row[], made_states wallet.state_row[], changed_states wallet.state_row[], shards smallint[], journal wallet.journal_row[], refs wallet.reference_row[], records wallet.idempotency_row[], raised wallet.raised_row[]) from public;
grant all on function wallet.write_rows(now timestamp with time zone, stamp bigint, opened wallet.wallet_row[], moved wallet.moved_wallet[], changed wallet.wallet_row[], made_states wallet.state_row[], changed_states wallet.state_row[], shards smallint[], journal wallet.journal_row[], refs wallet.reference_row[], records wallet.idempotency_row[], raised wallet.raised_row[]) to :"app_role";

revoke all on function wallet.write_rows_2(now timestamp with time zone, stamp bigint, opened wallet.wallet_row_2[], moved wallet.moved_wallet_2[], changed wallet.wallet_row_2[], made_states wallet.state_row[], changed_states wallet.state_row[], shards smallint[], journal wallet.journal_row[], refs wallet.reference_row[], records wallet.idempotency_row[], raised wallet.raised_row[]) from public;
grant all on function wallet.write_rows_2(now timestamp with time zone, stamp bigint, opened wallet.wallet_row_2[], moved wallet.moved_wallet_2[], changed wallet.wallet_row_2[], made_states wallet.state_row[], changed_states wallet.state_row[], shards smallint[], journal wallet.journal_row[], refs wallet.reference_row[], records wallet.idempotency_row[], raised wallet.raised_row[]) to :"app_role";

grant select,insert,update on table servicekit.access_entity to :"app_role";

grant select,insert,update on table servicekit.checkpoint to :"app_role";

grant select on table servicekit.function_in_force to :"app_role";

grant select,insert,update on table servicekit.lease to :"app_role";

grant select,insert,update on table servicekit.maintenance_job to :"app_role";

grant select on table servicekit.migration to :"app_role";

grant select,insert,delete,update on table servicekit.parked_subject to :"app_role";

grant select,insert,update on table servicekit.projection_lag to :"app_role";

grant select,insert,delete,update on table servicekit.rate_bucket to :"app_role";

grant select,insert,delete,update on table servicekit.rate_instance to :"app_role";

grant select,insert,update on table servicekit.relay_halt to :"app_role";

grant select,insert,delete,update on table servicekit.relay_instance to :"app_role";

grant select,update on table servicekit.relay_lease to :"app_role";

grant select,insert,update on table servicekit.watermark to :"app_role";

grant select on table wallet.archive_end to :"app_role";

grant select on table wallet.archived_journal to :"app_role";
grant select on table wallet.archived_journal to :"reader_role";

grant select on table wallet.archived_partition to :"app_role";
grant select on table wallet.archived_partition to :"reader_role";

grant select,insert,update on table wallet.fx_rate to :"app_role";
grant select on table wallet.fx_rate to :"reader_role";

grant select,insert,delete on table wallet.idempotency to :"app_role";

grant select,insert on table wallet.journal to :"app_role";
grant select on table wallet.journal to :"reader_role";

grant select,insert on table wallet.settled_decision to :"app_role";

grant select on table wallet.state_opening to :"app_role";

grant select,update on table wallet.system_account_fold to :"app_role";

grant select on table wallet.system_account_opening to :"app_role";

grant select,insert,update on table wallet.system_account_total to :"app_role";

grant select on table wallet.transaction_opening to :"app_role";

grant select,insert on table wallet.transaction_reference to :"app_role";
grant select on table wallet.transaction_reference to :"reader_role";

grant select,update on table wallet.verification_round to :"app_role";

grant select,update on table wallet.verified to :"app_role";

grant select on table wallet.wallet_opening to :"app_role";

grant select,insert on table wallet.wallet_repair to :"app_role";
