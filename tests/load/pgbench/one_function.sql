\set a random(1, :payers)
\set b random(1, :wallets - 1)
select bench.transfer(md5('w' || :a)::uuid, md5('w' || (case when :b >= :a then :b + 1 else :b end))::uuid, 100,
                      md5('t')::uuid, gen_random_uuid()::text, :payload_bytes, :body_bytes);
