-- Profiles, decisions and the rules that made them. What stands in profile and decision comes from the events and the
-- rules alone: the same events judged by the same rules make the same rows.

create schema fraud;

-- Every version of the rules that was ever in force, for as long as a decision is to be explained.
create table fraud.rules_version (
    version          text collate "C" not null,
    content_hash     text collate "C" not null,
    body             text        not null,                  -- the file as it was read
    time_compression integer     not null,
    is_shadow        boolean     not null,
    first_loaded_at  timestamptz not null default clock_timestamp(),
    constraint rules_version_pk primary key (version)
);

-- What the projector judges by, and the last file it refused.
create table fraud.rules_state (
    only_one    boolean     not null default true,
    version     text collate "C" not null,
    loaded_at   timestamptz not null default clock_timestamp(),
    refused_at  timestamptz,
    refusal     text,
    constraint rules_state_pk primary key (only_one),
    constraint rules_state_is_one_row check (only_one),
    constraint rules_state_version_fk foreign key (version) references fraud.rules_version (version),
    constraint rules_state_refusal_is_whole check ((refused_at is null) = (refusal is null))
);

-- The state of a wallet that its events add up to, as of its version.
create table fraud.profile (
    wallet_id uuid        not null,
    tenant_id uuid        not null,
    owner_id  text collate "C" not null,
    currency  text collate "C" not null,
    version   bigint      not null,
    last_at   timestamptz not null,
    state     bytea       not null,                         -- JSON: debits, restrictions, cool-downs
    constraint profile_pk primary key (wallet_id)
) with (fillfactor = 70);

create table fraud.decision (
    decision_id      uuid        not null,
    tenant_id        uuid        not null,
    wallet_id        uuid        not null,
    owner_id         text collate "C" not null,
    wallet_version   bigint      not null,                  -- the one that was judged
    outcome          text collate "C" not null,
    mode             text collate "C" not null,
    rules_version    text collate "C" not null,
    trigger_event_id uuid        not null,
    trigger_shard    smallint    not null,
    trigger_seq      bigint      not null,
    decided_at       timestamptz not null,                  -- the time of the triggering event
    reasons          text        not null,                  -- JSON list
    traceparent      text,
    constraint decision_pk primary key (decision_id),
    constraint decision_rules_fk foreign key (rules_version) references fraud.rules_version (version),
    constraint decision_outcome_is_known check (outcome in ('allow', 'review', 'hold', 'block')),
    constraint decision_mode_is_known check (mode in ('live', 'shadow'))
);

create index decision_newest on fraud.decision (tenant_id, decided_at, decision_id);
create index decision_by_wallet on fraud.decision (tenant_id, wallet_id, decided_at, decision_id);
create index decision_by_outcome on fraud.decision (tenant_id, outcome, mode, decided_at, decision_id);

grant usage on schema fraud to :"app_role";
grant select, insert on fraud.rules_version, fraud.decision to :"app_role";
grant select, insert, update on fraud.rules_state, fraud.profile to :"app_role";
