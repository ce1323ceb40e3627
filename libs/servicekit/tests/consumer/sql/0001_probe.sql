create schema probe;
create table probe.applied (
    wallet_id uuid   not null,
    version   bigint not null,
    shard     int    not null,
    seq       bigint not null,
    primary key (wallet_id, version),
    unique (shard, seq)
);
grant usage on schema probe to :"app_role";
grant select, insert on probe.applied to :"app_role";
