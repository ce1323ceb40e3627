-- Wallets for pgbench, and the function that writes one transfer's rows in one transaction: the same rows, indexes and
-- checks as the committer's.
create schema bench;

insert into wallet.wallet (id, tenant_id, owner_id, currency, status, posted_minor, held_minor, overdraft_limit_minor,
                           version, opened_at, last_at, operator_version, stamp)
select md5('w' || n)::uuid, '00000000-0000-7000-8000-000000000001', 'bench', 'USD', 0, 1000000000000, 0, 0, 1, now(), now(), 0,
       random(0, 9223372036854775807)
  from generate_series(1, 1000) n;

create function bench.transfer(payer uuid, payee uuid, amount bigint, client uuid, key text, payload_bytes int, body_bytes int)
returns bigint language plpgsql volatile as $$
#variable_conflict use_column
declare
    r record; a wallet.wallet; b wallet.wallet; transaction uuid := uuidv7(); at timestamptz; sa int; sb int; s bigint[];
begin
    for r in select * from wallet.wallet where id in (payer, payee) order by id for no key update loop
        if r.id = payer then a := r; else b := r; end if;
    end loop;
    perform 1 from wallet.idempotency i where i.client = transfer.client and i.key = transfer.key and i.part = 0;
    if found then return null; end if;
    at := clock_timestamp();
    if a.posted_minor - a.held_minor - amount < -a.overdraft_limit_minor then return null; end if;
    update wallet.wallet set posted_minor = posted_minor - amount, version = version + 1, last_at = at,
           stamp = random(0, 9223372036854775807) where id = payer;
    update wallet.wallet set posted_minor = posted_minor + amount, version = version + 1, last_at = at,
           stamp = random(0, 9223372036854775807) where id = payee;
    sa := get_byte(uuid_send(payer), 15) & 63;
    sb := get_byte(uuid_send(payee), 15) & 63;
    perform pg_advisory_xact_lock(8, least(sa, sb));
    if sa <> sb then perform pg_advisory_xact_lock(8, greatest(sa, sb)); end if;
    s[1] := (select coalesce(max(seq), 0) + 1 from wallet.journal where shard = sa);
    insert into wallet.journal (shard, seq, event_id, tenant_id, account_id, version, transaction_id, entry_index, entry_count, type,
                                currency, posted_delta, held_delta, posted_after, held_after, occurred_at, actor, payload)
    values (sa, s[1], uuidv7(), client, payer, a.version + 1, transaction, 0, 2, 4, 'USD', -amount, 0, a.posted_minor - amount, 0,
            at, 'bench', convert_to(repeat('x', payload_bytes), 'UTF8'));
    s[2] := (select coalesce(max(seq), 0) + 1 from wallet.journal where shard = sb);
    insert into wallet.journal (shard, seq, event_id, tenant_id, account_id, version, transaction_id, entry_index, entry_count, type,
                                currency, posted_delta, held_delta, posted_after, held_after, occurred_at, actor, payload)
    values (sb, s[2], uuidv7(), client, payee, b.version + 1, transaction, 1, 2, 5, 'USD', amount, 0, b.posted_minor + amount, 0,
            at, 'bench', convert_to(repeat('x', payload_bytes), 'UTF8'));
    insert into wallet.idempotency (client, key, part, fingerprint, status, body, resource_id, positions, shard, created_at)
    values (client, key, 0, sha256(key::bytea), 201, convert_to(repeat('y', body_bytes), 'UTF8'), transaction,
            array[sa, s[1], sb, s[2]], sa, at);
    return s[1];
end $$;

analyze;
