-- Archiving: a journal partition that nobody needs to read forward any more is detached and kept, and what follows
-- starts from what it left behind.

-- How many sequence numbers of each shard a partition holds. Never changed once there are partitions.
create function wallet.partition_width() returns bigint language sql immutable parallel safe as 'select 262144::bigint';

-- The archived partitions, under their old names (journal_<number>): each stands apart from the journal and can be
-- dumped, moved away or brought back by itself.
create table wallet.archived_journal (like wallet.journal including all) partition by range (seq);

create table wallet.archived_partition (
    number               int         primary key,
    first_seq            bigint      not null,             -- of every shard
    end_seq              bigint      not null,             -- the first beyond
    rows                 bigint      not null,
    transactions         bigint      not null,             -- whose first entry stands here
    first_transaction_id uuid,                             -- the least and the greatest: where to look for one
    last_transaction_id  uuid,
    archived_at          timestamptz not null default clock_timestamp()
);

-- Where a shard's attached rows begin: behind its highest floor. One floor per archived partition; hash is the SHA-256
-- of the hash of the floor before it (of nothing at first) and each row between the two, every column in binary form.
create table wallet.shard_floor (
    shard  smallint not null,
    seq    bigint   not null,
    hash   bytea    not null,
    number int      not null references wallet.archived_partition,
    primary key (shard, seq)
);

-- What the archived rows made of each wallet: where its attached rows go on.
create table wallet.wallet_opening (
    shard                 smallint    not null,
    wallet_id             uuid        not null,
    tenant_id             uuid        not null,
    owner_id              text collate "C" not null,
    currency              text collate "C" not null,
    status                smallint    not null,
    restrictions          text,
    posted_minor          bigint      not null,
    held_minor            bigint      not null,
    overdraft_limit_minor bigint      not null,
    version               bigint      not null,
    opened_at             timestamptz not null,
    last_at               timestamptz not null,
    private               bytea,
    primary key (shard, wallet_id)
);

create table wallet.system_account_opening (
    tenant_id      uuid     not null,
    system_account text collate "C" not null,
    currency       text collate "C" not null,
    shard          smallint not null,
    total_minor    numeric  not null,
    primary key (tenant_id, system_account, currency, shard)
);

-- Transactions whose entries stand on both sides of the floors: what the archived ones sum to.
create table wallet.transaction_opening (
    transaction_id uuid     not null,
    currency       text collate "C" not null,
    entries        smallint not null,
    entry_count    smallint not null,
    posted_minor   numeric  not null,
    primary key (transaction_id, currency)
);

-- As before, but a shard without attached rows begins at its floor, and archived partitions are not made anew.
create or replace function wallet.ensure_journal_partitions(ahead int) returns int
language plpgsql security definer set search_path = pg_catalog as $$
declare
    width   constant bigint := wallet.partition_width();
    head    bigint;
    wanted  int;
    made    int := 0;
    name    text;
begin
    perform pg_advisory_xact_lock(7, 1);
    select greatest((select max(h.seq)
                       from generate_series(0, 63) s(shard)
                       cross join lateral (select j.seq from wallet.journal j where j.shard = s.shard
                                            order by j.seq desc limit 1) h),
                    (select max(f.seq) from wallet.shard_floor f), 0) into head;
    wanted := head / width + ahead;
    for n in (select coalesce(max(a.number) + 1, 0) from wallet.archived_partition a) .. wanted loop
        name := format('journal_%s', n);
        continue when to_regclass('wallet.' || name) is not null;
        -- Attaching takes a lighter lock than creating in place: writers go on.
        execute format('create table wallet.%I (like wallet.journal including all)', name);
        execute format('alter table wallet.journal attach partition wallet.%I for values from (%s) to (%s)',
                       name, n * width, (n + 1) * width);
        made := made + 1;
    end loop;
    return made;
end $$;

-- As before, but a shard whose rows are all archived goes on behind its floor.
create or replace function wallet.write_batch(
    now timestamptz, opened wallet.opened_row[], changed wallet.changed_row[], shards smallint[],
    journal wallet.journal_row[], refs wallet.reference_row[], records wallet.idempotency_row[])
