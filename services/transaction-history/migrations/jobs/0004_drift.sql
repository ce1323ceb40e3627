-- Where the comparison of projected rows with the topic goes on: in which partition, and from which offset.
create table history_jobs.drift (
    projection      text collate "C" not null,
    topic_partition integer     not null,
    next_offset     bigint      not null,
    rounds          bigint      not null,                  -- over the whole topic
    updated_at      timestamptz not null,
    constraint drift_pk primary key (projection)
);

-- What operators had written anew. Rows are only added.
create table history_jobs.repair (
    id          uuid        not null,                      -- UUIDv7: in the order of time
    wallet_id   uuid        not null,
    events      bigint      not null,                      -- that the wallet's rows were made from
    as_of_seq   bigint      not null,                      -- of the wallet's shard, in the ledger's tables
    repaired_by text        not null,                      -- the operator's account on the machine
    repaired_at timestamptz not null,
    constraint repair_pk primary key (id)
);

grant select, insert, update on history_jobs.drift to :"app_role";
grant select on history_jobs.repair to :"app_role";
