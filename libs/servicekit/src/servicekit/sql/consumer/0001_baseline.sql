-- How far each projection has come, and what it could not apply.

create table servicekit.checkpoint (
    projection      text collate "C" not null,
    shard           smallint not null,
    last_seq        bigint not null default 0,             -- never moves back
    last_event_id   uuid,
    topic_partition integer not null,
    kafka_offset    bigint not null default 0,             -- where the record after last_seq is looked for
    stopped         text collate "C",                      -- null: running; else gap or diverged
    seek_to         bigint,                                -- an operator asks for the partition to be read again
    updated_at      timestamptz not null default clock_timestamp(),
    constraint checkpoint_pk primary key (projection, shard),
    constraint checkpoint_shard_is_known check (shard between 0 and 63),
    constraint checkpoint_stop_is_known check (stopped in ('gap', 'diverged'))
) with (fillfactor = 50);

-- How far behind the end of the stream each partition was when its consumer last looked.
create table servicekit.projection_lag (
    projection      text collate "C" not null,
    topic_partition integer not null,
    lag_records     bigint not null,
    lag_ms          bigint not null,
    measured_at     timestamptz not null,
    constraint projection_lag_pk primary key (projection, topic_partition)
) with (fillfactor = 50);

-- A subject with an event that cannot be applied. It keeps its place in the topic, not copies of its events: unparking
-- reads them from there.
create table servicekit.parked_subject (
    projection   text collate "C" not null,
    subject      uuid not null,                            -- whom its events are about
    shard        smallint not null,
    seq          bigint not null,                          -- of the first event that is held back, which failed
    reason       text not null,
    parked_at    timestamptz not null default clock_timestamp(),
    kafka_offset bigint not null default 0,                -- no record that is held back is before it
    events       bigint not null default 0,                -- held back so far
    constraint parked_subject_pk primary key (projection, subject)
);

grant select, insert, update on servicekit.checkpoint to :"app_role";
grant select, insert, update on servicekit.projection_lag to :"app_role";
grant select, insert, update, delete on servicekit.parked_subject to :"app_role";
