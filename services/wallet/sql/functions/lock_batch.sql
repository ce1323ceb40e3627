-- The first of a batch's two calls between BEGIN and COMMIT at READ COMMITTED. VOLATILE, so that each inner statement
-- has a snapshot of its own, taken after the locks before it were granted.
--
-- Advisory lock classes: (7, 0) the turn of the committers, (7, 1) partition making, (7, 2) reading the whole journal
-- (shared) and archiving (alone), (8, shard) a shard's head.

create type wallet.unit_key as (client uuid, key text, part smallint);

-- Lock what a batch names, then look up its idempotency keys, then read the clock. One row per found thing:
-- kind 0 a wallet, 1 a key (ordinal: its place in *keys*), 2 the database's clock. A record that is found may be one
-- whose commit did not wait for the synchronous standby to the end. So it is answered by a transaction that writes
-- something: its own commit waits, and with it for all that was written before.
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

revoke execute on function wallet.lock_batch from public;
grant execute on function wallet.lock_batch to :"app_role";
