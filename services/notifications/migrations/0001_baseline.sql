-- Endpoints, what was to be delivered to them, and what came of it.

create schema notifications;

create table notifications.endpoint (
    id              uuid        not null,
    tenant_id       uuid        not null,
    url             text        not null,
    description     text,
    event_types     text[] collate "C" not null,           -- empty: every type
    has_wallets     boolean     not null,                  -- false: every wallet of the tenant
    status          text collate "C" not null,
    disabled_reason text collate "C",
    failing_since   timestamptz,                           -- the first failure after the last success; null: none
    -- How far each shard was projected when the endpoint was made (shard 0 first): what came before is not for it,
    -- however often the topic is read.
    from_seqs       bigint[]    not null,
    created_at      timestamptz not null,
    updated_at      timestamptz not null,
    slowness        smallint    not null default 0,        -- how far it is from being quick again: set by each slow
                                                           -- attempt, counted down by each that was not
    paid_until      timestamptz,                           -- of its tests, recoveries, resumptions: a bucket that leaks
    constraint endpoint_pk primary key (id),
    constraint endpoint_status_is_known check (status in ('active', 'paused', 'disabled', 'deleted')),
    constraint endpoint_disabled_has_a_reason check ((status = 'disabled') = (disabled_reason is not null)),
    constraint endpoint_has_all_shards check (cardinality(from_seqs) = 64)
) with (fillfactor = 80);

create index endpoint_by_tenant on notifications.endpoint (tenant_id, id) where status <> 'deleted';
create index endpoint_active on notifications.endpoint (id) where status = 'active';
create index endpoint_left on notifications.endpoint (id) where status <> 'active';

-- The wallets an endpoint asked for, where it did not ask for all.
create table notifications.endpoint_wallet (
    tenant_id   uuid not null,
    wallet_id   uuid not null,
    endpoint_id uuid not null,
    constraint endpoint_wallet_pk primary key (tenant_id, wallet_id, endpoint_id),
    constraint endpoint_wallet_endpoint_fk foreign key (endpoint_id) references notifications.endpoint (id)
);

create index endpoint_wallet_by_endpoint on notifications.endpoint_wallet (endpoint_id, wallet_id);

-- What signs. Sealed with AES-256-GCM under a key from the settings, bound to its row.
create table notifications.endpoint_secret (
    id          uuid        not null,
    endpoint_id uuid        not null,
    key_version smallint    not null,
    sealed      bytea       not null,
    created_at  timestamptz not null,
    expires_at  timestamptz,                               -- null: the newest one
    constraint endpoint_secret_pk primary key (id),
    constraint endpoint_secret_endpoint_fk foreign key (endpoint_id) references notifications.endpoint (id)
);

create index endpoint_secret_by_endpoint on notifications.endpoint_secret (endpoint_id, id);
create index endpoint_secret_by_expiry on notifications.endpoint_secret (expires_at) where expires_at is not null;

-- One event, as its subscribers are told it. Made where at least one endpoint wants it; goes with the last of its
-- deliveries, and not by its age.
create table notifications.message (
    id          uuid        not null,                      -- the event's; of a test, one of its own
    tenant_id   uuid        not null,
    type        text collate "C" not null,
    wallet_id   uuid,                                      -- null: a test
    body        bytea       not null,                      -- what is signed and sent, byte for byte
    traceparent text,
    occurred_at timestamptz not null,
    constraint message_pk primary key (id)
);

-- One message for one endpoint. Leasing a row moves next_attempt_at to the lease's end: a worker that dies leaves it
-- due again, and one that stood still finds another's token. No foreign key to the endpoint, which is never removed: its
-- check would lock the endpoint's row once per delivery.
create table notifications.delivery (
    id              uuid        not null,
    tenant_id       uuid        not null,
    endpoint_id     uuid        not null,
    message_id      uuid        not null,
    type            text collate "C" not null,             -- the message's
    status          text collate "C" not null,
    attempts        integer     not null default 0,        -- begun
    failures        integer     not null default 0,        -- in a row
    next_attempt_at timestamptz not null,
    lease_token     uuid,
    created_at      timestamptz not null,
    delivered_at    timestamptz,
    settled_at      timestamptz,                           -- when it stopped being pending
    constraint delivery_pk primary key (id),
    constraint delivery_is_one_per_endpoint_and_event unique (endpoint_id, message_id),
    constraint delivery_status_is_known check (status in ('pending', 'delivered', 'exhausted', 'cancelled')),
    constraint delivery_message_fk foreign key (message_id) references notifications.message (id)
) with (fillfactor = 70);

-- Each endpoint's due deliveries stand by themselves: a dead endpoint's backlog is never read on the way to another's.
create index delivery_due on notifications.delivery (endpoint_id, next_attempt_at, id) where status = 'pending';
create index delivery_leased on notifications.delivery (endpoint_id, next_attempt_at) where lease_token is not null;
create index delivery_by_tenant on notifications.delivery (tenant_id, id);
create index delivery_by_endpoint on notifications.delivery (endpoint_id, id);
create index delivery_exhausted on notifications.delivery (endpoint_id, id) where status = 'exhausted';
create index delivery_by_message on notifications.delivery (message_id);
create index delivery_settled on notifications.delivery (settled_at) where settled_at is not null;

-- One request to a receiver. Made when the delivery is leased, so that an attempt whose worker died shows too.
create table notifications.attempt (
    delivery_id   uuid        not null,
    number        integer     not null,
    started_at    timestamptz not null,
    outcome       text collate "C" not null,
    duration_ms   integer,
    status_code   smallint,
    error         text collate "C",                        -- why there is no status; a code
    response_head text,
    constraint attempt_pk primary key (delivery_id, number),
    constraint attempt_delivery_fk foreign key (delivery_id) references notifications.delivery (id) on delete cascade
) with (fillfactor = 80);

create table notifications.idempotency (
    client      uuid        not null,                      -- hash of tenant and subject, never of a credential
    key         text collate "C" not null,
    fingerprint bytea       not null,
    status      smallint    not null,
    location    text,
    body        bytea       not null,                      -- without secrets
    created_at  timestamptz not null,
    constraint idempotency_pk primary key (client, key)
);

-- Found and deleted by age, in chunks: a BRIN's ranges never narrow again once deleted space is used anew.
create index idempotency_by_age on notifications.idempotency (created_at);

-- The newest version of each wallet and its place in the stream: an event beyond it that does not follow is poison.
create table notifications.wallet_version (
    wallet_id uuid   not null,
    version   bigint not null,
    seq       bigint not null,                             -- of the wallet's shard
    constraint wallet_version_pk primary key (wallet_id)
) with (fillfactor = 70);

grant usage on schema notifications to :"app_role";
grant select, insert, update on notifications.wallet_version to :"app_role";
grant select, insert, update, delete on notifications.endpoint, notifications.endpoint_wallet,
    notifications.endpoint_secret, notifications.message, notifications.delivery, notifications.attempt,
    notifications.idempotency to :"app_role";
