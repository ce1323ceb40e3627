-- Who publishes which shard of the journal, and how far. The journal itself belongs to the service.

CREATE TABLE servicekit.relay_lease (
    shard      smallint NOT NULL,
    cursor     bigint NOT NULL DEFAULT 0,                  -- the highest sequence known to be published
    epoch      bigint NOT NULL DEFAULT 0,                  -- grows with every owner, so that a former one can be told
    owner      text COLLATE "C",                           -- null: free
    expires_at timestamptz NOT NULL DEFAULT '-infinity',   -- by this database's clock
    CONSTRAINT relay_lease_pk PRIMARY KEY (shard),
    CONSTRAINT relay_lease_shard_is_known CHECK (shard BETWEEN 0 AND 63),
    CONSTRAINT relay_lease_cursor_is_not_negative CHECK (cursor >= 0)
) WITH (fillfactor = 50);                                  -- room for HOT updates, several a second per row

INSERT INTO servicekit.relay_lease (shard) SELECT generate_series(0, 63);

-- Relays that are alive: shards are shared out among them.
CREATE TABLE servicekit.relay_instance (
    owner      text COLLATE "C" NOT NULL,
    expires_at timestamptz NOT NULL,
    CONSTRAINT relay_instance_pk PRIMARY KEY (owner)
) WITH (fillfactor = 50);

-- Records found at the end of a topic that the journal lacks: the database was restored behind the topic. While one is
-- not cleared, relay and committers refuse to run.
CREATE TABLE servicekit.relay_halt (
    topic           text COLLATE "C" NOT NULL,
    topic_partition integer NOT NULL,
    kafka_offset    bigint NOT NULL,
    shard           smallint NOT NULL,
    seq             bigint NOT NULL,
    event_id        uuid NOT NULL,
    halted_at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    cleared_at      timestamptz,
    cleared_by      text,
    CONSTRAINT relay_halt_pk PRIMARY KEY (topic, topic_partition, kafka_offset)
);

GRANT SELECT, UPDATE ON servicekit.relay_lease TO :"app_role";
GRANT SELECT, INSERT, UPDATE, DELETE ON servicekit.relay_instance TO :"app_role";
GRANT SELECT, INSERT, UPDATE ON servicekit.relay_halt TO :"app_role";
