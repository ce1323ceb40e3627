-- Decisions of the fraud service, and the operator's word that stands against them.

-- The version at which an operator last changed the restrictions; 0: none ever did.
alter table wallet.wallet add column operator_version bigint not null default 0;
alter table wallet.wallet_opening add column operator_version bigint not null default 0;
alter type wallet.changed_row add attribute operator_version bigint;

-- Decisions that were acted on, or not to be: kept for ever, so that no replay acts on one again.
create table wallet.settled_decision (
    decision_id    uuid        primary key,
    tenant_id      uuid        not null,
    wallet_id      uuid        not null,
    judged_version bigint      not null,
    rules_version  text        not null,
    verdict        text        not null,
    decided_at     timestamptz not null,
    settled_at     timestamptz not null default clock_timestamp(),
    constraint settled_decision_verdict_is_known check (verdict in ('applied', 'superseded', 'refused', 'noted'))
);

create index settled_decision_by_wallet on wallet.settled_decision (wallet_id, decided_at);

-- As before, with the operator's version.
drop function wallet.lock_batch;
create function wallet.lock_batch(take_turn boolean, wallet_ids uuid[], keys wallet.unit_key[])
returns table (
    kind smallint, id uuid, tenant_id uuid, owner_id text, currency text, status smallint, restrictions text,
    posted_minor bigint, held_minor bigint, overdraft_limit_minor bigint, version bigint, opened_at timestamptz,
    at timestamptz, private bytea, operator_version bigint, ordinal bigint, fingerprint bytea, body bytea,
    resource_id uuid, positions bigint[])
language plpgsql volatile set enable_seqscan = off as $$
#variable_conflict use_column
begin
    if take_turn then
        perform pg_advisory_xact_lock(7, 0);
    end if;
    return query
        select 0::smallint, w.id, w.tenant_id, w.owner_id, w.currency, w.status, w.restrictions, w.posted_minor,
               w.held_minor, w.overdraft_limit_minor, w.version, w.opened_at, w.last_at, w.private, w.operator_version,
               null::bigint, null::bytea, null::bytea, null::uuid, null::bigint[]
          from wallet.wallet w where w.id = any (wallet_ids) order by w.id for no key update;
    return query
        select 1::smallint, null::uuid, null::uuid, null::text, null::text, i.status, null::text, null::bigint,
               null::bigint, null::bigint, null::bigint, null::timestamptz, null::timestamptz, null::bytea,
               null::bigint, k.ordinal, i.fingerprint, i.body, i.resource_id, i.positions
          from unnest(keys) with ordinality k (client, key, part, ordinal)
          join wallet.idempotency i on i.client = k.client and i.key = k.key and i.part = k.part;
    return query
        select 2::smallint, null::uuid, null::uuid, null::text, null::text, null::smallint, null::text, null::bigint,
               null::bigint, null::bigint, null::bigint, null::timestamptz,
               greatest(clock_timestamp(),
                        (select max(w.last_at) from wallet.wallet w where w.id = any (wallet_ids))),
               null::bytea, null::bigint, null::bigint, null::bytea, null::bytea, null::uuid, null::bigint[];
end $$;

-- As before, with the operator's version.
create or replace function wallet.write_batch(
    now timestamptz, opened wallet.opened_row[], changed wallet.changed_row[], shards smallint[],
    journal wallet.journal_row[], refs wallet.reference_row[], records wallet.idempotency_row[])
returns bigint[] language plpgsql volatile set enable_seqscan = off as $$
declare
    touched int;
    seqs    bigint[];
    s       smallint;
