-- The ledger: wallets, their journal and the idempotency records, which always commit together.

create schema wallet;

create table wallet.wallet (
    id                    uuid        primary key,
    tenant_id             uuid        not null,
    owner_id              text collate "C" not null,
    currency              text collate "C" not null,
    status                smallint    not null,            -- 0 open, 1 closed
    restrictions          text,                            -- JSON list of {source, scope, reason}; null: none
    posted_minor          bigint      not null,
    held_minor            bigint      not null,
    overdraft_limit_minor bigint      not null,
    floor_waived          boolean     not null,            -- set by forced entries alone
    version               bigint      not null,
    opened_at             timestamptz not null,
    last_at               timestamptz not null,            -- when its newest event occurred
    private               bytea,                           -- JSON of its free text
    constraint wallet_held_is_not_negative check (held_minor >= 0),
    constraint wallet_overdraft_limit_is_not_negative check (overdraft_limit_minor >= 0),
    constraint wallet_stays_above_its_floor check (floor_waived or posted_minor - held_minor >= -overdraft_limit_minor)
) with (fillfactor = 70);                                  -- room for HOT updates: no updated column is indexed

create index wallet_by_owner on wallet.wallet (tenant_id, owner_id, id);
create index wallet_by_tenant on wallet.wallet (tenant_id, id);

-- One row per entry or state change. Read forward by the relay and published as it stands; nothing is ever updated.
create table wallet.journal (
    shard          smallint    not null,
    seq            bigint      not null,
    event_id       uuid        not null,
    tenant_id      uuid        not null,
    account_id     uuid        not null,                   -- the wallet; of a system entry, the wallet it balances
    system_account text collate "C",                       -- null: an entry or state change of the wallet itself
    version        bigint,                                 -- the wallet's; null: a system entry
    transaction_id uuid,                                   -- null: a state change
    entry_index    smallint    not null,
    entry_count    smallint    not null,
    type           smallint    not null,                   -- contracts.events numbers
    currency       text collate "C" not null,
    posted_delta   bigint      not null,
    held_delta     bigint      not null,
    posted_after   bigint,
    held_after     bigint,
    occurred_at    timestamptz not null,
    actor          text        not null,
    causation_id   uuid,
    traceparent    text,
    payload        bytea       not null,
    primary key (shard, seq),
    constraint journal_shard_is_known check (shard between 0 and 63),
    constraint journal_system_entry_has_no_version check ((system_account is null) = (version is not null))
) partition by range (seq);

create index journal_by_transaction on wallet.journal (transaction_id);

-- What a reference leads to. Only its keyed hash stands here.
create table wallet.transaction_reference (
    tenant_id      uuid  not null,
    reference_hash bytea not null,
    transaction_id uuid  not null,
    primary key (tenant_id, reference_hash, transaction_id)
);

create table wallet.idempotency (
    client      uuid        not null,                      -- hash of tenant and subject, never of a credential
    key         text collate "C" not null,
    part        smallint    not null,                      -- 0: a command or an atomic batch; 1…n: commands of a batch
    fingerprint bytea       not null,
    status      smallint    not null,
    body        bytea       not null,
    resource_id uuid,                                      -- what Location names
    positions   bigint[],                                  -- shard, seq, shard, seq … ascending by shard
    created_at  timestamptz not null,
    primary key (client, key, part)
);

create index idempotency_by_age on wallet.idempotency using brin (created_at);

-- Journal partitions of 262,144 sequence numbers: the one in use and the next ones.
create function wallet.ensure_journal_partitions(ahead int) returns int
language plpgsql security definer set search_path = pg_catalog as $$
declare
    width   constant bigint := 262144;
    head    bigint;
    wanted  int;
    made    int := 0;
    name    text;
begin
    perform pg_advisory_xact_lock(7, 1);
    select coalesce(max(h.seq), 0) into head
      from generate_series(0, 63) s(shard)
      cross join lateral (select j.seq from wallet.journal j where j.shard = s.shard order by j.seq desc limit 1) h;
    wanted := head / width + ahead;
    for n in 0 .. wanted loop
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

select wallet.ensure_journal_partitions(1);
