-- A system account's balance: a total folded forward in the background, plus the journal's rows after it. Nothing of this
-- is on the way of a command.

-- A part per shard, so that each shard is folded by itself.
create table wallet.system_account_total (
    tenant_id      uuid     not null,
    system_account text collate "C" not null,
    currency       text collate "C" not null,
    shard          smallint not null,
    total_minor    numeric  not null,
    primary key (tenant_id, system_account, currency, shard)
) with (fillfactor = 70);

-- How far each shard is folded.
create table wallet.system_account_fold (
    shard smallint primary key,
    seq   bigint   not null default 0
) with (fillfactor = 50);                                  -- room for HOT updates, one a second per row

insert into wallet.system_account_fold (shard) select generate_series(0, 63);

-- Fold at most *rows_per_shard* rows of each shard into the totals; returns how many rows that were. Any number of
-- instances may call it at once: the rows another one is folding are left to it, and a cursor moves only from where it
-- was found, in the transaction that adds what lies between. One range of the primary key is read per shard.
create function wallet.fold_system_accounts(rows_per_shard int) returns bigint
language sql volatile set enable_seqscan = off set enable_bitmapscan = off as $$
    with mine as materialized (
        select f.shard, f.seq from wallet.system_account_fold f for update skip locked
    ), lot as materialized (
        select m.shard, m.seq as before, l.seq as after
          from mine m
          cross join lateral (
              select max(n.seq) as seq
                from (select j.seq from wallet.journal j where j.shard = m.shard and j.seq > m.seq
                       order by j.seq limit rows_per_shard) n) l
         where l.seq is not null
    ), moved as (
        update wallet.system_account_fold f set seq = lot.after
          from lot where f.shard = lot.shard and f.seq = lot.before
        returning f.shard, lot.before, lot.after
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
    select coalesce(sum(after - before), 0)::bigint from moved
$$;

-- The balances of a tenant's system accounts as of the caller's snapshot: the totals and the rows after them.
create function wallet.system_account_balances(of_tenant uuid)
returns table (system_account text, currency text, total_minor numeric)
language sql stable set enable_seqscan = off set enable_bitmapscan = off as $$
    select a.system_account, a.currency, sum(a.total_minor)
      from (select t.system_account, t.currency, t.total_minor
              from wallet.system_account_total t where t.tenant_id = of_tenant
            union all
            select j.system_account, j.currency, j.posted_delta
              from wallet.system_account_fold f
              join wallet.journal j on j.shard = f.shard and j.seq > f.seq
             where j.tenant_id = of_tenant and j.system_account is not null) a
     group by a.system_account, a.currency
$$;

grant select, insert, update on wallet.system_account_total to :"app_role";
grant select, update on wallet.system_account_fold to :"app_role";
revoke execute on function wallet.fold_system_accounts, wallet.system_account_balances from public;
grant execute on function wallet.fold_system_accounts, wallet.system_account_balances to :"app_role";
