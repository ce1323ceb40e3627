-- The second of a batch's two calls, VOLATILE like lock_rows_2. The rows of a batch, as the committer sends them; those
-- that are made, or of which anything may have changed, come whole.
-- needs: wallet_as_read_2, state_as_read

-- A wallet of which nothing but the money changed, and what is counted under its limits.
create type wallet.moved_wallet_2 as (
    id uuid, stamp_before bigint, version bigint, posted_minor bigint, held_minor bigint, usage bytea);

create type wallet.journal_row as (
    tenant_id uuid, account_id uuid, system_account text, version bigint, transaction_id uuid, entry_index smallint,
    entry_count smallint, type smallint, currency text, posted_delta bigint, held_delta bigint, posted_after bigint,
    held_after bigint, actor text, causation_id uuid, traceparent text, payload bytea);

create type wallet.reference_row as (tenant_id uuid, reference_hash bytea, transaction_id uuid, shard smallint);

-- first_row and second_row number the last journal row of the record's command in each of its (at most two) shards,
-- from 1; more_rows is an int[] literal for a command over more shards.
create type wallet.idempotency_row as (
    client uuid, key text, part smallint, fingerprint bytea, status smallint, body bytea, resource_id uuid,
    shard smallint, first_row int, second_row int, more_rows text);

-- When a journal row's wallet is ahead of the batch's time: *row* is its number (from 1), *at* when its event occurred.
create type wallet.raised_row as ("row" int, at timestamptz);

-- Write what a batch decided, each row that it makes or changes with the batch's *stamp*; returns the sequence number of
-- each journal row, in the order given. An event is never earlier than its wallet's last one, and no wallet takes
-- another's time. Raises WL001 when a row is not as it was read.
create or replace function wallet.write_rows_2(
    now timestamptz, stamp bigint, opened wallet.wallet_row_2[], moved wallet.moved_wallet_2[], changed wallet.wallet_row_2[],
    made_states wallet.state_row[], changed_states wallet.state_row[], shards smallint[], journal wallet.journal_row[],
    refs wallet.reference_row[], records wallet.idempotency_row[], raised wallet.raised_row[])
returns bigint[] language plpgsql volatile set plan_cache_mode = force_generic_plan
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off as $$
declare
    touched int;
    seqs    bigint[];
    used    smallint[];
    heads   bigint[];  -- by shard, from 1; null where the batch writes nothing
    s       smallint;
    has_raised constant boolean := cardinality(raised) > 0;
