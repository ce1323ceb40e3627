-- The two calls of a batch, between BEGIN and COMMIT at READ COMMITTED. Both are VOLATILE, so that each inner
-- statement has a snapshot of its own, taken after the locks before it were granted.

-- Advisory lock classes: (7, 0) the turn of the committers, (7, 1) partition making, (8, shard) a shard's head.

-- Lock what a batch names, then look up its idempotency keys, then read the clock. One row per found thing:
-- kind 0 a wallet, 1 a key (ordinal: its place in the arrays), 2 the time.
create function wallet.lock_batch(take_turn boolean, wallet_ids uuid[], clients uuid[], keys text[], parts smallint[])
returns table (
    kind smallint, id uuid, tenant_id uuid, owner_id text, currency text, status smallint, restrictions text,
    posted_minor bigint, held_minor bigint, overdraft_limit_minor bigint, version bigint, opened_at timestamptz,
    at timestamptz, private bytea, ordinal bigint, fingerprint bytea, body bytea, resource_id uuid, positions bigint[])
language plpgsql volatile set enable_seqscan = off as $$
#variable_conflict use_column
begin
    if take_turn then
        perform pg_advisory_xact_lock(7, 0);
    end if;
    return query
        select 0::smallint, w.id, w.tenant_id, w.owner_id, w.currency, w.status, w.restrictions, w.posted_minor,
               w.held_minor, w.overdraft_limit_minor, w.version, w.opened_at, w.last_at, w.private,
               null::bigint, null::bytea, null::bytea, null::uuid, null::bigint[]
          from wallet.wallet w where w.id = any (wallet_ids) order by w.id for no key update;
    return query
        select 1::smallint, null::uuid, null::uuid, null::text, null::text, i.status, null::text, null::bigint,
               null::bigint, null::bigint, null::bigint, null::timestamptz, null::timestamptz, null::bytea,
               k.ordinal, i.fingerprint, i.body, i.resource_id, i.positions
          from unnest(clients, keys, parts) with ordinality k (client, key, part, ordinal)
          join wallet.idempotency i on i.client = k.client and i.key = k.key and i.part = k.part;
    return query
        select 2::smallint, null::uuid, null::uuid, null::text, null::text, null::smallint, null::text, null::bigint,
               null::bigint, null::bigint, null::bigint, null::timestamptz, clock_timestamp(), null::bytea,
               null::bigint, null::bytea, null::bytea, null::uuid, null::bigint[];
end $$;

-- Write what a batch decided, opened wallets at their first version; returns the sequence number of each journal row, in the order given. Raises WL001 when
-- a wallet is not at the version that was read. *first_row* and *second_row* of an idempotency record number its last
-- journal row in each of its (at most two) shards; *more_rows* is an int[] literal for a command over more shards.
create function wallet.write_batch(
    now timestamptz,
    open_id uuid[], open_tenant uuid[], open_owner text[], open_currency text[], open_at timestamptz[],
    open_private bytea[],
    w_id uuid[], w_version_before bigint[], w_version bigint[], w_posted bigint[], w_held bigint[],
    w_status smallint[], w_restrictions text[], w_at timestamptz[],
    j_shard smallint[], j_tenant uuid[], j_account uuid[], j_system text[], j_version bigint[], j_transaction uuid[],
    j_index smallint[], j_count smallint[], j_type smallint[], j_currency text[], j_posted_delta bigint[],
    j_held_delta bigint[], j_posted bigint[], j_held bigint[], j_at timestamptz[], j_actor text[], j_cause uuid[],
    j_traceparent text[], j_payload bytea[],
    r_tenant uuid[], r_hash bytea[], r_transaction uuid[],
    i_client uuid[], i_key text[], i_part smallint[], i_fingerprint bytea[], i_status smallint[], i_body bytea[],
    i_resource uuid[], i_first_row int[], i_second_row int[], i_more_rows text[])
returns bigint[] language plpgsql volatile set enable_seqscan = off as $$
declare
    touched int;
    seqs    bigint[];
    s       smallint;
