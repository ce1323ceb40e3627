-- The most active wallets, for operators' dashboards: what the kept answers tell of them, and not whose they are. The
-- role `dashboards` reads this and nothing else. Who has no such role goes without; who makes it later grants the same.

create view history_jobs.top_wallets with (security_barrier) as
select distinct on (tenant_id, span, ranked_by, wallet_id)
    tenant_id, as_of, span, ranked_by, rank, wallet_id, currency, entries, credits_minor, debits_minor, posted_minor
from (
    select c.tenant_id, c.as_of,
           c.question::jsonb ->> 'window' as span,                    -- 1h, 24h, 7d, 30d
           coalesce(c.question::jsonb ->> 'by', 'entries') as ranked_by,  -- a dashboard's are ranked by entries
           w.rank::integer as rank,
           (w.wallet ->> 'wallet_id')::uuid as wallet_id,
           w.wallet ->> 'currency' as currency,
           (w.wallet ->> 'entries')::bigint as entries,
           (w.wallet ->> 'credits_minor')::numeric as credits_minor,
           (w.wallet ->> 'debits_minor')::numeric as debits_minor,
           (w.wallet ->> 'posted_minor')::numeric as posted_minor
    from history_jobs.cached_answer as c
    cross join lateral jsonb_array_elements(coalesce(c.answer::jsonb -> 'wallets', c.answer::jsonb -> 'active'))
        with ordinality as w (wallet, rank)
    where c.answer is not null and c.tenant_id <> '00000000-0000-7000-8000-0000000000ca'  -- the canary's
) as told
order by tenant_id, span, ranked_by, wallet_id, as_of desc, rank;

do $$
begin
    if exists (select from pg_roles where rolname = 'dashboards') then
        grant usage on schema history_jobs to dashboards;
        grant select on history_jobs.top_wallets to dashboards;
    end if;
end
$$;
