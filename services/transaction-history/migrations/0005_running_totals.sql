-- The read model with running totals, in partitions by month. What was projected before cannot be made into it: it
-- comes from the topic. So a model that has rows stays as it is, and `projections rebuild --switch` replaces it.

do $model$
begin
    if exists (select from transaction_history.wallet) then
        return;
    end if;
    drop table transaction_history.wallet, transaction_history.entry, transaction_history.system_entry,
        transaction_history.state_change;

    create table transaction_history.wallet (
        wallet_id             uuid        not null,
        tenant_id             uuid        not null,
        owner_id              text collate "C" not null,
        currency              text collate "C" not null,
        status                text collate "C" not null,
        restrictions          text        not null,         -- JSON list of {source, scope}
        overdraft_limit_minor bigint      not null,
        posted_minor          bigint      not null,
        held_minor            bigint      not null,
        version               bigint      not null,
        opened_at             timestamptz not null,
        last_at               timestamptz not null,
        private               text,                         -- JSON of its free text
        shard                 smallint    not null,
        entries               bigint      not null,         -- of transactions; changes of holds alone do not count
        credits_total         numeric     not null,         -- minor units since it was opened, fees included
        debits_total          numeric     not null,         -- positive
        fees_total            numeric     not null,         -- charged less given back
        first_entry_at        timestamptz,                  -- of the first row in entry, of whatever kind
        last_entry_at         timestamptz,
        constraint wallet_pk primary key (wallet_id),
        constraint wallet_status_is_known check (status in ('open', 'closed'))
    ) with (fillfactor = 70);
    -- No index on what events change: updates stay within their page (HOT), which keeps the projector fast.
    create index wallet_by_owner on transaction_history.wallet (tenant_id, owner_id, wallet_id);
    create index wallet_by_opening on transaction_history.wallet (tenant_id, opened_at, wallet_id);

    -- A wallet's entries, one per version that moved money, and one of amount 0 per version that changed what is held
    -- alone: these have no transaction. *_after are the wallet's totals since it was opened, after this row.
    create table transaction_history.entry (
        wallet_id               uuid        not null,
        version                 bigint      not null,
        seq                     bigint      not null,
        event_id                uuid        not null,
        tenant_id               uuid        not null,
        owner_id                text collate "C" not null,
        type                    text collate "C" not null,
        transaction_id          uuid,
        transaction_type        text collate "C",
        entry_index             smallint,
        entry_count             smallint,
        currency                text collate "C" not null,
        amount_minor            bigint      not null,       -- signed: negative leaves the wallet
        posted_minor_after      bigint      not null,
        held_minor_after        bigint      not null,
        counterparty_wallet_id  uuid,
        counterparty_owner_id   text collate "C",
        counterparty_account    text collate "C",
        private                 text,
        occurred_at             timestamptz not null,
        related_transaction_id  uuid,                       -- what it takes back
        is_forced               boolean     not null,
        refund_minor            bigint,                     -- in one entry of each refund: how much it takes back
        refundable_minor        bigint,                     -- of how much in all
        refund_currency         text collate "C",
        hold_id                 uuid,
        fee_rule                text collate "C",
        shard                   smallint    not null,
        entries_after           bigint      not null,
        credits_after           numeric     not null,
        debits_after            numeric     not null,
        fees_after              numeric     not null,
        constraint entry_pk primary key (wallet_id, occurred_at, version)
    ) partition by range (occurred_at);
    create index entry_by_owner on transaction_history.entry (tenant_id, owner_id, occurred_at, event_id);
    create index entry_by_time on transaction_history.entry (tenant_id, occurred_at, event_id);
    create index entry_by_transaction on transaction_history.entry (transaction_id, occurred_at)
        where transaction_id is not null;

    -- The system accounts' sides of transactions.
    create table transaction_history.system_entry (
        transaction_id    uuid        not null,
        entry_index       smallint    not null,
        wallet_id         uuid        not null,             -- the wallet whose entry it balances
        seq               bigint      not null,
        event_id          uuid        not null,
        tenant_id         uuid        not null,
        transaction_type  text collate "C" not null,
        entry_count       smallint    not null,
        account           text collate "C" not null,
        currency          text collate "C" not null,
        amount_minor      bigint      not null,
        occurred_at       timestamptz not null,
        shard             smallint    not null,
        constraint system_entry_pk primary key (transaction_id, entry_index)
    ) partition by range (transaction_id);

    -- What changed a wallet's state, and neither its balance nor what is held.
    create table transaction_history.state_change (
        wallet_id    uuid        not null,
        version      bigint      not null,
        seq          bigint      not null,
        event_id     uuid        not null,
        tenant_id    uuid        not null,
        owner_id     text collate "C" not null,
        type         text collate "C" not null,
        source       text collate "C",                      -- whose restriction, and how far it goes
        scope        text collate "C",
        private      text,
        occurred_at  timestamptz not null,
        shard        smallint    not null,
        constraint state_change_pk primary key (wallet_id, occurred_at, version)
    ) partition by range (occurred_at);

    -- A transaction as its entries tell it, in whatever order they come; a refund may come before all of them.
    create table transaction_history.transaction (
        transaction_id         uuid        not null,
        tenant_id              uuid        not null,
        type                   text collate "C",            -- null until its first entry has come
        entry_count            smallint,
        entries_seen           smallint    not null,
        amounts                jsonb       not null,        -- currency to minor units: what its entries credit
        created_at             timestamptz,                 -- of its earliest entry
        last_entry_at          timestamptz,
        reverses               uuid,                        -- what it takes back, wholly or in part
        reversed_by            uuid,
        refunds                uuid[]      not null,        -- what took it back, by id
        refunded_minor         bigint      not null,
        refundable_minor       bigint,
        refund_currency        text collate "C",
        status                 text collate "C" not null generated always as (
            case when reversed_by is not null then 'reversed'
                 when refunded_minor = 0 then 'posted'
                 when refunded_minor = refundable_minor then 'refunded'
                 else 'partially_refunded' end) stored,
        constraint transaction_pk primary key (transaction_id)
    ) partition by range (transaction_id);
    create index transaction_by_time on transaction_history.transaction (tenant_id, created_at, transaction_id);

    -- A hold after its newest event, which tells all of it.
    create table transaction_history.hold (
        wallet_id          uuid        not null,
        hold_id            uuid        not null,
        tenant_id          uuid        not null,
        owner_id           text collate "C" not null,
        shard              smallint    not null,
        currency           text collate "C" not null,
        purpose            text collate "C" not null,
        status             text collate "C" not null,
        amount_minor       bigint      not null,            -- = captured + released + remaining
        fee_reserved_minor bigint      not null,
        captured_minor     bigint      not null,
        released_minor     bigint      not null,
        remaining_minor    bigint      not null,
        expires_at         timestamptz not null,
        placed_at          timestamptz not null,
        last_at            timestamptz not null,
        version            bigint      not null,            -- the wallet's, at its newest event
        transactions       uuid[]      not null,            -- that captured it, in their order
        constraint hold_pk primary key (wallet_id, hold_id)
    ) with (fillfactor = 80);

    -- A wallet's last row in entry of each UTC day on which it has one.
    create table transaction_history.balance_day (
        wallet_id     uuid        not null,
        day           date        not null,
        tenant_id     uuid        not null,
        owner_id      text collate "C" not null,
        shard         smallint    not null,
        currency      text collate "C" not null,
        version       bigint      not null,
        posted_minor  bigint      not null,
        held_minor    bigint      not null,
        entries       bigint      not null,
        credits_total numeric     not null,
        debits_total  numeric     not null,
        fees_total    numeric     not null,
        constraint balance_day_pk primary key (wallet_id, day)
    ) with (fillfactor = 80);

    grant select, insert, update on transaction_history.wallet, transaction_history.transaction,
        transaction_history.hold, transaction_history.balance_day to :"app_role";
    grant select, insert on transaction_history.entry, transaction_history.system_entry,
        transaction_history.state_change to :"app_role";
    grant select on transaction_history.wallet, transaction_history.entry, transaction_history.system_entry,
        transaction_history.state_change, transaction_history.transaction, transaction_history.hold,
        transaction_history.balance_day to :"reader_role";

    alter table transaction_history.wallet enable row level security;
    alter table transaction_history.entry enable row level security;
    alter table transaction_history.system_entry enable row level security;
    alter table transaction_history.state_change enable row level security;
    alter table transaction_history.transaction enable row level security;
    alter table transaction_history.hold enable row level security;
    alter table transaction_history.balance_day enable row level security;
    create policy of_one_tenant on transaction_history.wallet for select to :"reader_role"
        using (tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid);
    create policy of_one_tenant on transaction_history.entry for select to :"reader_role"
        using (tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid);
    create policy of_one_tenant on transaction_history.system_entry for select to :"reader_role"
        using (tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid);
    create policy of_one_tenant on transaction_history.state_change for select to :"reader_role"
        using (tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid);
    create policy of_one_tenant on transaction_history.transaction for select to :"reader_role"
        using (tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid);
    create policy of_one_tenant on transaction_history.hold for select to :"reader_role"
        using (tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid);
    create policy of_one_tenant on transaction_history.balance_day for select to :"reader_role"
        using (tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid);
end
$model$;
