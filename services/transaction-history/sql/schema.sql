-- The schema in force. Made by `make docs` of the migrations and the functions' files; not to be edited.

create schema history_index;

create schema history_jobs;

create schema servicekit;

create schema transaction_history;

create function history_index.ensure_search_segments(instants timestamp with time zone[], width text, is_used boolean) returns integer
    language plpgsql security definer
    set search_path to 'pg_catalog'
    set "TimeZone" to 'UTC'
    as $$
declare
    made    int := 0;
    instant timestamptz;
    begins  timestamptz;
    ends    timestamptz;
    name    text;
begin
    if width not in ('day', 'week', 'month') then
        raise exception 'a segment is a day, a week or a month' using errcode = '22023';
    end if;
    for instant in
        select distinct date_trunc(width, i) from unnest(instants) as i
        where not exists (select from history_index.search_segment s where s.begins_at <= i and i < s.ends_at)
        order by 1
    loop
        if instant > clock_timestamp() + interval '100 days' then
            raise exception '%: segments are made 100 days ahead at most', instant using errcode = '22008';
        end if;
        perform pg_advisory_xact_lock(8, 2);
        -- What was made while this waited, and what stands beside it.
        for begins, ends in
            with wanted as (select instant as lo, instant + ('1 ' || width)::interval as hi),
            taken as (select s.begins_at, s.ends_at from history_index.search_segment s, wanted
                      where s.begins_at < hi and s.ends_at > lo),
            edges as (select lo as edge from wanted union select ends_at from taken, wanted where ends_at < hi)
            select e.edge, least((select hi from wanted), (select min(t.begins_at) from taken t where t.begins_at >= e.edge))
            from edges e
            where not exists (select from taken t where t.begins_at <= e.edge and e.edge < t.ends_at)
        loop
            name := format('search_entry_%s', to_char(begins, 'YYYYMMDD'));
            -- Attaching takes a lighter lock than creating in place: readers and writers go on.
            execute format('create table history_index.%I (like history_index.search_entry including all)', name);
            execute format('alter table history_index.search_entry attach partition history_index.%I'
                           ' for values from (%L) to (%L)', name, begins, ends);
            insert into history_index.search_segment values (begins, ends, name, false);
            made := made + 1;
        end loop;
    end loop;
    if ensure_search_segments.is_used then
        update history_index.search_segment s set is_used = true
        where not s.is_used and exists (select from unnest(instants) as i where s.begins_at <= i and i < s.ends_at);
    end if;
    return made;
end $$;

create function history_index.entries_with_terms(required bigint[], group_1 bigint[], group_2 bigint[], group_3 bigint[], owners text[], wallets uuid[], currencies text[], amount_min bigint, amount_max bigint, direction integer, from_at timestamp with time zone, before_at timestamp with time zone, before_id uuid, segments_max integer, rows_max integer, run_ms integer) returns table(wallet_id uuid, occurred_at timestamp with time zone, version bigint, event_id uuid, reached timestamp with time zone)
    language plpgsql stable security definer
    set search_path to 'pg_catalog'
    set enable_seqscan to 'off'
    set enable_indexscan to 'off'
    set enable_bitmapscan to 'on'
    set jit to 'off'
    as $_$
declare
    tenant   constant uuid := nullif(current_setting('app.tenant_id', true), '')::uuid;
    began    constant timestamptz := clock_timestamp();
    query    text;
    segment  record;
    found_in bigint := 0;
    counted  bigint;
