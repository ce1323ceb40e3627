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
    version               bigint      not null,
    opened_at             timestamptz not null,
    last_at               timestamptz not null,            -- when its newest event occurred
    private               bytea,                           -- JSON of its free text
    operator_version      bigint      not null,            -- at which an operator last changed the restrictions; 0: never
    floor_waived          boolean     not null default false, -- set by forced entries alone
    stamp                 bigint      not null,            -- drawn anew by whoever writes the row: it names its content
    constraint wallet_held_is_not_negative check (held_minor >= 0),
    constraint wallet_overdraft_limit_is_not_negative check (overdraft_limit_minor >= 0),
    constraint wallet_stays_above_its_floor check (floor_waived or posted_minor - held_minor >= -overdraft_limit_minor)
) with (fillfactor = 70);                                  -- room for HOT updates: no updated column is indexed

create index wallet_by_owner on wallet.wallet (tenant_id, owner_id, id);
create index wallet_by_tenant on wallet.wallet (tenant_id, id);

-- Whatever a command locks or changes besides wallets. A kind's number is never used again for another.
create table wallet.state (
    kind       smallint    not null,
    id         uuid        not null,                       -- its low six bits: the shard of its home wallet
    tenant_id  uuid        not null,
    wallet_id  uuid,
    status     smallint    not null,                       -- 0 open; the others are the kind's
    cap_minor  bigint,                                     -- null: no bound
    used_minor bigint      not null,
    due_at     timestamptz,                                -- when something is to be done with it
    version    bigint      not null,
    changed_at timestamptz not null,
    body       bytea       not null,                       -- JSON of the kind's struct
    private    bytea,                                      -- JSON of its free text
    stamp      bigint      not null,                       -- as the wallet's
    primary key (kind, id),
    constraint state_is_used_within_its_cap check (used_minor between 0 and coalesce(cap_minor, used_minor))
) with (fillfactor = 70);

create index state_due on wallet.state (kind, due_at) where due_at is not null;
create index state_open_by_wallet on wallet.state (wallet_id, kind, id) where status = 0 and wallet_id is not null;

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
    shard          smallint not null,                      -- the transaction's
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
    shard       smallint    not null,                      -- of the command's home wallet
    created_at  timestamptz not null,
    primary key (client, key, part)
);

-- Found and deleted by age, in chunks: a BRIN's ranges never narrow again once deleted space is used anew.
create index idempotency_by_age on wallet.idempotency (created_at);

-- A system account's balance: a total folded forward in the background, plus the journal's rows after it. Nothing of
-- this is on the way of a command. A part per shard, so that each shard is folded by itself.
create table wallet.system_account_total (
    tenant_id      uuid     not null,
    system_account text collate "C" not null,
    currency       text collate "C" not null,
    shard          smallint not null,
    total_minor    numeric  not null,
    primary key (tenant_id, system_account, currency, shard)
) with (fillfactor = 70);

-- How far each shard is folded.
create table wallet.system_account_fold (
    shard smallint primary key,
    seq   bigint   not null default 0
) with (fillfactor = 50);                                  -- room for HOT updates, one a second per row

insert into wallet.system_account_fold (shard) select generate_series(0, 63);

-- Archiving: a journal partition that nobody needs to read forward any more is detached and kept, and what follows
-- starts from what it left behind.

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

-- The archive ends of shards, one per archived partition: attached rows begin behind the highest. hash is the SHA-256
-- of the hash of the one before it (of nothing at first) and each row between the two, every column in binary form.
create table wallet.archive_end (
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
    operator_version      bigint      not null default 0,
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

-- Transactions whose entries are on both sides of the archive ends: what the archived ones sum to.
create table wallet.transaction_opening (
    transaction_id uuid     not null,
    currency       text collate "C" not null,
    entries        smallint not null,
    entry_count    smallint not null,
    posted_minor   numeric  not null,
    primary key (transaction_id, currency)
);

-- Wallet rows that an operator set to what the journal says (`rebuild --repair`): who, when, and what stood there.

create table wallet.wallet_repair (
    wallet_id   uuid        not null,
    repaired_at timestamptz not null default clock_timestamp(),
    operator    text        not null,
    was         jsonb,                                     -- without its free text; null: there was no row
    primary key (wallet_id, repaired_at)
);

-- Decisions that were acted on, or not to be: kept for ever, so that no replay acts on one again.
create table wallet.settled_decision (
    decision_id    uuid        primary key,
    tenant_id      uuid        not null,
    wallet_id      uuid        not null,
    shard          smallint    not null,                   -- the wallet's
    judged_version bigint      not null,
    rules_version  text        not null,
    disposition    text        not null,
    decided_at     timestamptz not null,
    settled_at     timestamptz not null default clock_timestamp(),
    constraint settled_decision_disposition_is_known check (disposition in ('applied', 'superseded', 'refused', 'noted'))
);

create index settled_decision_by_wallet on wallet.settled_decision (wallet_id, decided_at);

-- What the app role may do: the journal can be read and added to, never changed.
grant usage on schema wallet to :"app_role";
grant select, insert, update on wallet.wallet, wallet.state to :"app_role";
grant select, insert on wallet.journal, wallet.transaction_reference to :"app_role";
grant select, insert, delete on wallet.idempotency to :"app_role";
grant select, insert, update on wallet.system_account_total to :"app_role";
grant select, update on wallet.system_account_fold to :"app_role";
grant select on wallet.archived_journal, wallet.archived_partition, wallet.archive_end, wallet.wallet_opening,
    wallet.system_account_opening, wallet.transaction_opening to :"app_role";
grant select, insert on wallet.wallet_repair, wallet.settled_decision to :"app_role";
