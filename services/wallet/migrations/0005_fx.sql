-- Exchange rates: how much of a currency one unit of the base is. They are no tenant's.
create table wallet.fx_rate (
    source     text collate "C" not null,                  -- whose rates they are
    base       text collate "C" not null,
    currency   text collate "C" not null,
    rate       numeric     not null,
    as_of      timestamptz not null,                       -- of when it is, as its source says
    fetched_at timestamptz not null,
    primary key (source, base, currency),
    constraint fx_rate_is_positive check (rate > 0 and rate < 'infinity')
);

grant select, insert, update on wallet.fx_rate to :"app_role";
grant select on wallet.fx_rate to :"reader_role";
