CREATE SCHEMA outbox;

CREATE TABLE outbox.journal (
    shard          smallint    NOT NULL,
    seq            bigint      NOT NULL,
    event_id       uuid        NOT NULL DEFAULT uuidv7(),
    tenant_id      uuid        NOT NULL,
    account_id     uuid        NOT NULL,
    version        bigint,
    transaction_id uuid,
    entry_index    smallint    NOT NULL,
    entry_count    smallint    NOT NULL,
    type           smallint    NOT NULL,
    occurred_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    causation_id   uuid,
    traceparent    text,
    payload        bytea       NOT NULL,
    PRIMARY KEY (shard, seq)
) PARTITION BY RANGE (seq);

CREATE TABLE outbox.journal_0 PARTITION OF outbox.journal FOR VALUES FROM (0) TO (100);
CREATE TABLE outbox.journal_1 PARTITION OF outbox.journal FOR VALUES FROM (100) TO (1000000);

GRANT USAGE ON SCHEMA outbox TO :"app_role";
GRANT SELECT, INSERT, DELETE ON outbox.journal TO :"app_role";
