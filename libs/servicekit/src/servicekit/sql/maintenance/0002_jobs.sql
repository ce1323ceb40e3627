-- The jobs of this database's processes, as operators see and order them. A row per job: each process that does one
-- tells of it when it begins, and writes how the last run went.
create table servicekit.maintenance_job (
    name         text collate "C" primary key,
    interval_s   double precision not null,
    has_leader   boolean     not null,
    may_pause    boolean     not null,
    seen_at      timestamptz not null,                     -- when a process last began that does it
    paused_at    timestamptz,
    paused_by    text,
    asked        bigint      not null default 0,           -- how often an operator has asked for a run
    asked_at     timestamptz,
    asked_by     text,
    ran          bigint      not null default 0,           -- up to which of these it was run
    ran_at       timestamptz,                              -- of the last run that was written down; not every one is
    outcome      text,
    rows         bigint,
    error        text,                                     -- the class of what failed
    instance     text,
    succeeded_at timestamptz,
    constraint maintenance_job_is_paused_by_someone check ((paused_at is null) = (paused_by is null)),
    constraint maintenance_job_words_are_short check (
        greatest(length(name), length(outcome), length(error)) <= 64
        and greatest(length(paused_by), length(asked_by), length(instance)) <= 200)
) with (fillfactor = 50);                                  -- room for HOT updates

grant select, insert, update on servicekit.maintenance_job to :"app_role";
