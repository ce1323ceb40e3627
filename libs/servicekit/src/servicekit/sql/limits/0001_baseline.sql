-- What is left of each limit, for all instances of the service. Unlogged: a bucket is worth seconds, and after a crash
-- every one is whole again.
create unlogged table servicekit.rate_bucket (
    kind   smallint not null,                              -- which limit: the numbers of servicekit.limits.rates.Limit
    id     bytea    not null,                              -- whose: a tenant's, client's or wallet's id, or an address
    tat_us bigint   not null,                              -- when it is whole again, in µs of this database's clock
    constraint rate_bucket_pk primary key (kind, id),
    constraint rate_bucket_id_is_short check (octet_length(id) <= 32)
) with (fillfactor = 50);                                  -- room for HOT updates, ten a second

-- Which instances share the buckets: each says every 100 ms that it lives.
create unlogged table servicekit.rate_instance (
    id      uuid   not null,
    seen_us bigint not null,                               -- in µs of this database's clock
    constraint rate_instance_pk primary key (id)
) with (fillfactor = 50);

grant select, insert, update, delete on servicekit.rate_bucket, servicekit.rate_instance to :"app_role";
