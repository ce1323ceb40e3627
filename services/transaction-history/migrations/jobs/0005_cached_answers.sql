-- Answers about whole tenants that cost too much to be made for each request: workers make them anew while somebody asks.

create table history_jobs.cached_answer (
    tenant_id   uuid        not null,
    question    text collate "C" not null,                 -- JSON: what is asked
    asked_at    timestamptz not null,                      -- last, to within a minute
    as_of       timestamptz,                               -- when the answer was made; null: there is none yet
    took_ms     integer,
    answer      text,                                      -- JSON
    token       uuid,                                      -- of whoever makes it: whoever has another writes nothing
    taken_until timestamptz not null default '-infinity',
    constraint cached_answer_pk primary key (tenant_id, question),
    constraint cached_answer_is_dated check ((as_of is null) = (answer is null))
) with (fillfactor = 50);

grant select, insert, update, delete on history_jobs.cached_answer to :"app_role";
grant select on history_jobs.cached_answer to :"reader_role";

alter table history_jobs.cached_answer enable row level security;

create policy of_one_tenant on history_jobs.cached_answer for select to :"reader_role"
    using (tenant_id = nullif(current_setting('app.tenant_id', true), '')::uuid);
