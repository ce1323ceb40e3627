-- What a service itself publishes: one row per event, numbered densely per shard. The columns are a journal's, so that
-- the relay reads both alike; nothing is ever updated or deleted.

create table servicekit.outbox (
    shard          smallint    not null,
    seq            bigint      not null,
    event_id       uuid        not null,
    tenant_id      uuid        not null,
    subject        uuid        not null,                   -- whom the event is about: the record's key
    version        bigint,                                 -- always null, as the next three: there is no ledger behind it
    transaction_id uuid,
    entry_index    smallint,
    entry_count    smallint,
    type           smallint    not null,                   -- the number of a published event type
    occurred_at    timestamptz not null,
    causation_id   uuid,
    traceparent    text,
    payload        bytea       not null,
    constraint outbox_pk primary key (shard, seq),
    constraint outbox_shard_is_known check (shard between 0 and 63)
);

grant select, insert on servicekit.outbox to :"app_role";
