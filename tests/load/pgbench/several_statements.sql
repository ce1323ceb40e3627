\set key random(1, 9000000000000000)
\set a random(1, :payers)
\set b0 random(1, :wallets - 1)
\set b case when :b0 >= :a then :b0 + 1 else :b0 end
begin;
select 1 from (select id from wallet.wallet where id in (md5('w' || :a)::uuid, md5('w' || :b)::uuid)
               order by id for no key update) locked;
select posted_minor as pa, version as va, get_byte(uuid_send(id), 15) & 63 as sa from wallet.wallet where id = md5('w' || :a)::uuid \gset
select posted_minor as pb, version as vb, get_byte(uuid_send(id), 15) & 63 as sb from wallet.wallet where id = md5('w' || :b)::uuid \gset
select count(*) as duplicates from wallet.idempotency where client = md5('t')::uuid and key = 'k' || :key and part = 0 \gset
update wallet.wallet set posted_minor = posted_minor - 100, version = version + 1, last_at = now(),
       stamp = random(0, 9223372036854775807) where id = md5('w' || :a)::uuid;
update wallet.wallet set posted_minor = posted_minor + 100, version = version + 1, last_at = now(),
       stamp = random(0, 9223372036854775807) where id = md5('w' || :b)::uuid;
select pg_advisory_xact_lock(8, least(:sa::int, :sb::int)), pg_advisory_xact_lock(8, greatest(:sa::int, :sb::int));
insert into wallet.journal (shard, seq, event_id, tenant_id, account_id, version, transaction_id, entry_index, entry_count, type, currency,
                            posted_delta, held_delta, posted_after, held_after, occurred_at, actor, payload)
select :sa::smallint, coalesce((select max(seq) from wallet.journal where shard = :sa::smallint), 0) + 1, uuidv7(), md5('t')::uuid,
       md5('w' || :a)::uuid, :va::bigint + 1, uuidv7(), 0, 2, 4, 'USD', -100, 0, :pa::bigint - 100, 0, now(), 'bench',
       convert_to(repeat('x', :payload_bytes), 'UTF8');
insert into wallet.journal (shard, seq, event_id, tenant_id, account_id, version, transaction_id, entry_index, entry_count, type, currency,
                            posted_delta, held_delta, posted_after, held_after, occurred_at, actor, payload)
select :sb::smallint, coalesce((select max(seq) from wallet.journal where shard = :sb::smallint), 0) + 1, uuidv7(), md5('t')::uuid,
       md5('w' || :b)::uuid, :vb::bigint + 1, uuidv7(), 1, 2, 5, 'USD', 100, 0, :pb::bigint + 100, 0, now(), 'bench',
       convert_to(repeat('x', :payload_bytes), 'UTF8');
insert into wallet.idempotency (client, key, part, fingerprint, status, body, resource_id, positions, shard, created_at)
values (md5('t')::uuid, 'k' || :key, 0, sha256('abc'), 201, convert_to(repeat('y', :body_bytes), 'UTF8'), uuidv7(),
        array[1, 1, 1, 1], :sa::smallint, now());
commit;
