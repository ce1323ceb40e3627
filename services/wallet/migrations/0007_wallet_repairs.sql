-- Wallet rows that an operator set to what the journal says (`rebuild --repair`): who, when, and what stood there.

create table wallet.wallet_repair (
    wallet_id   uuid        not null,
    repaired_at timestamptz not null default clock_timestamp(),
    operator    text        not null,
    was         jsonb,                                     -- without its free text; null: there was no row
    primary key (wallet_id, repaired_at)
);

grant select, insert on wallet.wallet_repair to :"app_role";
