-- The balances of a tenant's system accounts as of the caller's snapshot: the totals and the rows after them.
-- In PL/pgSQL: PostgreSQL 18 (18.6) crashes where the plan of a function in SQL becomes invalid while it runs, by a new
-- partition or an ANALYZE in another session.
create or replace function wallet.system_account_balances(of_tenant uuid)
returns table (system_account text, currency text, total_minor numeric)
language plpgsql stable set enable_seqscan = off set enable_bitmapscan = off as $$
#variable_conflict use_column
begin
    return query
        select a.system_account, a.currency, sum(a.total_minor)
          from (select t.system_account, t.currency, t.total_minor
                  from wallet.system_account_total t where t.tenant_id = of_tenant
                union all
                select j.system_account, j.currency, j.posted_delta
                  from wallet.system_account_fold f
                  join wallet.journal j on j.shard = f.shard and j.seq > f.seq
                 where j.tenant_id = of_tenant and j.system_account is not null) a
         group by a.system_account, a.currency;
end $$;

revoke execute on function wallet.system_account_balances from public;
grant execute on function wallet.system_account_balances to :"app_role";
