-- What the rows of a projector of the release before get that know nothing of a newer column: a failure that it meets by
-- trying again, until it is replaced. Its rows would lack the running totals.
create or replace function transaction_history.of_a_newer_release() returns smallint language plpgsql volatile as $$
begin
    raise exception 'these tables belong to a newer release' using errcode = 'serialization_failure';
end;
$$;

do $$
declare
    home oid := (select pronamespace from pg_proc where oid = 'transaction_history.of_a_newer_release'::regproc);
    told text;
begin
    for told in
        select attrelid::regclass from pg_attribute join pg_class c on c.oid = attrelid
        where relnamespace = home and not relispartition and relkind in ('r', 'p') and attname = 'shard'
          and relname in ('wallet', 'entry', 'system_entry', 'state_change')
    loop
        execute format('alter table %s alter column shard set default transaction_history.of_a_newer_release()', told);
    end loop;
end;
$$;
