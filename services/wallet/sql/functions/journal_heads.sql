-- The newest sequence number of each shard that has attached rows: one step into the primary key for each.
--
-- Whatever is planned without parameters is planned once and kept. With all scans but those of indexes off, a plan from
-- when the newest partition was empty is the same as one from when it is full: it would read all of it otherwise.
create or replace function wallet.journal_heads() returns table (shard smallint, seq bigint)
language plpgsql stable set enable_seqscan = off set enable_bitmapscan = off as $$
begin
    return query
        select s.shard, h.seq
          from (select n::smallint from generate_series(0, 63) n) s (shard)
          cross join lateral (select j.seq from wallet.journal j where j.shard = s.shard order by j.seq desc limit 1) h;
end $$;

revoke execute on function wallet.journal_heads from public;
grant execute on function wallet.journal_heads to :"app_role";
