-- A wallet's own terms, and what was counted under limits: the JSON of their structs.
alter table wallet.wallet add column terms bytea, add column usage bytea;
alter table wallet.wallet_opening
    add column floor_waived boolean not null default false, add column terms bytea, add column usage bytea;