begin
    query := case when cardinality(required) > 0 then 'e.terms @> $1' end;
    query := concat_ws(' and ', query, case when group_1 is not null then 'e.terms && $2' end,
                       case when group_2 is not null then 'e.terms && $3' end,
                       case when group_3 is not null then 'e.terms && $4' end);
    if query = '' then
        raise exception 'nothing is looked for' using errcode = '22023';
    end if;
    query := 'with hit as materialized (select e.wallet_id, e.occurred_at, e.version, e.event_id, e.tenant_id, e.owner_id,'
        || ' e.currency, e.amount_minor from history_index.%I e where ' || query
        || ') select h.wallet_id, h.occurred_at, h.version, h.event_id, null::timestamptz from hit h where h.tenant_id = $5'
        || ' and h.occurred_at >= $6 and (h.occurred_at, h.event_id) < ($7, $8) and abs(h.amount_minor) between $9 and $10'
        || case when owners is null then '' else ' and h.owner_id = any ($11)' end
        || case when wallets is null then '' else ' and h.wallet_id = any ($12)' end
        || case when currencies is null then '' else ' and h.currency = any ($13)' end
        || case when direction is null then '' else ' and sign(h.amount_minor) = $14' end
        || ' order by h.occurred_at desc, h.event_id desc limit $15';
    for segment in
        select s.name, s.begins_at from history_index.search_segment s
        where s.is_used and s.ends_at > from_at
          and (s.begins_at, '00000000-0000-0000-0000-000000000000'::uuid) < (before_at, before_id) order by s.begins_at desc limit segments_max
    loop
        return query execute format(query, segment.name)
            using required, group_1, group_2, group_3, tenant, from_at, before_at, before_id, amount_min, amount_max,
                  owners, wallets, currencies, direction, rows_max - found_in;
        get diagnostics counted = row_count;
        found_in := found_in + counted;
        reached := segment.begins_at;
        exit when found_in >= rows_max or clock_timestamp() - began > make_interval(secs => run_ms / 1000.0);
    end loop;
    wallet_id := null; occurred_at := null; version := null; event_id := null;
    return next;
end $_$;

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

create table history_index.counterparty (
    wallet_id uuid not null,
    counterparty_wallet_id uuid,
    counterparty_account text collate pg_catalog."C",
    counterparty_owner_id text collate pg_catalog."C",
    shard smallint not null,
    tenant_id uuid not null,
    owner_id text not null collate pg_catalog."C",
    currency text not null collate pg_catalog."C",
    entries bigint not null,
    credits numeric not null,
    debits numeric not null,
    first_at timestamp with time zone not null,
    last_at timestamp with time zone not null
)
with (fillfactor='80');

create table history_index.day_total (
    tenant_id uuid not null,
    day date not null,
    currency text not null collate pg_catalog."C",
    type text not null collate pg_catalog."C",
    shard smallint not null,
    transactions bigint not null,
    entries bigint not null,
    credits numeric not null,
    debits numeric not null
)
with (fillfactor='50');

create table history_index.minute_total (
    tenant_id uuid not null,
    minute timestamp with time zone not null,
    currency text not null collate pg_catalog."C",
    type text not null collate pg_catalog."C",
    shard smallint not null,
    transactions bigint not null,
    entries bigint not null,
    credits numeric not null,
    debits numeric not null
)
with (fillfactor='50');

create table history_index.search_entry (
    occurred_at timestamp with time zone not null,
    shard smallint not null,
    seq bigint not null,
    tenant_id uuid not null,
    owner_id text not null collate pg_catalog."C",
    wallet_id uuid not null,
    version bigint not null,
    event_id uuid not null,
    currency text not null collate pg_catalog."C",
    amount_minor bigint not null,
    terms bigint[] not null
)
partition by range (occurred_at);

create table history_index.search_segment (
    begins_at timestamp with time zone not null,
    ends_at timestamp with time zone not null,
    name text not null collate pg_catalog."C",
    is_used boolean not null,
    constraint search_segment_is_not_empty check ((begins_at < ends_at))
);

create table history_index.shard_total (
    tenant_id uuid not null,
    currency text not null collate pg_catalog."C",
    shard smallint not null,
    wallets bigint not null,
    posted numeric not null,
    held numeric not null
)
with (fillfactor='50');

create table history_index.wallet_held (
    wallet_id uuid not null,
    shard smallint not null,
    held_minor bigint not null
)
with (fillfactor='70');

create table history_index.wallet_hour (
    wallet_id uuid not null,
    hour timestamp with time zone not null,
    shard smallint not null,
    tenant_id uuid not null,
    owner_id text not null collate pg_catalog."C",
    currency text not null collate pg_catalog."C",
    entries bigint not null,
    credits numeric not null,
    debits numeric not null
)
with (fillfactor='80');

