-- The entries of the session's tenant that have the terms, newest first: all of required, and one of each group, of
-- those from from_at on and before (before_at, before_id). Where required is empty, group_1 finds them. Goes through at
-- most segments_max segments, newest first, and stops behind one in which rows_max was reached or run_ms passed; the
-- last row tells by reached where it then stood, null where there was no segment.
--
-- It runs as its owner because row-level security would keep the index on terms from being used: comparing arrays is
-- not known to be leakproof. So the tenant is compared here, and what is found is read again under the policies.
-- Segments are named, and all but terms is compared afterwards: no other index is to be thought of.
create or replace function history_index.entries_with_terms(
    required bigint[], group_1 bigint[], group_2 bigint[], group_3 bigint[], owners text[], wallets uuid[],
    currencies text[], amount_min bigint, amount_max bigint, direction int,
    from_at timestamptz, before_at timestamptz, before_id uuid, segments_max int, rows_max int, run_ms int)
returns table (wallet_id uuid, occurred_at timestamptz, version bigint, event_id uuid, reached timestamptz)
language plpgsql stable security definer set search_path = pg_catalog
set enable_seqscan = off set enable_indexscan = off set enable_bitmapscan = on set jit = off as $$
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
end $$;

revoke execute on function history_index.entries_with_terms from public;
grant execute on function history_index.entries_with_terms to :"reader_role";
