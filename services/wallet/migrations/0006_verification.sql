-- Continuous verification: behind the newest rows, and over all of the ledger again and again.

-- Up to where each shard's new rows were verified, from where it was when this began; the whole ledger has its rounds.
create table wallet.verified (
    shard smallint primary key,
    seq   bigint   not null
) with (fillfactor = 50);                                  -- room for HOT updates

insert into wallet.verified (shard, seq)
select s.shard, coalesce((select j.seq from wallet.journal j where j.shard = s.shard order by j.seq desc limit 1),
                         (select max(f.seq) from wallet.archive_end f where f.shard = s.shard), 0)
  from (select n::smallint from generate_series(0, 63) n) s (shard);

-- Where the round is that is under way: shard by shard, then transaction by transaction.
create table wallet.verification_round (
    only_row       boolean  primary key default true check (only_row),
    rounds         bigint   not null default 0,            -- that have ended
    shard          smallint not null default 0,            -- whose rows are folded; 64: all are
    transaction_id uuid,                                   -- up to which entries were added up; null: none were
    began_at       timestamptz not null default clock_timestamp()
) with (fillfactor = 50);

insert into wallet.verification_round default values;

grant select, update on wallet.verified, wallet.verification_round to :"app_role";