create table history_jobs.cached_answer (
    tenant_id uuid not null,
    question text not null collate pg_catalog."C",
    asked_at timestamp with time zone not null,
    as_of timestamp with time zone,
    took_ms integer,
    answer text,
    token uuid,
    taken_until timestamp with time zone default '-infinity'::timestamp with time zone not null,
    constraint cached_answer_is_dated check (((as_of is null) = (answer is null)))
)
with (fillfactor='50');

create table history_jobs.drift (
    projection text not null collate pg_catalog."C",
    topic_partition integer not null,
    next_offset bigint not null,
    rounds bigint not null,
    updated_at timestamp with time zone not null
);

create table history_jobs.generation (
    projection text not null collate pg_catalog."C",
    number bigint not null
);

create table history_jobs.idempotency (
    client uuid not null,
    key text not null collate pg_catalog."C",
    fingerprint bytea not null,
    status smallint not null,
    location text,
    body bytea not null,
    created_at timestamp with time zone not null
);

create table history_jobs.job (
    id uuid not null,
    tenant_id uuid not null,
    kind text not null collate pg_catalog."C",
    request text not null,
    subject text not null,
    scopes bigint not null,
    owners text[] collate pg_catalog."C",
    status text not null collate pg_catalog."C",
    attempts smallint default 0 not null,
    due_at timestamp with time zone not null,
    lease_token uuid,
    leased_until timestamp with time zone,
    done_rows bigint default 0 not null,
    as_of bigint[],
    parked uuid[],
    failure text collate pg_catalog."C",
    file_name text,
    media_type text,
    file_rows bigint,
    size_bytes bigint,
    sha256 bytea,
    created_at timestamp with time zone not null,
    started_at timestamp with time zone,
    finished_at timestamp with time zone,
    expires_at timestamp with time zone,
    is_cleared boolean default false not null,
    complete_until timestamp with time zone,
    constraint job_ends_once check (((status = any (array['queued'::text, 'running'::text])) = (finished_at is null))),
    constraint job_is_held_while_it_runs check (((status = 'running'::text) = (lease_token is not null))),
    constraint job_status_is_known check ((status = any (array['queued'::text, 'running'::text, 'succeeded'::text, 'failed'::text, 'cancelled'::text, 'expired'::text])))
)
with (fillfactor='70');

create table history_jobs.job_part (
    job_id uuid not null,
    number integer not null,
    object text not null,
    rows bigint not null,
    size_bytes bigint not null,
    is_served boolean not null,
    after text
);

create table history_jobs.link (
    id uuid not null,
    tenant_id uuid not null,
    job_id uuid not null,
    subject text not null,
    created_at timestamp with time zone not null,
    expires_at timestamp with time zone not null,
    revoked_at timestamp with time zone
);

create table history_jobs.repair (
    id uuid not null,
    wallet_id uuid not null,
    events bigint not null,
    as_of_seq bigint not null,
    repaired_by text not null,
    repaired_at timestamp with time zone not null
);

create table history_jobs.statement (
    id uuid not null,
    tenant_id uuid not null,
    owner_id text not null collate pg_catalog."C",
    wallet_id uuid not null,
    number integer not null,
    period_from date not null,
    period_to date not null,
    from_instant timestamp with time zone not null,
    to_instant timestamp with time zone not null,
    time_zone text not null collate pg_catalog."C",
    locale text not null collate pg_catalog."C",
    currency text not null collate pg_catalog."C",
    private text,
    first_version bigint not null,
    last_version bigint not null,
    lines_from timestamp with time zone not null,
    opening bigint not null,
    closing bigint not null,
    credits numeric not null,
    debits numeric not null,
    fees numeric not null,
    entries bigint not null,
    entries_before bigint not null,
    fees_before numeric not null,
    by_type jsonb not null,
    holds jsonb not null,
    holds_left_out integer not null,
    issue smallint default 1 not null,
    complete_until timestamp with time zone not null,
    closed_at timestamp with time zone not null,
    constraint statement_balances check (((((opening)::numeric + credits) - debits) = (closing)::numeric))
);

