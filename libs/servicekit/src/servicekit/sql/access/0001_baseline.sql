-- What a service knows of identities: the last state of each entity of access.events.

create table servicekit.access_entity (
    id        uuid not null,                       -- the subject of the entity's events
    kind      smallint not null,                   -- the number of its event type
    tenant_id uuid not null,
    lookup    text collate "C",                    -- what it is found by besides its id: an issuer's URL
    body      bytea not null,                      -- of its last event
    change    bigint not null,                     -- ascends in the order of commits: who has seen n has seen all below
    constraint access_entity_pk primary key (id)
);
create unique index access_entity_change on servicekit.access_entity (change);
create index access_entity_lookup on servicekit.access_entity (lookup) where lookup is not null;

grant select, insert, update on servicekit.access_entity to :"app_role";
