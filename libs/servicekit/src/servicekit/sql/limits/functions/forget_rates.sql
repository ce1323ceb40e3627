-- Delete up to `most` buckets that have been whole for ten seconds, which are worth as much as none, and the instances
-- that were not seen for a minute. Rows that somebody settles are passed over.
create or replace function servicekit.forget_rates(now_us bigint, most integer)
returns bigint language plpgsql volatile as $$
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

revoke execute on function servicekit.forget_rates from public;
grant execute on function servicekit.forget_rates to :"app_role";