create table history_jobs.statement_account (
    wallet_id uuid not null,
    tenant_id uuid not null,
    owner_id text not null collate pg_catalog."C",
    shard smallint not null,
    setting_id uuid,
    number integer default 0 not null,
    ended_at timestamp with time zone not null,
    due_at timestamp with time zone,
    is_ended boolean default false not null,
    version bigint default 0 not null,
    occurred_at timestamp with time zone,
    posted_minor bigint default 0 not null,
    held_minor bigint default 0 not null,
    entries bigint default 0 not null,
    credits numeric default 0 not null,
    debits numeric default 0 not null,
    fees numeric default 0 not null,
    summed jsonb default '[]'::jsonb not null,
    summed_entries bigint default 0 not null,
    summed_at timestamp with time zone,
    summed_version bigint,
    constraint statement_account_ends_once check (((not is_ended) or (due_at is null)))
)
with (fillfactor='70');

create table history_jobs.statement_file (
    statement_id uuid not null,
    issue smallint not null,
    format text not null collate pg_catalog."C",
    volume integer not null,
    tenant_id uuid not null,
    status text not null collate pg_catalog."C",
    is_asked boolean default false not null,
    due_at timestamp with time zone not null,
    attempts smallint default 0 not null,
    lease_token uuid,
    leased_until timestamp with time zone,
    failure text collate pg_catalog."C",
    object text,
    size_bytes bigint,
    sha256 bytea,
    template_version integer,
    unknown_characters integer,
    finished_at timestamp with time zone,
    expires_at timestamp with time zone,
    constraint statement_file_format_is_known check ((format = any (array['pdf'::text, 'csv'::text]))),
    constraint statement_file_is_held_while_it_runs check (((status = 'running'::text) = (lease_token is not null))),
    constraint statement_file_is_there check (((status <> 'succeeded'::text) or (object is not null))),
    constraint statement_file_status_is_known check ((status = any (array['queued'::text, 'running'::text, 'succeeded'::text, 'failed'::text, 'expired'::text])))
)
with (fillfactor='70');

create table history_jobs.statement_issue (
    statement_id uuid not null,
    issue smallint not null,
    tenant_id uuid not null,
    locale text not null collate pg_catalog."C",
    subject text not null,
    issued_at timestamp with time zone not null
);

create table history_jobs.statement_setting (
    tenant_id uuid not null,
    owner_id text not null collate pg_catalog."C",
    id uuid not null,
    time_zone text not null collate pg_catalog."C",
    locale text not null collate pg_catalog."C",
    schedule text not null collate pg_catalog."C",
    formats text[] not null collate pg_catalog."C",
    updated_at timestamp with time zone not null,
    constraint statement_setting_locale_is_known check ((locale = any (array['en'::text, 'de'::text, 'ar'::text]))),
    constraint statement_setting_schedule_is_known check ((schedule = any (array['weekly'::text, 'monthly'::text, 'quarterly'::text, 'none'::text])))
);

create table history_jobs.statement_tenant (
    tenant_id uuid not null,
    served_at timestamp with time zone not null
)
with (fillfactor='70');

create table history_jobs.tenant (
    tenant_id uuid not null,
    served_at timestamp with time zone not null
)
with (fillfactor='70');

create view history_jobs.top_wallets with (security_barrier='true') as
 select distinct on (tenant_id, span, ranked_by, wallet_id) tenant_id,
    as_of,
    span,
    ranked_by,
    rank,
    wallet_id,
    currency,
    entries,
    credits_minor,
    debits_minor,
    posted_minor
   from ( select c.tenant_id,
            c.as_of,
            ((c.question)::jsonb ->> 'window'::text) as span,
            coalesce(((c.question)::jsonb ->> 'by'::text), 'entries'::text) as ranked_by,
            (w.rank)::integer as rank,
            ((w.wallet ->> 'wallet_id'::text))::uuid as wallet_id,
            (w.wallet ->> 'currency'::text) as currency,
            ((w.wallet ->> 'entries'::text))::bigint as entries,
            ((w.wallet ->> 'credits_minor'::text))::numeric as credits_minor,
            ((w.wallet ->> 'debits_minor'::text))::numeric as debits_minor,
            ((w.wallet ->> 'posted_minor'::text))::numeric as posted_minor
           from (history_jobs.cached_answer c
             cross join lateral jsonb_array_elements(coalesce(((c.answer)::jsonb -> 'wallets'::text), ((c.answer)::jsonb -> 'active'::text))) with ordinality w(wallet, rank))
          where ((c.answer is not null) and (c.tenant_id <> '00000000-0000-7000-8000-0000000000ca'::uuid))) told
  order by tenant_id, span, ranked_by, wallet_id, as_of desc, rank;

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

