-- Partitions of the read model, by month: those of *entries* for `entry` and `state_change`, those of *transactions*
-- for `transaction` and `system_entry`. The schema is the function's own, whatever it is named by now.

-- Make those that are not there. It makes nothing else, whoever calls it: its caller may not create tables. A partition
-- is made as a plain table and attached, so that no reader waits. Raises 22008 for a month before 2000 or one that begins
-- more than 130 days from now.
create or replace function transaction_history.make_partitions(entries date[], transactions date[]) returns void
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
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

revoke all on function transaction_history.make_partitions(date[], date[]) from public;
grant execute on function transaction_history.make_partitions(date[], date[]) to :"app_role";
