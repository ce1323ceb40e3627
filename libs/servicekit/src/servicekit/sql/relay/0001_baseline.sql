-- Who publishes which shard of the journal, and how far. The journal itself belongs to the service.

create table servicekit.relay_lease (
    shard      smallint not null,
    cursor     bigint not null default 0,                  -- the highest sequence known to be published
    epoch      bigint not null default 0,                  -- grows with every owner, so that a former one is recognized
    owner      text collate "C",                           -- null: free
    expires_at timestamptz not null default '-infinity',   -- by this database's clock
    constraint relay_lease_pk primary key (shard),
    constraint relay_lease_shard_is_known check (shard between 0 and 63),
    constraint relay_lease_cursor_is_not_negative check (cursor >= 0)
) with (fillfactor = 50);                                  -- room for HOT updates, several a second per row

insert into servicekit.relay_lease (shard) select generate_series(0, 63);

-- Relays that are alive: shards are shared out among them.
create table servicekit.relay_instance (
    owner      text collate "C" not null,
    expires_at timestamptz not null,
    constraint relay_instance_pk primary key (owner)
) with (fillfactor = 50);

-- Records found at the end of a topic that the journal lacks: the database was restored behind the topic. While one is
-- not cleared, relay and committers refuse to run.
create table servicekit.relay_halt (
    topic           text collate "C" not null,
    topic_partition integer not null,
    kafka_offset    bigint not null,
    shard           smallint not null,
    seq             bigint not null,
    event_id        uuid not null,
    halted_at       timestamptz not null default clock_timestamp(),
    cleared_at      timestamptz,
    cleared_by      text,
    constraint relay_halt_pk primary key (topic, topic_partition, kafka_offset)
);

grant select, update on servicekit.relay_lease to :"app_role";
grant select, insert, update, delete on servicekit.relay_instance to :"app_role";
grant select, insert, update on servicekit.relay_halt to :"app_role";