alter table only history_index.counterparty
    add constraint counterparty_key unique nulls not distinct (wallet_id, counterparty_wallet_id, counterparty_account);

alter table only history_index.day_total
    add constraint day_total_pk primary key (tenant_id, day, currency, type, shard);

alter table only history_index.minute_total
    add constraint minute_total_pk primary key (tenant_id, minute, currency, type, shard);

alter table only history_index.search_entry
    add constraint search_entry_pk primary key (wallet_id, occurred_at, event_id);

alter table only history_index.search_segment
    add constraint search_segment_pk primary key (begins_at);

alter table only history_index.shard_total
    add constraint shard_total_pk primary key (tenant_id, currency, shard);

alter table only history_index.wallet_held
    add constraint wallet_held_pk primary key (wallet_id);

alter table only history_index.wallet_hour
    add constraint wallet_hour_pk primary key (wallet_id, hour);

alter table only history_jobs.cached_answer
    add constraint cached_answer_pk primary key (tenant_id, question);

alter table only history_jobs.drift
    add constraint drift_pk primary key (projection);

alter table only history_jobs.generation
    add constraint generation_pk primary key (projection);

alter table only history_jobs.idempotency
    add constraint idempotency_pk primary key (client, key);

alter table only history_jobs.job_part
    add constraint job_part_pk primary key (job_id, number);

alter table only history_jobs.job
    add constraint job_pk primary key (id);

alter table only history_jobs.link
    add constraint link_pk primary key (id);

alter table only history_jobs.repair
    add constraint repair_pk primary key (id);

alter table only history_jobs.statement_account
    add constraint statement_account_pk primary key (wallet_id);

alter table only history_jobs.statement_file
    add constraint statement_file_pk primary key (statement_id, issue, format, volume);

alter table only history_jobs.statement_issue
    add constraint statement_issue_pk primary key (statement_id, issue);

alter table only history_jobs.statement
    add constraint statement_number_is_dense unique (wallet_id, number);

alter table only history_jobs.statement
    add constraint statement_pk primary key (id);

alter table only history_jobs.statement_setting
    add constraint statement_setting_pk primary key (tenant_id, owner_id);

alter table only history_jobs.statement_tenant
    add constraint statement_tenant_pk primary key (tenant_id);

alter table only history_jobs.tenant
    add constraint tenant_pk primary key (tenant_id);

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

create index minute_total_by_minute on history_index.minute_total using btree (minute);

create index search_entry_by_owner on only history_index.search_entry using btree (tenant_id, owner_id, occurred_at, event_id);

create index search_entry_by_term on only history_index.search_entry using gin (terms) with (fastupdate=off);

create index search_entry_by_time on only history_index.search_entry using btree (tenant_id, occurred_at, event_id);

create index wallet_hour_by_hour on history_index.wallet_hour using btree (tenant_id, hour, wallet_id);

create index idempotency_by_age on history_jobs.idempotency using btree (created_at);

create index job_by_tenant on history_jobs.job using btree (tenant_id, id);

create index job_expiring on history_jobs.job using btree (expires_at) where (status = 'succeeded'::text);

create index job_forgettable on history_jobs.job using btree (finished_at) where is_cleared;

create index job_open on history_jobs.job using btree (tenant_id, id) where (status = any (array['queued'::text, 'running'::text]));

create index job_uncleared on history_jobs.job using btree (finished_at) where ((status = any (array['failed'::text, 'cancelled'::text, 'expired'::text])) and (not is_cleared));