begin
    if cardinality(open_id) > 0 then
        insert into wallet.wallet (id, tenant_id, owner_id, currency, status, restrictions, posted_minor, held_minor,
                                   overdraft_limit_minor, floor_waived, version, opened_at, last_at, private)
        select u.id, u.tenant, u.owner, u.currency, 0, null, 0, 0, 0, false, 1, u.at, u.at, u.private
          from unnest(open_id, open_tenant, open_owner, open_currency, open_at, open_private)
               u (id, tenant, owner, currency, at, private);
    end if;
    if cardinality(w_id) > 0 then
        update wallet.wallet w
           set posted_minor = u.posted, held_minor = u.held, version = u.version, status = u.status,
               restrictions = u.restrictions, last_at = u.at
          from unnest(w_id, w_version_before, w_version, w_posted, w_held, w_status, w_restrictions, w_at)
               u (id, version_before, version, posted, held, status, restrictions, at)
         where w.id = u.id and w.version = u.version_before;
        get diagnostics touched = row_count;
        if touched <> cardinality(w_id) then
            raise exception 'a wallet is not at the version that was read' using errcode = 'WL001';
        end if;
    end if;
    if cardinality(j_shard) > 0 then
        for s in select distinct x from unnest(j_shard) x order by 1 loop
            perform pg_advisory_xact_lock(8, s);
        end loop;
        -- A statement of its own, after the locks. MATERIALIZED: one look-up per shard, not per row.
        with head as materialized (
            select d.shard, coalesce((select j.seq from wallet.journal j where j.shard = d.shard
                                       order by j.seq desc limit 1), 0) as seq
              from (select distinct x as shard from unnest(j_shard) x) d)
        select array_agg(head.seq + r.rank order by r.ordinal) into seqs
          from (select u.ordinal, u.shard, row_number() over (partition by u.shard order by u.ordinal) as rank
                  from unnest(j_shard) with ordinality u (shard, ordinal)) r
          join head using (shard);
        insert into wallet.journal (shard, seq, event_id, tenant_id, account_id, system_account, version,
                                    transaction_id, entry_index, entry_count, type, currency, posted_delta, held_delta,
                                    posted_after, held_after, occurred_at, actor, causation_id, traceparent, payload)
        select u.shard, u.seq, uuidv7(), u.tenant, u.account, u.system_account, u.version, u.transaction, u.index,
               u.count, u.type, u.currency, u.posted_delta, u.held_delta, u.posted, u.held, u.at, u.actor, u.cause,
               u.traceparent, u.payload
          from unnest(j_shard, seqs, j_tenant, j_account, j_system, j_version, j_transaction, j_index, j_count, j_type,
                      j_currency, j_posted_delta, j_held_delta, j_posted, j_held, j_at, j_actor, j_cause,
                      j_traceparent, j_payload)
               u (shard, seq, tenant, account, system_account, version, transaction, index, count, type, currency,
                  posted_delta, held_delta, posted, held, at, actor, cause, traceparent, payload);
    end if;
    if cardinality(r_hash) > 0 then
        insert into wallet.transaction_reference (tenant_id, reference_hash, transaction_id)
        select * from unnest(r_tenant, r_hash, r_transaction);
    end if;
    -- In key order, so that two writers of the same keys never wait for each other in a circle.
    insert into wallet.idempotency (client, key, part, fingerprint, status, body, resource_id, positions, created_at)
    select u.client, u.key, u.part, u.fingerprint, u.status, u.body, u.resource,
           case
               when u.more_rows is not null then
                   (select array_agg(p.part order by m.ordinal, p.ordinal)
                      from unnest(u.more_rows::int[]) with ordinality m (row, ordinal)
                      cross join lateral unnest(array[j_shard[m.row], seqs[m.row]]) with ordinality p (part, ordinal))
               when u.first_row is null then null
               when u.second_row is null then array[j_shard[u.first_row], seqs[u.first_row]]
               else array[j_shard[u.first_row], seqs[u.first_row], j_shard[u.second_row], seqs[u.second_row]]
           end,
           write_batch.now
      from unnest(i_client, i_key, i_part, i_fingerprint, i_status, i_body, i_resource, i_first_row, i_second_row,
                  i_more_rows)
           u (client, key, part, fingerprint, status, body, resource, first_row, second_row, more_rows)
     order by u.client, u.key, u.part;
    return seqs;
end $$;