begin
    if cardinality(opened) > 0 then
        insert into wallet.wallet (id, tenant_id, owner_id, currency, status, restrictions, posted_minor, held_minor,
                                   overdraft_limit_minor, floor_waived, version, opened_at, last_at, private)
        select u.id, u.tenant_id, u.owner_id, u.currency, 0, null, 0, 0, 0, false, 1, write_batch.now,
               write_batch.now, u.private
          from unnest(opened) u;
    end if;
    if cardinality(changed) > 0 then
        update wallet.wallet w
           set posted_minor = u.posted_minor, held_minor = u.held_minor, version = u.version, status = u.status,
               restrictions = u.restrictions, operator_version = u.operator_version, last_at = write_batch.now
          from unnest(changed) u
         where w.id = u.id and w.version = u.version_before;
        get diagnostics touched = row_count;
        if touched <> cardinality(changed) then
            raise exception 'a wallet is not at the version that was read' using errcode = 'WL001';
        end if;
    end if;
    if cardinality(shards) > 0 then
        for s in select distinct x from unnest(shards) x order by 1 loop
            perform pg_advisory_xact_lock(8, s);
        end loop;
        -- Who waited for an archiving here takes its snapshot afterwards, and so finds the floors it left.
        lock table only wallet.journal in row exclusive mode;
        -- A statement of its own, after the locks. MATERIALIZED: one look-up per shard, not per row. The floor is
        -- looked up only where all of a shard's rows are archived.
        with head as materialized (
            select d.shard, coalesce((select j.seq from wallet.journal j where j.shard = d.shard
                                       order by j.seq desc limit 1),
                                     (select f.seq from wallet.shard_floor f where f.shard = d.shard
                                       order by f.seq desc limit 1), 0) as seq
              from (select distinct x as shard from unnest(shards) x) d)
        select array_agg(head.seq + r.rank order by r.ordinal) into seqs
          from (select u.ordinal, u.shard, row_number() over (partition by u.shard order by u.ordinal) as rank
                  from unnest(shards) with ordinality u (shard, ordinal)) r
          join head using (shard);
        insert into wallet.journal (shard, seq, event_id, tenant_id, account_id, system_account, version,
                                    transaction_id, entry_index, entry_count, type, currency, posted_delta, held_delta,
                                    posted_after, held_after, occurred_at, actor, causation_id, traceparent, payload)
        select u.shard, u.seq, uuidv7(), u.tenant_id, u.account_id, u.system_account, u.version, u.transaction_id,
               u.entry_index, u.entry_count, u.type, u.currency, u.posted_delta, u.held_delta, u.posted_after,
               u.held_after, write_batch.now, u.actor, u.causation_id, u.traceparent, u.payload
          from rows from (unnest(shards), unnest(seqs), unnest(journal))
               u (shard, seq, tenant_id, account_id, system_account, version, transaction_id, entry_index, entry_count,
                  type, currency, posted_delta, held_delta, posted_after, held_after, actor, causation_id, traceparent,
                  payload);
    end if;
    if cardinality(refs) > 0 then
        insert into wallet.transaction_reference (tenant_id, reference_hash, transaction_id)
        select u.tenant_id, u.reference_hash, u.transaction_id from unnest(refs) u;
    end if;
    -- In key order, so that two writers of the same keys never wait for each other in a circle.
    insert into wallet.idempotency (client, key, part, fingerprint, status, body, resource_id, positions, created_at)
    select u.client, u.key, u.part, u.fingerprint, u.status, u.body, u.resource_id,
           case
               when u.more_rows is not null then
                   (select array_agg(p.part order by m.ordinal, p.ordinal)
                      from unnest(u.more_rows::int[]) with ordinality m (row, ordinal)
                      cross join lateral unnest(array[shards[m.row], seqs[m.row]]) with ordinality p (part, ordinal))
               when u.first_row is null then null
               when u.second_row is null then array[shards[u.first_row], seqs[u.first_row]]
               else array[shards[u.first_row], seqs[u.first_row], shards[u.second_row], seqs[u.second_row]]
           end,
           write_batch.now
      from unnest(records) u
     order by u.client, u.key, u.part;
    return seqs;
end $$;

revoke execute on function wallet.lock_batch from public;
grant execute on function wallet.lock_batch to :"app_role";
grant select, insert on wallet.settled_decision to :"app_role";
