CREATE SCHEMA probe;
CREATE TABLE probe.applied (
    wallet_id uuid   NOT NULL,
    version   bigint NOT NULL,
    shard     int    NOT NULL,
    seq       bigint NOT NULL,
    PRIMARY KEY (wallet_id, version),
    UNIQUE (shard, seq)
);
GRANT USAGE ON SCHEMA probe TO :"app_role";
GRANT SELECT, INSERT ON probe.applied TO :"app_role";
