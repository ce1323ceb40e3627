-- What a batch is to be decided on, without a lock: its rows, the records under its keys, and the database's clock.

create type wallet.state_name as (kind smallint, id uuid);

create type wallet.unit_key as (client uuid, key text, part smallint);

-- ordinal: the key's place among those asked for, from 1.
create type wallet.found_record as (
    ordinal bigint, fingerprint bytea, status smallint, body bytea, resource_id uuid, positions bigint[]);

-- needs: wallet_as_read_2, state_as_read

-- Return the wallets, the rows of other kinds and the records that there are, as of one snapshot.
create or replace function wallet.read_rows_2(
    wallet_ids uuid[], state_names wallet.state_name[], keys wallet.unit_key[], out wallets wallet.wallet_row_2[],
    out states wallet.state_row[], out records wallet.found_record[], out at timestamptz)
language plpgsql stable set plan_cache_mode = force_generic_plan
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off as $$
begin
    if cardinality(wallet_ids) > 0 then
        select array_agg(wallet.wallet_as_read_2(w)) into wallets from wallet.wallet w where w.id = any (wallet_ids);
    end if;
    if cardinality(state_names) > 0 then
        select array_agg(wallet.state_as_read(s)) into states
          from unnest(state_names) n join wallet.state s on s.kind = n.kind and s.id = n.id;
    end if;
    if cardinality(keys) > 0 then
        select array_agg((k.ordinal, i.fingerprint, i.status, i.body, i.resource_id, i.positions)::wallet.found_record)
          into records
          from unnest(keys) with ordinality k (client, key, part, ordinal)
          join wallet.idempotency i on i.client = k.client and i.key = k.key and i.part = k.part;
    end if;
    at := clock_timestamp();
end $$;

revoke execute on function wallet.read_rows_2 from public;
grant execute on function wallet.read_rows_2 to :"app_role", :"reader_role";
