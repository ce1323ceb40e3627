-- Append events with the next numbers of their shards, in the order given. The locks are held until the transaction ends,
-- so that numbers become visible in their order: call it as the transaction's last statement. VOLATILE: the heads are
-- read by a statement of its own, after the locks.
create or replace function servicekit.append_to_outbox(
    shards smallint[], event_ids uuid[], tenant_ids uuid[], subjects uuid[], types smallint[],
    occurred_at timestamptz[], causation_ids uuid[], traceparents text[], payloads bytea[])
returns void language plpgsql volatile set enable_seqscan = off as $$
declare
    s smallint;
begin
    -- Whatever the session is set to: a relay must never publish what a crash then takes back.
    perform set_config('synchronous_commit', 'on', true);
    for s in select distinct x from unnest(shards) x order by 1 loop
        perform pg_advisory_xact_lock(9, s);
    end loop;
    with head as materialized (
        select d.shard, coalesce((select o.seq from servicekit.outbox o where o.shard = d.shard
                                   order by o.seq desc limit 1), 0) as seq
          from (select distinct x as shard from unnest(shards) x) d)
    insert into servicekit.outbox (shard, seq, event_id, tenant_id, subject, type, occurred_at, causation_id,
                                   traceparent, payload)
    select head.shard, head.seq + row_number() over (partition by u.shard order by u.ordinal), u.event_id, u.tenant_id,
           u.subject, u.type, u.occurred_at, u.causation_id, u.traceparent, u.payload
      from unnest(shards, event_ids, tenant_ids, subjects, types, occurred_at, causation_ids, traceparents, payloads)
           with ordinality u (shard, event_id, tenant_id, subject, type, occurred_at, causation_id, traceparent,
                              payload, ordinal)
      join head using (shard);
end $$;

revoke execute on function servicekit.append_to_outbox from public;
grant execute on function servicekit.append_to_outbox to :"app_role";