returns bigint[] language plpgsql volatile set enable_seqscan = off as $$
declare
    touched int;
    seqs    bigint[];
    s       smallint;
begin
    if cardinality(opened) > 0 then
        insert into wallet.wallet (id, tenant_id, owner_id, currency, status, restrictions, posted_minor, held_minor,
                                   overdraft_limit_minor, floor_waived, version, opened_at, last_at, private)
        select u.id, u.tenant_id, u.owner_id, u.currency, 0, null, 0, 0, 0, false, 1, write_batch.now,
               write_batch.now, u.private
          from unnest(opened) u;
    end if;
    if cardinality(changed) > 0 then
        update wallet.wallet w
           set posted_minor = u.posted_minor, held_minor = u.held_minor, version = u.version, status = u.status,
               restrictions = u.restrictions, last_at = write_batch.now
          from unnest(changed) u
         where w.id = u.id and w.version = u.version_before;
        get diagnostics touched = row_count;
        if touched <> cardinality(changed) then
            raise exception 'a wallet is not at the version that was read' using errcode = 'WL001';
        end if;
    end if;
    if cardinality(shards) > 0 then
        for s in select distinct x from unnest(shards) x order by 1 loop
            perform pg_advisory_xact_lock(8, s);
        end loop;
        -- Who waited for an archiving here takes its snapshot afterwards, and so finds the floors it left.
        lock table only wallet.journal in row exclusive mode;
        -- A statement of its own, after the locks. MATERIALIZED: one look-up per shard, not per row. The floor is
        -- looked up only where all of a shard's rows are archived.
        with head as materialized (
            select d.shard, coalesce((select j.seq from wallet.journal j where j.shard = d.shard
                                       order by j.seq desc limit 1),
                                     (select f.seq from wallet.shard_floor f where f.shard = d.shard
                                       order by f.seq desc limit 1), 0) as seq
              from (select distinct x as shard from unnest(shards) x) d)
        select array_agg(head.seq + r.rank order by r.ordinal) into seqs
          from (select u.ordinal, u.shard, row_number() over (partition by u.shard order by u.ordinal) as rank
                  from unnest(shards) with ordinality u (shard, ordinal)) r
          join head using (shard);
        insert into wallet.journal (shard, seq, event_id, tenant_id, account_id, system_account, version,
                                    transaction_id, entry_index, entry_count, type, currency, posted_delta, held_delta,
                                    posted_after, held_after, occurred_at, actor, causation_id, traceparent, payload)
        select u.shard, u.seq, uuidv7(), u.tenant_id, u.account_id, u.system_account, u.version, u.transaction_id,
               u.entry_index, u.entry_count, u.type, u.currency, u.posted_delta, u.held_delta, u.posted_after,
               u.held_after, write_batch.now, u.actor, u.causation_id, u.traceparent, u.payload
          from rows from (unnest(shards), unnest(seqs), unnest(journal))
               u (shard, seq, tenant_id, account_id, system_account, version, transaction_id, entry_index, entry_count,
                  type, currency, posted_delta, held_delta, posted_after, held_after, actor, causation_id, traceparent,
                  payload);
    end if;
    if cardinality(refs) > 0 then
        insert into wallet.transaction_reference (tenant_id, reference_hash, transaction_id)
        select u.tenant_id, u.reference_hash, u.transaction_id from unnest(refs) u;
    end if;
    -- In key order, so that two writers of the same keys never wait for each other in a circle.
    insert into wallet.idempotency (client, key, part, fingerprint, status, body, resource_id, positions, created_at)
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
           write_batch.now
      from unnest(records) u
     order by u.client, u.key, u.part;
    return seqs;
end $$;

grant select on wallet.archived_journal, wallet.archived_partition, wallet.shard_floor, wallet.wallet_opening,
    wallet.system_account_opening, wallet.transaction_opening to :"app_role";
revoke execute on function wallet.partition_width from public;
grant execute on function wallet.partition_width to :"app_role";
