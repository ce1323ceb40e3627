-- A batch that was decided on rows without a lock on them, in one call that is a transaction of its own.
-- needs: read_rows_2, write_rows_2

-- The stamp a row had when it was read or written; null: there was no such row. Whoever writes a row draws its stamp
-- anew, so that a stamp names a content: nothing else need be compared.
create type wallet.wallet_stamp as (id uuid, stamp bigint);

create type wallet.state_stamp as (kind smallint, id uuid, stamp bigint);

-- The plans of the functions that batches call are kept, from when the tables were small. So every join is a look-up for
-- each row of the batch: by hash or merge, one would come to read a table whole that has grown since.

-- Write what was decided on rows with the *expected* stamps. Raises WL001 where one of them has another, or where *now*
-- is ahead of the clock; WL002 where a key is taken: then nothing was written, and the batch must be decided again on
-- locked rows. Returns the sequence numbers, as write_rows_2 does, and the time after the locks.
create or replace function wallet.commit_rows_2(
    commit_lock boolean, expected_wallets wallet.wallet_stamp[], expected_states wallet.state_stamp[],
    keys wallet.unit_key[], now timestamptz, stamp bigint, opened wallet.wallet_row_2[], moved wallet.moved_wallet_2[],
    changed wallet.wallet_row_2[], made_states wallet.state_row[], changed_states wallet.state_row[], shards smallint[],
    journal wallet.journal_row[], refs wallet.reference_row[], records wallet.idempotency_row[],
    out seqs bigint[], out at timestamptz)
language plpgsql volatile set plan_cache_mode = force_generic_plan
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off as $$
declare
    unchanged int;
    absent    int;
begin
    if commit_lock then
        perform pg_advisory_xact_lock(7, 0);
    end if;
    -- Locked in id order; a row that another writer moved on while this one waited is looked at again, and left out.
    select count(*) into unchanged
      from (select 1 from wallet.wallet w join unnest(expected_wallets) e on e.id = w.id
             where w.stamp = e.stamp order by w.id for no key update of w) locked;
    if unchanged <> cardinality(expected_wallets) then
        select count(*) into absent from unnest(expected_wallets) e
         where e.stamp is null and not exists (select from wallet.wallet w where w.id = e.id);
        if unchanged + absent <> cardinality(expected_wallets) then
            raise exception 'a wallet has another stamp' using errcode = 'WL001';
        end if;
    end if;
    if cardinality(expected_states) > 0 then
        select count(*) into unchanged
          from (select 1 from wallet.state s join unnest(expected_states) e on e.kind = s.kind and e.id = s.id
                 where s.stamp = e.stamp order by s.kind, s.id for no key update of s) locked;
        select count(*) into absent from unnest(expected_states) e
         where e.stamp is null and not exists (select from wallet.state s where s.kind = e.kind and s.id = e.id);
        if unchanged + absent <> cardinality(expected_states) then
            raise exception 'a row has another stamp' using errcode = 'WL001';
        end if;
    end if;
    if cardinality(keys) > 0 then
        perform 1 from unnest(keys) k
          join wallet.idempotency i on i.client = k.client and i.key = k.key and i.part = k.part limit 1;
        if found then
            raise exception 'a key is taken' using errcode = 'WL002';
        end if;
    end if;
    at := clock_timestamp();
    -- Decided by a clock that was ahead and has been set back: it would take more wallets along.
    if now > at + interval '1 second' then
        raise exception 'the time of the batch is ahead of the clock' using errcode = 'WL001';
    end if;
    seqs := wallet.write_rows_2(now, stamp, opened, moved, changed, made_states, changed_states, shards, journal, refs,
                              records, '{}');
end $$;

revoke execute on function wallet.commit_rows_2 from public;
grant execute on function wallet.commit_rows_2 to :"app_role";
