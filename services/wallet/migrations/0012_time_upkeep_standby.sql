-- Time by wallet, upkeep by index, and a barrier in front of what a synchronous standby may not have.

-- Found and deleted by age, in lots: a BRIN's ranges never narrow again once deleted space is used anew.
drop index wallet.idempotency_by_age;
create index idempotency_by_age on wallet.idempotency (created_at);

-- Lock what a batch names, then look up its idempotency keys, then read the clock. One row per found thing:
-- kind 0 a wallet, 1 a key (ordinal: its place in *keys*), 2 the database's clock. A record that is found may be one whose
-- commit did not wait for the synchronous standby to the end. So it is answered by a transaction that writes something:
-- its own commit waits, and with it for all that was written before.
create or replace function wallet.lock_batch(take_turn boolean, wallet_ids uuid[], keys wallet.unit_key[])
returns table (
    kind smallint, id uuid, tenant_id uuid, owner_id text, currency text, status smallint, restrictions text,
    posted_minor bigint, held_minor bigint, overdraft_limit_minor bigint, version bigint, opened_at timestamptz,
    at timestamptz, private bytea, operator_version bigint, ordinal bigint, fingerprint bytea, body bytea,
    resource_id uuid, positions bigint[])
language plpgsql volatile set enable_seqscan = off set plan_cache_mode = force_generic_plan as $$
#variable_conflict use_column
declare
    has_found boolean;
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
    has_found := found;
    return query
        select 2::smallint, null::uuid, null::uuid, null::text, null::text, null::smallint, null::text, null::bigint,
               null::bigint, null::bigint, null::bigint, null::timestamptz, clock_timestamp(),
               null::bytea, null::bigint, null::bigint, null::bytea, null::bytea, null::uuid, null::bigint[];
    if has_found and current_setting('synchronous_standby_names') <> '' then
        perform pg_logical_emit_message(true, 'wallet.barrier', '');
    end if;
end $$;

-- When a journal row's wallet is ahead of the batch's time: *row* is its number (from 1), *at* when its event occurred.
create type wallet.raised_row as ("row" int, at timestamptz);

-- As before, but time is raised by wallet: an event is never earlier than its wallet's last one, and no wallet takes
-- another's time.
drop function wallet.commit_fenced_batch;
drop function wallet.write_batch;
create function wallet.write_batch(
    now timestamptz, opened wallet.opened_row[], changed wallet.changed_row[], shards smallint[],
    journal wallet.journal_row[], refs wallet.reference_row[], records wallet.idempotency_row[],
    raised wallet.raised_row[])
returns bigint[] language plpgsql volatile set enable_seqscan = off set plan_cache_mode = force_generic_plan as $$
declare
    touched int;
    seqs    bigint[];
    s       smallint;
    has_raised constant boolean := cardinality(raised) > 0;
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
               restrictions = u.restrictions, operator_version = u.operator_version,
               last_at = greatest(w.last_at, write_batch.now)
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
               u.held_after,
               case when has_raised
                    then coalesce((select r.at from unnest(raised) r where r."row" = u.ordinal), write_batch.now)
                    else write_batch.now end,
               u.actor, u.causation_id, u.traceparent, u.payload
          from rows from (unnest(shards), unnest(seqs), unnest(journal)) with ordinality
               u (shard, seq, tenant_id, account_id, system_account, version, transaction_id, entry_index, entry_count,
                  type, currency, posted_delta, held_delta, posted_after, held_after, actor, causation_id, traceparent,
                  payload, ordinal);
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

-- Write what was decided on wallets as *named* says they are. Raises WL001 where one of them is not like that or has a
-- later last entry than *now*, WL002 where a key is taken: then nothing was written, and the batch must be decided again
-- on locked rows. Returns the sequence numbers, as write_batch does, and the time after the locks.
create function wallet.commit_fenced_batch(
    take_turn boolean, named wallet.named_row[], keys wallet.unit_key[], now timestamptz, opened wallet.opened_row[],
    changed wallet.changed_row[], shards smallint[], journal wallet.journal_row[], refs wallet.reference_row[],
    records wallet.idempotency_row[], out seqs bigint[], out at timestamptz)
language plpgsql volatile set enable_seqscan = off set plan_cache_mode = force_generic_plan as $$
declare
    found_as_named int;
begin
    if take_turn then
        perform pg_advisory_xact_lock(7, 0);
    end if;
    -- Locked in id order; a row that another writer moved on while this one waited is looked at again, and left out.
    select count(*) into found_as_named
      from (select 1 from wallet.wallet w join unnest(named) n on n.id = w.id
             where w.version = n.version and w.posted_minor = n.posted_minor and w.held_minor = n.held_minor
               and w.status = n.status and w.operator_version = n.operator_version
               and w.restrictions is not distinct from n.restrictions and w.last_at <= commit_fenced_batch.now
             order by w.id for no key update of w) locked;
    if found_as_named <> cardinality(named) then
        raise exception 'a wallet is not as it is remembered' using errcode = 'WL001';
    end if;
    perform 1 from unnest(keys) k
      join wallet.idempotency i on i.client = k.client and i.key = k.key and i.part = k.part limit 1;
    if found then
        raise exception 'a key is taken' using errcode = 'WL002';
    end if;
    at := clock_timestamp();
    seqs := wallet.write_batch(now, opened, changed, shards, journal, refs, records, '{}');
end $$;

revoke execute on function wallet.write_batch, wallet.commit_fenced_batch from public;
grant execute on function wallet.write_batch, wallet.commit_fenced_batch to :"app_role";

select wallet.ensure_journal_partitions(4);
