-- What a service itself publishes: one row per event, numbered densely per shard. The columns are a journal's, so that
-- the relay reads both alike; nothing is ever updated or deleted.

CREATE TABLE servicekit.outbox (
    shard          smallint    NOT NULL,
    seq            bigint      NOT NULL,
    event_id       uuid        NOT NULL,
    tenant_id      uuid        NOT NULL,
    account_id     uuid        NOT NULL,                   -- whom the event is about: the record's key
    version        bigint,                                 -- always null, as the next three: no ledger stands behind it
    transaction_id uuid,
    entry_index    smallint,
    entry_count    smallint,
    type           smallint    NOT NULL,                   -- the number of a published event type
    occurred_at    timestamptz NOT NULL,
    causation_id   uuid,
    traceparent    text,
    payload        bytea       NOT NULL,
    CONSTRAINT outbox_pk PRIMARY KEY (shard, seq),
    CONSTRAINT outbox_shard_is_known CHECK (shard BETWEEN 0 AND 63)
);

-- Append events with the next numbers of their shards, in the order given. The locks stand until the transaction ends,
-- so that numbers become visible in their order: call it as the transaction's last statement. VOLATILE: the heads are
-- read by a statement of its own, after the locks.
CREATE FUNCTION servicekit.append_to_outbox(
    shards smallint[], event_ids uuid[], tenant_ids uuid[], account_ids uuid[], types smallint[],
    occurred_at timestamptz[], causation_ids uuid[], traceparents text[], payloads bytea[])
RETURNS void LANGUAGE plpgsql VOLATILE SET enable_seqscan = off AS $$
DECLARE
    s smallint;
BEGIN
    -- Whatever the session is set to: a relay must never publish what a crash then takes back.
    PERFORM set_config('synchronous_commit', 'on', true);
    FOR s IN SELECT DISTINCT x FROM unnest(shards) x ORDER BY 1 LOOP
        PERFORM pg_advisory_xact_lock(9, s);
    END LOOP;
    WITH head AS MATERIALIZED (
        SELECT d.shard, coalesce((SELECT o.seq FROM servicekit.outbox o WHERE o.shard = d.shard
                                   ORDER BY o.seq DESC LIMIT 1), 0) AS seq
          FROM (SELECT DISTINCT x AS shard FROM unnest(shards) x) d)
    INSERT INTO servicekit.outbox (shard, seq, event_id, tenant_id, account_id, type, occurred_at, causation_id,
                                   traceparent, payload)
    SELECT head.shard, head.seq + row_number() OVER (PARTITION BY u.shard ORDER BY u.ordinal), u.event_id, u.tenant_id,
           u.account_id, u.type, u.occurred_at, u.causation_id, u.traceparent, u.payload
      FROM unnest(shards, event_ids, tenant_ids, account_ids, types, occurred_at, causation_ids, traceparents, payloads)
           WITH ORDINALITY u (shard, event_id, tenant_id, account_id, type, occurred_at, causation_id, traceparent,
                              payload, ordinal)
      JOIN head USING (shard);
END $$;

GRANT SELECT, INSERT ON servicekit.outbox TO :"app_role";
REVOKE EXECUTE ON FUNCTION servicekit.append_to_outbox FROM PUBLIC;
GRANT EXECUTE ON FUNCTION servicekit.append_to_outbox TO :"app_role";
