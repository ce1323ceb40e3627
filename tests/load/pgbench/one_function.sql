\set a random(1, :payers)
\set b0 random(1, :wallets - 1)
\set b case when :b0 >= :a then :b0 + 1 else :b0 end
select bench.transfer(md5('w' || :a)::uuid, md5('w' || :b)::uuid, 100, md5('t')::uuid, gen_random_uuid()::text, :payload_bytes,
                      :body_bytes);
