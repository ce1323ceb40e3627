create schema outbox;

create table outbox.journal (
    shard          smallint    not null,
    seq            bigint      not null,
    event_id       uuid        not null default uuidv7(),
    tenant_id      uuid        not null,
    subject        uuid        not null,
    version        bigint,
    transaction_id uuid,
    entry_index    smallint    not null,
    entry_count    smallint    not null,
    type           smallint    not null,
    occurred_at    timestamptz not null default clock_timestamp(),
    causation_id   uuid,
    traceparent    text,
    payload        bytea       not null,
    primary key (shard, seq)
) partition by range (seq);

create table outbox.journal_0 partition of outbox.journal for values from (0) to (100);
create table outbox.journal_1 partition of outbox.journal for values from (100) to (1000000);

grant usage on schema outbox to :"app_role";
grant select, insert, delete on outbox.journal to :"app_role";
