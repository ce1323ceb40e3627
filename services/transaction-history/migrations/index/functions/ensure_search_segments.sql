-- Make the partitions of search_entry that entries of these instants need; returns how many were made. A segment is a
-- day, a week or a month of UTC; beside one of another width it is as much of that as is left. Where is_used, entries
-- come at once: searches pass the others over.
create or replace function history_index.ensure_search_segments(instants timestamptz[], width text, is_used boolean)
returns int
language plpgsql security definer set search_path = pg_catalog set timezone = 'UTC' as $$
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

revoke execute on function history_index.ensure_search_segments from public;
grant execute on function history_index.ensure_search_segments to :"app_role";
