-- A parked wallet keeps its place in the topic, not copies of its events: unparking reads them from there.

ALTER TABLE servicekit.parked_wallet
    ADD COLUMN kafka_offset bigint NOT NULL DEFAULT 0,     -- no record that is held back stands before it
    ADD COLUMN events bigint NOT NULL DEFAULT 0;           -- held back so far; seq is of the first of them

UPDATE servicekit.parked_wallet AS w SET seq = coalesce(e.seq, w.seq), events = coalesce(e.events, 0)
FROM (SELECT projection, wallet_id, min(seq) AS seq, count(*) AS events FROM servicekit.parked_event GROUP BY 1, 2) AS e
WHERE e.projection = w.projection AND e.wallet_id = w.wallet_id;

-- Until the former release is gone it goes on to keep copies, which nobody asks for any more.
ALTER TABLE servicekit.parked_event DROP CONSTRAINT parked_event_wallet_fk;