create index link_by_job on history_jobs.link using btree (job_id);

create index statement_account_due on history_jobs.statement_account using btree (shard, due_at, wallet_id) where (due_at is not null);

create index statement_by_owner on history_jobs.statement using btree (tenant_id, owner_id, to_instant, id);

create index statement_by_period on history_jobs.statement using btree (tenant_id, to_instant, id);

create index statement_by_wallet on history_jobs.statement using btree (wallet_id, to_instant, id);

create unique index statement_covers_a_version_once on history_jobs.statement using btree (wallet_id, first_version) where (last_version >= first_version);

create index statement_file_expiring on history_jobs.statement_file using btree (expires_at) where (status = 'succeeded'::text);

create index statement_file_open on history_jobs.statement_file using btree (tenant_id, is_asked desc, due_at) where (status = any (array['queued'::text, 'running'::text]));

create index statement_file_uncleared on history_jobs.statement_file using btree (expires_at) where ((status = 'expired'::text) and (object is not null));

create unique index access_entity_change on servicekit.access_entity using btree (change);

create index access_entity_lookup on servicekit.access_entity using btree (lookup) where (lookup is not null);

create index entry_by_owner on only transaction_history.entry using btree (tenant_id, owner_id, occurred_at, event_id);

create index entry_by_time on only transaction_history.entry using btree (tenant_id, occurred_at, event_id);

create index entry_by_transaction on only transaction_history.entry using btree (transaction_id, occurred_at) where (transaction_id is not null);

create index transaction_by_time on only transaction_history.transaction using btree (tenant_id, created_at, transaction_id);

create index wallet_by_closing on transaction_history.wallet using btree (tenant_id, currency) where (status = 'closed'::text);

create index wallet_by_opening on transaction_history.wallet using btree (tenant_id, opened_at, wallet_id);

create index wallet_by_owner on transaction_history.wallet using btree (tenant_id, owner_id, wallet_id);

alter table only history_jobs.job_part
    add constraint job_part_job_fk foreign key (job_id) references history_jobs.job(id) on delete cascade;

alter table only history_jobs.link
    add constraint link_job_fk foreign key (job_id) references history_jobs.job(id) on delete cascade;

alter table only history_jobs.statement_file
    add constraint statement_file_statement_fk foreign key (statement_id) references history_jobs.statement(id);

alter table only history_jobs.statement_issue
    add constraint statement_issue_statement_fk foreign key (statement_id) references history_jobs.statement(id);

alter table history_index.counterparty enable row level security;

alter table history_index.day_total enable row level security;

alter table history_index.minute_total enable row level security;

create policy of_one_tenant on history_index.counterparty for select to :"reader_role" using ((tenant_id = (nullif(current_setting('app.tenant_id'::text, true), ''::text))::uuid));

create policy of_one_tenant on history_index.day_total for select to :"reader_role" using ((tenant_id = (nullif(current_setting('app.tenant_id'::text, true), ''::text))::uuid));

create policy of_one_tenant on history_index.minute_total for select to :"reader_role" using ((tenant_id = (nullif(current_setting('app.tenant_id'::text, true), ''::text))::uuid));

create policy of_one_tenant on history_index.search_entry for select to :"reader_role" using ((tenant_id = (nullif(current_setting('app.tenant_id'::text, true), ''::text))::uuid));

create policy of_one_tenant on history_index.shard_total for select to :"reader_role" using ((tenant_id = (nullif(current_setting('app.tenant_id'::text, true), ''::text))::uuid));

create policy of_one_tenant on history_index.wallet_hour for select to :"reader_role" using ((tenant_id = (nullif(current_setting('app.tenant_id'::text, true), ''::text))::uuid));

alter table history_index.search_entry enable row level security;

alter table history_index.shard_total enable row level security;

alter table history_index.wallet_hour enable row level security;

alter table history_jobs.cached_answer enable row level security;

alter table history_jobs.job enable row level security;

alter table history_jobs.job_part enable row level security;

alter table history_jobs.link enable row level security;

