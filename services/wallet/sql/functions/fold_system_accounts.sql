-- Fold at most *rows_per_shard* rows of each shard into the totals; returns how many rows that were. Any number of
-- instances may call it at once: the rows another one is folding are left to it, and a cursor moves only from where it
-- was found, in the transaction that adds what lies between. One range of the primary key is read per shard: planned
-- anew in each call, since a plan from when the newest partition was empty would read all of it.
-- The cursors are locked in a statement of their own, so that the fold finds no row that has moved on meanwhile.
--
-- In PL/pgSQL: PostgreSQL 18 (18.6) crashes where the plan of a function in SQL becomes invalid while it runs, by a new
-- partition or an ANALYZE in another session.
create or replace function wallet.fold_system_accounts(rows_per_shard int) returns bigint
language plpgsql volatile set enable_seqscan = off set enable_bitmapscan = off
set plan_cache_mode = force_custom_plan as $$
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

revoke execute on function wallet.fold_system_accounts from public;
grant execute on function wallet.fold_system_accounts to :"app_role";
