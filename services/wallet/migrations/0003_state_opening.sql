-- What the archived journal made of the rows of wallet.state, as wallet_opening has it of wallets.
create table wallet.state_opening (
    shard      smallint    not null,
    kind       smallint    not null,
    id         uuid        not null,
    tenant_id  uuid        not null,
    wallet_id  uuid,
    status     smallint    not null,
    cap_minor  bigint,
    used_minor bigint      not null,
    due_at     timestamptz,
    version    bigint      not null,
    changed_at timestamptz not null,
    body       bytea       not null,
    private    bytea,
    primary key (shard, kind, id)
);

create index state_opening_by_wallet on wallet.state_opening (wallet_id);

grant select on wallet.state_opening to :"app_role";
