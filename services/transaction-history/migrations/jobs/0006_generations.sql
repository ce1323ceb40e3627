-- How often rows of a projection were written anew although nothing had happened: whoever does that adds one, so that
-- no client takes what it has for what is there. A rebuild needs none of it: its switch puts another schema in place.

create table history_jobs.generation (
    projection text collate "C" not null,
    number     bigint not null,
    constraint generation_pk primary key (projection)
);

grant select, insert, update on history_jobs.generation to :"app_role";
grant select on history_jobs.generation to :"reader_role";
