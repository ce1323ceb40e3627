-- The newest version of each wallet and its place in the stream: an event beyond it that does not follow is poison.
create table notifications.wallet_version (
    wallet_id uuid   not null,
    version   bigint not null,
    seq       bigint not null,                             -- of the wallet's shard
    constraint wallet_version_pk primary key (wallet_id)
) with (fillfactor = 70);

-- Endpoints that were deleted are removed once nothing is left of their history.
grant delete on notifications.endpoint to :"app_role";
grant select, insert, update on notifications.wallet_version to :"app_role";