create policy of_one_tenant on history_jobs.cached_answer for select to :"reader_role" using ((tenant_id = (nullif(current_setting('app.tenant_id'::text, true), ''::text))::uuid));

create policy of_one_tenant on history_jobs.job for select to :"reader_role" using ((tenant_id = (nullif(current_setting('app.tenant_id'::text, true), ''::text))::uuid));

create policy of_one_tenant on history_jobs.job_part for select to :"reader_role" using ((exists ( select
   from history_jobs.job j
  where (j.id = job_part.job_id))));

create policy of_one_tenant on history_jobs.link for select to :"reader_role" using ((tenant_id = (nullif(current_setting('app.tenant_id'::text, true), ''::text))::uuid));

create policy of_one_tenant on history_jobs.statement for select to :"reader_role" using ((tenant_id = (nullif(current_setting('app.tenant_id'::text, true), ''::text))::uuid));

create policy of_one_tenant on history_jobs.statement_file for select to :"reader_role" using ((tenant_id = (nullif(current_setting('app.tenant_id'::text, true), ''::text))::uuid));

create policy of_one_tenant on history_jobs.statement_issue for select to :"reader_role" using ((tenant_id = (nullif(current_setting('app.tenant_id'::text, true), ''::text))::uuid));

create policy of_one_tenant on history_jobs.statement_setting for select to :"reader_role" using ((tenant_id = (nullif(current_setting('app.tenant_id'::text, true), ''::text))::uuid));

alter table history_jobs.statement enable row level security;

alter table history_jobs.statement_file enable row level security;

alter table history_jobs.statement_issue enable row level security;

alter table history_jobs.statement_setting enable row level security;

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

grant usage on schema history_index to :"app_role";
grant usage on schema history_index to :"reader_role";

grant usage on schema history_jobs to :"app_role";
grant usage on schema history_jobs to :"reader_role";

grant usage on schema servicekit to :"app_role";
grant usage on schema servicekit to :"reader_role";

grant usage on schema transaction_history to :"app_role";
grant usage on schema transaction_history to :"reader_role";

revoke all on function history_index.ensure_search_segments(instants timestamp with time zone[], width text, is_used boolean) from public;
grant all on function history_index.ensure_search_segments(instants timestamp with time zone[], width text, is_used boolean) to :"app_role";

revoke all on function history_index.entries_with_terms(required bigint[], group_1 bigint[], group_2 bigint[], group_3 bigint[], owners text[], wallets uuid[], currencies text[], amount_min bigint, amount_max bigint, direction integer, from_at timestamp with time zone, before_at timestamp with time zone, before_id uuid, segments_max integer, rows_max integer, run_ms integer) from public;
grant all on function history_index.entries_with_terms(required bigint[], group_1 bigint[], group_2 bigint[], group_3 bigint[], owners text[], wallets uuid[], currencies text[], amount_min bigint, amount_max bigint, direction integer, from_at timestamp with time zone, before_at timestamp with time zone, before_id uuid, segments_max integer, rows_max integer, run_ms integer) to :"reader_role";

revoke all on function servicekit.append_to_outbox(shards smallint[], event_ids uuid[], tenant_ids uuid[], subjects uuid[], types smallint[], occurred_at timestamp with time zone[], causation_ids uuid[], traceparents text[], payloads bytea[]) from public;
grant all on function servicekit.append_to_outbox(shards smallint[], event_ids uuid[], tenant_ids uuid[], subjects uuid[], types smallint[], occurred_at timestamp with time zone[], causation_ids uuid[], traceparents text[], payloads bytea[]) to :"app_role";

revoke all on function servicekit.forget_rates(now_us bigint, most integer) from public;
grant all on function servicekit.forget_rates(now_us bigint, most integer) to :"app_role";

revoke all on function servicekit.settle_rates(now_us bigint, instance uuid, kinds smallint[], ids bytea[], emissions_us bigint[], bursts bigint[], debits bigint[], rooms bigint[], shorts bigint[], out ordinal bigint, out granted bigint, out units_left bigint, out instances bigint) from public;
grant all on function servicekit.settle_rates(now_us bigint, instance uuid, kinds smallint[], ids bytea[], emissions_us bigint[], bursts bigint[], debits bigint[], rooms bigint[], shorts bigint[], out ordinal bigint, out granted bigint, out units_left bigint, out instances bigint) to :"app_role";

