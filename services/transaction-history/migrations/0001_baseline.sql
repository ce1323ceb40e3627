-- The read model. Every column comes from the events, so that a rebuild makes the same rows; a row comes from one
-- shard's events alone. The rebuild makes these tables a second time, in a schema of another name.

create schema transaction_history;

create table transaction_history.wallet (
    wallet_id             uuid        not null,
    tenant_id             uuid        not null,
    owner_id              text collate "C" not null,
    currency              text collate "C" not null,
    status                text collate "C" not null,
    restrictions          text        not null,             -- JSON list of {source, scope}
    overdraft_limit_minor bigint      not null,
    posted_minor          bigint      not null,
    held_minor            bigint      not null,
    version               bigint      not null,
    opened_at             timestamptz not null,
    last_at               timestamptz not null,
    private               text,                             -- JSON of its free text
    constraint wallet_pk primary key (wallet_id),
    constraint wallet_status_is_known check (status in ('open', 'closed'))
) with (fillfactor = 70);

create index wallet_by_owner on transaction_history.wallet (tenant_id, owner_id);

-- A wallet's entries, one per version that moved money.
create table transaction_history.entry (
    wallet_id               uuid        not null,
    version                 bigint      not null,
    seq                     bigint      not null,
    event_id                uuid        not null,
    tenant_id               uuid        not null,
    owner_id                text collate "C" not null,
    type                    text collate "C" not null,
    transaction_id          uuid        not null,
    transaction_type        text collate "C" not null,
    entry_index             smallint    not null,
    entry_count             smallint    not null,
    currency                text collate "C" not null,
    amount_minor            bigint      not null,           -- signed: negative leaves the wallet
    posted_minor_after      bigint      not null,
    held_minor_after        bigint      not null,
    counterparty_wallet_id  uuid,
    counterparty_owner_id   text collate "C",
    counterparty_account    text collate "C",
    private                 text,
    occurred_at             timestamptz not null,
    constraint entry_pk primary key (wallet_id, version)
);

create index entry_by_owner on transaction_history.entry (tenant_id, owner_id, occurred_at, event_id);
create index entry_by_transaction on transaction_history.entry (transaction_id);

-- The system accounts' sides of transactions.
create table transaction_history.system_entry (
    transaction_id    uuid        not null,
    entry_index       smallint    not null,
    wallet_id         uuid        not null,                 -- the wallet whose entry it balances
    seq               bigint      not null,
    event_id          uuid        not null,
    tenant_id         uuid        not null,
    transaction_type  text collate "C" not null,
    entry_count       smallint    not null,
    account           text collate "C" not null,
    currency          text collate "C" not null,
    amount_minor      bigint      not null,
    occurred_at       timestamptz not null,
    constraint system_entry_pk primary key (transaction_id, entry_index)
);

-- What changed a wallet's state and moved no money.
create table transaction_history.state_change (
    wallet_id    uuid        not null,
    version      bigint      not null,
    seq          bigint      not null,
    event_id     uuid        not null,
    tenant_id    uuid        not null,
    owner_id     text collate "C" not null,
    type         text collate "C" not null,
    source       text collate "C",                          -- whose restriction, and how far it goes
    scope        text collate "C",
    private      text,
    occurred_at  timestamptz not null,
    constraint state_change_pk primary key (wallet_id, version)
);

grant usage on schema transaction_history to :"app_role";
grant select, insert, update on transaction_history.wallet to :"app_role";
grant select, insert on transaction_history.entry, transaction_history.system_entry, transaction_history.state_change
    to :"app_role";
