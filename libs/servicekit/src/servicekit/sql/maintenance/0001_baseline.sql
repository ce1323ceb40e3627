-- Which instance does a job that only one is to do. A lease is held by this database's clock; the epoch grows with every
-- owner, and what a job writes is fenced by it.
create table servicekit.lease (
    name       text collate "C" not null,
    owner      text collate "C" not null,
    epoch      bigint not null,
    expires_at timestamptz not null,
    constraint lease_pk primary key (name)
) with (fillfactor = 50);                                  -- room for HOT updates, one per chunk

grant select, insert, update on servicekit.lease to :"app_role";
