-- Which instance does a job that only one is to do. A lease is held by this database's clock; the epoch grows with every
-- owner, and what a job writes is fenced by it.
CREATE TABLE servicekit.lease (
    name       text COLLATE "C" NOT NULL,
    owner      text COLLATE "C" NOT NULL,
    epoch      bigint NOT NULL,
    expires_at timestamptz NOT NULL,
    CONSTRAINT lease_pk PRIMARY KEY (name)
) WITH (fillfactor = 50);                                  -- room for HOT updates, one per lot

GRANT SELECT, INSERT, UPDATE ON servicekit.lease TO :"app_role";
