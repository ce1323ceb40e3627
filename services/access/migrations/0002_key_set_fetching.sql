alter table access.issuer
    add column attempted_at timestamptz,                   -- the last fetch, whatever came of it
    add column failures integer not null default 0;        -- fetches since the last success, all of which failed