begin
    if cardinality(opened) > 0 then
        insert into wallet.wallet (id, tenant_id, owner_id, currency, status, restrictions, posted_minor, held_minor,
                                   overdraft_limit_minor, version, opened_at, last_at, private, operator_version,
                                   floor_waived, terms, usage, stamp)
        select u.* from unnest(opened) u;
    end if;
    if cardinality(moved) > 0 then
        update wallet.wallet w
           set posted_minor = u.posted_minor, held_minor = u.held_minor, version = u.version, usage = u.usage,
               stamp = write_rows_2.stamp, last_at = greatest(w.last_at, write_rows_2.now)
          from unnest(moved) u
         where w.id = u.id and w.stamp = u.stamp_before;
        get diagnostics touched = row_count;
        if touched <> cardinality(moved) then
            raise exception 'a wallet is not as it was read' using errcode = 'WL001';
        end if;
    end if;
    if cardinality(changed) > 0 then
        update wallet.wallet w
           set status = u.status, restrictions = u.restrictions, posted_minor = u.posted_minor,
               held_minor = u.held_minor, overdraft_limit_minor = u.overdraft_limit_minor, version = u.version,
               last_at = u.last_at, private = u.private, operator_version = u.operator_version,
               floor_waived = u.floor_waived, terms = u.terms, usage = u.usage, stamp = u.stamp
          from unnest(changed) u
         where w.id = u.id and w.version < u.version;
        get diagnostics touched = row_count;
        if touched <> cardinality(changed) then
            raise exception 'a wallet is not as it was read' using errcode = 'WL001';
        end if;
    end if;
    if cardinality(made_states) > 0 then
        insert into wallet.state (kind, id, tenant_id, wallet_id, status, cap_minor, used_minor, due_at, version,
                                  changed_at, body, private, stamp)
        select u.* from unnest(made_states) u;
    end if;
    if cardinality(changed_states) > 0 then
        update wallet.state t
           set status = u.status, cap_minor = u.cap_minor, used_minor = u.used_minor, due_at = u.due_at,
               version = u.version, changed_at = u.changed_at, body = u.body, private = u.private, stamp = u.stamp
          from unnest(changed_states) u
         where t.kind = u.kind and t.id = u.id and t.version <= u.version;
        get diagnostics touched = row_count;
        if touched <> cardinality(changed_states) then
            raise exception 'a row is not as it was read' using errcode = 'WL001';
        end if;
    end if;
    if cardinality(shards) > 0 then
        select array_agg(distinct x) into used from unnest(shards) x;
        foreach s in array used loop
            perform pg_advisory_xact_lock(8, s);
        end loop;
        -- Who waited for an archiving here takes its snapshot afterwards, and so finds the archive ends it left.
        lock table only wallet.journal in row exclusive mode;
        -- A statement of its own, after the locks: one look-up for each shard in use. The archive's end is looked up
        -- only where all of a shard's rows are archived.
        select array_agg(case when n.shard = any (used)
                              then coalesce((select j.seq from wallet.journal j where j.shard = n.shard
                                              order by j.seq desc limit 1),
                                            (select f.seq from wallet.archive_end f where f.shard = n.shard
                                              order by f.seq desc limit 1), 0) end order by n.shard) into heads
          from (select x::smallint from generate_series(0, 63) x) n (shard);
        select array_agg(heads[r.shard + 1] + r.rank order by r.ordinal) into seqs
          from (select u.ordinal, u.shard, row_number() over (partition by u.shard order by u.ordinal) as rank
                  from unnest(shards) with ordinality u (shard, ordinal)) r;
        insert into wallet.journal (shard, seq, event_id, tenant_id, account_id, system_account, version,
                                    transaction_id, entry_index, entry_count, type, currency, posted_delta, held_delta,
                                    posted_after, held_after, occurred_at, actor, causation_id, traceparent, payload)
        select u.shard, u.seq, uuidv7(), u.tenant_id, u.account_id, u.system_account, u.version, u.transaction_id,
               u.entry_index, u.entry_count, u.type, u.currency, u.posted_delta, u.held_delta, u.posted_after,
               u.held_after,
               case when has_raised
                    then coalesce((select r.at from unnest(raised) r where r."row" = u.ordinal), write_rows_2.now)
                    else write_rows_2.now end,
               u.actor, u.causation_id, u.traceparent, u.payload
          from rows from (unnest(shards), unnest(seqs), unnest(journal)) with ordinality
               u (shard, seq, tenant_id, account_id, system_account, version, transaction_id, entry_index, entry_count,
                  type, currency, posted_delta, held_delta, posted_after, held_after, actor, causation_id, traceparent,
                  payload, ordinal);
    end if;
    if cardinality(refs) > 0 then
        insert into wallet.transaction_reference (tenant_id, reference_hash, transaction_id, shard)
        select u.tenant_id, u.reference_hash, u.transaction_id, u.shard from unnest(refs) u;
    end if;
    -- In key order, so that two writers of the same keys never wait for each other in a circle.
    insert into wallet.idempotency (client, key, part, fingerprint, status, body, resource_id, positions, shard,
                                    created_at)
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
           u.shard, write_rows_2.now
      from unnest(records) u
     order by u.client, u.key, u.part;
    return seqs;
end $$;

revoke execute on function wallet.write_rows_2 from public;
grant execute on function wallet.write_rows_2 to :"app_role";
