-- A batch that was decided on remembered rows, in one call that is a transaction of its own.
-- needs: lock_batch, write_batch

-- All that is decided on: a version alone does not tell what a wallet holds. Where a batch is sent behind another that
-- is then not written, somebody else may have moved a wallet on to the same version with another balance.
create type wallet.named_row as (
    id uuid, version bigint, posted_minor bigint, held_minor bigint, status smallint, restrictions text,
    operator_version bigint);

-- Write what was decided on wallets as *named* says they are. Raises WL001 where one of them is not like that or has a
-- later last entry than *now*, or where *now* is ahead of the clock; WL002 where a key is taken: then nothing was
-- written, and the batch must be decided again on locked rows. Returns the sequence numbers, as write_batch does, and
-- the time after the locks.
create or replace function wallet.commit_fenced_batch(
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
    -- Decided by a clock that was ahead and has been set back: it would take more wallets along.
    if now > at + interval '1 second' then
        raise exception 'the time of the batch is ahead of the clock' using errcode = 'WL001';
    end if;
    seqs := wallet.write_batch(now, opened, changed, shards, journal, refs, records, '{}');
end $$;

revoke execute on function wallet.commit_fenced_batch from public;
grant execute on function wallet.commit_fenced_batch to :"app_role";
