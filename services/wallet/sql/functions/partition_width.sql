-- How many sequence numbers of each shard a partition holds. Never changed once there are partitions.
create or replace function wallet.partition_width() returns bigint
language sql immutable parallel safe as 'select 262144::bigint';

revoke execute on function wallet.partition_width from public;
grant execute on function wallet.partition_width to :"app_role";
