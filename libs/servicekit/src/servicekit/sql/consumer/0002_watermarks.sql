-- Up to where the topic is complete, and as of when by the publisher's clock: the newest that is known of each shard, and
-- the newest that the projection has come to.

create table servicekit.watermark (
    projection  text collate "C" not null,
    shard       smallint not null,
    known_seq   bigint not null,
    known_at    timestamptz not null,
    covered_seq bigint,                                    -- null: none that is known is covered yet
    covered_at  timestamptz,
    constraint watermark_pk primary key (projection, shard),
    constraint watermark_shard_is_known check (shard between 0 and 63)
) with (fillfactor = 50);                                  -- room for HOT updates, one a second per row

grant select, insert, update on servicekit.watermark to :"app_role";
