-- How far each projection has come, and what it could not apply.

CREATE TABLE servicekit.checkpoint (
    projection      text COLLATE "C" NOT NULL,
    shard           smallint NOT NULL,
    last_seq        bigint NOT NULL DEFAULT 0,             -- never moves back
    last_event_id   uuid,
    topic_partition integer NOT NULL,
    kafka_offset    bigint NOT NULL DEFAULT 0,             -- where the record after last_seq is looked for
    stopped         text COLLATE "C",                      -- null: running; else gap or diverged
    seek_to         bigint,                                -- an operator asks for the partition to be read again
    updated_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT checkpoint_pk PRIMARY KEY (projection, shard),
    CONSTRAINT checkpoint_shard_is_known CHECK (shard BETWEEN 0 AND 63),
    CONSTRAINT checkpoint_stop_is_known CHECK (stopped IN ('gap', 'diverged'))
) WITH (fillfactor = 50);

-- How far behind the end of the stream each partition was when its consumer last looked.
CREATE TABLE servicekit.projection_lag (
    projection      text COLLATE "C" NOT NULL,
    topic_partition integer NOT NULL,
    lag_records     bigint NOT NULL,
    lag_ms          bigint NOT NULL,
    measured_at     timestamptz NOT NULL,
    CONSTRAINT projection_lag_pk PRIMARY KEY (projection, topic_partition)
) WITH (fillfactor = 50);

-- A wallet with an event that cannot be applied, and everything that came for it since, as it came.
CREATE TABLE servicekit.parked_wallet (
    projection text COLLATE "C" NOT NULL,
    wallet_id  uuid NOT NULL,
    shard      smallint NOT NULL,
    seq        bigint NOT NULL,                            -- of the event that failed
    reason     text NOT NULL,
    parked_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT parked_wallet_pk PRIMARY KEY (projection, wallet_id)
);

CREATE TABLE servicekit.parked_event (
    projection      text COLLATE "C" NOT NULL,
    wallet_id       uuid NOT NULL,
    seq             bigint NOT NULL,
    header_names    text[] NOT NULL,
    header_values   bytea[] NOT NULL,
    value           bytea,
    CONSTRAINT parked_event_pk PRIMARY KEY (projection, wallet_id, seq),
    CONSTRAINT parked_event_wallet_fk FOREIGN KEY (projection, wallet_id)
        REFERENCES servicekit.parked_wallet (projection, wallet_id)
);

GRANT SELECT, INSERT, UPDATE ON servicekit.checkpoint TO :"app_role";
GRANT SELECT, INSERT, UPDATE ON servicekit.projection_lag TO :"app_role";
GRANT SELECT, INSERT, UPDATE, DELETE ON servicekit.parked_wallet, servicekit.parked_event TO :"app_role";
