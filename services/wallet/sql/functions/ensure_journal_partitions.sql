-- Make the journal's partition in use and the next *ahead* ones; returns how many were made. A shard without attached
-- rows begins at its archive end, and archived partitions are not made anew.
-- needs: partition_width, journal_heads
create or replace function wallet.ensure_journal_partitions(ahead int) returns int
language plpgsql security definer set search_path = pg_catalog as $$
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

revoke execute on function wallet.ensure_journal_partitions from public;
grant execute on function wallet.ensure_journal_partitions to :"app_role";

select wallet.ensure_journal_partitions(4);
