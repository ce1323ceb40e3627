-- The first of a batch's two calls between BEGIN and COMMIT at READ COMMITTED. VOLATILE, so that each inner statement
-- has a snapshot of its own, taken after the locks before it were granted.
--
-- Advisory lock classes: (7, 0) the committers' commit lock, (7, 1) partition making, (7, 2) reading the whole journal
-- (shared) and archiving (alone), (8, shard) a shard's head.
-- needs: read_rows_2

-- Lock what a batch names, wallets by id and then other rows by kind and id; then look up its idempotency keys; then
-- read the clock. Returns what read_rows_2 returns. A record that is found may be one whose commit did not wait for the
-- synchronous standby to the end. So it is answered by a transaction that writes something: its own commit waits, and
-- with it for all that was written before.
create or replace function wallet.lock_rows_2(
    commit_lock boolean, wallet_ids uuid[], state_names wallet.state_name[], keys wallet.unit_key[],
    out wallets wallet.wallet_row_2[], out states wallet.state_row[], out records wallet.found_record[], out at timestamptz)
language plpgsql volatile set plan_cache_mode = force_generic_plan
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off as $$
begin
    if commit_lock then
        perform pg_advisory_xact_lock(7, 0);
    end if;
    if cardinality(wallet_ids) > 0 then
        select array_agg(wallet.wallet_as_read_2(l.w)) into wallets
          from (select w from wallet.wallet w where w.id = any (wallet_ids) order by w.id for no key update) l;
    end if;
    if cardinality(state_names) > 0 then
        select array_agg(wallet.state_as_read(l.s)) into states
          from (select s from unnest(state_names) n join wallet.state s on s.kind = n.kind and s.id = n.id
                 order by s.kind, s.id for no key update of s) l;
    end if;
    if cardinality(keys) > 0 then
        select array_agg((k.ordinal, i.fingerprint, i.status, i.body, i.resource_id, i.positions)::wallet.found_record)
          into records
          from unnest(keys) with ordinality k (client, key, part, ordinal)
          join wallet.idempotency i on i.client = k.client and i.key = k.key and i.part = k.part;
    end if;
    at := clock_timestamp();
    if records is not null and current_setting('synchronous_standby_names') <> '' then
        perform pg_logical_emit_message(true, 'wallet.barrier', '');
    end if;
end $$;

revoke execute on function wallet.lock_rows_2 from public;
grant execute on function wallet.lock_rows_2 to :"app_role";