revoke all on function transaction_history.make_partitions(entries date[], transactions date[]) from public;
grant all on function transaction_history.make_partitions(entries date[], transactions date[]) to :"app_role";

grant select,insert,update on table history_index.counterparty to :"app_role";
grant select on table history_index.counterparty to :"reader_role";

grant select,insert,update on table history_index.day_total to :"app_role";
grant select on table history_index.day_total to :"reader_role";

grant select,insert,delete,update on table history_index.minute_total to :"app_role";
grant select on table history_index.minute_total to :"reader_role";

grant select,insert on table history_index.search_entry to :"app_role";
grant select on table history_index.search_entry to :"reader_role";

grant select on table history_index.search_segment to :"app_role";
grant select on table history_index.search_segment to :"reader_role";

grant select,insert,update on table history_index.shard_total to :"app_role";
grant select on table history_index.shard_total to :"reader_role";

grant select,insert,update on table history_index.wallet_held to :"app_role";

grant select,insert,update on table history_index.wallet_hour to :"app_role";
grant select on table history_index.wallet_hour to :"reader_role";

grant select,insert,delete,update on table history_jobs.cached_answer to :"app_role";
grant select on table history_jobs.cached_answer to :"reader_role";

grant select,insert,update on table history_jobs.drift to :"app_role";

grant select,insert,update on table history_jobs.generation to :"app_role";
grant select on table history_jobs.generation to :"reader_role";

grant select,insert,delete,update on table history_jobs.idempotency to :"app_role";

grant select,insert,delete,update on table history_jobs.job to :"app_role";
grant select on table history_jobs.job to :"reader_role";

grant select,insert,delete,update on table history_jobs.job_part to :"app_role";
grant select on table history_jobs.job_part to :"reader_role";

grant select,insert,delete,update on table history_jobs.link to :"app_role";
grant select on table history_jobs.link to :"reader_role";

grant select on table history_jobs.repair to :"app_role";

grant select,insert,update on table history_jobs.statement to :"app_role";
grant select on table history_jobs.statement to :"reader_role";

grant select,insert,update on table history_jobs.statement_account to :"app_role";

grant select,insert,update on table history_jobs.statement_file to :"app_role";
grant select on table history_jobs.statement_file to :"reader_role";

grant select,insert on table history_jobs.statement_issue to :"app_role";
grant select on table history_jobs.statement_issue to :"reader_role";

grant select,insert,update on table history_jobs.statement_setting to :"app_role";
grant select on table history_jobs.statement_setting to :"reader_role";

grant select,insert,update on table history_jobs.statement_tenant to :"app_role";

grant select,insert,delete,update on table history_jobs.tenant to :"app_role";

grant select,insert,update on table servicekit.access_entity to :"app_role";

grant select,insert,update on table servicekit.checkpoint to :"app_role";
grant select on table servicekit.checkpoint to :"reader_role";

grant select on table servicekit.function_in_force to :"app_role";

grant select,insert,update on table servicekit.lease to :"app_role";

grant select,insert,update on table servicekit.maintenance_job to :"app_role";

grant select on table servicekit.migration to :"app_role";

grant select,insert on table servicekit.outbox to :"app_role";

grant select,insert,delete,update on table servicekit.parked_subject to :"app_role";

grant select(projection) on table servicekit.parked_subject to :"reader_role";

grant select(subject) on table servicekit.parked_subject to :"reader_role";

grant select,insert,update on table servicekit.projection_lag to :"app_role";
grant select on table servicekit.projection_lag to :"reader_role";

grant select,insert,delete,update on table servicekit.rate_bucket to :"app_role";

grant select,insert,delete,update on table servicekit.rate_instance to :"app_role";

grant select,insert,update on table servicekit.relay_halt to :"app_role";

grant select,insert,delete,update on table servicekit.relay_instance to :"app_role";

grant select,update on table servicekit.relay_lease to :"app_role";

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
